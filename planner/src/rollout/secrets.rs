//! The versions of secrets that stable reads. One that is disabled or gone takes nothing from the instances that run, and
//! lets no new one start.

use std::collections::BTreeSet;

use super::decision::Decision;
use super::memory::{Memory, Stable};
use super::pass::Pass;
use crate::cloud::SecretVersionId;
use crate::conditions::{Overall, note};
use crate::plan::{POLL, Urgency};
use crate::reason::Reason;

/// What stable reads, where that could be seen.
fn read_by(pass: &Pass<'_>, stable: &Stable) -> Option<BTreeSet<SecretVersionId>> {
    let read =
        pass.places.iter().filter_map(|place| place.seen.revisions.get(&stable.revision)?.as_ref().ok()?.as_ref());
    read.map(|revision| revision.secrets.clone()).next()
}

/// Whether the environment uses that version: it looks after it, and says what is wrong with it.
fn is_of_environment(pass: &Pass<'_>, id: &SecretVersionId) -> bool {
    let status = pass.seen.environment.as_ref().and_then(|environment| environment.status.as_ref());
    status.is_some_and(|status| status.secrets.iter().any(|s| s.secret == id.secret && s.version == id.version))
}

/// The versions to ask about: those that stable reads and the environment does not use. Only where nothing is to be done
/// for now: this decides nothing, and nothing waits for it.
pub(super) fn to_ask(pass: &Pass<'_>, memory: &Memory) -> BTreeSet<SecretVersionId> {
    let read = memory.stable.as_ref().and_then(|stable| read_by(pass, stable)).unwrap_or_default();
    let is_open = |id: &SecretVersionId| !is_of_environment(pass, id) && !pass.seen.secrets.contains_key(id);
    let open: BTreeSet<SecretVersionId> = read.into_iter().filter(is_open).collect();
    if open.is_empty() {
        return open;
    }
    let plan = super::plan(pass.seen);
    let is_quiet = plan.effects.is_empty() && plan.urgency != Urgency::Rollback && plan.next > POLL;
    if is_quiet { open } else { BTreeSet::new() }
}

/// Tells of what stable reads and can't be read any more. What was not seen now is told as it was last seen.
pub(super) fn add_secrets(pass: &Pass<'_>, memory: &mut Memory, decision: &mut Decision) {
    let Some(stable) = memory.stable.as_mut() else { return };
    if let Some(read) = read_by(pass, stable) {
        let was_missing = std::mem::take(&mut stable.missing_secrets);
        let is_missing = |id: &SecretVersionId| match pass.seen.secrets.get(id) {
            Some(Ok(found)) => found.is_none(),
            Some(Err(_)) | None => was_missing.contains(id) && !is_of_environment(pass, id),
        };
        stable.missing_secrets = read.into_iter().filter(is_missing).collect();
    }
    if stable.missing_secrets.is_empty() {
        return;
    }
    let each = stable.missing_secrets.iter().map(|id| format!("version {} of secret `{}`", id.version, id.secret));
    let words = format!(
        "stable (`{}`) reads {}, disabled or gone in Secret Manager: no new instance of it can start. Enable it there, or \
         release a template that needs another",
        stable.revision,
        each.collect::<Vec<_>>().join(", ")
    );
    decision.overall = match decision.overall.clone() {
        Overall::Ready(ready) => Overall::Stalled(note(Reason::SecretMissing, format!("{}; {words}", ready.message))),
        busy => busy.followed_by(&words),
    };
}
