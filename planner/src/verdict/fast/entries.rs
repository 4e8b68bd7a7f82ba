//! What log entries count: each request once, of users, as the split sent it, and answered by the service itself.

use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

use super::{Failed, Look};
use crate::cloud::{FailedRequest, Failures, Window};

/// Longer requests may not have arrived when a window is closed; the minutes count them.
const LONGEST: SignedDuration = SignedDuration::from_secs(3);
/// How many failed requests of one client count in a window, whichever revision they met, so that the split stays what it is:
/// one in a loop of retries is one client.
const OF_ONE_CLIENT: i64 = 5;
/// What Cloud Run says of a request that it did not send to any instance.
const NO_INSTANCE: &str = "no available instance";
/// From which status on the service failed a request.
pub(super) const ERROR: i32 = 500;
/// What stands between a tag and the service's name in the address of a tag.
const TAGGED: &str = "---";

/// A window's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// What the test counts.
    pub(super) failed: Failed,
    /// All that is logged of the two.
    pub(super) logged: Failed,
    /// The candidate's that users met.
    pub(super) of_users: i64,
    /// Those of them that met no free instance.
    pub(super) unserved: i64,
    /// Stable's that users met, and those of them that met no free instance.
    pub(super) stable_of_users: i64,
    pub(super) stable_unserved: i64,
    /// More of the candidate's that met none, and were refused with a status that is no error of the service.
    pub(super) refused: i64,
    /// Entries of no revision, or of another.
    pub(super) strange: i64,
    /// Who met the candidate's.
    pub(super) clients: BTreeSet<u32>,
    /// Who met stable's.
    pub(super) stable_clients: BTreeSet<u32>,
}

impl Counted {
    pub(super) fn of(failures: &Failures, look: &Look<'_>, window: Window) -> Self {
        let mut counted = Self::default();
        let (mut known, mut of_client) = (BTreeSet::new(), BTreeMap::<u32, i64>::new());
        let inside = failures.requests.iter().filter(|r| r.at >= window.from && r.at < window.to);
        for request in inside {
            if !known.insert(&request.id) {
                continue;
            }
            if request.status < ERROR {
                let is_refused =
                    request.revision == look.candidate.as_str() && !is_tagged(request) && is_unserved(request);
                counted.refused += i64::from(is_refused);
                continue;
            }
            let is_candidate = request.revision == look.candidate.as_str();
            if !is_candidate && request.revision != look.stable.as_str() {
                counted.strange += 1;
                continue;
            }
            counted.logged.add(is_candidate);
            let (all, unserved) = match is_candidate {
                true => (&mut counted.of_users, &mut counted.unserved),
                false => (&mut counted.stable_of_users, &mut counted.stable_unserved),
            };
            if !is_tagged(request) {
                *all += 1;
                *unserved += i64::from(is_unserved(request));
            }
            let told = of_client.entry(request.client).or_default();
            if !is_of_users(request) || *told >= OF_ONE_CLIENT {
                continue;
            }
            *told += 1;
            counted.failed.add(is_candidate);
            let clients = if is_candidate { &mut counted.clients } else { &mut counted.stable_clients };
            clients.insert(request.client);
        }
        counted
    }
}

/// Whether the split sent it, and the service failed it.
fn is_of_users(request: &FailedRequest) -> bool {
    !is_tagged(request) && request.platform.is_empty() && request.took <= LONGEST
}

/// Whether it came to the address of a tag.
fn is_tagged(request: &FailedRequest) -> bool {
    request.host.contains(TAGGED)
}

/// Whether no instance was free for it, by Cloud Run's own words.
fn is_unserved(request: &FailedRequest) -> bool {
    request.platform.contains(NO_INSTANCE)
}

impl Failed {
    fn add(&mut self, is_candidate: bool) {
        let counter = if is_candidate { &mut self.candidate } else { &mut self.stable };
        *counter = counter.saturating_add(1);
    }
}
