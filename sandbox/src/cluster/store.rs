//! The objects, their versions, and the history that watches read.

use jiff::Timestamp;
use orchestra_controller::clock::Clock;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::kinds::{Kind, Kinds};

/// How many changes are kept for watches; older ones are compacted.
const HISTORY: usize = 20_000;

/// Where an object is: `group/plural`, namespace, name.
pub(super) type Key = (String, String, String);

/// An object as it is stored. It never changes: a change stores another.
#[derive(Debug)]
pub(super) struct Stored {
    object: Value,
    /// How lists of its kind show it, once one did.
    in_lists: OnceLock<String>,
}

impl Deref for Stored {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.object
    }
}

impl Stored {
    fn new(object: Value) -> Arc<Self> {
        Arc::new(Self { object, in_lists: OnceLock::new() })
    }

    /// Its text in lists: custom kinds name kind and version in each item, built-in ones don't.
    pub(super) fn in_list(&self, kind: &Kind) -> &str {
        self.in_lists.get_or_init(|| match self.object.as_object() {
            Some(fields) if !kind.is_custom() => {
                let shown = fields.iter().filter(|(field, _)| !matches!(field.as_str(), "kind" | "apiVersion"));
                json!(shown.collect::<BTreeMap<_, _>>()).to_string()
            }
            _ => self.object.to_string(),
        })
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) kind: ChangeKind,
    pub(super) object: Arc<Stored>,
    pub(super) before: Option<Arc<Stored>>,
}

#[derive(Debug)]
pub(super) struct Store {
    clock: Clock,
    random: StdRng,
    version: u64,
    kinds: Kinds,
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Change>,
    /// Something was deleted, or is owned: the garbage collector may have work.
    unsettled: bool,
    /// Service accounts, namespace and name, by the tokens that they were given.
    tokens: BTreeMap<String, (String, String)>,
}

/// Where the objects of a kind are. Both event APIs show the same objects.
pub(super) fn place(kind: &Kind) -> String {
    let group = if kind.plural == "events" { "" } else { &kind.group };
    format!("{group}/{}", kind.plural)
}

pub(super) fn key(kind: &Kind, namespace: Option<&str>, name: &str) -> Key {
    (place(kind), namespace.unwrap_or_default().to_string(), name.to_string())
}

impl Store {
    pub(super) fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            random: StdRng::seed_from_u64(seed),
            version: 1,
            kinds: Kinds::built_in(),
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            unsettled: false,
            tokens: BTreeMap::new(),
        }
    }

    pub(super) fn seed_namespace(&mut self, name: &str) {
        let uid = self.new_uid();
        let time = self.timestamp();
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "uid": uid, "creationTimestamp": time,
                         "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        self.put(("/namespaces".into(), String::new(), name.into()), object);
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Now, as objects carry it.
    pub(super) fn timestamp(&self) -> String {
        self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub(super) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    pub(super) fn kinds_mut(&mut self) -> &mut Kinds {
        &mut self.kinds
    }

    /// Makes the kind that a CRD defines known; the CRD as it was stored.
    pub(super) fn define(&mut self, mut kind: Kind, crd: &Value) {
        let version = crd["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok());
        kind.since = version.unwrap_or(self.version);
        self.kinds.register(kind);
    }

    /// A token for a service account.
    pub(super) fn new_token(&mut self, namespace: &str, name: &str) -> String {
        let token = format!("sandbox-{}", self.new_uid());
        self.tokens.insert(token.clone(), (namespace.to_string(), name.to_string()));
        token
    }

    /// Whose token it is.
    pub(super) fn token_of(&self, token: &str) -> Option<&(String, String)> {
        self.tokens.get(token)
    }

    pub(super) fn new_uid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string()
    }

    /// Five letters for a generated name.
    pub(super) fn new_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(LETTERS[self.random.random_range(0..LETTERS.len())])).collect()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(|stored| &stored.object)
    }

    /// The objects of a kind, in one namespace or in all.
    pub(super) fn list<'a>(
        &'a self,
        place: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Stored)> {
        let from: Key = (place.to_string(), namespace.unwrap_or_default().to_string(), String::new());
        self.objects
            .range(from..)
            .take_while(move |(key, _)| key.0 == place && namespace.is_none_or(|n| key.1 == n))
            .map(|(key, stored)| (key, stored.as_ref()))
    }

    /// Every object, once, with its kind.
    pub(super) fn everything(&self) -> impl Iterator<Item = (Arc<Kind>, &Key, &Value)> {
        let kinds: BTreeMap<String, Arc<Kind>> = self.kinds.all().rev().map(|k| (place(k), k.clone())).collect();
        self.objects.iter().filter_map(move |(key, stored)| Some((kinds.get(&key.0)?.clone(), key, &stored.object)))
    }

    pub(super) fn is_terminating(&self, namespace: &str) -> bool {
        let found = self.objects.get(&("/namespaces".to_string(), String::new(), namespace.to_string()));
        found.is_some_and(|n| !n["metadata"]["deletionTimestamp"].is_null())
    }

    /// Whether the garbage collector may have work; it is told once.
    pub(super) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    pub(super) fn of_plural(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let ending = format!("/{plural}");
        self.objects.iter().filter(move |(key, _)| key.0.ends_with(&ending)).map(|(_, stored)| &stored.object)
    }

    /// Stores an object under the next version, and gives it back with that.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let metadata = &object["metadata"];
        self.unsettled |= !metadata["deletionTimestamp"].is_null() || !metadata["ownerReferences"].is_null();
        let stored = Stored::new(object.clone());
        let before = self.objects.insert(key.clone(), stored.clone());
        let kind = if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.remember(Change { version: self.version, key, kind, object: stored, before });
        object
    }

    /// Removes an object, and gives it back with the version of its removal.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.objects.remove(key)?;
        self.unsettled = true;
        self.version += 1;
        let mut object = before.object.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (key, before, stored) = (key.clone(), Some(before), Stored::new(object.clone()));
        self.remember(Change { version: self.version, key, kind: ChangeKind::Deleted, object: stored, before });
        Some(object)
    }

    fn remember(&mut self, change: Change) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(change);
    }

    /// The changes after a version; none when they are no longer known.
    pub(super) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        let oldest = self.oldest();
        (version + 1 >= oldest).then(|| {
            let first = self.history.partition_point(|change| change.version <= version);
            self.history.range(first..)
        })
    }

    /// The oldest version that is still known.
    pub(super) fn oldest(&self) -> u64 {
        self.history.front().map_or(self.version, |change| change.version)
    }
}
