//! Requests: each is bound to the release that is shown.

use kube::ResourceExt;
use orchestra_crds::{PromotedStatus, Request, Rollout};

use crate::error::CliError;

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Abort,
    Retry,
    Promote,
    Pause,
    Resume,
    /// To that revision; none: the one before stable.
    Undo {
        to: Option<String>,
    },
}

/// The annotation to write, and what to say about it.
#[derive(Debug)]
pub struct Annotation {
    pub request: Request,
    /// What the request is bound to; none takes the annotation off.
    pub value: Option<String>,
    pub said: String,
}

pub fn annotation(verb: Verb, rollout: &Rollout) -> Result<Annotation, CliError> {
    let name = rollout.name_any();
    let status = rollout.status.clone().unwrap_or_default();
    let candidate = status.candidate.as_ref().map(|c| c.release.clone());
    let of = |request, value: Option<String>, missing, said: &str| match value {
        Some(value) => Ok(Annotation { request, said: format!("{said} {value}"), value: Some(value) }),
        None => Err(CliError::NothingTo(name.clone(), missing)),
    };
    let held = match status.stable.is_none() && status.failed.is_none() {
        // A status that was lost comes back from the marks, once each region can be read.
        true => "which release is going on, if any, is not known yet: kubectl get oro -o wide says what it waits for",
        false => "no release is going on: kubectl get oro -o wide says where it stands",
    };
    let paused_for = rollout.annotations().get(&Request::Pause.key());
    let is_held = rollout.spec.paused || (candidate.is_some() && paused_for == candidate.as_ref());
    match verb {
        Verb::Abort => of(Request::Abort, candidate, held, "aborting"),
        Verb::Pause => of(Request::Pause, candidate, held, "pausing"),
        Verb::Retry if rollout.spec.traffic_only => {
            Err(CliError::NothingTo(name, "trafficOnly: a revision that failed is never used again: deploy another"))
        }
        Verb::Retry => {
            let latched = status.latches.first().map(|latch| latch.release.clone());
            let failed = latched.or(status.failed.map(|failed| failed.release));
            of(Request::Retry, failed, "nothing that is asked for has failed", "retrying")
        }
        Verb::Promote => {
            let token = status.candidate.and_then(|c| c.promote_token);
            let missing = "no step is in effect that could end: kubectl get oro -o wide says what it waits for";
            let said = if is_held { "held, and to be promoted as soon as it is resumed:" } else { "promoting" };
            of(Request::Promote, token, missing, said)
        }
        Verb::Undo { to } => {
            let stable = status.stable.as_ref().map(|stable| stable.revision.clone()).unwrap_or_default();
            let is_it = |p: &PromotedStatus| to.as_ref().map_or(p.revision != stable, |to| p.revision == *to);
            let token = status.promoted.iter().find(|promoted| is_it(promoted)).and_then(|p| p.undo_token.clone());
            let kept: Vec<String> = status.promoted.iter().map(|promoted| promoted.revision.clone()).collect();
            match (token, to) {
                (Some(token), _) => of(Request::Undo, Some(token), "", "going back to"),
                (None, Some(to)) => Err(CliError::NotPromoted { rollout: name, revision: to, kept: kept.join(", ") }),
                (None, None) => of(Request::Undo, None, "no other revision was promoted", ""),
            }
        }
        Verb::Resume if paused_for.is_none() => Err(CliError::NothingTo(
            name,
            match rollout.spec.paused {
                true => "spec.paused is true, in the object itself: set it to false where you keep it",
                false => "it is not paused: kubectl get oro -o wide says what it waits for",
            },
        )),
        Verb::Resume => {
            let said = match (rollout.spec.paused, is_held) {
                (true, _) => "resuming; spec.paused still holds it",
                (false, true) => "resuming",
                (false, false) => "the pause was of another release, and is taken off",
            };
            Ok(Annotation { request: Request::Pause, value: None, said: said.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rollout(status: serde_json::Value) -> Rollout {
        let object = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout", "metadata": {"name": "api"},
            "spec": {"environmentRef": {"name": "e"}, "serviceName": "api", "template": {"containers": [{"image": "a"}]},
                     "strategy": {"immediate": {}}},
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn requests_are_bound_to_the_release_that_is_shown() {
        let candidate = json!({
            "release": "api-x.3", "revision": "api-x", "image": "a", "startedAt": "2026-01-01T00:00:00Z",
            "templateHash": "aaaaaaaaaa", "news": "template:aaaaaaaaaa", "promoteToken": "api-x.3/us-central1/1",
        });
        let going_on = rollout(json!({"candidate": candidate}));
        let asked = |verb| annotation(verb, &going_on).map(|asked| (asked.request, asked.value));
        assert_eq!(asked(Verb::Abort).unwrap(), (Request::Abort, Some("api-x.3".into())));
        assert_eq!(asked(Verb::Promote).unwrap(), (Request::Promote, Some("api-x.3/us-central1/1".into())));
        assert!(asked(Verb::Retry).is_err());
        assert!(asked(Verb::Resume).unwrap_err().to_string().contains("not paused"));
    }

    #[test]
    fn undo_goes_to_the_one_before_stable_or_to_the_one_that_is_named() {
        let promoted = |revision: &str| json!({"revision": revision, "undoToken": format!("{revision}.7")});
        let status = json!({"stable": {"revision": "api-c"}, "promoted": [promoted("api-c"), promoted("api-b"), promoted("api-a")]});
        let of = |to: Option<&str>| annotation(Verb::Undo { to: to.map(String::from) }, &rollout(status.clone()));
        assert_eq!(of(None).unwrap().value.as_deref(), Some("api-b.7"));
        assert_eq!(of(Some("api-a")).unwrap().value.as_deref(), Some("api-a.7"));
        let refused = of(Some("api-x")).unwrap_err().to_string();
        assert!(refused.contains("api-x") && refused.contains("api-c, api-b, api-a"), "{refused}");
    }
}
