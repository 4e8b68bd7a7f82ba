//! What the status says, and what is remembered of failures: 15, and half of 3 and 11.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::{OWNER_UID, PROMOTE, Promises, shares, text};

const PREFIX: &str = "orchestra.cherry-ai.me/";
/// The marks of this version and the one before.
const MARKS: [&str; 15] = [
    "marks",
    "owner",
    "owner-uid",
    "stable",
    "candidate",
    "step",
    "failed",
    "release",
    "strategy",
    "template",
    "news",
    "promoted",
    "regions",
    "held",
    "adopted",
];

/// A mark that this version does not know: nothing may be touched then.
pub(super) fn unknown_mark(service: &Value) -> Option<String> {
    let marks = service["annotations"].as_object().into_iter().flatten();
    let mut ours = marks.filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, text(value))));
    ours.find(|(key, value)| !MARKS.contains(key) || (*key == "marks" && !["2", "3", "4"].contains(value)))
        .map(|(key, _)| key.into())
}

/// Whether a person promoted the step of that weight, or one of those after it that move no traffic.
pub(super) fn is_promoted(rollout: &Value, service: &str, weight: i64) -> bool {
    let (candidate, asked) = (&rollout["status"]["candidate"], text(&rollout["metadata"]["annotations"][PROMOTE]));
    let mut token = asked.split('/');
    let (release, region, number) = (token.next(), token.next().unwrap_or_default(), token.next());
    if release != Some(text(&candidate["release"])) {
        return false;
    }
    let steps = candidate["course"]["steps"].as_array().cloned().unwrap_or_default();
    let first = steps.iter().position(|step| step["weight"] == weight).unwrap_or(0);
    let still = steps.iter().skip(first + 1).take_while(|step| step["weight"].is_null()).count();
    let numbers = (first + 1)..=(first + 1 + still);
    let is_of_weight = number.and_then(|n| n.parse().ok()).is_some_and(|n: usize| numbers.contains(&n));
    region == "strategy" || (service.contains(&format!("/locations/{region}/")) && is_of_weight)
}

impl Promises {
    /// Keeps what was new in what failed, until a retry is asked or it is promoted all the same.
    pub(super) fn note_news(&mut self, rollout: &Value) {
        let (status, generation) = (&rollout["status"], rollout["metadata"]["generation"].as_i64());
        let known = self.failed_news.entry(text(&rollout["metadata"]["uid"]).to_string()).or_default();
        let retried = rollout["metadata"]["annotations"][format!("{PREFIX}retry")].is_string();
        // What another spec asks for may be asked for again.
        if known.0 != generation || retried {
            *known = (generation, BTreeSet::new());
        }
        let failed = text(&status["failed"]["news"]).strip_prefix("template:");
        if let Some(template) = failed.filter(|_| status["failed"]["generation"].as_i64() == generation && !retried) {
            known.1.insert(template.to_string());
        }
        known.1.remove(text(&status["stable"]["templateHash"]));
    }

    /// What was new in a failure is not released again.
    pub(super) fn check_news(&mut self, rollout: &Value, revision: &str, service: &str) {
        let candidate = &rollout["status"]["candidate"];
        if text(&candidate["revision"]) != revision {
            return;
        }
        let known = self.failed_news.get(text(&rollout["metadata"]["uid"]));
        let template = text(&candidate["templateHash"]);
        let failed = known.is_some_and(|(_, known)| known.contains(template));
        self.check(3, !failed, || format!("{service}: {revision} is made of {template}, which has failed"));
    }

    /// A rollback that is told was seen.
    pub(super) fn check_rollback(&mut self, rollout: &Value, services: &BTreeMap<String, Value>) {
        let (status, uid) = (&rollout["status"], text(&rollout["metadata"]["uid"]));
        let failed = &status["failed"];
        let told = failed["rolledBack"] == true && status["history"][0]["outcome"] == "RolledBack";
        if !told || status["history"][0]["release"] != failed["release"] {
            return;
        }
        // Once it was seen, somebody may move the traffic again.
        if !self.rolled_back.insert(text(&failed["release"]).to_string()) {
            return;
        }
        let revision = text(&failed["revision"]);
        for (name, service) in services.iter().filter(|(_, service)| text(&service["annotations"][OWNER_UID]) == uid) {
            let has = shares(&service["traffic"]).get(revision).copied().unwrap_or(0);
            let was_told = self.told.get(name).and_then(|shares| shares.get(revision)).copied().unwrap_or(0);
            self.check(15, has == 0 || was_told == 0, || {
                format!("{name}: {revision} is told to be back, and has {has} %")
            });
        }
    }

    /// What the status says of weights is what the cloud has.
    pub(super) fn check_claims(&mut self, rollout: &Value, services: &BTreeMap<String, Value>) {
        let status = &rollout["status"];
        let failing = if status["failed"]["rolledBack"] == true { &Value::Null } else { &status["failed"] };
        let subject = [&status["candidate"], failing, &status["stable"]];
        let subject = subject.iter().map(|s| text(&s["revision"])).find(|r| !r.is_empty()).unwrap_or_default();
        for region in status["regions"].as_array().into_iter().flatten() {
            let ending =
                format!("/locations/{}/services/{}", text(&region["region"]), text(&rollout["spec"]["serviceName"]));
            let found = services.iter().find(|(name, _)| name.ends_with(&ending));
            let (Some(claimed), Some((name, service))) = (region["weight"].as_i64(), found) else { continue };
            let serving = shares(&service["trafficStatuses"]).get(subject).copied().unwrap_or(0);
            let told = self.known.get(name).and_then(|shares| shares.get(subject)).copied().unwrap_or(0);
            self.check(15, claimed == serving || claimed == told, || {
                format!("{ending}: claims {claimed} of {subject}, has {serving}, was told {told}")
            });
        }
    }
}
