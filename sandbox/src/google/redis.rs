//! Memorystore for Redis: one operation at a time, minutes long.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::operations::{Mishap, Operations, internal_error};
use super::problem::Problem;
use super::{Context, stamp};

/// Fields that an update may change, without those that need another version or call.
const MUTABLE: [&str; 8] = [
    "displayName",
    "labels",
    "memorySizeGb",
    "redisConfigs",
    "replicaCount",
    "authEnabled",
    "maintenancePolicy",
    "persistenceConfig",
];

#[derive(Debug)]
pub(super) struct Redis {
    random: StdRng,
    instances: BTreeMap<String, Instance>,
    operations: Operations,
}

#[derive(Debug)]
struct Instance {
    document: Value,
    under_way: Option<UnderWay>,
}

/// An operation, and what the instance will be when it ends; none: gone.
#[derive(Debug)]
struct UnderWay {
    operation: String,
    ends: Timestamp,
    becomes: Option<Value>,
    fails: bool,
}

impl UnderWay {
    /// The operation with what goes wrong with it; `before` is what the instance was, if it was.
    fn with(mut self, mishap: Option<Mishap>, before: Option<Value>, operations: &mut Operations) -> Self {
        match mishap {
            Some(Mishap::Fails) => {
                self.fails = true;
                self.becomes = before;
            }
            Some(Mishap::Never) => self.ends = Timestamp::MAX,
            Some(Mishap::Forgotten) => operations.forget(&self.operation),
            None => {}
        }
        self
    }
}

