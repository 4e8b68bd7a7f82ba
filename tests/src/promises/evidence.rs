//! What a verdict counts, and in which region a release may be: 16 and 19.

use serde_json::Value;
use std::collections::BTreeMap;

use super::{OWNER_UID, Promises, Shift, Subject, shares, text};

/// Requests that each revision of each service has answered.
pub(super) fn requests(view: &Value) -> BTreeMap<Subject, i64> {
    let one = |total: &Value| {
        let [project, region, service] = ["project", "region", "service"].map(|field| text(&total[field]));
        let service = format!("projects/{project}/locations/{region}/services/{service}");
        ((service, text(&total["revision"]).to_string()), total["requests"].as_i64().unwrap_or(0))
    };
    view["traffic"].as_array().into_iter().flatten().map(one).collect()
}

impl Promises {
    /// The evidence of a release is no more than what its revision answered in that region since it has requests, nor that
    /// of a step more than what it answered since the step's weight was written.
    pub(super) fn check_evidence(&mut self, rollout: &Value, services: &BTreeMap<String, Value>, view: &Value) {
        let (candidate, requests) = (&rollout["status"]["candidate"], requests(view));
        let revision = text(&candidate["revision"]).to_string();
        for region in rollout["status"]["regions"].as_array().into_iter().flatten() {
            let all = region["evidence"].as_array().into_iter().flatten();
            let ending =
                format!("/locations/{}/services/{}", text(&region["region"]), text(&rollout["spec"]["serviceName"]));
            let Some(name) = services.keys().find(|name| name.ends_with(&ending)) else { continue };
            let subject = (name.clone(), revision.clone());
            let answered = requests.get(&subject).copied().unwrap_or(0);
            let steps = &candidate["course"]["steps"];
            for evidence in all.filter(|evidence| evidence["release"] == candidate["release"]) {
                let (total, step) = (&evidence["candidate"]["total"], &evidence["stepCandidate"]);
                let (total, step) = (total.as_i64().unwrap_or(0), step.as_i64().unwrap_or(0));
                let number = evidence["step"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                let weight = number.checked_sub(1).and_then(|index| steps[index]["weight"].as_i64());
                let stepped = self.answered_before(&subject, weight);
                let began = self.began.get(&(name.clone(), text(&candidate["release"]).to_string()));
                let first = self.courses.get(&subject).and_then(|course| course.answered.first());
                let began = began.into_iter().chain(first).min().copied().unwrap_or(0);
                let fits = total <= answered - began && step <= answered - stepped && step <= total;
                self.check(16, fits, || {
                    format!(
                        "{subject:?}: {total} counted, {step} of them in the step; it answered {answered}, {began} before \
                         the release and {stepped} before the step"
                    )
                });
            }
        }
    }

    /// What a revision had answered when it first got this share.
    fn answered_before(&self, subject: &Subject, weight: Option<i64>) -> i64 {
        let Some(course) = self.courses.get(subject) else { return 0 };
        let at = course.shares.iter().position(|(share, _)| Some(*share) == weight);
        at.and_then(|at| course.answered.get(at)).copied().unwrap_or(0)
    }

    /// Where a candidate gets more, the regions before have it in full.
    pub(super) fn check_wave(&mut self, shift: &Shift<'_>, revision: &str, services: &BTreeMap<String, Value>) {
        let candidate = &shift.rollout["status"]["candidate"];
        if text(&candidate["revision"]) != revision {
            return;
        }
        let (own, uid) = (shift.service, text(&shift.rollout["metadata"]["uid"]));
        let order = candidate["course"]["regions"].as_array().into_iter().flatten().map(text);
        let before = order.take_while(|region| !own.contains(&format!("/locations/{region}/")));
        let lags = |region: &str| {
            let of_region = services.iter().find(|(name, service)| {
                let (_, id) = own.rsplit_once('/').unwrap_or_default();
                name.ends_with(&format!("/locations/{region}/services/{id}"))
                    && text(&service["annotations"][OWNER_UID]) == uid
            });
            of_region.is_some_and(|(_, service)| shares(&service["traffic"]).get(revision) != Some(&100))
        };
        let behind: Vec<&str> = before.filter(|region| lags(region)).collect();
        self.check(19, behind.is_empty(), || {
            format!("{own}: {revision} gets more, and {behind:?} have it not in full")
        });
    }
}
