//! An object of which a part can't be read: nothing moves forward, nothing is set or let go, and what fails is still taken
//! back, by what the release was started with.

use orchestra_crds::{RolloutPhase, Unread};

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::{Observation, Turn, judge};
use crate::conditions::{Note, Overall, note};
use crate::reason::Reason;
use crate::template::Gate;

/// What can't be read of the Rollout or its environment, and what to do about it.
pub(super) fn told(seen: &Observation) -> Option<Note> {
    let fields = |unread: &[Unread]| unread.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if !seen.unread.is_empty() {
        let message = format!("this Rollout can't be read in full: {}: correct it", fields(&seen.unread));
        return Some(note(Reason::Unreadable, message));
    }
    if !seen.environment_unread.is_empty() {
        let name = &seen.rollout.spec.environment_ref.name;
        let message = format!(
            "OrchestraEnvironment `{name}` can't be read in full: {}: correct it",
            fields(&seen.environment_unread)
        );
        return Some(note(Reason::EnvironmentUnreadable, message));
    }
    None
}

/// The gate that is closed until it can be read.
pub(super) fn gate(seen: &Observation) -> Option<Gate> {
    told(seen).map(Gate::Blocked)
}

/// Goes on judging what is under way. None: all of both objects was read.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let told = told(pass.seen)?;
    if let Some(candidate) = memory.candidate.clone()
        && let Some(back) = judge::held(pass, memory, &candidate)
    {
        return Some(back);
    }
    let (held, phase) = match (&memory.candidate, &memory.stable) {
        (Some(candidate), _) => (
            format!("; `{}` stays where it is, and is taken back if it fails", candidate.release.revision),
            RolloutPhase::Progressing,
        ),
        (None, Some(_)) => ("; what runs stays as it is".to_string(), RolloutPhase::Pending),
        (None, None) => (String::new(), RolloutPhase::Pending),
    };
    Some(
        Decision::new(phase, Overall::Stalled(Note::told(told.reason, format!("{}{held}", told.message))))
            .look_again_in(crate::plan::POLL)
            .into(),
    )
}
