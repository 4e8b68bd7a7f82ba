//! How long a pass waits for its reads.

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use orchestra_crds::{Lenient, Unread};
use orchestra_planner::plan::Haste;
use std::future::Future;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::time::Instant;

use crate::cluster::kube_call;
use crate::error::PassError;
use crate::shell::Managed;

/// Longest that the reads of a pass may take together.
const BUDGET: Duration = Duration::from_secs(20);
/// The same where users may be meeting a bad revision.
const URGENT_BUDGET: Duration = Duration::from_millis(400);
/// The same for the passes after the first: a region that answers slowly is to be taken back as well. The longer it has
/// not answered, the longer it is listened to.
const URGENT_AGAIN_BUDGET: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(10);
/// Longest that is waited for what decides nothing.
const ASIDE: Duration = Duration::from_secs(1);
/// Longest that an urgent pass waits for the first answer: without one it can do nothing.
const URGENT_FIRST_ANSWER: Duration = Duration::from_secs(5);
/// How often a pass that waits looks whether it has become urgent.
const LOOK_UP: Duration = Duration::from_millis(250);

/// How much hurry there is, by an object, what of it can't be read, and the time.
type HasteOf<M> = fn(&M, &[Unread], Timestamp) -> Haste;

/// How long a pass waits for its reads.
pub(super) struct Patience<'a, M: Managed> {
    api: Api<Lenient<M>>,
    read: &'a Lenient<M>,
    haste: HasteOf<M>,
    now: Timestamp,
    until: Instant,
    /// Until when the first answer is waited for.
    first_until: Instant,
}

impl<'a, M: Managed> Patience<'a, M> {
    pub(super) fn new(api: Api<Lenient<M>>, read: &'a Lenient<M>, haste: HasteOf<M>, now: Timestamp) -> Self {
        let (budget, first) = match haste(&read.object, &read.unread, now) {
            Haste::Ordinary => (BUDGET, BUDGET),
            Haste::Urgent => (URGENT_BUDGET, URGENT_FIRST_ANSWER),
            Haste::UrgentAgain { silent } => {
                let listened = Duration::try_from(silent).unwrap_or_default() / 4;
                let budget = listened.clamp(*URGENT_AGAIN_BUDGET.start(), *URGENT_AGAIN_BUDGET.end());
                (budget, budget.max(URGENT_FIRST_ANSWER))
            }
        };
        let start = Instant::now();
        Self { api, read, haste, now, until: start + budget, first_until: start + first }
    }

    /// What is asked from now on decides nothing, and is not waited for long.
    pub(super) fn ask_aside(&mut self) {
        let until = Instant::now() + ASIDE;
        (self.until, self.first_until) = (self.until.min(until), self.first_until.min(until));
    }

    /// Whether what is waited for is left for a pass over the object as it is by now.
    async fn is_overtaken(&self) -> bool {
        let urgent = |read: &Lenient<M>| (self.haste)(&read.object, &read.unread, self.now) != Haste::Ordinary;
        if urgent(self.read) {
            return false;
        }
        let live = kube_call("read the object while waiting", self.api.get_opt(&self.read.name_any())).await;
        match live {
            Ok(Some(live)) => live.resource_version() != self.read.resource_version() && urgent(&live),
            Ok(None) | Err(_) => false,
        }
    }
}

/// Makes reads together; none: it was not answered within the budget.
///
/// # Errors
/// When the object has become urgent meanwhile: another pass is to begin.
pub(super) async fn gather<M: Managed, T: Send>(
    patience: &Patience<'_, M>,
    reads: impl IntoIterator<Item = BoxFuture<'_, T>>,
) -> Result<Vec<Option<T>>, PassError> {
    let numbered = reads.into_iter().enumerate().map(|(index, read)| async move { (index, read.await) });
    let mut pending: FuturesUnordered<_> = numbered.collect();
    let mut answers: Vec<Option<T>> = (0..pending.len()).map(|_| None).collect();
    loop {
        let until = if answers.iter().any(Option::is_some) { patience.until } else { patience.first_until };
        let turn = until.min(Instant::now() + LOOK_UP);
        match within(turn, pending.next()).await {
            Some(Some((index, answer))) => answers[index] = Some(answer),
            Some(None) => return Ok(answers),
            None if Instant::now() >= until => return Ok(answers),
            None if patience.is_overtaken().await => return Err(PassError::Stale),
            None => {}
        }
    }
}

async fn within<T>(until: Instant, what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(until, what).await.ok()
}
