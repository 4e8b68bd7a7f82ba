//! CustomResourceDefinitions: each makes a kind.

use serde_json::{Value, json};

use super::kinds::{Column, Kind, Schema};
use super::refusal::Cause;

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
        return Err(vec![Cause::invalid("spec.versions", "null: must have at least one served version".into())]);
    };
    let json = version["schema"]["openAPIV3Schema"].clone();
    let rules = kube_cel::compile_schema(&json);
    let broken: Vec<Cause> = rules
        .compilation_errors()
        .iter()
        .map(|e| Cause::invalid("spec.versions[0].schema.openAPIV3Schema", format!("rule: compilation failed: {e}")))
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    Ok(Kind {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: names["singular"].as_str().map_or_else(|| text(&names["kind"]).to_lowercase(), ToString::to_string),
        short_names: names["shortNames"].as_array().into_iter().flatten().map(text).collect(),
        namespaced: spec["scope"] == "Namespaced",
        has_status: version["subresources"].get("status").is_some(),
        columns: columns(&version)?,
        schema: Some(Schema { json, rules }),
    })
}

fn columns(version: &Value) -> Result<Vec<Column>, Vec<Cause>> {
    let columns = version["additionalPrinterColumns"].as_array();
    columns
        .into_iter()
        .flatten()
        .map(|column| {
            let path = column["jsonPath"].as_str().unwrap_or_default();
            let path = serde_json_path::JsonPath::parse(&format!("${path}")).map_err(|e| {
                let field = "spec.versions[0].additionalPrinterColumns.jsonPath";
                vec![Cause::invalid(field, format!("{path:?}: {e}"))]
            })?;
            Ok(Column {
                name: column["name"].as_str().unwrap_or_default().to_string(),
                type_: column["type"].as_str().unwrap_or("string").to_string(),
                priority: column["priority"].as_i64().unwrap_or(0),
                path,
            })
        })
        .collect()
}

/// What the server adds to a CRD that it has accepted.
pub(super) fn establish(crd: &mut Value, time: &str) {
    let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time});
    let stored: Vec<Value> = crd["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| v["storage"] == true)
        .map(|v| v["name"].clone())
        .collect();
    let names = &mut crd["spec"]["names"];
    if names["listKind"].is_null() {
        names["listKind"] = json!(format!("{}List", names["kind"].as_str().unwrap_or_default()));
    }
    if names["singular"].is_null() {
        names["singular"] = json!(names["kind"].as_str().unwrap_or_default().to_lowercase());
    }
    if crd["spec"]["conversion"].is_null() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
    if crd["status"]["conditions"].is_null() {
        crd["status"] = json!({
            "acceptedNames": crd["spec"]["names"],
            "storedVersions": stored,
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
        });
    }
}
