//! Enums by name and by number. Inside they are names; the official clients send numbers, and ask for numbers with
//! `$alt=json;enum-encoding=int`. Values are those of the published protocol buffers.

use serde_json::Value;

use crate::exchange::Request;

type Values = &'static [(&'static str, i64)];

/// The enums of one API, by the fields that hold them.
#[derive(Debug)]
pub(super) struct Enums(&'static [(&'static str, Values)]);

const LAUNCH_STAGE: Values = &[
    ("EARLY_ACCESS", 1),
    ("ALPHA", 2),
    ("BETA", 3),
    ("GA", 4),
    ("DEPRECATED", 5),
    ("UNIMPLEMENTED", 6),
    ("PRELAUNCH", 7),
];

/// An API without any that are served.
pub(super) static NONE: Enums = Enums(&[]);
pub(super) static RUN: Enums = Enums(&[
    ("type", &[("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", 1), ("TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", 2)]),
    (
        "ingress",
        &[
            ("INGRESS_TRAFFIC_ALL", 1),
            ("INGRESS_TRAFFIC_INTERNAL_ONLY", 2),
            ("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", 3),
            ("INGRESS_TRAFFIC_NONE", 4),
        ],
    ),
    ("egress", &[("ALL_TRAFFIC", 1), ("PRIVATE_RANGES_ONLY", 2)]),
    ("launchStage", LAUNCH_STAGE),
    ("scalingMode", &[("AUTOMATIC", 1), ("MANUAL", 2)]),
    ("executionEnvironment", &[("EXECUTION_ENVIRONMENT_GEN1", 1), ("EXECUTION_ENVIRONMENT_GEN2", 2)]),
    ("encryptionKeyRevocationAction", &[("PREVENT_NEW", 1), ("SHUTDOWN", 2)]),
    ("medium", &[("MEMORY", 1)]),
    (
        "state",
        &[("CONDITION_PENDING", 1), ("CONDITION_RECONCILING", 2), ("CONDITION_FAILED", 3), ("CONDITION_SUCCEEDED", 4)],
    ),
    ("severity", &[("ERROR", 1), ("WARNING", 2), ("INFO", 3)]),
    (
        "reason",
        &[
            ("UNKNOWN", 1),
            ("REVISION_FAILED", 3),
            ("PROGRESS_DEADLINE_EXCEEDED", 4),
            ("CONTAINER_MISSING", 6),
            ("CONTAINER_PERMISSION_DENIED", 7),
            ("CONTAINER_IMAGE_UNAUTHORIZED", 8),
            ("SECRETS_ACCESS_CHECK_FAILED", 12),
            ("INTERNAL", 16),
        ],
    ),
    ("revisionReason", &[("HEALTH_CHECK_CONTAINER_ERROR", 6)]),
]);

pub(super) static REDIS: Enums = Enums(&[
    ("tier", &[("BASIC", 1), ("STANDARD_HA", 3)]),
    (
        "state",
        &[
            ("CREATING", 1),
            ("READY", 2),
            ("UPDATING", 3),
            ("DELETING", 4),
            ("REPAIRING", 5),
            ("MAINTENANCE", 6),
            ("IMPORTING", 8),
            ("FAILING_OVER", 9),
        ],
    ),
    (
        "day",
        &[
            ("MONDAY", 1),
            ("TUESDAY", 2),
            ("WEDNESDAY", 3),
            ("THURSDAY", 4),
            ("FRIDAY", 5),
            ("SATURDAY", 6),
            ("SUNDAY", 7),
        ],
    ),
    ("connectMode", &[("DIRECT_PEERING", 1), ("PRIVATE_SERVICE_ACCESS", 2)]),
    ("transitEncryptionMode", &[("SERVER_AUTHENTICATION", 1), ("DISABLED", 2)]),
    ("readReplicasMode", &[("READ_REPLICAS_DISABLED", 1), ("READ_REPLICAS_ENABLED", 2)]),
    ("persistenceMode", &[("DISABLED", 1), ("RDB", 2)]),
    ("rdbSnapshotPeriod", &[("ONE_HOUR", 3), ("SIX_HOURS", 4), ("TWELVE_HOURS", 5), ("TWENTY_FOUR_HOURS", 6)]),
    ("dataProtectionMode", &[("LIMITED_DATA_LOSS", 1), ("FORCE_DATA_LOSS", 2)]),
]);

pub(super) static SECRETS: Enums = Enums(&[("state", &[("ENABLED", 1), ("DISABLED", 2), ("DESTROYED", 3)])]);

pub(super) static CONNECTORS: Enums =
    Enums(&[("state", &[("READY", 1), ("CREATING", 2), ("DELETING", 3), ("ERROR", 4), ("UPDATING", 5)])]);

