//! Watches both kinds, and calls the shell when something happens or is due.

use futures::{Stream, StreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use orchestra_crds::{OrchestraEnvironment, Rollout};
use std::convert::Infallible;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::health::cluster_trouble;
use crate::shell::{LOOK_FOR_DRIFT, Managed, Shell};

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 32;
/// Waits of a watch that fails: doubling, from the first to the last.
const WATCH_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Looks that are at least so far away are spread, so that objects that began together don't stay together.
const SPREAD_FROM: Duration = Duration::from_secs(60);

type Guarded<M> = DeserializeGuard<M>;

/// Waits of a watch that fails.
struct WatchAgain(Duration);

impl Iterator for WatchAgain {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.0;
        self.0 = self.0.saturating_mul(2).min(WATCH_AGAIN.1);
        Some(now)
    }
}

impl Backoff for WatchAgain {
    fn reset(&mut self) {
        self.0 = WATCH_AGAIN.0;
    }
}

/// One pass over an object that a watch named, also over one that can't be read in full.
async fn reconcile<M: Managed>(object: Arc<Guarded<M>>, shell: Arc<Shell>) -> Result<Action, Infallible> {
    shell.health.pass_began(M::KIND);
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let next = shell.reconcile::<M>(&namespace, &name).await;
    Ok(next.map_or_else(Action::await_change, |next| Action::requeue(spread(next, &namespace, &name))))
}

/// A wait that is up to a fifth shorter, by the object's name.
fn spread(wait: Duration, namespace: &str, name: &str) -> Duration {
    if wait < SPREAD_FROM {
        return wait;
    }
    let mut hasher = DefaultHasher::new();
    (namespace, name).hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    wait - wait / 5 * part / 1000
}

fn never<M>(_: Arc<Guarded<M>>, _: &Infallible, _: Arc<Shell>) -> Action {
    Action::requeue(Duration::from_secs(60))
}

/// Watches environments until the shutdown.
pub(crate) fn environments<F: Future<Output = ()> + Send + Sync + 'static>(
    client: &Client,
    shell: Arc<Shell>,
    shutdown: F,
) -> impl Future<Output = ()> + Send + use<F> {
    let api: Api<Guarded<OrchestraEnvironment>> = Api::all(client.clone());
    let controller = Controller::new(api, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(WatchAgain(WATCH_AGAIN.0))
        .graceful_shutdown_on(shutdown);
    drain::<OrchestraEnvironment, _>(controller.run(reconcile::<OrchestraEnvironment>, never, shell.clone()), shell)
}

/// Watches Rollouts, and the environments that they refer to, until the shutdown.
pub(crate) fn rollouts<F: Future<Output = ()> + Send + Sync + 'static>(
    client: &Client,
    shell: Arc<Shell>,
    shutdown: F,
) -> impl Future<Output = ()> + Send + use<F> {
    let api: Api<Guarded<Rollout>> = Api::all(client.clone());
    let environments: Api<Guarded<OrchestraEnvironment>> = Api::all(client.clone());
    let controller = Controller::new(api, watcher::Config::default());
    let known = controller.store();
    let of_environment = move |environment: Guarded<OrchestraEnvironment>| -> Vec<ObjectRef<Guarded<Rollout>>> {
        let (namespace, name) = (environment.namespace(), environment.name_any());
        let refers = |rollout: &Arc<Guarded<Rollout>>| {
            // One that can't be decoded may refer to it.
            let named = rollout.0.as_ref().is_ok_and(|r| r.spec.environment_ref.name != name);
            rollout.namespace() == namespace && !named
        };
        known.state().iter().filter(|r| refers(r)).map(|r| ObjectRef::from_obj(r.as_ref())).collect()
    };
    let controller = controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(WatchAgain(WATCH_AGAIN.0))
        .watches(environments, watcher::Config::default(), of_environment)
        .reconcile_on(drifted(shell.clone()))
        .graceful_shutdown_on(shutdown);
    drain::<Rollout, _>(controller.run(reconcile::<Rollout>, never, shell.clone()), shell)
}

/// Rollouts whose services others have changed, as that is seen.
fn drifted(shell: Arc<Shell>) -> impl Stream<Item = ObjectRef<Guarded<Rollout>>> + Send {
    let minutes = stream::unfold(shell, |shell| async move {
        tokio::time::sleep(shell.clock.real_span(LOOK_FOR_DRIFT)).await;
        let changed = shell.drifted().await;
        Some((stream::iter(changed), shell))
    });
    minutes.flatten().map(|(_, namespace, name)| ObjectRef::new(&name).within(&namespace))
}

/// Runs a controller to its end, and tells what is wrong with its watch.
async fn drain<M: Managed, T>(
    results: impl Stream<Item = Result<T, ControllerError<Infallible, watcher::Error>>>,
    shell: Arc<Shell>,
) {
    results
        .for_each(|result| async {
            match result {
                Ok(_) => {}
                Err(ControllerError::QueueError(error)) => {
                    shell.metrics.watch_failures.with_label_values(&[M::KIND]).inc();
                    shell.health.watch_failed(M::KIND, watch_trouble(&error));
                }
                // It was to be looked at again, and is gone by now.
                Err(ControllerError::ObjectNotFound(gone)) => {
                    shell.forget::<M>(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Err(error) => tracing::debug!(%error, "the queue of a controller"),
            }
        })
        .await;
}

fn watch_trouble(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cluster_trouble("the cluster", error),
        watcher::Error::WatchError(status) => format!("the cluster: {}", status.message),
        other => format!("the cluster: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_looks_are_spread_and_never_late() {
        let wait = Duration::from_secs(300);
        let waits: std::collections::BTreeSet<Duration> =
            (0..100).map(|n| spread(wait, "shop", &n.to_string())).collect();
        assert!(waits.len() > 50 && waits.iter().all(|w| *w <= wait && *w >= wait * 4 / 5));
        assert_eq!(spread(Duration::from_secs(5), "shop", "api"), Duration::from_secs(5));
    }

    #[test]
    fn a_watch_tries_again_within_seconds() {
        let waits: Vec<Duration> = WatchAgain(WATCH_AGAIN.0).take(20).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)));
    }
}
