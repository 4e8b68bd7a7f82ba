//! Passes that are rehearsed before they are made: what was foreseen must be what is then sent.

use bytes::Bytes;
use http::Method;
use orchestra_cloud::{Answer, Cloud, Transport, Unsent};
use orchestra_controller::clock::Clock;
use orchestra_controller::rehearsal::Rehearsal;
use orchestra_controller::shell::Managed;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::cluster::Cluster;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::in_process;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::faces::answer;
use crate::world::NAMESPACE;

/// Google as it is, past everything that tests put in its way.
#[derive(Debug)]
struct Past(Sandbox);

impl Transport for Past {
    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>> {
        assert_eq!(method, Method::GET, "a rehearsal writes nothing: {path}");
        let body = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let reply = self.0.google.handle(&Request::new(method, &path, body));
        Box::pin(std::future::ready(answer(reply)))
    }
}

/// A cluster with the same objects.
fn copy(sandbox: &Sandbox, clock: Clock) -> Arc<Cluster> {
    let copy = Sandbox::new(clock, clock, 1);
    copy.install_crds().unwrap();
    for plural in ["orchestraenvironments", "rollouts"] {
        assert!(sandbox.cluster.objects(plural).into_iter().all(|object| copy.cluster.restore(object)));
    }
    copy.cluster
}

/// What would be sent about an object now.
pub async fn foresee<M: Managed>(sandbox: &Sandbox, clock: Clock, name: &str) -> Vec<Unsent> {
    let copy = copy(sandbox, clock);
    let client = in_process::client(
        "rehearsal",
        move || clock.now(),
        move |request: Request| std::future::ready(Some(copy.handle(&request))),
    );
    let cloud = Cloud::in_process(Arc::new(Past(sandbox.clone())));
    let rehearsal = Rehearsal::new(client, cloud, clock).unwrap();
    let foreseen = rehearsal.of::<M>(NAMESPACE, name).await.unwrap();
    assert!(foreseen.writes.iter().all(|write| !write.changes.is_empty()), "{:#?}", foreseen.writes);
    foreseen.writes.into_iter().map(|write| write.call).map(masked).collect()
}

/// Etags are of one moment.
fn masked(mut call: Unsent) -> Unsent {
    if let Some(body) = call.body.as_mut() {
        for pointer in ["/etag", "/policy/etag"] {
            if let Some(etag) = body.pointer_mut(pointer) {
                *etag = json!("masked");
            }
        }
    }
    if let Some((path, _)) = call.path.split_once("?etag=") {
        call.path = format!("{path}?etag=masked");
    }
    call
}

/// What was foreseen and not sent yet, by object.
#[derive(Debug, Default)]
pub struct Rehearsals {
    open: BTreeMap<String, Vec<Unsent>>,
    /// Writes that were sent as foreseen.
    pub kept: usize,
    /// What was not as foreseen.
    pub broken: Vec<String>,
}

impl Rehearsals {
    /// A pass over an object was foreseen to send this, and sent that.
    pub fn note(&mut self, object: &str, foreseen: Vec<Unsent>, sent: Vec<Unsent>) {
        let sent: Vec<Unsent> = sent.into_iter().map(masked).collect();
        let open = self.open.remove(object).unwrap_or_default();
        if !open.is_empty() && open != foreseen {
            self.broken.push(format!("{object}: at first {open:#?}\nthen {foreseen:#?}"));
        }
        if sent.is_empty() {
            self.open.insert(object.to_string(), foreseen);
        } else if sent == foreseen {
            self.kept += sent.len();
        } else {
            self.broken.push(format!("{object}: foreseen {foreseen:#?}\nsent {sent:#?}"));
        }
    }
}
