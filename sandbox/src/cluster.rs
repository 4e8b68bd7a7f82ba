//! A Kubernetes API: what kubectl and kube-rs need to apply, get, watch, describe and delete.

mod admission;
mod auth;
mod body;
mod built_in;
mod call;
mod cel;
mod crd;
mod delete;
mod discovery;
mod events;
mod go;
mod kinds;
mod managed;
mod metadata;
mod openapi;
mod options;
mod patch;
mod protobuf;
mod read;
mod refusal;
mod route;
mod scale;
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
use call::Call;
use refusal::Refusal;
use route::{Part, Route, Target};
use store::Store;

/// An object that changed: plural of its kind, namespace and name.
pub type Changed = (String, String, String);

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
        let mut warnings = vec![];
        let answer = self.answer(request, &mut warnings);
        self.changed.send_replace(self.store().version());
        let reply = answer.unwrap_or_else(|refusal| {
            let reply = Reply::json(refusal.code(), refusal.to_status());
            match refusal.retry_after() {
                Some(seconds) => reply.with("retry-after", seconds.to_string()),
                None => reply,
            }
        });
        warnings.into_iter().fold(reply, |reply, text: String| {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            reply.with("warning", format!("299 - \"{quoted}\""))
        })
    }

    fn answer(self: &Arc<Self>, request: &Request, warnings: &mut Vec<String>) -> Result<Reply, Refusal> {
        let (user, route) = {
            let store = self.store();
            (auth::who(&store, request)?, route::parse(&request.path, store.kinds()))
        };
        match route {
            Some(Route::Resource(target)) if target.kind.is_review() => {
                if request.method != Method::POST || target.name.is_some() {
                    return Err(Refusal::method_not_allowed());
                }
                let asked = body::object(request, &target.kind)?.value;
                metadata::check_version(&target.kind, &asked)?;
                let store = self.store();
                let writer = Call { request, user: user.clone(), warnings: vec![] }.writer(&store, &target);
                Ok(Reply::json(201, auth::review(&store, &user, &target.kind, &writer, asked)))
            }
            Some(Route::Resource(target)) => {
                auth::check(&self.store(), &user, &target, request)?;
                let mut call = Call { request, user, warnings: vec![] };
                let answer = self.resource(&target, &mut call);
                warnings.append(&mut call.warnings);
                answer
            }
            Some(Route::Document(document)) if request.method == Method::GET => {
                Ok(discovery::document(&document, self.store().kinds(), &request.accept))
            }
            Some(Route::Document(_)) => Err(Refusal::method_not_allowed()),
            Some(Route::NoSuchPart(kind, name)) => Err(Refusal::not_found(&kind, &name)),
            Some(Route::NoSuchResource) => Err(Refusal::no_such_resource()),
            None => Ok(no_such_page()),
        }
    }

    fn resource(self: &Arc<Self>, target: &Target, call: &mut Call<'_>) -> Result<Reply, Refusal> {
        let request = call.request;
        let lists = request.method == Method::GET && target.name.is_none();
        if target.kind.namespaced && target.namespace.is_none() && !lists {
            return match (target.kind.is_custom(), &target.name) {
                (true, _) => Ok(no_such_page()),
                (false, Some(_)) => Err(Refusal::no_such_resource()),
                (false, None) => Err(Refusal::method_not_allowed()),
            };
        }
        match (request.method.as_str(), &target.name) {
            ("GET", _) if request.flag("watch") => return self.watch(target, request),
            ("GET", None) => return read::list(&self.store(), target, request),
            ("DELETE", None) if target.kind.plural != "namespaces" => {
                return delete::delete_all(&mut self.store(), target, call).map(Reply::ok);
            }
            _ => {}
        }
        let mut store = self.store();
        let (status, object) = match (request.method.as_str(), &target.name, target.part) {
            (_, _, Some(Part::Scale)) => (200, scale::answer(&mut store, target, call)?),
            ("POST", Some(_), Some(Part::Token)) => {
                let account = read::get(&store, target)?;
                let asked = body::object(request, &target.kind)?.value;
                let writer = call.writer(&store, target);
                (201, auth::token(&mut store, &writer, &account, &asked))
            }
            ("GET", Some(_), _) => (200, read::get(&store, target)?),
            ("POST", None, _) => (201, write::create(&mut store, target, call)?),
            ("PUT", Some(_), _) => (200, write::replace(&mut store, target, call)?),
            ("PATCH", Some(_), _) => write::patch(&mut store, target, call)?,
            ("DELETE", Some(_), None) => (200, delete::delete(&mut store, target, call)?),
            _ => return Err(Refusal::method_not_allowed()),
        };
        if object["kind"] == "Status" {
            return Ok(Reply::json(status, object));
        }
        Ok(Reply::json(status, table::shown(&target.kind, object, request, store.now())))
    }

    fn watch(self: &Arc<Self>, target: &Target, request: &Request) -> Result<Reply, Refusal> {
        let plan = read::watch(&self.store(), target, request)?;
        Ok(Reply::stream(plan.follow(self.clone())))
    }

    /// Does what the garbage collector and the namespace controller of a real cluster would do by now.
    pub fn settle(&self) {
        let mut store = self.store();
        if store.take_unsettled() {
            while delete::collect(&mut store) {}
            self.changed.send_replace(store.version());
        }
    }

    /// Settles whenever something changes, for as long as it is polled.
    pub async fn keep_settled(&self) {
        let mut changed = self.changed.subscribe();
        while changed.changed().await.is_ok() {
            self.settle();
        }
    }

    /// What a watch has to tell from a version on.
    fn since(&self, watch: &read::Watch, version: u64) -> (Vec<Value>, u64) {
        watch.since(&self.store(), version)
    }

    /// An object as it is stored.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let store = self.store();
        store
            .of_plural(plural)
            .find(|o| o["metadata"]["namespace"] == namespace && o["metadata"]["name"] == name)
            .cloned()
    }

    /// Stores an object as it is, UID and status included: a copy of one of another cluster. False: its kind is not known.
    pub fn restore(&self, object: Value) -> bool {
        let mut store = self.store();
        let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (version, named) = (field("/apiVersion"), field("/kind"));
        let kind = store.kinds().all().find(|kind| kind.api_version() == version && kind.kind == named).cloned();
        let Some(kind) = kind else { return false };
        let namespace = kind.namespaced.then(|| field("/metadata/namespace"));
        let key = store::key(&kind, namespace, field("/metadata/name"));
        store.put(key, object);
        true
    }

    /// The version now, and what changed after one; none when that is too long ago to know.
    pub fn changed_since(&self, version: u64) -> (u64, Option<Vec<Changed>>) {
        let store = self.store();
        let plural = |place: &str| place.rsplit('/').next().unwrap_or_default().to_string();
        let changes = store.since(version).map(|changes| {
            changes.map(|change| (plural(&change.key.0), change.key.1.clone(), change.key.2.clone())).collect()
        });
        (store.version(), changes)
    }

    /// What was stored of objects, one version after the other, as far back as watches can go.
    pub fn history(&self) -> Vec<Value> {
        let store = self.store();
        let oldest = store.oldest().saturating_sub(1);
        store.since(oldest).into_iter().flatten().map(|change| (**change.object).clone()).collect()
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

fn no_such_page() -> Reply {
    Reply::text(404, "404 page not found\n")
}
