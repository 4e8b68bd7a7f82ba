//! The built-in kinds: which there are, their defaults and what they refuse.

mod shapes;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::admission::{self, BINDINGS, POLICIES};
use super::kinds::Kind;
use super::metadata::fields::METADATA;
use super::refusal::{Cause, Refusal};

pub(super) const CRD: &str = "customresourcedefinitions";
/// Questions that are answered without keeping anything.
pub(super) const ACCESS_REVIEW: &str = "selfsubjectaccessreviews";
pub(super) const RULES_REVIEW: &str = "selfsubjectrulesreviews";
const RBAC: &str = "rbac.authorization.k8s.io";

struct Names {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    has_status: bool,
}

const fn names(group: &'static str, kind: &'static str, plural: &'static str, short: &'static [&'static str]) -> Names {
    Names { group, kind, plural, short, namespaced: true, has_status: false }
}

impl Names {
    const fn of_cluster(self) -> Self {
        Self { namespaced: false, ..self }
    }

    const fn with_status(self) -> Self {
        Self { has_status: true, ..self }
    }
}

const KINDS: [Names; 20] = [
    names("", "ConfigMap", "configmaps", &["cm"]),
    names("", "Event", "events", &["ev"]),
    names("", "Namespace", "namespaces", &["ns"]).of_cluster().with_status(),
    names("", "Secret", "secrets", &[]),
    names("", "Service", "services", &["svc"]).with_status(),
    names("", "ServiceAccount", "serviceaccounts", &["sa"]),
    names("apps", "Deployment", "deployments", &["deploy"]).with_status(),
    names("events.k8s.io", "Event", "events", &["ev"]),
    names(RBAC, "ClusterRole", "clusterroles", &[]).of_cluster(),
    names(RBAC, "ClusterRoleBinding", "clusterrolebindings", &[]).of_cluster(),
    names(RBAC, "Role", "roles", &[]),
    names(RBAC, "RoleBinding", "rolebindings", &[]),
    names("apiextensions.k8s.io", "CustomResourceDefinition", CRD, &["crd", "crds"]).of_cluster().with_status(),
    names("authorization.k8s.io", "SelfSubjectAccessReview", ACCESS_REVIEW, &[]).of_cluster().with_status(),
    names("authorization.k8s.io", "SelfSubjectRulesReview", RULES_REVIEW, &[]).of_cluster().with_status(),
    names("coordination.k8s.io", "Lease", "leases", &[]),
    names("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", POLICIES, &[]).of_cluster().with_status(),
    names("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", BINDINGS, &[]).of_cluster(),
    names("networking.k8s.io", "NetworkPolicy", "networkpolicies", &["netpol"]),
    names("policy", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"]).with_status(),
];

const HAVE_GENERATIONS: [&str; 6] = [CRD, POLICIES, BINDINGS, "deployments", "networkpolicies", "poddisruptionbudgets"];

pub(super) fn kinds() -> Vec<Kind> {
    KINDS.iter().map(kind).collect()
}

/// What a request for a service account's token is, for managed fields.
pub(super) fn token_request() -> Kind {
    kind(&names("authentication.k8s.io", "TokenRequest", "tokenrequests", &[]))
}

fn kind(names: &Names) -> Kind {
    let listed = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let generation = HAVE_GENERATIONS.contains(&names.plural);
    Kind {
        group: names.group.into(),
        version: "v1".into(),
        kind: names.kind.into(),
        plural: names.plural.into(),
        singular: names.kind.to_lowercase(),
        short_names: listed(names.short),
        categories: match names.plural {
            "services" | "deployments" => listed(&["all"]),
            CRD => listed(&["api-extensions"]),
            _ => vec![],
        },
        namespaced: names.namespaced,
        has_status: names.has_status,
        has_generation: generation,
        scale: None,
        columns: vec![],
        selectable: selectable(names),
        schema: None,
        merging: merging(names.plural),
        empty: empty(names.plural, names.group),
        since: 0,
    }
}

fn selectable(names: &Names) -> Vec<String> {
    let fields: &[&str] = match names.plural {
        "events" => &["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"],
        "secrets" => return vec!["type".into()],
        "namespaces" => return vec!["status.phase".into()],
        _ => &[],
    };
    let about = if names.group.is_empty() { "involvedObject" } else { "regarding" };
    let more = ["reason", "type", "reportingComponent", "reportingController", "source"];
    let events = fields.iter().map(|field| format!("{about}.{field}"));
    events.chain(more.iter().filter(|_| !fields.is_empty()).map(ToString::to_string)).collect()
}

/// Lists that merge by key, and structs that merge as a whole; all else is open.
fn merging(plural: &str) -> Value {
    let open = |properties: Value| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": properties});
    let by = |keys: &[&str], items: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items});
    let atomic = json!({"x-kubernetes-map-type": "atomic"});
    let mut top = match plural {
        "events" => json!({"regarding": atomic, "involvedObject": atomic, "related": atomic}),
        "rolebindings" | "clusterrolebindings" => json!({"roleRef": atomic}),
        "services" => {
            json!({"spec": open(json!({"selector": atomic, "ports": by(&["port", "protocol"], Value::Null)}))})
        }
        "networkpolicies" => json!({"spec": open(json!({"podSelector": atomic}))}),
        "poddisruptionbudgets" => json!({"spec": open(json!({"selector": atomic}))}),
        POLICIES => {
            let by_name = by(&["name"], Value::Null);
            json!({"spec": open(json!({"matchConditions": by_name, "variables": by_name}))})
        }
        CRD => json!({"status": open(json!({"conditions": by(&["type"], Value::Null)}))}),
        "deployments" => {
            let container = open(json!({
                "env": by(&["name"], Value::Null), "ports": by(&["containerPort", "protocol"], Value::Null),
                "volumeMounts": by(&["mountPath"], Value::Null),
            }));
            let pod = open(json!({
                "containers": by(&["name"], container.clone()), "initContainers": by(&["name"], container),
                "volumes": by(&["name"], Value::Null), "nodeSelector": atomic,
                "imagePullSecrets": by(&["name"], Value::Null),
                "topologySpreadConstraints": by(&["topologyKey", "whenUnsatisfiable"], Value::Null),
            }));
            let template = open(json!({"spec": pod}));
            let status = open(json!({"conditions": by(&["type"], Value::Null)}));
            json!({"spec": open(json!({"selector": atomic, "template": template})), "status": status})
        }
        _ => json!({}),
    };
    top["metadata"] = METADATA.clone();
    open(top)
}

