//! What others change in Google Cloud while nothing is going on. One list of services a region and project tells of all of
//! them: an object is looked at again where a service is not as its last pass saw it.

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use orchestra_planner::cloud::ServiceId;
use orchestra_planner::names::{Etag, ProjectId, Region};
use orchestra_planner::plan::Urgency;
use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Shell, lock};
use crate::health::Source;

/// How often the services are listed: what others change is told within a minute.
pub const LOOK_FOR_DRIFT: SignedDuration = SignedDuration::from_secs(50);
/// How many lists are read at once: one that hangs keeps few waiting.
const LISTS: usize = 8;

/// Services by how a pass, or a list, saw them; without an etag there was none.
pub type Watched = BTreeMap<ServiceId, Option<Etag>>;

/// What an object that is quiet waits to see changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// As its last pass saw them.
    seen: Watched,
    /// As the list had them that woke it last: the same list wakes nobody twice.
    woken_by: Watched,
}

type Place = (ProjectId, Region);

fn place(id: &ServiceId) -> Place {
    (id.project.clone(), id.region.clone())
}

impl Waiting {
    /// Its services as they are listed now, where that is neither what was seen nor what woke it last. Of what is not listed
    /// nothing is known.
    fn changed(&self, listed: &BTreeMap<Place, BTreeMap<ServiceId, Etag>>) -> Option<Watched> {
        let now = |id: &ServiceId| Some((id.clone(), listed.get(&place(id))?.get(id).cloned()));
        let now: Watched = self.seen.keys().filter_map(now).collect();
        let is_new = |(id, etag): (&ServiceId, &Option<Etag>)| {
            self.seen.get(id) != Some(etag) && self.woken_by.get(id) != Some(etag)
        };
        now.iter().any(is_new).then_some(now)
    }
}

impl Shell {
    /// Notes how the last pass over an object saw its services. What works on something looks by itself.
    pub(super) fn note_watched(&self, key: &Key, seen: Watched, urgency: Urgency) {
        let mut all = lock(&self.watched);
        if urgency == Urgency::Quiet && !seen.is_empty() {
            all.entry(key.clone()).or_default().seen = seen;
        } else {
            all.remove(key);
        }
    }

    /// Objects whose services are not as their last passes saw them. What can't be listed has not changed, as far as is
    /// known; a pass of its own tells.
    pub async fn drifted(&self) -> Vec<Key> {
        let places: BTreeSet<Place> =
            lock(&self.watched).values().flat_map(|waiting| waiting.seen.keys()).map(place).collect();
        let list = |(project, region): Place| async move {
            let read = self.cloud.run.etags(&project, &region).await;
            let etags = self.noted(Source::of_region("run list", &project, &region), read).ok()?;
            Some(((project, region), etags))
        };
        let lists = stream::iter(places).map(list).buffer_unordered(LISTS);
        let listed: BTreeMap<Place, BTreeMap<ServiceId, Etag>> = lists.filter_map(std::future::ready).collect().await;
        let mut all = lock(&self.watched);
        let wake = |(key, waiting): (&Key, &mut Waiting)| {
            waiting.woken_by = waiting.changed(&listed)?;
            Some(key.clone())
        };
        all.iter_mut().filter_map(wake).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestra_planner::names::ServiceName;

    fn service() -> ServiceId {
        ServiceId {
            project: ProjectId::new("cherry-ai-project").unwrap(),
            region: Region::new("us-central1").unwrap(),
            name: ServiceName::new("api").unwrap(),
        }
    }

    fn listed(etag: Option<&str>) -> BTreeMap<Place, BTreeMap<ServiceId, Etag>> {
        let etags = etag.map(|etag| (service(), Etag(etag.into()))).into_iter().collect();
        BTreeMap::from([(place(&service()), etags)])
    }

    #[test]
    fn a_change_wakes_once_and_what_is_not_listed_not_at_all() {
        let seen = |etag: &str| Watched::from([(service(), Some(Etag(etag.into())))]);
        let mut waiting = Waiting { seen: seen("one"), ..Waiting::default() };
        assert_eq!(waiting.changed(&listed(Some("one"))), None);
        assert_eq!(waiting.changed(&BTreeMap::new()), None);
        assert!(waiting.changed(&listed(None)).is_some(), "it is gone");
        waiting.woken_by = waiting.changed(&listed(Some("two"))).unwrap();
        // Though a pass saw it otherwise: a list that always differs wakes nobody again and again.
        assert_eq!(waiting.changed(&listed(Some("two"))), None);
        assert!(waiting.changed(&listed(Some("three"))).is_some());
    }
}
