//! get, list and watch.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::events::shown_as;
use super::kinds::Kind;
use super::refusal::Refusal;
use super::route::Target;
use super::select::Selector;
use super::store::{Change, ChangeKind, Key, Store, Stored, key, place};
use super::table::Form;
use super::write::unset;
use super::{Cluster, body, options, table};
use crate::exchange::{Reply, Request};

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
    let selector = Selector::parse(&target.kind, request.param("labelSelector"), request.param("fieldSelector"))?;
    Ok(selector.with_name(target.name.as_deref()))
}

/// A list as the kind has it: custom kinds name kind and version in each item, built-in ones don't.
pub(super) fn list_of(kind: &Kind, mut items: Vec<Value>, mut metadata: Value) -> Value {
    if kind.is_custom() {
        metadata["continue"] = metadata["continue"].as_str().unwrap_or_default().into();
    } else {
        for item in &mut items {
            unset(item, "kind");
            unset(item, "apiVersion");
        }
    }
    json!({
        "apiVersion": kind.api_version(), "kind": format!("{}List", kind.kind), "metadata": metadata, "items": items,
    })
}

/// Where the next page starts, after the last object of this one.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

impl Continue {
    fn read(token: &str) -> Result<Self, Refusal> {
        let bad =
            |why: String| Refusal::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|e| bad(e.to_string()))?;
        let value = body::json(&bytes).map_err(bad)?.value;
        serde_json::from_value(value).map_err(|e| bad(e.to_string()))
    }

    fn write(store: &Store, target: &Target, key: &Key) -> String {
        let place = if target.namespace.is_some() || key.1.is_empty() { String::new() } else { format!("/{}", key.1) };
        let next = json!({"v": "meta.k8s.io/v1", "rv": store.version(), "start": format!("{place}/{}\0", key.2)});
        URL_SAFE_NO_PAD.encode(next.to_string())
    }

    /// Whether an object is on a later page.
    fn is_before(&self, target: &Target, key: &Key) -> bool {
        let place = if target.namespace.is_some() || key.1.is_empty() { String::new() } else { format!("/{}", key.1) };
        format!("{place}/{}", key.2).as_str() >= self.start.as_str()
    }
}

fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
    })
}

/// The version that a list or a watch asks for; None for any or the newest.
fn asked_version(store: &Store, request: &Request, malformed: fn(String) -> Refusal) -> Result<Option<u64>, Refusal> {
    let Some(asked) = request.param("resourceVersion").filter(|v| !v.is_empty()) else { return Ok(None) };
    let asked = version(asked).map_err(malformed)?;
    if asked > store.version() {
        return Err(Refusal::too_new(asked, store.version()));
    }
    Ok((asked > 0).then_some(asked))
}

/// One page of a list.
struct Page<'a> {
    items: Vec<&'a Stored>,
    metadata: Value,
}

fn page<'a>(store: &'a Store, target: &'a Target, place: &'a str, request: &Request) -> Result<Page<'a>, Refusal> {
    options::check_list(request)?;
    let selector = selector(target, request)?;
    let asked = asked_version(store, request, |why| Refusal::bad_request(format!("invalid resource version: {why}")))?;
    if request.param("resourceVersionMatch") == Some(options::EXACT) && asked != Some(store.version()) {
        return Err(Refusal::no_longer_listed());
    }
    let after = request.param("continue").filter(|c| !c.is_empty()).map(Continue::read).transpose()?;
    // From its cache, the real server gives everything.
    let cached = request.param("resourceVersion") == Some("0");
    let limit = request.param("limit").and_then(|l| l.parse::<usize>().ok()).filter(|l| *l > 0 && !cached);
    let mut selected = store
        .list(place, target.namespace.as_deref())
        .filter(|(key, object)| after.as_ref().is_none_or(|c| c.is_before(target, key)) && selector.matches(object))
        .peekable();
    let mut items = vec![];
    let mut metadata = json!({"resourceVersion": store.version().to_string()});
    while let Some((key, object)) = selected.next() {
        items.push(object);
        if limit == Some(items.len()) && selected.peek().is_some() {
            metadata["continue"] = Continue::write(store, target, key).into();
            if selector.is_everything() {
                metadata["remainingItemCount"] = selected.count().into();
            }
            break;
        }
    }
    Ok(Page { items, metadata })
}

