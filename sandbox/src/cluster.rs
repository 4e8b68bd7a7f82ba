//! A Kubernetes API: what kubectl and kube-rs need to apply, get, watch, describe and delete.

mod crd;
mod discovery;
mod events;
mod kinds;
mod openapi;
mod read;
mod refusal;
mod route;
mod schema;
mod select;
mod store;
mod table;
mod write;

use http::Method;
use orchestra_controller::clock::Clock;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

use crate::exchange::{Reply, Request};
use refusal::Refusal;
use route::{Route, Target};
use store::Store;

/// A Kubernetes API.
#[derive(Debug)]
pub struct Cluster {
    store: Mutex<Store>,
    changed: watch::Sender<u64>,
}

impl Cluster {
    /// A cluster with the usual namespaces.
    pub fn new(clock: Clock, seed: u64) -> Self {
        let mut store = Store::new(clock, seed);
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            store.seed_namespace(name);
        }
        Self { store: Mutex::new(store), changed: watch::Sender::new(0) }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub fn handle(self: &Arc<Self>, request: &Request) -> Reply {
        let answer = self.answer(request);
        self.changed.send_replace(self.store().version());
        answer.unwrap_or_else(|refusal| Reply::Json { status: refusal.code(), body: refusal.to_status() })
    }

    fn answer(self: &Arc<Self>, request: &Request) -> Result<Reply, Refusal> {
        let route = {
            let store = self.store();
            match route::parse(&request.path, store.kinds()) {
                Some(Route::Resource(target)) => target,
                Some(Route::Document(document)) if request.method == Method::GET => {
                    return Ok(discovery::document(&document, store.kinds(), &request.accept));
                }
                Some(Route::Document(_)) => return Err(Refusal::method_not_allowed()),
                None => return Ok(Reply::Text { status: 404, body: "404 page not found\n".into() }),
            }
        };
        self.resource(&route, request)
    }

    fn resource(self: &Arc<Self>, target: &Target, request: &Request) -> Result<Reply, Refusal> {
        let shown = |store: &Store, status: u16, object: Value| {
            let body = match table::wanted(&request.accept) {
                true => table::of_one(&target.kind, &object, request, store.now()),
                false => object,
            };
            Reply::Json { status, body }
        };
        match (request.method.as_str(), &target.name) {
            ("GET", Some(_)) if !request.flag("watch") => {
                let store = self.store();
                let object = read::get(&store, target)?;
                Ok(shown(&store, 200, object))
            }
            ("GET", _) if request.flag("watch") => self.watch(target, request),
            ("GET", _) => read::list(&self.store(), target, request).map(Reply::ok),
            ("POST", None) => {
                let mut store = self.store();
                let object = write::create(&mut store, target, request)?;
                Ok(shown(&store, 201, object))
            }
            ("PUT", Some(_)) => {
                let mut store = self.store();
                let object = write::replace(&mut store, target, request)?;
                Ok(shown(&store, 200, object))
            }
            ("PATCH", Some(_)) => {
                let mut store = self.store();
                let object = write::patch(&mut store, target, request)?;
                Ok(shown(&store, 200, object))
            }
            ("DELETE", Some(_)) => write::delete(&mut self.store(), target, request).map(Reply::ok),
            ("DELETE", None) => write::delete_all(&mut self.store(), target, request).map(Reply::ok),
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn watch(self: &Arc<Self>, target: &Target, request: &Request) -> Result<Reply, Refusal> {
        let plan = read::watch(&self.store(), target, request)?;
        Ok(Reply::Stream(plan.follow(self.clone())))
    }

    /// What a watch has to tell from a version on.
    fn since(&self, watch: &read::Watch, version: u64) -> (Vec<Value>, u64) {
        watch.since(&self.store(), version)
    }

    /// All objects of a kind, for tests and for `/sandbox/state`.
    pub fn objects(&self, plural: &str) -> Vec<Value> {
        self.store().of_plural(plural).cloned().collect()
    }

    /// Everything, for `/sandbox/state`; values of secrets left out.
    pub fn state(&self) -> Value {
        let store = self.store();
        let kinds = store.kinds().all().filter(|kind| kind.plural != "secrets").map(|kind| kind.plural.clone());
        let lists: Vec<(String, Value)> =
            kinds.map(|plural| (plural.clone(), store.of_plural(&plural).cloned().collect())).collect();
        json!(lists.into_iter().collect::<serde_json::Map<_, _>>())
    }
}
