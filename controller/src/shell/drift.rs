//! What others change in Google Cloud while nothing is going on. One list of services a region and project tells of all of
//! them: an object is looked at again where a service is not as its last pass saw it.

use jiff::SignedDuration;
use orchestra_planner::cloud::ServiceId;
use orchestra_planner::names::{Etag, ProjectId, Region};
use orchestra_planner::plan::Urgency;
use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Shell, lock};
use crate::health::Source;

/// How often the services are listed: what others change is told within a minute.
pub const LOOK_FOR_DRIFT: SignedDuration = SignedDuration::from_secs(50);

/// Services by how a pass saw them; without an etag there was none.
pub type Watched = BTreeMap<ServiceId, Option<Etag>>;

type Place = (ProjectId, Region);

fn place(id: &ServiceId) -> Place {
    (id.project.clone(), id.region.clone())
}

impl Shell {
    /// Notes how the last pass over an object saw its services. What works on something looks by itself.
    pub(super) fn note_watched(&self, key: &Key, watched: Watched, urgency: Urgency) {
        let mut all = lock(&self.watched);
        if urgency == Urgency::Quiet && !watched.is_empty() {
            all.insert(key.clone(), watched);
        } else {
            all.remove(key);
        }
    }

    /// Objects whose services are not as their last passes saw them. What can't be listed has not changed, as far as is
    /// known; a pass of its own tells.
    pub async fn drifted(&self) -> Vec<Key> {
        let watched = lock(&self.watched).clone();
        let places: BTreeSet<Place> = watched.values().flat_map(BTreeMap::keys).map(place).collect();
        let mut listed: BTreeMap<Place, BTreeMap<ServiceId, Etag>> = BTreeMap::new();
        for (project, region) in places {
            let read = self.cloud.run.etags(&project, &region).await;
            if let Ok(etags) = self.noted(Source::of_region("run", &project, &region), read) {
                listed.insert((project, region), etags);
            }
        }
        let differs = |(id, seen): (&ServiceId, &Option<Etag>)| {
            listed.get(&place(id)).is_some_and(|etags| etags.get(id) != seen.as_ref())
        };
        let changed = |(key, services): (Key, Watched)| services.iter().any(differs).then_some(key);
        watched.into_iter().filter_map(changed).collect()
    }
}