fn empty(plural: &str, group: &str) -> Value {
    match (plural, group) {
        ("events", "") => json!({"metadata": {}, "involvedObject": {}, "source": {}, "firstTimestamp": null,
                                 "lastTimestamp": null, "eventTime": null, "reportingComponent": "",
                                 "reportingInstance": ""}),
        ("events", _) => json!({"metadata": {}, "regarding": {}, "deprecatedSource": {}, "eventTime": null,
                                "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null}),
        ("leases" | "namespaces" | ACCESS_REVIEW | RULES_REVIEW, _) => json!({"metadata": {}, "spec": {}}),
        ("tokenrequests", _) => json!({"metadata": {}, "spec": {}, "status": {}}),
        (CRD, _) => json!({"metadata": {}, "spec": {"names": {}}, "status": {}}),
        ("deployments", _) => json!({"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {}}}, "status": {}}),
        ("services", _) => json!({"metadata": {}, "spec": {}, "status": {}}),
        _ => json!({"metadata": {}}),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What decoding an object does: fields of one form become those of another, absent ones get their default.
pub(super) fn decode(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    shapes::check(kind, object)?;
    shapes::drop_nulls(kind, object);
    match kind.plural.as_str() {
        "secrets" => decode_secret(object)?,
        "namespaces" => {
            let name = text(&object["metadata"]["name"]).to_string();
            if !name.is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
        }
        "events" => fill(object, &kind.empty),
        CRD => super::crd::fill_defaults(object),
        _ => {}
    }
    Ok(())
}

/// Puts what an empty object has where this one has nothing.
fn fill(object: &mut Value, empty: &Value) {
    for (name, value) in empty.as_object().into_iter().flatten() {
        if object.get(name).is_none() {
            object[name] = value.clone();
        }
    }
}

fn decode_secret(object: &mut Value) -> Result<(), Refusal> {
    if object["type"].is_null() {
        object["type"] = json!("Opaque");
    }
    for value in object["data"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        // Go passes over ends of lines.
        let encoded = text(value).replace(['\r', '\n'], "");
        if STANDARD.decode(&encoded).is_err() {
            let is_ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
            let at = encoded.find(|c| !is_ok(c)).unwrap_or(encoded.len());
            let why = format!("illegal base64 data at input byte {at}");
            return Err(Refusal::bad_request(format!("Secret in version \"v1\" cannot be handled as a Secret: {why}")));
        }
        *value = json!(encoded);
    }
    let plain = object["stringData"].as_object().cloned().unwrap_or_default();
    for (key, value) in plain {
        object["data"][key] = json!(STANDARD.encode(text(&value)));
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("stringData");
    }
    Ok(())
}

/// What the server sets in a new object, after it has noted who set what.
pub(super) fn prepare(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        "namespaces" => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        CRD => super::crd::prepare(object),
        _ => {}
    }
}

pub(super) fn validate(kind: &Kind, object: &Value, before: Option<&Value>) -> Vec<Cause> {
    match kind.plural.as_str() {
        "leases" => lease(&object["spec"]),
        POLICIES => admission::validate(object),
        "secrets" => secret(object, before),
        "events" if kind.group == "events.k8s.io" && before.is_none() => event(object),
        "rolebindings" | "clusterrolebindings" => match before {
            Some(before) if before["roleRef"] != object["roleRef"] => {
                vec![Cause::invalid("roleRef", format!("{}: cannot change roleRef", object["roleRef"]))]
            }
            _ => vec![],
        },
        _ => vec![],
    }
}

fn lease(spec: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
        causes.push(Cause::invalid("spec.leaseDurationSeconds", format!("{seconds}: must be greater than 0")));
    }
    if let Some(count) = spec["leaseTransitions"].as_i64().filter(|count| *count < 0) {
        let message = format!("{count}: must be greater than or equal to 0");
        causes.push(Cause::invalid("spec.leaseTransitions", message));
    }
    causes
}

fn secret(object: &Value, before: Option<&Value>) -> Vec<Cause> {
    let Some(before) = before.filter(|before| before["immutable"] == true) else { return vec![] };
    let why = "field is immutable when `immutable` is set";
    let fields = [("immutable", object["immutable"] != true), ("data", object["data"] != before["data"])];
    fields.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| Cause::forbidden(field, why)).collect()
}

fn event(event: &Value) -> Vec<Cause> {
    let required = |field: &str| text(&event[field]).is_empty().then(|| Cause::required(field, ""));
    let mut causes: Vec<Cause> = ["eventTime", "reportingController", "reportingInstance", "action", "reason"]
        .iter()
        .filter_map(|f| required(f))
        .collect();
    let kind = text(&event["type"]);
    if !matches!(kind, "Normal" | "Warning") {
        causes.push(Cause::invalid("type", format!("\"\": has invalid value: {kind}")));
    }
    if text(&event["note"]).len() > 1024 {
        causes.push(Cause::invalid("note", "\"\": can have at most 1024 bytes"));
    }
    causes
}
