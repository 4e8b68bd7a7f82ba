//! How a release stands, for scripts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestra_crds::{Request, Rollout, RolloutPhase, RolloutStatus, condition};
use orchestra_planner::reason::Reason;
use orchestra_planner::rollout;
use std::process::ExitCode;

/// Whether a request is written that means the release shown, and was not acted on yet.
fn is_asked(of: &Rollout, status: &RolloutStatus) -> bool {
    let candidate = status.candidate.as_ref();
    let release = candidate.map(|candidate| candidate.release.as_str());
    let failed = status.latches.first().map(|latch| latch.release.as_str());
    let asked = |request, target: &str| rollout::is_asked(of, request, target);
    let held = of.spec.paused || release.is_some_and(|release| asked(Request::Pause, release));
    let means = |request: Request| match request {
        Request::Abort => release,
        Request::Retry => failed,
        // Held, it waits until somebody resumes.
        Request::Promote => candidate.and_then(|candidate| candidate.promote_token.as_deref()).filter(|_| !held),
        Request::Pause | Request::Undo => None,
    };
    let is_done = |request: Request, target: &str| {
        status.requests.iter().any(|record| record.request == request.name() && record.target == target)
    };
    let tokens = status.promoted.iter().filter_map(|promoted| promoted.undo_token.as_deref());
    let goes_back = tokens.into_iter().any(|token| asked(Request::Undo, token) && !is_done(Request::Undo, token));
    let other = Request::ALL
        .into_iter()
        .filter_map(|request| Some((request, means(request)?)))
        .any(|(request, target)| asked(request, target) && !is_done(request, target));
    goes_back || other
}

/// Whether the status tells of a pause that nobody asks for any more: the controller has not looked since.
fn is_resumed(of: &Rollout, status: &RolloutStatus) -> bool {
    let told = status.conditions.iter().any(|condition| condition.reason == Reason::Paused.word());
    let candidate = status.candidate.as_ref();
    let asked = candidate.is_some_and(|candidate| rollout::is_asked(of, Request::Pause, &candidate.release));
    told && candidate.is_some() && !asked && !of.spec.paused
}

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
        if status.observed_generation != rollout.metadata.generation || is_asked(rollout, status) {
            return Self::UnderWay;
        }
        if is_resumed(rollout, status) {
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
        Outcome::of(&serde_json::from_value(rollout(generation, phase, true_)).unwrap())
    }

    fn rollout(generation: i64, phase: &str, true_: &str) -> Value {
        let conditions: Value = ["Ready", "Reconciling", "Stalled"]
            .iter()
            .map(|type_| {
                let status = if *type_ == true_ { "True" } else { "False" };
                json!({"type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout", "metadata": {"name": "api", "generation": 2},
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "template": {"containers": [{"image": "a"}]},
                     "strategy": {"immediate": {}}},
            "status": {"observedGeneration": generation, "phase": phase, "conditions": conditions},
        })
    }

    #[test]
    fn a_request_that_was_not_acted_on_yet_is_under_way() {
        let mut asked = rollout(2, "RolledBack", "Stalled");
        asked["status"]["latches"] = json!([{"release": "api-x.2", "news": "n", "reason": "Aborted", "message": ""}]);
        let of = |object: &Value| Outcome::of(&serde_json::from_value(object.clone()).unwrap());
        assert_eq!(of(&asked), Outcome::Failed);
        asked["metadata"]["annotations"] = json!({"orchestra.cherry-ai.me/retry": "api-x.1"});
        assert_eq!(of(&asked), Outcome::Failed, "it means another release");
        asked["metadata"]["annotations"] = json!({"orchestra.cherry-ai.me/retry": "api-x.2"});
        assert_eq!(of(&asked), Outcome::UnderWay);
        asked["status"]["requests"] =
            json!([{"request": "retry", "target": "api-x.2", "time": "2026-01-01T00:00:00Z"}]);
        assert_eq!(of(&asked), Outcome::Failed);
    }

    #[test]
    fn a_pause_that_was_taken_off_and_is_still_told_is_under_way() {
        let mut paused = rollout(2, "Paused", "Reconciling");
        paused["status"]["conditions"][1]["reason"] = json!("Paused");
        paused["status"]["candidate"] = json!({
            "release": "api-x.2", "revision": "api-x", "image": "a", "startedAt": "2026-01-01T00:00:00Z",
            "templateHash": "aaaaaaaaaa", "news": "template:aaaaaaaaaa",
        });
        let of = |object: &Value| Outcome::of(&serde_json::from_value(object.clone()).unwrap());
        assert_eq!(of(&paused), Outcome::UnderWay);
        paused["metadata"]["annotations"] = json!({"orchestra.cherry-ai.me/pause": "api-x.2"});
        assert_eq!(of(&paused), Outcome::Waits);
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
