//! Answers that many ask for at the same time: asked for once. What is read of one service costs a call for each; once many
//! services of a project are looked at, one call reads them all.

use orchestra_planner::cloud::ServiceId;
use orchestra_planner::names::ProjectId;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;
use tokio::time::{Duration, Instant};

use crate::CloudError;

/// From so many services on, one call reads all of a project.
const MANY: usize = 10;
/// How long a service counts as looked at.
const FRESH: Duration = Duration::from_secs(120);
/// Answers that are kept: a few minutes' worth, of a few projects.
const KEPT: usize = 64;

/// An answer that is there, or on its way.
type Answer<V> = Arc<OnceCell<Arc<V>>>;

/// Answers by what was asked.
#[derive(Debug)]
pub(crate) struct Shared<K, V> {
    answers: Mutex<VecDeque<(K, Answer<V>)>>,
    looked_at: Mutex<BTreeMap<ServiceId, Instant>>,
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::default(), looked_at: Mutex::default() }
    }
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: PartialEq, V> Shared<K, V> {
    /// Notes that a service is looked at; whether so many of its project are that one call is to read them all.
    pub(crate) fn are_many(&self, id: &ServiceId) -> bool {
        let now = Instant::now();
        let mut looked_at = open(&self.looked_at);
        looked_at.insert(id.clone(), now);
        looked_at.retain(|_, at| now.duration_since(*at) < FRESH);
        of_project(&looked_at, &id.project) > MANY
    }

    /// The answer, asked for once by whoever comes first. One that failed is asked for again by the next.
    pub(crate) async fn get(
        &self,
        key: K,
        ask: impl Future<Output = Result<V, CloudError>>,
    ) -> Result<Arc<V>, CloudError> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| async { ask.await.map(Arc::new) }).await.cloned()
    }

    fn cell(&self, key: K) -> Answer<V> {
        let mut answers = open(&self.answers);
        if let Some((_, known)) = answers.iter().find(|(known, _)| *known == key) {
            return known.clone();
        }
        let cell = Arc::new(OnceCell::new());
        answers.push_back((key, cell.clone()));
        while answers.len() > KEPT {
            answers.pop_front();
        }
        cell
    }
}

fn of_project(looked_at: &BTreeMap<ServiceId, Instant>, project: &ProjectId) -> usize {
    looked_at.keys().filter(|id| id.project == *project).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestra_planner::names::{Region, ServiceName};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn service(number: usize) -> ServiceId {
        ServiceId {
            project: ProjectId::new("cherry-ai-project").unwrap(),
            region: Region::new("us-central1").unwrap(),
            name: ServiceName::new(format!("api-{number}").as_str()).unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_those_that_were_looked_at_a_short_while_ago() {
        let shared = Shared::<u32, u32>::default();
        assert!((0..MANY).all(|number| !shared.are_many(&service(number))));
        assert!(shared.are_many(&service(MANY)));
        tokio::time::advance(FRESH).await;
        assert!(!shared.are_many(&service(0)));
    }

    #[tokio::test]
    async fn what_many_ask_for_at_once_is_asked_for_once() {
        let (shared, asked) = (Shared::<u32, usize>::default(), AtomicUsize::new(0));
        let ask = |key| {
            shared.get(key, async {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::SeqCst))
            })
        };
        let answers = tokio::join!(ask(1), ask(1), ask(1), ask(2));
        let [first, second, third] = [answers.0, answers.1, answers.2].map(|answer| *answer.unwrap());
        assert!(first == second && second == third && *answers.3.unwrap() != first);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
