//! What to read from the cloud before planning.

use jiff::Timestamp;
use orchestra_crds::{OrchestraEnvironment, Rollout, RolloutStatus};
use std::collections::BTreeSet;

use super::identity::Release;
use super::region::{Placement, Progress};
use super::{Observation, RegionView};
use crate::analysis;
use crate::cloud::ServiceId;
use crate::names::{ProjectId, Region, RevisionName, ServiceName};

/// What to ask about one region's service, once it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// These revisions.
    pub revisions: BTreeSet<RevisionName>,
    /// Who may call it.
    pub policy: bool,
    /// Requests by minute.
    pub minutes: Option<MinutesQuery>,
}

/// Requests by minute of two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinutesQuery {
    /// The candidate.
    pub candidate: RevisionName,
    /// Stable.
    pub stable: RevisionName,
    /// Beginning and end, whole minutes.
    pub window: (Timestamp, Timestamp),
}

/// The services of a Rollout, in the order of its waves. None without an environment.
pub fn services(rollout: &Rollout, environment: Option<&OrchestraEnvironment>) -> Vec<ServiceId> {
    let Some(environment) = environment else { return vec![] };
    let id = |region: &String| {
        Some(ServiceId {
            project: ProjectId::new(environment.spec.project.as_str()).ok()?,
            region: Region::new(region.as_str()).ok()?,
            name: ServiceName::new(rollout.spec.service_name.as_str()).ok()?,
        })
    };
    environment.spec.regions.iter().filter_map(id).collect()
}

/// What to ask about each region, in the order of the regions. Asked twice: without revisions it asks for them, with
/// them it asks for the minutes of the step that is going on.
pub fn questions(seen: &Observation) -> Vec<Questions> {
    let release = Release::recover(seen);
    let status = release.remembered();
    let revisions = revisions(&release, &status);
    seen.regions
        .iter()
        .map(|region| {
            let exists = region.view().is_some();
            Questions {
                revisions: if exists { revisions.clone() } else { BTreeSet::new() },
                policy: exists,
                minutes: minutes(&release, &status, region),
            }
        })
        .collect()
}

fn revisions(release: &Release<'_>, status: &RolloutStatus) -> BTreeSet<RevisionName> {
    let stable = status.stable.as_ref().map(|s| s.revision.as_str());
    let candidate = status.candidate.as_ref().map(|c| c.revision.as_str());
    let named = [stable, candidate].into_iter().flatten().filter_map(|name| RevisionName::new(name).ok());
    let next = release.desired.as_ref().ok().map(|desired| release.fresh_name(desired, status));
    named.chain(next).collect()
}

/// The closed minutes of a step that is in effect.
fn minutes(release: &Release<'_>, status: &RolloutStatus, region: &RegionView) -> Option<MinutesQuery> {
    let candidate = RevisionName::new(status.candidate.as_ref()?.revision.as_str()).ok()?;
    let stable = release.stable_in(region, status)?;
    let placed = Placement { release, status, region, candidate: &candidate };
    let Progress::On { step, since } = placed.progress() else { return None };
    let subject = analysis::Subject { revision: &candidate, region: &region.id.region, step, since };
    let settings = &release.seen.rollout.spec.analysis;
    let window = analysis::window(status.analysis.as_ref(), &subject, settings, release.seen.now)?;
    Some(MinutesQuery { candidate, stable, window })
}
