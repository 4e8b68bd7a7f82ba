//! `report`: what a bug report needs, in one document, with nothing secret in it.

use jiff::Timestamp;
use orchestra_crds::{OrchestraEnvironment, Rollout};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::CliError;
use crate::events;

/// Lists whose texts may hold what nobody else should read.
const TEXTS: [&str; 2] = ["args", "command"];

/// Everything about one Rollout.
///
/// # Errors
/// When the cluster refuses to show the Rollout, or does not answer. What else can't be read is told in the report.
pub async fn report(cluster: &Cluster, name: &str) -> Result<Value, CliError> {
    let stored = cluster.stored::<Rollout>(&cluster.namespace, name).await?;
    let stored = stored.ok_or_else(|| CliError::NothingTo(name.to_string(), "there is none of that name here"))?;
    let text = |pointer: &str| stored.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let environment =
        cluster.stored::<OrchestraEnvironment>(&cluster.namespace, text("/spec/environmentRef/name")).await;
    let told = cluster.events_about(text("/metadata/uid")).await.map(|told| json!(events::lines(&told)));
    let or_why = |read: Result<Value, CliError>| read.unwrap_or_else(|error| json!({"notRead": error.to_string()}));
    Ok(json!({
        "madeAt": Timestamp::now().to_string(),
        "plugin": env!("CARGO_PKG_VERSION"),
        "cluster": or_why(cluster.version().await),
        "controllers": or_why(cluster.controllers().await),
        "rollout": shareable(stored),
        "environment": or_why(environment.map(|environment| environment.map(shareable).unwrap_or_default())),
        "events": or_why(told),
    }))
}

/// An object without what may be secret: values of variables, arguments, and annotations of others, in which tools keep
/// copies.
fn shareable(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        let others = |(key, _): &(&String, &mut Value)| !key.starts_with(orchestra_crds::GROUP);
        annotations.into_iter().flatten().filter(others).for_each(|(_, value)| hide(value));
    }
    mask(&mut object);
    object
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                match inner {
                    Value::Array(items) if name == "env" => items.iter_mut().for_each(mask_variable),
                    Value::Array(items) if TEXTS.contains(&name.as_str()) => items.iter_mut().for_each(hide),
                    other => mask(other),
                }
            }
        }
        _ => {}
    }
}

fn mask_variable(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value") {
        hide(value);
    }
}

fn hide(value: &mut Value) {
    let length = value.as_str().map_or(0, |text| text.chars().count());
    *value = json!(format!("({length} characters)"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_variable_no_argument_and_no_copy_of_them_is_in_a_report() {
        let container = json!({"image": "a", "args": ["--token=hush"], "command": ["hush"],
            "env": [{"name": "TOKEN", "value": "hush"}, {"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}]});
        let object = json!({
            "metadata": {"name": "api", "managedFields": [{"hush": 1}],
                         "annotations": {crate::offline::LAST_APPLIED: "hush", "kapp.k14s.io/original": "hush", "orchestra.cherry-ai.me/pause": "stays"}},
            "spec": {"template": {"containers": [container]}, "defaults": {"env": [{"name": "A", "value": "hush"}]}},
            "status": {"stable": {"template": {"containers": [container]}}},
        });
        let shown = shareable(object);
        assert!(!shown.to_string().contains("hush"), "{shown:#}");
        assert_eq!(shown["spec"]["template"]["containers"][0]["env"][1]["valueFrom"]["secret"]["name"], "key");
        assert_eq!(shown["metadata"]["annotations"]["orchestra.cherry-ai.me/pause"], "stays");
    }
}
