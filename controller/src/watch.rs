//! Watches both kinds, and calls the shell when something happens or is due.

use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use orchestra_crds::{OrchestraEnvironment, Rollout};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::shell::{Managed, Shell};

/// How many objects of a kind are worked on at once.
const CONCURRENCY: u16 = 16;

type Guarded<M> = DeserializeGuard<M>;

/// One pass over an object that a watch named. One that can't be decoded holds nothing up.
async fn reconcile<M: Managed>(object: Arc<Guarded<M>>, shell: Arc<Shell>) -> Result<Action, Infallible> {
    let object = match &object.0 {
        Ok(object) => object,
        Err(invalid) => {
            shell.metrics.undecodable.with_label_values(&[M::KIND]).inc();
            let name = invalid.metadata.name.clone().unwrap_or_default();
            tracing::error!(kind = M::KIND, name, error = %invalid.error, "this object can't be decoded: correct it");
            return Ok(Action::await_change());
        }
    };
    let namespace = object.namespace().unwrap_or_default();
    let next = shell.reconcile::<M>(&namespace, &object.name_any()).await;
    Ok(next.map_or_else(Action::await_change, Action::requeue))
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
        .graceful_shutdown_on(shutdown);
    drain(controller.run(reconcile::<OrchestraEnvironment>, never, shell))
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
        let (namespace, name) = match &environment.0 {
            Ok(environment) => (environment.namespace(), environment.name_any()),
            Err(_) => return vec![],
        };
        let refers = |rollout: &Arc<Guarded<Rollout>>| match &rollout.0 {
            Ok(r) => r.namespace() == namespace && r.spec.environment_ref.name == name,
            Err(_) => false,
        };
        known.state().iter().filter(|r| refers(r)).map(|r| ObjectRef::from_obj(r.as_ref())).collect()
    };
    let controller = controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches(environments, watcher::Config::default(), of_environment)
        .graceful_shutdown_on(shutdown);
    drain(controller.run(reconcile::<Rollout>, never, shell))
}

async fn drain<T, E: std::fmt::Display>(results: impl Stream<Item = Result<T, E>>) {
    results
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "a watch or its queue");
            }
        })
        .await;
}
