//! The versions of secrets that stable reads. One that is disabled or gone takes nothing from the instances that run, and
//! lets no new one start.

use std::collections::BTreeSet;

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use crate::cloud::SecretVersionId;
use crate::conditions::{Overall, note};

/// What stable reads.
fn of_stable<'p>(pass: &'p Pass<'_>, memory: &'p Memory) -> BTreeSet<&'p SecretVersionId> {
    let stable = memory.stable.iter().map(|stable| &stable.revision);
    let read = stable.flat_map(|stable| pass.places.iter().filter_map(|place| place.seen.revisions.get(stable)));
    read.filter_map(|read| read.as_ref().ok()?.as_ref()).flat_map(|revision| &revision.secrets).collect()
}

/// The versions to ask about: those that stable reads and the environment does not look at.
pub(super) fn to_ask(pass: &Pass<'_>, memory: &Memory) -> BTreeSet<SecretVersionId> {
    let status = pass.seen.environment.as_ref().and_then(|environment| environment.status.as_ref());
    let looked_at = |id: &SecretVersionId| {
        status.is_some_and(|status| status.secrets.iter().any(|s| s.secret == id.secret && s.version == id.version))
    };
    let open = |id: &&SecretVersionId| !looked_at(id) && !pass.seen.secrets.contains_key(*id);
    of_stable(pass, memory).into_iter().filter(open).cloned().collect()
}

/// Tells of what stable reads and can't be read any more.
pub(super) fn add_secrets(pass: &Pass<'_>, memory: &Memory, decision: &mut Decision) {
    let Some(stable) = &memory.stable else { return };
    let is_gone = |id: &&SecretVersionId| matches!(pass.seen.secrets.get(*id), Some(Ok(None)));
    let gone: Vec<String> = of_stable(pass, memory)
        .into_iter()
        .filter(is_gone)
        .map(|id| format!("version {} of secret `{}`", id.version, id.secret))
        .collect();
    if gone.is_empty() {
        return;
    }
    let words = format!(
        "stable (`{}`) reads {}, disabled or gone in Secret Manager: no new instance of it can start. Enable it there, or \
         release a template that needs another",
        stable.revision,
        gone.join(", ")
    );
    decision.overall = match decision.overall.clone() {
        Overall::Ready(ready) => Overall::Stalled(note("SecretMissing", format!("{}; {words}", ready.message))),
        busy => busy.followed_by(&words),
    };
}
