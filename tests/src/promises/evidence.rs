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
        // Marks of before there were numbers: when it began is not known by its name.
        if text(&candidate["release"]).ends_with(".0") {
            return;
        }
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
                let release = text(&candidate["release"]);
                let began = self.answered_at(name, release, None);
                let stepped = weight.map_or(0, |weight| self.answered_at(name, release, Some(weight)));
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

    /// A candidate gets a share: what it had answered by then.
    pub(super) fn note_share(&mut self, shift: &Shift<'_>, revision: &str, share: i64) {
        let candidate = &shift.rollout["status"]["candidate"];
        if text(&candidate["revision"]) != revision {
            return;
        }
        let answered = self.answered.get(&(shift.service.to_string(), revision.to_string())).copied().unwrap_or(0);
        let key = (shift.service.to_string(), text(&candidate["release"]).to_string(), share);
        self.began.entry(key).or_insert(answered);
    }

    /// What the revision of a release had answered when it first got this share, or any.
    fn answered_at(&self, service: &str, release: &str, share: Option<i64>) -> i64 {
        let fits = |(of, known, its): &(String, String, i64)| {
            of == service && known == release && share.is_none_or(|share| share == *its)
        };
        self.began.iter().filter(|(key, _)| fits(key)).map(|(_, answered)| *answered).min().unwrap_or(0)
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
