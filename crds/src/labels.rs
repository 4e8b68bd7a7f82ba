//! Labels and annotations as Cloud Run takes them: their schemas, with the rules on their keys.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

fn with_labels(most: u32, more: &[Value]) -> Schema {
    let keys = rule(
        "self.all(k, k.matches('^[a-z][a-z0-9_-]{0,62}$'))",
        "Google's labels have keys of lowercase letters, digits, _ and -, starting with a letter, 63 at most: team, not Team or \
         app.kubernetes.io/part-of",
    );
    let rules = [&[keys], more].concat();
    json_schema!({
        "type": "object", "maxProperties": most,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9_-]*$"},
        "x-kubernetes-validations": rules,
    })
}

/// Labels of a revision.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    with_labels(64, &[])
}

/// Labels of what Orchestra makes, which has some of its own.
pub(crate) fn labels_of_resources(_: &mut SchemaGenerator) -> Schema {
    let own = rule(
        "!self.exists(k, k in ['managed-by', 'orchestra-owner', 'orchestra-owner-uid'])",
        "managed-by, orchestra-owner and orchestra-owner-uid are Orchestra's own labels: choose other keys",
    );
    with_labels(32, &[own])
}

/// Annotations of a service or a revision.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    let keys = rule(
        "self.all(k, k.size() <= 253 && !k.matches('^(run[.]googleapis[.]com|cloud[.]googleapis[.]com|serving[.]knative[.]dev|\
         autoscaling[.]knative[.]dev|orchestra[.]cherry-ai[.]me)/'))",
        "annotations of run.googleapis.com, cloud.googleapis.com, serving.knative.dev and autoscaling.knative.dev are Cloud \
         Run's, and those of orchestra.cherry-ai.me Orchestra's: a field says the same",
    );
    let form = rule(
        "self.all(k, k.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$'))",
        "an annotation's key is a name of at most 63 letters, digits, -, _ and ., after a domain and / where it has one: \
         example.com/on-call",
    );
    // With Orchestra's own, all are under the 256 KiB that annotations may have together.
    json_schema!({
        "type": "object", "maxProperties": 48, "additionalProperties": {"type": "string", "maxLength": 4096},
        "x-kubernetes-validations": [keys, form],
    })
}
