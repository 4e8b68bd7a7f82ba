//! Serverless VPC Access: connectors, which only grow.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::Context;
use super::mask::Mask;
use super::operations::{self, Operations, UnderWay};
use super::page::page;
use super::problem::Problem;

const API: &str = "google.cloud.vpcaccess.v1";
const TYPE: &str = "type.googleapis.com/google.cloud.vpcaccess.v1.Connector";
const MUTABLE: [&str; 5] = ["minInstances", "maxInstances", "minThroughput", "maxThroughput", "machineType"];

#[derive(Debug)]
pub(super) struct Connectors {
    random: StdRng,
    connectors: BTreeMap<String, Connector>,
}

#[derive(Debug)]
struct Connector {
    document: Value,
    /// With what the connector is afterwards; none: gone.
    under_way: Option<UnderWay<Option<Value>>>,
}

impl Connectors {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed ^ 0xc0), connectors: BTreeMap::new() }
    }

    pub(super) fn advance(&mut self, now: Timestamp, known: &mut Operations) {
        let mut gone = vec![];
        for (name, connector) in &mut self.connectors {
            let Some(under_way) = connector.under_way.take_if(|u| u.ends <= now) else { continue };
            let result = match under_way.outcome {
                Err(error) => {
                    // A connector that was never made stays as an error; another is as it was.
                    let made = connector.document["state"] != "CREATING";
                    connector.document["state"] = json!(if made { "READY" } else { "ERROR" });
                    Err(error)
                }
                Ok(Some(mut document)) => {
                    document["state"] = json!("READY");
                    connector.document = document.clone();
                    document["@type"] = json!(TYPE);
                    Ok(document)
                }
                Ok(None) => {
                    gone.push(name.clone());
                    Ok(operations::empty())
                }
            };
            known.end(&under_way.operation, now, result);
        }
        for name in gone {
            self.connectors.remove(&name);
        }
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        parent: &str,
        rest: &[&str],
        operations: &mut Operations,
    ) -> Result<Value, Problem> {
        let name = |id: &str| format!("{parent}/connectors/{id}");
        let missing = |id: &str| Problem::not_found(&name(id));
        match (rest, &context.request.method) {
            ([], &Method::GET) => {
                let prefix = name("");
                let own = self.connectors.iter().filter(|(name, _)| name.starts_with(&prefix));
                page(context.request, "connectors", own.map(|(n, c)| (n.clone(), c.document.clone())).collect(), 1000)
            }
            ([], &Method::POST) => self.create(context, parent, operations),
            ([id], &Method::GET) => {
                self.connectors.get(&name(id)).map(|c| c.document.clone()).ok_or_else(|| missing(id))
            }
            ([id], &Method::PATCH) => {
                let found = self.connectors.get(&name(id)).ok_or_else(|| missing(id))?;
                let becomes = grown(&found.document, context)?;
                self.begin(context, parent, &name(id), ("UpdateConnector", "UPDATING"), Some(becomes), operations)
            }
            ([id], &Method::DELETE) => {
                self.begin(context, parent, &name(id), ("DeleteConnector", "DELETING"), None, operations)
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    fn create(&mut self, context: Context<'_>, parent: &str, operations: &mut Operations) -> Result<Value, Problem> {
        let id = context.request.either("connectorId", "connector_id");
        if id.is_empty() || id.len() > 25 {
            return Err(Problem::field("connector_id", "it must have 1 to 25 characters"));
        }
        let name = format!("{parent}/connectors/{id}");
        if self.connectors.contains_key(&name) {
            return Err(Problem::already_exists(format!("Resource '{name}' already exists")));
        }
        let mut document = context.body()?;
        self.check_range(&document)?;
        document["name"] = json!(name);
        document["state"] = json!("CREATING");
        if document["machineType"].as_str().unwrap_or_default().is_empty() {
            document["machineType"] = json!("e2-micro");
        }
        let document = sized(document)?;
        self.connectors.insert(name.clone(), Connector { document: document.clone(), under_way: None });
        self.begin(context, parent, &name, ("CreateConnector", "CREATING"), Some(document), operations)
    }

    /// A connector has a subnet, or a range of its own of 16 addresses.
    fn check_range(&self, document: &Value) -> Result<(), Problem> {
        if !document["subnet"]["name"].as_str().unwrap_or_default().is_empty() {
            return Ok(());
        }
        let (network, range) = (document["network"].as_str(), document["ipCidrRange"].as_str().unwrap_or_default());
        if network.is_none_or(str::is_empty) {
            return Err(Problem::field("connector.network", "a network with a range, or a subnet, is required"));
        }
        let address = range.strip_suffix("/28").and_then(|address| address.parse::<std::net::Ipv4Addr>().ok());
        let refuse = |why: String| Err(Problem::field("connector.ip_cidr_range", why));
        if address.is_none_or(|address| address.octets()[3] % 16 != 0) {
            return refuse(format!("{range:?} is no range of the form 10.8.0.0/28"));
        }
        let same = |c: &&Connector| c.document["ipCidrRange"] == range && c.document["network"].as_str() == network;
        match self.connectors.values().find(same) {
            Some(other) => refuse(format!("{range} belongs to {}", other.document["name"])),
            None => Ok(()),
        }
    }

    fn begin(
        &mut self,
        context: Context<'_>,
        parent: &str,
        name: &str,
        (method, state): (&str, &str),
        becomes: Option<Value>,
        operations: &mut Operations,
    ) -> Result<Value, Problem> {
        let connector = self.connectors.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        if connector.under_way.is_some() {
            return Err(Problem::precondition(format!("Another operation is under way on '{name}'")));
        }
        let takes = SignedDuration::from_secs(self.random.random_range(60..150));
        let metadata = json!({
            "@type": format!("type.googleapis.com/{API}.OperationMetadata"), "createTime": context.time(),
            "target": name, "method": format!("{API}.VpcAccessService.{method}"),
        });
        let operation = operations.start(context, parent, metadata, &mut self.random);
        connector.document["state"] = json!(state);
        connector.under_way = Some(UnderWay::new(context, &operation, takes, becomes, operations));
        Ok(operation)
    }
}

/// A connector with its size; throughput, in steps of 100 Mbit/s, stands for instances.
fn sized(mut document: Value) -> Result<Value, Problem> {
    let given = |document: &Value, instances: &str, throughput: &str| {
        let instances = document[instances].as_i64().filter(|n| *n > 0);
        instances.or_else(|| document[throughput].as_i64().filter(|n| *n > 0).map(|megabits| megabits / 100))
    };
    let least = given(&document, "minInstances", "minThroughput").unwrap_or(2);
    let most = given(&document, "maxInstances", "maxThroughput").unwrap_or(10);
    if !(2..=9).contains(&least) {
        return Err(Problem::field("connector.min_instances", format!("{least} is not between 2 and 9")));
    }
    if !(3..=10).contains(&most) || most <= least {
        let description = format!("{most} is not between 3 and 10, or not above the {least} of min_instances");
        return Err(Problem::field("connector.max_instances", description));
    }
    for (field, value) in
        [("minInstances", least), ("maxInstances", most), ("minThroughput", least * 100), ("maxThroughput", most * 100)]
    {
        document[field] = json!(value);
    }
    Ok(document)
}

/// A connector with the fields of an update. Instances are only ever added.
fn grown(document: &Value, context: Context<'_>) -> Result<Value, Problem> {
    let wanted = context.body()?;
    let mask = Mask::parse(context.request.either("updateMask", "update_mask"));
    let mask = if mask.is_empty() { Mask::parse("minInstances,maxInstances,machineType") } else { mask };
    if let Some(fixed) = mask.outside(&MUTABLE) {
        return Err(Problem::field("update_mask", format!("field '{fixed}' cannot be updated")));
    }
    let mut becomes = document.clone();
    mask.apply(&wanted, &mut becomes)?;
    for (instances, throughput) in [("minInstances", "minThroughput"), ("maxInstances", "maxThroughput")] {
        // Throughput stands for instances, when that is what is asked for.
        if mask.paths().any(|path| path == throughput) && !mask.paths().any(|path| path == instances) {
            becomes[instances] = Value::Null;
        }
    }
    let becomes = sized(becomes)?;
    for field in ["minInstances", "maxInstances"] {
        if becomes[field].as_i64() < document[field].as_i64() {
            let description = format!("it can only be increased, and is {}", document[field]);
            return Err(Problem::field(&format!("connector.{field}"), description));
        }
    }
    Ok(becomes)
}
