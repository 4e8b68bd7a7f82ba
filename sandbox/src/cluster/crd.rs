//! CustomResourceDefinitions: each makes a kind.

use serde_json::{Value, json};

use super::cel;
use super::kinds::{Column, Kind, Scale, Schema};
use super::managed::{self, Writer};
use super::metadata::fields::METADATA;
use super::refusal::Cause;
use super::store::Store;

/// The kind that a CRD defines; its first served version.
pub(super) fn kind_of(crd: &Value) -> Result<Kind, Vec<Cause>> {
    let (spec, names) = (&crd["spec"], &crd["spec"]["names"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let expected = format!("{}.{}", text(&names["plural"]), text(&spec["group"]));
    if crd["metadata"]["name"] != expected.as_str() {
        let message = format!("{}: must be spec.names.plural+\".\"+spec.group", crd["metadata"]["name"]);
        return Err(vec![Cause::invalid("metadata.name", message)]);
    }
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let Some(version) = versions.into_iter().find(|v| v["served"] == true) else {
        return Err(vec![Cause::invalid("spec.versions", "null: must have at least one served version")]);
    };
    let json = version["schema"]["openAPIV3Schema"].clone();
    let rules = kube_cel::compile_schema(&json);
    let mut broken = cel::check_rules(&json);
    broken.extend(
        rules
            .compilation_errors()
            .iter()
            .map(|e| Cause::invalid("spec.validation.openAPIV3Schema", format!("compilation failed: {e}"))),
    );
    if !broken.is_empty() {
        return Err(broken);
    }
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let path = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('.').to_string();
    let scale = version["subresources"].get("scale");
    Ok(Kind {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: names["singular"].as_str().map_or_else(|| text(&names["kind"]).to_lowercase(), ToString::to_string),
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        has_status: version["subresources"].get("status").is_some(),
        has_generation: true,
        scale: scale
            .map(|scale| Scale { spec: path(&scale["specReplicasPath"]), status: path(&scale["statusReplicasPath"]) }),
        columns: columns(&version)?,
        selectable: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|f| path(&f["jsonPath"]))
            .collect(),
        merging: merging(&json),
        empty: Value::Null,
        since: 0,
        schema: Some(Schema { status_rules: has_status_rules(&json), json, rules }),
    })
}

fn has_status_rules(schema: &Value) -> bool {
    let rules = "x-kubernetes-validations";
    !schema[rules].is_null() || schema["properties"]["status"].to_string().contains(rules)
}

/// The schema with what every object has.
fn merging(schema: &Value) -> Value {
    let mut schema = schema.clone();
    schema["properties"]["metadata"] = METADATA.clone();
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema
}

fn columns(version: &Value) -> Result<Vec<Column>, Vec<Cause>> {
    let columns = version["additionalPrinterColumns"].as_array();
    columns
        .into_iter()
        .flatten()
        .map(|column| {
            let text = column["jsonPath"].as_str().unwrap_or_default();
            let path = serde_json_path::JsonPath::parse(&format!("${text}")).map_err(|e| {
                let field = "spec.versions[0].additionalPrinterColumns.jsonPath";
                vec![Cause::invalid(field, format!("{text:?}: {e}"))]
            })?;
            let by_path = || format!("Custom resource definition column (in JSONPath format): {text}");
            Ok(Column {
                description: column["description"]
                    .as_str()
                    .filter(|text| !text.is_empty())
                    .map_or_else(by_path, ToString::to_string),
                name: column["name"].as_str().unwrap_or_default().to_string(),
                type_: column["type"].as_str().unwrap_or("string").to_string(),
                priority: column["priority"].as_i64().unwrap_or(0),
                path,
            })
        })
        .collect()
}

/// Fills in what a CRD leaves out.
pub(super) fn fill_defaults(crd: &mut Value) {
    let names = &mut crd["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_string();
    for (field, default) in [("listKind", format!("{kind}List")), ("singular", kind.to_lowercase())] {
        if names[field].is_null() {
            names[field] = json!(default);
        }
    }
    if crd["spec"]["conversion"].is_null() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        for column in version["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
            if column["priority"] == 0
                && let Some(fields) = column.as_object_mut()
            {
                fields.remove("priority");
            }
        }
        if version["additionalPrinterColumns"].is_null()
            && let Some(fields) = version.as_object_mut()
        {
            fields.remove("additionalPrinterColumns");
        }
    }
}

/// A new CRD, before its names are accepted.
pub(super) fn prepare(crd: &mut Value) {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<Value> = versions.filter(|v| v["storage"] == true).map(|v| v["name"].clone()).collect();
    crd["status"] = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored});
}

/// The finalizer that holds a CRD until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Says in a CRD that it is being deleted.
pub(super) fn terminate(crd: &mut Value, time: &str) {
    let condition = json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionInProgress",
        "message": "CustomResource deletion is in progress", "lastTransitionTime": time,
    });
    match crd["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => crd["status"] = json!({"conditions": [condition]}),
    }
}

/// Whether the CRD of a kind is being deleted.
pub(super) fn is_terminating(store: &Store, kind: &Kind) -> bool {
    let key = ("apiextensions.k8s.io/customresourcedefinitions".into(), String::new(), kind.group_resource());
    kind.is_custom() && store.get(&key).is_some_and(|crd| !crd["metadata"]["deletionTimestamp"].is_null())
}

/// The CRD once its names are accepted, which the server does by itself.
pub(super) fn established(kind: &Kind, crd: &Value, time: &str) -> Value {
    let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time});
    let mut established = crd.clone();
    established["status"]["acceptedNames"] = crd["spec"]["names"].clone();
    established["status"]["conditions"] = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    let writer =
        Writer { manager: "kube-apiserver".into(), subresource: Some("status"), time: time.to_string(), force: true };
    managed::note(kind, &writer, Some(crd), &mut established);
    established
}
