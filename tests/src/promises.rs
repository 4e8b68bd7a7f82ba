//! The safety promises of the design, checked at every write. The numbers are the design's.

use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::google::SECRET_MARKER;
use orchestra_sandbox::journal::Api;
use serde_json::Value;
use std::collections::BTreeMap;

const FAILED: &str = "orchestra.cherry-ai.me/failed";
const OWNER: &str = "orchestra.cherry-ai.me/owner";

/// What was true before a write.
#[derive(Debug, Default)]
pub struct Promises {
    before: BTreeMap<String, Value>,
    /// Weights that each revision has had, by service.
    weights: BTreeMap<(String, String), Vec<i64>>,
    pub checked: usize,
    pub broken: Vec<String>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn services(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let view = sandbox.google.view();
    let all = view["services"].as_array().cloned().unwrap_or_default();
    all.into_iter().map(|s| (text(&s["name"]).to_string(), s)).collect()
}

/// Share by revision.
fn shares(traffic: &Value) -> BTreeMap<String, i64> {
    let mut shares = BTreeMap::new();
    for target in traffic.as_array().into_iter().flatten() {
        let percent = target["percent"].as_i64().unwrap_or(0);
        if percent > 0 {
            *shares.entry(text(&target["revision"]).to_string()).or_insert(0) += percent;
        }
    }
    shares
}

fn failed(service: &Value) -> Vec<&str> {
    text(&service["annotations"][FAILED]).split(',').filter(|r| !r.is_empty()).collect()
}

impl Promises {
    fn check(&mut self, number: u32, holds: bool, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.broken.push(format!("promise {number}: {}", what()));
        }
    }

    pub fn before_write(&mut self, sandbox: &Sandbox, api: Api, request: &Request) {
        if api != Api::Google {
            return;
        }
        self.before = services(sandbox);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let about_service = request.path.contains("/services/");
        let etag = text(&body["etag"]).len() + request.param("etag").unwrap_or_default().len();
        let etag = etag + text(&body["policy"]["etag"]).len();
        if about_service {
            self.check(7, etag > 0, || format!("no etag: {} {}", request.method, request.path));
        }
        let owned = self.before.iter().filter(|(name, _)| request.path.contains(name.as_str()));
        let strangers: Vec<String> =
            owned.filter(|(_, s)| text(&s["annotations"][OWNER]).is_empty()).map(|(n, _)| n.clone()).collect();
        self.check(11, strangers.is_empty(), || format!("written without our mark: {strangers:?}"));
    }

    pub fn after_write(&mut self, sandbox: &Sandbox, api: Api, request: &Request) {
        let rollouts = sandbox.cluster.objects("rollouts");
        let after = services(sandbox);
        if api == Api::Google {
            for (name, service) in &after {
                let before = self.before.get(name).cloned().unwrap_or(Value::Null);
                self.check_service(name, &before, service, &rollouts);
            }
            let instances = sandbox.google.view()["redis"].as_array().map_or(0, Vec::len);
            let environments = sandbox.cluster.objects("orchestraenvironments").len();
            self.check(10, instances <= environments.max(1), || format!("{instances} Redis for {environments}"));
        } else {
            for rollout in &rollouts {
                self.check_claims(rollout, &after);
            }
            let state = sandbox.cluster.state().to_string();
            self.check(13, !state.contains(SECRET_MARKER), || format!("a secret's value after {}", request.path));
        }
    }

    fn check_service(&mut self, name: &str, before: &Value, service: &Value, rollouts: &[Value]) {
        let latest = service["traffic"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|t| text(&t["revision"]).is_empty() && t["percent"].as_i64().unwrap_or(0) > 0);
        let (now, then) = (shares(&service["traffic"]), shares(&before["traffic"]));
        self.check(1, !latest && now.values().sum::<i64>() == 100, || format!("{name}: {now:?}"));
        self.check(2, now.len() <= 2, || format!("{name} serves {now:?}"));
        if now == then || before.is_null() {
            return;
        }
        let rollout = rollouts.iter().find(|r| name.ends_with(&format!("/{}", text(&r["spec"]["serviceName"]))));
        let rollout = rollout.cloned().unwrap_or(Value::Null);
        for (revision, share) in &now {
            let was = then.get(revision).copied().unwrap_or(0);
            if *share <= was {
                continue;
            }
            let latched = text(&rollout["status"]["failed"]["revision"]) == revision;
            let bad = failed(service).contains(&revision.as_str()) || latched;
            self.check(3, !bad, || format!("{name}: failed {revision} from {was} to {share}"));
            let stable = text(&service["annotations"]["orchestra.cherry-ai.me/stable"]) == revision;
            if !stable {
                let reconciling = before["reconciling"] == true;
                self.check(8, !reconciling, || format!("{name}: {revision} to {share} while reconciling"));
                self.check_step(name, revision, *share, &rollout);
            }
        }
        let aborted = !rollout["metadata"]["annotations"]["orchestra.cherry-ai.me/abort"].is_null();
        let paused = rollout["spec"]["paused"] == true && rollout["metadata"]["deletionTimestamp"].is_null();
        self.check(5, !paused || aborted, || format!("{name}: {then:?} to {now:?} while paused"));
    }

    /// A weight is the next one of the steps, or all.
    fn check_step(&mut self, name: &str, revision: &str, share: i64, rollout: &Value) {
        let steps = rollout["spec"]["strategy"]["canary"]["steps"].as_array().cloned().unwrap_or_default();
        let mut ladder: Vec<i64> = steps.iter().filter_map(|s| s["weight"].as_i64()).collect();
        ladder.push(100);
        let history = self.weights.entry((name.to_string(), revision.to_string())).or_default();
        let expected = history.last().and_then(|last| ladder.iter().find(|w| *w > last)).or(ladder.first()).copied();
        let returning = rollout["status"]["candidate"]["steps"].as_array().is_none_or(Vec::is_empty);
        let again = history.contains(&share);
        history.push(share);
        let allowed = expected == Some(share) || returning || again;
        self.check(4, allowed, || format!("{name}: {revision} jumped to {share}, expected {expected:?}"));
    }

    /// What the status says of weights is what the cloud has.
    fn check_claims(&mut self, rollout: &Value, services: &BTreeMap<String, Value>) {
        let status = &rollout["status"];
        let subject = [&status["candidate"], &status["failed"], &status["stable"]];
        let subject = subject.iter().map(|s| text(&s["revision"])).find(|r| !r.is_empty()).unwrap_or_default();
        for region in status["regions"].as_array().into_iter().flatten() {
            let ending =
                format!("/locations/{}/services/{}", text(&region["region"]), text(&rollout["spec"]["serviceName"]));
            let service = services.iter().find(|(name, _)| name.ends_with(&ending)).map(|(_, s)| s);
            let (Some(claimed), Some(service)) = (region["weight"].as_i64(), service) else { continue };
            let serving = shares(&service["trafficStatuses"]).get(subject).copied().unwrap_or(0);
            self.check(15, claimed == serving, || format!("{ending}: claims {claimed} of {subject}, has {serving}"));
        }
    }
}
