//! How a release stands, for scripts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::{Rollout, RolloutPhase, condition};
use std::process::ExitCode;

/// How a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the spec asks for runs everywhere.
    Promoted,
    /// It was taken back, or failed where there was nothing to go back to.
    Failed,
    /// Nothing goes on without a person.
    Waits,
    /// It goes on.
    UnderWay,
}

impl Outcome {
    /// Of a Rollout.
    pub fn of(rollout: &Rollout) -> Self {
        let Some(status) = &rollout.status else { return Self::UnderWay };
        if status.observed_generation != rollout.metadata.generation {
            return Self::UnderWay;
        }
        let is = |type_: &str| status.conditions.iter().any(|c: &Condition| c.type_ == type_ && c.status == "True");
        match status.phase {
            Some(RolloutPhase::RolledBack | RolloutPhase::Failed) => Self::Failed,
            Some(RolloutPhase::Paused) => Self::Waits,
            _ if is(condition::STALLED) => Self::Waits,
            _ if is(condition::READY) => Self::Promoted,
            _ => Self::UnderWay,
        }
    }

    /// A sign for it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Promoted => "✔",
            Self::Failed => "✖",
            Self::Waits => "◌",
            Self::UnderWay => "◐",
        }
    }

    /// The exit code of `status`.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Promoted => 0,
            Self::Failed => 1,
            Self::Waits => 2,
            Self::UnderWay => 3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn outcome(generation: i64, phase: &str, true_: &str) -> Outcome {
        let conditions: Value = ["Ready", "Reconciling", "Stalled"]
            .iter()
            .map(|type_| {
                let status = if *type_ == true_ { "True" } else { "False" };
                json!({"type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        let object = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout", "metadata": {"name": "api", "generation": 2},
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "template": {"containers": [{"image": "a"}]},
                     "strategy": {"immediate": {}}},
            "status": {"observedGeneration": generation, "phase": phase, "conditions": conditions},
        });
        Outcome::of(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_was_not_seen_is_under_way_and_all_else_is_as_its_conditions_say() {
        assert_eq!(outcome(1, "Promoted", "Ready"), Outcome::UnderWay);
        assert_eq!(outcome(2, "Promoted", "Ready"), Outcome::Promoted);
        assert_eq!(outcome(2, "Progressing", "Reconciling"), Outcome::UnderWay);
        assert_eq!(outcome(2, "RolledBack", "Stalled"), Outcome::Failed);
        assert_eq!(outcome(2, "Paused", "Reconciling"), Outcome::Waits);
        assert_eq!(outcome(2, "Pending", "Stalled"), Outcome::Waits);
        assert_eq!(outcome(2, "RollingBack", "Reconciling"), Outcome::UnderWay);
    }
}
