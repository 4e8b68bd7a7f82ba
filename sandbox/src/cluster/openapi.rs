//! OpenAPI documents, as far as kubectl reads them: the schemas of the CRDs for `explain`, and for each kind that the
//! server validates fields itself.

use serde_json::{Map, Value, json};

use super::kinds::{Kind, Kinds};
use super::metadata::fields::METADATA;
use crate::exchange::Reply;

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.36.2"})
}

pub(super) fn index(kinds: &Kinds) -> Value {
    let paths = kinds.group_versions().into_iter().map(|(group, version)| {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let link = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        (path, link)
    });
    json!({"paths": paths.collect::<Map<_, _>>()})
}

fn gvk(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// `me.cherry-ai.orchestra.v1alpha1.Rollout`
fn schema_name(kind: &Kind) -> String {
    let reversed: Vec<&str> = kind.group.split('.').rev().filter(|p| !p.is_empty()).collect();
    let prefix = if reversed.is_empty() { "io.k8s.api.core".to_string() } else { reversed.join(".") };
    format!("{prefix}.{}.{}", kind.version, kind.kind)
}

fn path(kind: &Kind) -> String {
    let root = if kind.group.is_empty() { "/api".to_string() } else { format!("/apis/{}", kind.group) };
    let namespace = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}/{}{namespace}/{}/{{name}}", kind.version, kind.plural)
}

fn schema(kind: &Kind) -> Value {
    let mut schema = kind.schema.as_ref().map_or_else(|| json!({"type": "object"}), |s| s.json.clone());
    let known = json!({
        "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
        "kind": {"type": "string", "description": "Kind of this object."},
        "metadata": METADATA.clone(),
    });
    for (name, value) in known.as_object().into_iter().flatten() {
        schema["properties"][name] = value.clone();
    }
    schema["x-kubernetes-group-version-kind"] = json!([gvk(kind)]);
    schema
}

fn patch(kind: &Kind, in_query: &Value) -> Value {
    json!({"patch": {
        "operationId": format!("patch{}", kind.kind),
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": gvk(kind),
        "parameters": [in_query],
        "responses": {"200": {"description": "OK"}},
    }})
}

pub(super) fn v3(group: &str, version: &str, kinds: &Kinds) -> Value {
    let here: Vec<_> = kinds.all().filter(|k| k.group == group && k.version == version).collect();
    let parameter = json!({"name": "fieldValidation", "in": "query", "schema": {"type": "string"}});
    let paths: Map<_, _> = here.iter().map(|kind| (path(kind), patch(kind, &parameter))).collect();
    let schemas: Map<_, _> = here.iter().map(|kind| (schema_name(kind), schema(kind))).collect();
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}})
}

/// The v2 document as kubectl asks for it, without any path: what kubectl knows of v3 it does not look for here, and
/// for the rest it then says itself that the kind is unknown.
pub(super) fn v2_protobuf() -> Reply {
    // Fields 1 (swagger) and 2 (info: title, version) of gnostic's openapi.v2.Document.
    let text = |number: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap_or(0);
        [&[number << 3 | 2, length], text.as_bytes()].concat()
    };
    let info = [text(1, "Kubernetes"), text(2, "v1.36.2")].concat();
    let length = u8::try_from(info.len()).unwrap_or(0);
    let body = [text(1, "2.0"), vec![2 << 3 | 2, length], info].concat();
    Reply::bytes("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", body)
}

pub(super) fn v2(kinds: &Kinds) -> Value {
    let parameter = json!({"name": "fieldValidation", "in": "query", "type": "string"});
    let paths: Map<_, _> = kinds.all().map(|kind| (path(kind), patch(kind, &parameter))).collect();
    let definitions: Map<_, _> = kinds.all().map(|kind| (schema_name(kind), schema(kind))).collect();
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}
