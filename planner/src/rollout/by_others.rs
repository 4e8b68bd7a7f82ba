//! Others deploy (`spec.trafficOnly`): what should run is the revision that they made last.

use super::memory::Memory;
use super::{Observation, RegionView};
use crate::conditions::note;
use crate::marks::News;
use crate::names::{RevisionName, TemplateHash};
use crate::reason::Reason;
use crate::template::{EffectiveTemplate, Gate, Wanted, own_hash};

/// Hash of what should run: of the user's template, or where others deploy of the newest revision's name. While that can't be
/// read, it is what it was.
pub(super) fn own(seen: &Observation, memory: &Memory) -> TemplateHash {
    if !seen.rollout.spec.traffic_only {
        return own_hash(&seen.rollout.spec.template);
    }
    let newest = newest(seen).map(|(_, name)| TemplateHash::of(name.as_str()));
    let held = || memory.held.as_ref().map(|held| held.template.clone());
    let latched = || {
        memory.latches.iter().find_map(|latch| match &latch.news {
            News::Template(failed) => Some(failed.clone()),
            News::Inputs(_) => None,
        })
    };
    let candidate = || memory.candidate.as_ref().map(|candidate| candidate.template_hash.clone());
    let stable = || memory.stable.as_ref().and_then(|stable| stable.template_hash.clone());
    newest
        .or_else(candidate)
        .or_else(held)
        .or_else(latched)
        .or_else(stable)
        .unwrap_or_else(|| TemplateHash::of("unknown"))
}

/// The revision that others made last, in the first region. None: it can't be read, or the read is an old one: what is newest
/// never becomes what was before it, so beside a candidate it is not stable.
fn newest(seen: &Observation) -> Option<(&RegionView, &RevisionName)> {
    let region = seen.regions.first()?;
    let newest = region.view()?.newest.as_ref()?;
    let status = seen.rollout.status.as_ref();
    let stable = status.filter(|status| status.candidate.is_some()).and_then(|status| status.stable.as_ref());
    let is_old = stable.is_some_and(|stable| stable.revision == newest.as_str());
    (!is_old).then_some((region, newest))
}

/// The revision to read: what it runs is not in its name.
pub(super) fn revision_to_read(seen: &Observation) -> Option<RevisionName> {
    newest(seen).filter(|_| seen.rollout.spec.traffic_only).map(|(_, name)| name.clone())
}

/// The revision that others made last, as what should run.
pub(super) fn newest_wanted(seen: &Observation) -> Result<Wanted, Gate> {
    let service = &seen.rollout.spec.service_name;
    let waits = |message: String| Err(Gate::Waiting(note(Reason::WaitsForRevision, message)));
    let Some((region, name)) = newest(seen) else {
        return waits(format!("trafficOnly: nobody has deployed a revision of `{service}` yet, as far as can be seen"));
    };
    let place = &region.id.region;
    match region.revisions.get(name) {
        Some(Ok(Some(read))) => Ok(Wanted::made_by_others(name, read.template.clone())),
        Some(Ok(None)) => waits(format!("{place}: `{name}` is not there yet")),
        Some(Err(fault)) => waits(format!("{place}: `{name}` can't be read: {}", fault.message)),
        // It is asked for.
        None => Ok(Wanted::made_by_others(name, EffectiveTemplate::default())),
    }
}