pub(super) fn list(store: &Store, target: &Target, request: &Request) -> Result<Reply, Refusal> {
    let (kind, place) = (&target.kind, place(&target.kind));
    let page = page(store, target, &place, request)?;
    let form = Form::wanted(&request.accept);
    if form == Form::Whole && kind.group != "events.k8s.io" {
        return Ok(Reply::json_text(page.text(kind)));
    }
    let items: Vec<Value> = page.items.iter().map(|stored| shown_as(kind, (**stored).clone())).collect();
    Ok(Reply::ok(match form {
        Form::Table => table::of(kind, &items, page.metadata, request, store.now()),
        Form::Partial => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": page.metadata,
            "items": items.iter().map(table::partial).collect::<Vec<_>>(),
        }),
        Form::Whole => list_of(kind, items, page.metadata),
    }))
}

impl Page<'_> {
    /// The list as text, put together from the texts of its items.
    fn text(&self, kind: &Kind) -> String {
        let envelope = list_of(kind, vec![], self.metadata.clone()).to_string();
        let items: Vec<&str> = self.items.iter().map(|stored| stored.in_list(kind)).collect();
        envelope.replacen("\"items\":[]", &format!("\"items\":[{}]", items.join(",")), 1)
    }
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
    options::check_list(request)?;
    let watch = Watch {
        selector: selector(target, request)?,
        place: place(&target.kind),
        target: target.clone(),
        bookmarks: request.flag("allowWatchBookmarks"),
        request: request.clone(),
    };
    let streams = request.flag("sendInitialEvents");
    let seconds = request.param("timeoutSeconds").and_then(|s| s.parse().ok());
    let now = Instant::now();
    let ends = seconds.and_then(|s| now.checked_add(Duration::from_secs(s))).unwrap_or(now + WATCH_LASTS);
    let asked = asked_version(store, request, Refusal::internal)?;
    let Some(version) = asked.filter(|_| !streams) else {
        let there = store.list(&watch.place, target.namespace.as_deref()).map(|(_, stored)| stored);
        let mut first: Vec<Value> =
            there.filter(|o| watch.selector.matches(o)).map(|o| watch.event("ADDED", o, store)).collect();
        if streams && watch.bookmarks {
            let mut bookmark = watch.bookmark(store.version());
            bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            first.push(bookmark);
        }
        return Ok(Plan { watch, first, version: store.version(), ends });
    };
    let oldest = store.oldest().max(target.kind.since);
    if version < oldest {
        // The answer has begun by then: the refusal comes as an event, and the watch ends.
        let status = Refusal::expired(version, oldest).to_status();
        let first = vec![json!({"type": "ERROR", "object": status})];
        return Ok(Plan { watch, first, version: store.version(), ends: Instant::now() });
    }
    Ok(Plan { watch, first: vec![], version, ends })
}

impl Watch {
    fn event(&self, type_: &str, object: &Value, store: &Store) -> Value {
        let kind = &self.target.kind;
        let object = table::shown(kind, shown_as(kind, object.clone()), &self.request, store.now());
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
            // What is gone, or no longer selected, is told as it last was selected.
            (true, false) => {
                let mut last = Value::clone(change.before.as_ref().unwrap_or(&change.object));
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.event("DELETED", &last, store))
            }
            (false, false) => None,
        }
    }

    pub(super) fn since(&self, store: &Store, version: u64) -> (Vec<Value>, u64) {
        match store.since(version) {
            Some(changes) => {
                let events = changes.filter_map(|c| self.see(c, store)).collect();
                // With its definition, a kind's watches end.
                let kind = &self.target.kind;
                let is_known = store.kinds().all().any(|k| k.group == kind.group && k.plural == kind.plural);
                (events, if is_known { store.version() } else { u64::MAX })
            }
            None => {
                let status = Refusal::expired(version, store.oldest()).to_status();
                (vec![json!({"type": "ERROR", "object": status})], u64::MAX)
            }
        }
    }

    fn bookmark(&self, version: u64) -> Value {
        let kind = &self.target.kind;
        let metadata = json!({"resourceVersion": version.to_string()});
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
