//! get, list and watch.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::events::shown_as;
use super::kinds::Kind;
use super::refusal::Refusal;
use super::route::Target;
use super::select::Selector;
use super::store::{Change, ChangeKind, Store, key, place};
use super::{Cluster, table};
use crate::exchange::Request;

/// How often a quiet watch is told the current version.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
/// How long a watch lasts when the client does not say.
const WATCH_LASTS: Duration = Duration::from_secs(1800);

pub(super) fn get(store: &Store, target: &Target) -> Result<Value, Refusal> {
    let name = target.name.as_deref().unwrap_or_default();
    let found = store.get(&key(&target.kind, target.namespace.as_deref(), name));
    found.cloned().map(|o| shown_as(&target.kind, o)).ok_or_else(|| Refusal::not_found(&target.kind, name))
}

fn selector(target: &Target, request: &Request) -> Result<Selector, Refusal> {
    let fields = request.param("fieldSelector").map(|f| in_stored_words(&target.kind, f));
    let selector = Selector::parse(request.param("labelSelector"), fields.as_deref())?;
    Ok(selector.with_name(target.name.as_deref()))
}

/// Field selectors of events.k8s.io, in the words of the stored form.
fn in_stored_words(kind: &Kind, fields: &str) -> String {
    if kind.group == "events.k8s.io" { fields.replace("regarding.", "involvedObject.") } else { fields.to_string() }
}

pub(super) fn list(store: &Store, target: &Target, request: &Request) -> Result<Value, Refusal> {
    let (kind, place) = (&target.kind, place(&target.kind));
    let selector = selector(target, request)?;
    let after = request.param("continue").filter(|c| !c.is_empty()).map(ToString::to_string);
    let limit = request.param("limit").and_then(|l| l.parse::<usize>().ok()).filter(|l| *l > 0);
    let mut selected = store
        .list(&place, target.namespace.as_deref())
        .filter(|(key, object)| {
            let position = format!("{}/{}", key.1, key.2);
            after.as_ref().is_none_or(|after| position > *after) && selector.matches(object)
        })
        .peekable();
    let mut items = vec![];
    let mut metadata = json!({"resourceVersion": store.version().to_string()});
    while let Some((key, object)) = selected.next() {
        items.push(shown_as(kind, object.clone()));
        if limit == Some(items.len()) && selected.peek().is_some() {
            metadata["continue"] = format!("{}/{}", key.1, key.2).into();
            metadata["remainingItemCount"] = selected.count().into();
            break;
        }
    }
    if table::wanted(&request.accept) {
        return Ok(table::of(kind, &items, metadata, request, store.now()));
    }
    Ok(json!({
        "apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind), "metadata": metadata, "items": items,
    }))
}

/// A watch: what it selects and how it is shown.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    target: Target,
    selector: Selector,
    place: String,
    request: Request,
    bookmarks: bool,
}

/// A watch ready to be followed.
pub(super) struct Plan {
    watch: Watch,
    /// Objects that are there already, when the client named no version.
    first: Vec<Value>,
    version: u64,
    ends: Instant,
}

pub(super) fn watch(store: &Store, target: &Target, request: &Request) -> Result<Plan, Refusal> {
    let watch = Watch {
        selector: selector(target, request)?,
        place: place(&target.kind),
        target: target.clone(),
        bookmarks: request.flag("allowWatchBookmarks"),
        request: request.clone(),
    };
    if request.flag("sendInitialEvents") {
        return Err(Refusal::bad_request("sendInitialEvents is not supported by the sandbox: list, then watch"));
    }
    let seconds = request.param("timeoutSeconds").and_then(|s| s.parse().ok());
    let ends = Instant::now() + seconds.map_or(WATCH_LASTS, Duration::from_secs);
    let asked = request.param("resourceVersion").filter(|v| !v.is_empty() && *v != "0");
    let Some(asked) = asked else {
        let there = store.list(&watch.place, target.namespace.as_deref()).map(|(_, object)| object);
        let first = there.filter(|o| watch.selector.matches(o)).map(|o| watch.event("ADDED", o, store)).collect();
        return Ok(Plan { watch, first, version: store.version(), ends });
    };
    let version = asked.parse().map_err(|_| Refusal::bad_request(format!("invalid resource version {asked:?}")))?;
    if store.since(version).is_none() {
        return Err(Refusal::expired(store.oldest()));
    }
    Ok(Plan { watch, first: vec![], version, ends })
}

impl Watch {
    fn event(&self, type_: &str, object: &Value, store: &Store) -> Value {
        let kind = &self.target.kind;
        let object = match table::wanted(&self.request.accept) {
            true => table::of_one(kind, object, &self.request, store.now()),
            false => shown_as(kind, object.clone()),
        };
        json!({"type": type_, "object": object})
    }

    /// A change as this watch sees it: objects come and go as they fit the selector.
    fn see(&self, change: &Change, store: &Store) -> Option<Value> {
        let here = change.key.0 == self.place && self.target.namespace.as_ref().is_none_or(|n| change.key.1 == *n);
        if !here {
            return None;
        }
        let fits = change.kind != ChangeKind::Deleted && self.selector.matches(&change.object);
        let fitted = change.before.as_ref().is_some_and(|b| self.selector.matches(b));
        match (fitted, fits) {
            (false, true) => Some(self.event("ADDED", &change.object, store)),
            (true, true) => Some(self.event("MODIFIED", &change.object, store)),
            (true, false) => Some(self.event("DELETED", &change.object, store)),
            (false, false) => None,
        }
    }

    pub(super) fn since(&self, store: &Store, version: u64) -> (Vec<Value>, u64) {
        match store.since(version) {
            Some(changes) => (changes.filter_map(|c| self.see(c, store)).collect(), store.version()),
            None => {
                let status = Refusal::expired(store.oldest()).to_status();
                (vec![json!({"type": "ERROR", "object": status})], u64::MAX)
            }
        }
    }

    fn bookmark(&self, version: u64) -> Value {
        let kind = &self.target.kind;
        let metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        json!({"type": "BOOKMARK", "object": {
            "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata,
        }})
    }
}

impl Plan {
    /// Follows the cluster until the watch ends or its client goes away.
    pub(super) fn follow(self, cluster: std::sync::Arc<Cluster>) -> mpsc::Receiver<Value> {
        let (sender, receiver) = mpsc::channel(256);
        tokio::spawn(async move {
            let mut changed = cluster.changed.subscribe();
            // An error means that the client went away: nothing is left to do.
            let _ = self.run(&cluster, &mut changed, &sender).await;
        });
        receiver
    }

    async fn run(
        self,
        cluster: &Cluster,
        changed: &mut watch::Receiver<u64>,
        sender: &mpsc::Sender<Value>,
    ) -> Result<(), mpsc::error::SendError<Value>> {
        for event in self.first {
            sender.send(event).await?;
        }
        let (mut version, mut bookmark_at) = (self.version, Instant::now() + BOOKMARK_EVERY);
        loop {
            changed.borrow_and_update();
            let (events, now) = cluster.since(&self.watch, version);
            for event in events {
                sender.send(event).await?;
            }
            if now == u64::MAX || Instant::now() >= self.ends || sender.is_closed() {
                return Ok(());
            }
            version = now;
            let woken = timeout_at(bookmark_at.min(self.ends), changed.changed()).await;
            if woken.is_err() && Instant::now() >= bookmark_at {
                bookmark_at = Instant::now() + BOOKMARK_EVERY;
                if self.watch.bookmarks {
                    sender.send(self.watch.bookmark(version)).await?;
                }
            }
        }
    }
}