pub(super) static MONITORING: Enums = Enums(&[
    ("metricKind", &[("GAUGE", 1), ("DELTA", 2), ("CUMULATIVE", 3)]),
    ("valueType", &[("BOOL", 1), ("INT64", 2), ("DOUBLE", 3), ("STRING", 4), ("DISTRIBUTION", 5), ("MONEY", 6)]),
    ("launchStage", LAUNCH_STAGE),
    (
        "aggregation.perSeriesAligner",
        &[
            ("ALIGN_NONE", 0),
            ("ALIGN_DELTA", 1),
            ("ALIGN_RATE", 2),
            ("ALIGN_INTERPOLATE", 3),
            ("ALIGN_NEXT_OLDER", 4),
            ("ALIGN_MIN", 10),
            ("ALIGN_MAX", 11),
            ("ALIGN_MEAN", 12),
            ("ALIGN_COUNT", 13),
            ("ALIGN_SUM", 14),
            ("ALIGN_STDDEV", 15),
            ("ALIGN_PERCENTILE_99", 18),
            ("ALIGN_PERCENTILE_95", 19),
            ("ALIGN_PERCENTILE_50", 20),
            ("ALIGN_PERCENTILE_05", 21),
            ("ALIGN_PERCENT_CHANGE", 23),
        ],
    ),
    (
        "aggregation.crossSeriesReducer",
        &[
            ("REDUCE_NONE", 0),
            ("REDUCE_MEAN", 1),
            ("REDUCE_MIN", 2),
            ("REDUCE_MAX", 3),
            ("REDUCE_SUM", 4),
            ("REDUCE_STDDEV", 5),
            ("REDUCE_COUNT", 6),
            ("REDUCE_PERCENTILE_99", 9),
            ("REDUCE_PERCENTILE_95", 10),
            ("REDUCE_PERCENTILE_50", 11),
            ("REDUCE_PERCENTILE_05", 12),
        ],
    ),
    ("view", &[("FULL", 0), ("HEADERS", 1)]),
]);

/// Fields whose keys are the user's own.
const OPAQUE: [&str; 6] = ["labels", "annotations", "redisConfigs", "versionAliases", "limits", "nodeSelector"];

/// Whether the caller would like enums by number.
pub(super) fn as_numbers(request: &Request) -> bool {
    request.param("$alt").is_some_and(|alt| alt.contains("enum-encoding=int"))
}

/// Fields that a caller may send back as it read them; of conditions, the type is no enum.
const OUTPUT: [&str; 5] = ["type", "state", "severity", "reason", "revisionReason"];

impl Enums {
    fn values(&self, field: &str) -> Option<Values> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, values)| *values)
    }

    /// The name of what a query parameter holds, sent by name or by number.
    pub(super) fn param(&self, request: &Request, field: &str) -> String {
        let sent = request.param(field).unwrap_or_default();
        let known = self.values(field).zip(sent.parse::<i64>().ok());
        let name = known.and_then(|(values, number)| values.iter().find(|(_, value)| *value == number));
        name.map_or(sent, |(name, _)| name).to_string()
    }

    /// Numbers become names.
    pub(super) fn by_name(&self, document: &mut Value) {
        self.each(document, &|values, value| {
            let number = value.as_i64()?;
            values.iter().find(|(_, known)| *known == number).map(|(name, _)| Value::from(*name))
        });
    }

    /// The first field with a name that its enum does not have. What only the server writes is not looked at.
    pub(super) fn unknown(&self, document: &Value) -> Option<String> {
        match document {
            Value::Array(items) => items.iter().find_map(|item| self.unknown(item)),
            Value::Object(fields) => {
                fields.iter().filter(|(field, _)| !OPAQUE.contains(&field.as_str())).find_map(|(field, value)| {
                    let values = self.values(field).filter(|_| !OUTPUT.contains(&field.as_str()));
                    let name = values.zip(value.as_str());
                    let known = |name: &str, values: Values| {
                        name.is_empty()
                            || name.ends_with("_UNSPECIFIED")
                            || values.iter().any(|(known, _)| *known == name)
                    };
                    match name {
                        Some((values, name)) if !known(name, values) => Some(format!("{field} ({name:?})")),
                        _ => self.unknown(value),
                    }
                })
            }
            _ => None,
        }
    }

    /// Names become numbers, if the caller asked for that.
    pub(super) fn as_asked(&self, request: &Request, mut document: Value) -> Value {
        if as_numbers(request) {
            self.each(&mut document, &|values, value| {
                let name = value.as_str()?;
                values.iter().find(|(known, _)| *known == name).map(|(_, number)| Value::from(*number))
            });
        }
        document
    }

    fn each(&self, document: &mut Value, change: &impl Fn(Values, &Value) -> Option<Value>) {
        match document {
            Value::Array(items) => items.iter_mut().for_each(|item| self.each(item, change)),
            Value::Object(fields) => {
                for (field, value) in fields.iter_mut().filter(|(field, _)| !OPAQUE.contains(&field.as_str())) {
                    match self.values(field).and_then(|values| change(values, value)) {
                        Some(changed) => *value = changed,
                        None => self.each(value, change),
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Method;
    use serde_json::json;

    #[test]
    fn numbers_come_in_and_go_out_where_they_are_asked_for() {
        let mut sent = json!({"ingress": 1, "traffic": [{"type": 2, "percent": 2}], "labels": {"type": "2"}});
        RUN.by_name(&mut sent);
        let traffic = json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "percent": 2}]);
        assert_eq!(sent, json!({"ingress": "INGRESS_TRAFFIC_ALL", "traffic": traffic, "labels": {"type": "2"}}));
        let plain = Request::new(Method::GET, "/v2/x", Bytes::new());
        assert_eq!(RUN.as_asked(&plain, sent.clone()), sent);
        let numbers = Request::new(Method::GET, "/v2/x?$alt=json;enum-encoding=int", Bytes::new());
        let numbered = json!({"ingress": 1, "traffic": [{"type": 2, "percent": 2}], "labels": {"type": "2"}});
        assert_eq!(RUN.as_asked(&numbers, sent), numbered);
    }
}