/// `memory_size_gb` and `memorySizeGb` are the same field.
pub(super) fn camel(path: &str) -> String {
    let mut camel = String::new();
    let mut up = false;
    for c in path.trim().chars() {
        match c {
            '_' => up = true,
            c if up => {
                camel.push(c.to_ascii_uppercase());
                up = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

impl Redis {
    pub(super) fn new(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ 0x7ed1);
        Self { random, instances: BTreeMap::new(), operations: Operations::default() }
    }

    pub(super) fn view(&self) -> Value {
        self.instances.values().map(|i| i.document.clone()).collect()
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        let mut gone = vec![];
        for (name, instance) in &mut self.instances {
            let Some(under_way) = instance.under_way.take_if(|u| u.ends <= now) else { continue };
            let result = match under_way.becomes {
                Some(document) => {
                    instance.document = document;
                    instance.document.clone()
                }
                None => {
                    gone.push(name.clone());
                    json!({})
                }
            };
            let result = if under_way.fails { Err(internal_error()) } else { Ok(result) };
            self.operations.end(&under_way.operation, result);
        }
        for name in gone {
            self.instances.remove(&name);
        }
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        parent: &str,
        rest: &[&str],
        verb: &str,
    ) -> Result<Value, Problem> {
        let name = |id: &str| format!("{parent}/instances/{id}");
        match (rest, context.request.method.clone(), verb) {
            (["instances"], Method::GET, "") => {
                let prefix = name("");
                let own =
                    self.instances.iter().filter(|(n, _)| n.starts_with(&prefix)).map(|(_, i)| i.document.clone());
                Ok(json!({"instances": own.collect::<Vec<_>>()}))
            }
            (["instances"], Method::POST, "") => self.create(context, parent),
            (["instances", id], Method::GET, "") => {
                let found = self.instances.get(&name(id)).ok_or_else(|| Problem::not_found(&name(id)))?;
                Ok(found.document.clone())
            }
            (["instances", id], Method::PATCH, "") => self.update(context, parent, &name(id)),
            (["instances", id], Method::DELETE, "") => {
                self.begin(context, parent, &name(id), "DELETING", 60..120, "delete", |_| None)
            }
            (["instances", ..], Method::POST, verb) => Err(Problem::unimplemented(&format!("instances:{verb}"))),
            (["operations", id], Method::GET, "") => self.operations.get(&format!("{parent}/operations/{id}")),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn create(&mut self, context: Context<'_>, parent: &str) -> Result<Value, Problem> {
        let id = context.request.param("instanceId").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Problem::invalid("instance_id is required"))?;
        let name = format!("{parent}/instances/{id}");
        if self.instances.contains_key(&name) {
            return Err(Problem::already_exists(format!("Resource '{name}' already exists")));
        }
        let mut document = context.body()?;
        let highly_available =
            match document["tier"].as_str().map_or_else(|| document["tier"].to_string(), Into::into).as_str() {
                "BASIC" | "1" => false,
                "STANDARD_HA" | "3" => true,
                other => return Err(Problem::invalid(format!("Invalid tier: {other}"))),
            };
        let size = document["memorySizeGb"].as_i64().unwrap_or(0);
        if !(1..=300).contains(&size) {
            return Err(Problem::invalid(format!("Invalid memory size: {size} GB; it must be between 1 and 300")));
        }
        let address = self.random.random_range(2..250);
        let ends = context.now + SignedDuration::from_secs(self.random.random_range(240..360));
        let defaults = [
            ("tier", json!(if highly_available { "STANDARD_HA" } else { "BASIC" })),
            ("state", json!("CREATING")),
            ("createTime", stamp(context.now)),
            ("name", json!(name)),
            ("connectMode", json!("DIRECT_PEERING")),
            ("transitEncryptionMode", json!("DISABLED")),
            ("persistenceConfig", json!({"persistenceMode": "DISABLED"})),
            ("readReplicasMode", json!("READ_REPLICAS_DISABLED")),
            ("replicaCount", json!(i32::from(highly_available))),
        ];
        for (field, value) in defaults {
            let set_by_server = matches!(field, "tier" | "state" | "createTime" | "name");
            if set_by_server || document[field].is_null() {
                document[field] = value;
            }
        }
        if document["redisVersion"].as_str().unwrap_or_default().is_empty() {
            document["redisVersion"] = json!("REDIS_7_2");
        }
        let mut becomes = document.clone();
        becomes["state"] = json!("READY");
        becomes["host"] = json!(format!("10.91.{address}.3"));
        becomes["port"] = json!(6379);
        let operation = self.operations.start(parent, metadata(&name, "create", context), &mut self.random);
        let under_way = UnderWay { operation: name_of(&operation), ends, becomes: Some(becomes), fails: false };
        let under_way = under_way.with(context.mishap, None, &mut self.operations);
        self.instances.insert(name, Instance { document, under_way: Some(under_way) });
        Ok(operation)
    }

    fn update(&mut self, context: Context<'_>, parent: &str, name: &str) -> Result<Value, Problem> {
        let body = context.body()?;
        let mask: Vec<String> = context
            .request
            .param("updateMask")
            .unwrap_or_default()
            .split(',')
            .filter(|p| !p.is_empty())
            .map(camel)
            .collect();
        if mask.is_empty() {
            return Err(Problem::invalid("update_mask is required"));
        }
        if let Some(fixed) = mask.iter().find(|field| !MUTABLE.contains(&field.as_str())) {
            return Err(Problem::invalid(format!("Field '{fixed}' cannot be updated")));
        }
        self.begin(context, parent, name, "UPDATING", 120..240, "update", |document| {
            let mut becomes = document.clone();
            for field in &mask {
                becomes[field.as_str()] = body[field.as_str()].clone();
            }
            Some(becomes)
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn begin(
        &mut self,
        context: Context<'_>,
        parent: &str,
        name: &str,
        state: &str,
        seconds: std::ops::Range<i64>,
        verb: &str,
        becomes: impl FnOnce(&Value) -> Option<Value>,
    ) -> Result<Value, Problem> {
        let instance = self.instances.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        if instance.under_way.is_some() {
            return Err(Problem::precondition(format!("Another operation is under way on '{name}'")));
        }
        let ends = context.now + SignedDuration::from_secs(self.random.random_range(seconds));
        let operation = self.operations.start(parent, metadata(name, verb, context), &mut self.random);
        let (becomes, before) = (becomes(&instance.document), instance.document.clone());
        instance.document["state"] = json!(state);
        let under_way = UnderWay { operation: name_of(&operation), ends, becomes, fails: false };
        instance.under_way = Some(under_way.with(context.mishap, Some(before), &mut self.operations));
        Ok(operation)
    }
}

fn name_of(operation: &Value) -> String {
    operation["name"].as_str().unwrap_or_default().to_string()
}

fn metadata(target: &str, verb: &str, context: Context<'_>) -> Value {
    json!({
        "@type": "type.googleapis.com/google.cloud.redis.v1.OperationMetadata",
        "createTime": stamp(context.now), "target": target, "verb": verb, "cancelRequested": false, "apiVersion": "v1",
    })
}
