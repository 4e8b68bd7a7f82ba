//! The safety promises of the design, checked at every write. The numbers are the design's.

mod claims;
mod ends;
mod evidence;

use jiff::Timestamp;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::google::SECRET_MARKER;
use orchestra_sandbox::journal::Api;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FAILED: &str = "orchestra.cherry-ai.me/failed";
const OWNER: &str = "orchestra.cherry-ai.me/owner";
const OWNER_UID: &str = "orchestra.cherry-ai.me/owner-uid";
const STABLE: &str = "orchestra.cherry-ai.me/stable";
const PROMOTE: &str = "orchestra.cherry-ai.me/promote";
const PAUSE: &str = "orchestra.cherry-ai.me/pause";

/// A service and a revision of it.
type Subject = (String, String);
/// Shares of revisions, by service.
type Shares = BTreeMap<String, Arc<BTreeMap<String, i64>>>;

/// Whether a write takes over a service that a Rollout names for that, and makes no revision of it.
fn is_adoption(sandbox: &Sandbox, request: &Request, service: &str) -> bool {
    let mask = request.param("updateMask").unwrap_or_default();
    let names = |rollout: &Value| {
        let named = text(&rollout["spec"]["adopt"]["service"]);
        !named.is_empty() && service.ends_with(&format!("/{named}"))
    };
    !mask.is_empty() && !mask.contains("template") && sandbox.cluster.objects("rollouts").iter().any(names)
}

/// What a revision has gone through in one service.
#[derive(Debug, Default)]
struct Course {
    /// Its shares, each with when it was written.
    shares: Vec<(i64, Timestamp)>,
    /// It has had everything.
    was_stable: bool,
    /// The generation of which object it lost its share in.
    withdrawn_in: Option<(String, i64)>,
}

impl Course {
    fn gets(&mut self, share: i64, time: Timestamp) {
        self.shares.push((share, time));
        self.was_stable |= share == 100;
    }
}

/// A change of a service's traffic.
struct Shift<'a> {
    service: &'a str,
    /// As asked for now, and before; and as it was in effect before.
    now: BTreeMap<String, i64>,
    then: BTreeMap<String, i64>,
    serving: BTreeMap<String, i64>,
    reconciling: bool,
    /// By the service's marks.
    stable: &'a str,
    failed: Vec<&'a str>,
    rollout: Value,
    /// Of which Rollout, and of its spec.
    generation: (String, i64),
    time: Timestamp,
}

impl<'a> Shift<'a> {
    fn new(name: &'a str, before: &Value, service: &'a Value, rollouts: &[Value], time: Timestamp) -> Self {
        let owner = rollouts.iter().find(|r| name.ends_with(&format!("/{}", text(&r["spec"]["serviceName"]))));
        let rollout = owner.cloned().unwrap_or(Value::Null);
        let generation = rollout["metadata"]["generation"].as_i64().unwrap_or(0);
        Self {
            service: name,
            now: shares(&service["traffic"]),
            then: shares(&before["traffic"]),
            serving: shares(&before["trafficStatuses"]),
            reconciling: before["reconciling"] == true,
            stable: text(&service["annotations"][STABLE]),
            failed: failed(service),
            generation: (text(&rollout["metadata"]["uid"]).to_string(), generation),
            rollout,
            time,
        }
    }
}

/// What was true before a write.
#[derive(Debug, Default)]
pub struct Promises {
    before: BTreeMap<String, Value>,
    courses: BTreeMap<Subject, Course>,
    /// Cloud Run's UID of each service whose courses these are.
    uids: BTreeMap<String, String>,
    created: BTreeSet<String>,
    /// Cloud Run's UIDs of services that were seen with our mark.
    owned: BTreeSet<String>,
    /// UIDs of the objects that held something before a change of finalizers.
    held: Vec<String>,
    /// What the revision of a release had answered when it first got each share of a service.
    began: BTreeMap<(String, String, i64), i64>,
    /// Requests that each revision has answered.
    answered: BTreeMap<Subject, i64>,
    /// What was new in releases that failed, by Rollout, and of which generation of it that is known.
    failed_news: BTreeMap<String, (Option<i64>, BTreeSet<String>)>,
    /// Releases whose rollback was told.
    rolled_back: BTreeSet<String>,
    /// Monitoring has no data.
    pub outage: bool,
    /// Shares in effect that the controller was last told, by service.
    told: Shares,
    /// The same, as far as anybody knows it still: what was told and could not be written is lost.
    known: Shares,
    /// What was known when a status was last written.
    published: Shares,
    pub checked: usize,
    pub broken: Vec<String>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn services(view: &Value) -> BTreeMap<String, Value> {
    let all = view["services"].as_array().cloned().unwrap_or_default();
    all.into_iter().map(|s| (text(&s["name"]).to_string(), s)).collect()
}

/// Whether what was created at a path is no longer there: its operation failed, or it was deleted.
fn gone(path: &str, view: &Value) -> bool {
    let mut all = ["services", "redis"].iter().flat_map(|list| view[list].as_array().into_iter().flatten());
    !all.any(|one| path.ends_with(&format!("/{}", text(&one["name"]))))
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

/// Revisions that a service's marks call failed: `REVISION.RELEASE=WHAT`.
fn failed(service: &Value) -> Vec<&str> {
    let marks = text(&service["annotations"][FAILED]).split(',').filter(|r| !r.is_empty());
    marks.map(|mark| mark.split(['.', '=']).next().unwrap_or_default()).collect()
}

/// Steps of a Rollout, as its candidate started with them: weight and hold in seconds.
fn steps(rollout: &Value) -> Vec<(i64, i64)> {
    let course = &rollout["status"]["candidate"]["course"];
    let started_with = course["steps"].as_array().filter(|steps| !steps.is_empty());
    let wanted = rollout["spec"]["strategy"]["canary"]["steps"].as_array();
    let steps = started_with.or(wanted).cloned().unwrap_or_default();
    let weight = |s: &Value| Some((s["weight"].as_i64()?, s["holdSeconds"].as_i64().unwrap_or(300)));
    steps.iter().filter_map(weight).collect()
}

/// Makes of the services of a Rollout what another record has of them.
fn keep_of(rollout: &Value, from: &Shares, to: &mut Shares) {
    let ending = format!("/services/{}", text(&rollout["spec"]["serviceName"]));
    to.retain(|name, _| !name.ends_with(&ending));
    to.extend(from.iter().filter(|(name, _)| name.ends_with(&ending)).map(|(name, s)| (name.clone(), s.clone())));
}

impl Promises {
    /// A write of a Rollout's status did not arrive: nobody knows any more what it was to say.
    pub fn forget_unpublished(&mut self, rollout: &Value) {
        let published = std::mem::take(&mut self.published);
        keep_of(rollout, &published, &mut self.known);
        self.published = published;
    }

    /// The controller is told of a service.
    pub fn tell(&mut self, service: &Value) {
        let (name, shares) = (text(&service["name"]).to_string(), Arc::new(shares(&service["trafficStatuses"])));
        self.known.insert(name.clone(), shares.clone());
        self.told.insert(name, shares);
    }

    fn check(&mut self, number: u32, holds: bool, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.broken.push(format!("promise {number}: {}", what()));
        }
    }

    pub fn before_write(&mut self, sandbox: &Sandbox, api: Api, request: &Request) {
        let secret = request.body.windows(SECRET_MARKER.len()).any(|part| part == SECRET_MARKER.as_bytes());
        self.check(13, !secret, || format!("a secret's value in {} {}", request.method, request.path));
        let lease = sandbox.cluster.object("leases", "default", "orchestra-controller");
        if let Some(holder) = lease.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str()) {
            let caller = &request.caller;
            self.check(9, holder == caller, || format!("{caller} writes {}, and {holder} leads", request.path));
        }
        // A write of a status changes nothing but that.
        if api == Api::Kubernetes && request.path.ends_with("/status") {
            return;
        }
        let view = sandbox.google.view();
        self.before_end(sandbox, api, request, &view);
        if api != Api::Google {
            return;
        }
        self.before = services(&view);
        self.created.retain(|path| !gone(path, &view));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let etag = text(&body["etag"]).len() + request.param("etag").unwrap_or_default().len();
        let etag = etag + text(&body["policy"]["etag"]).len();
        let (about_service, about_revision) =
            (request.path.contains("/services/"), request.path.contains("/revisions/"));
        if about_service && !about_revision {
            self.check(7, etag > 0, || format!("no etag: {} {}", request.method, request.path));
        }
        let own: Vec<(String, Value)> = self
            .before
            .iter()
            .filter(|(name, _)| request.path.contains(name.as_str()))
            .map(|(n, s)| (n.clone(), s.clone()))
            .collect();
        for (name, service) in own {
            // One whose marks somebody took off is the same service still.
            let marked = !text(&service["annotations"][OWNER]).is_empty();
            let ours = marked || self.owned.contains(text(&service["uid"])) || is_adoption(sandbox, request, &name);
            self.check(11, ours, || format!("{name} is written without our mark"));
            let unknown = claims::unknown_mark(&service);
            self.check(11, unknown.is_none(), || {
                format!("{name} is written with {unknown:?}, which nobody here knows")
            });
            if let Some((_, revision)) = request.path.split_once("/revisions/") {
                let stable = text(&service["annotations"][STABLE]) == revision;
                let serves = shares(&service["traffic"]).contains_key(revision);
                self.check(6, !stable && !serves, || format!("{name}: {revision} is deleted while it is needed"));
            }
        }
    }

    pub fn after_write(&mut self, sandbox: &Sandbox, api: Api, request: &Request, status: u16) {
        let view = sandbox.google.view();
        let after = services(&view);
        let rollouts = sandbox.cluster.objects("rollouts");
        let is_status_of_other = request.path.ends_with("/status") && !request.path.contains("/rollouts/");
        if api == Api::Kubernetes && (status >= 300 || is_status_of_other) {
            return;
        }
        self.after_end(sandbox, api, request, &view);
        if api == Api::Kubernetes {
            let is_about = |r: &&Value| request.path.contains(&format!("/rollouts/{}", text(&r["metadata"]["name"])));
            let about = rollouts.iter().filter(is_about);
            for rollout in about {
                self.note_news(rollout);
                self.check_claims(rollout, &after);
                self.check_rollback(rollout, &after);
                self.check_evidence(rollout, &after, &view);
                keep_of(rollout, &self.known, &mut self.published);
            }
            return;
        }
        self.check_creates(request, status);
        self.answered = evidence::requests(&view);
        let marked = after.values().filter(|service| !service["annotations"][OWNER].is_null());
        self.owned.extend(marked.map(|service| text(&service["uid"]).to_string()));
        let now = sandbox.journal.clock().now();
        for name in after.keys() {
            let before = self.before.get(name).cloned().unwrap_or(Value::Null);
            self.check_service(name, &before, &after, &rollouts, now);
        }
        let instances = view["redis"].as_array().map_or(0, Vec::len);
        let environments = sandbox.cluster.objects("orchestraenvironments").len();
        self.check(10, instances <= environments.max(1), || format!("{instances} Redis for {environments}"));
    }

    /// One intent makes one create: what was made is made again only after it was deleted.
    fn check_creates(&mut self, request: &Request, status: u16) {
        let id = request.param("serviceId").or(request.param("instanceId"));
        let path = match id {
            Some(id) => format!("{}/{id}", request.path),
            None => request.path.clone(),
        };
        if request.method == "POST" && id.is_some() && status == 200 {
            let new = self.created.insert(path.clone());
            self.check(18, new, || format!("{path} is created again"));
        }
    }

    fn check_service(
        &mut self,
        name: &str,
        before: &Value,
        after: &BTreeMap<String, Value>,
        rollouts: &[Value],
        time: Timestamp,
    ) {
        let Some(service) = after.get(name) else { return };
        if service["annotations"][OWNER].is_null() || service["traffic"] == before["traffic"] {
            return;
        }
        let targets = service["traffic"].as_array().into_iter().flatten();
        let latest = |t: &Value| text(&t["revision"]).is_empty() && t["percent"].as_i64().unwrap_or(0) > 0;
        let (latest, shift) = (targets.clone().any(latest), Shift::new(name, before, service, rollouts, time));
        let now = &shift.now;
        self.check(1, !latest && now.values().sum::<i64>() == 100, || format!("{name}: {now:?}"));
        self.check(2, now.len() <= 2, || format!("{name} serves {now:?}"));
        // One of this name that was deleted before is another.
        if self.uids.insert(name.to_string(), text(&service["uid"]).to_string()).as_deref() != service["uid"].as_str() {
            self.courses.retain(|(of, _), _| of != name);
        }
        if before.is_null() {
            now.iter().for_each(|(revision, share)| self.gets(&shift, revision, *share));
        } else if *now != shift.then {
            now.iter().for_each(|(revision, share)| self.check_share(&shift, revision, *share));
            let grows = |(revision, share): &(&String, &i64)| **share > shift.then.get(*revision).copied().unwrap_or(0);
            now.iter().filter(grows).for_each(|(revision, _)| self.check_wave(&shift, revision, after));
            self.check_withdrawals(&shift);
        }
    }

    fn course(&mut self, shift: &Shift<'_>, revision: &str) -> &mut Course {
        self.courses.entry((shift.service.to_string(), revision.to_string())).or_default()
    }

    fn gets(&mut self, shift: &Shift<'_>, revision: &str, share: i64) {
        self.note_share(shift, revision, share);
        self.course(shift, revision).gets(share, shift.time);
    }

    /// What gets more must not have failed, nor come back after it was withdrawn; and goes by the steps.
    fn check_share(&mut self, shift: &Shift<'_>, revision: &str, share: i64) {
        let (name, rollout) = (shift.service, &shift.rollout);
        // What has it already, by whatever name, is given nothing.
        let was = shift.then.get(revision).max(shift.serving.get(revision)).copied().unwrap_or(0);
        if share <= was {
            // Put back to a step from more that it was given by hand, or asked for anew while an earlier share is still in
            // effect, it is on that step.
            let anew = shift.then.get(revision).is_none_or(|asked| *asked < share);
            if (share < was || anew) && revision != shift.stable {
                self.gets(shift, revision, share);
            }
            return;
        }
        let latched = text(&rollout["status"]["failed"]["revision"]) == revision;
        self.check(3, !latched && !shift.failed.contains(&revision), || {
            format!("{name}: failed {revision} from {was} to {share}")
        });
        let course = self.course(shift, revision);
        let (withdrawn, known) = (course.withdrawn_in.as_ref() == Some(&shift.generation), course.was_stable);
        let is_stable = revision == shift.stable || text(&rollout["status"]["stable"]["revision"]) == revision || known;
        self.check_news(rollout, revision, name);
        self.check(3, !withdrawn || is_stable, || format!("{name}: {revision} was withdrawn, and gets {share}"));
        // Where nobody is served but by what has failed, nobody can be harmed.
        let harms = shift.serving.keys().any(|other| other != revision && !shift.failed.contains(&other.as_str()));
        if !is_stable && (harms || shift.serving.contains_key(revision)) {
            let reconciling = shift.reconciling && !shift.serving.is_empty();
            self.check(8, !reconciling, || format!("{name}: {revision} to {share} while reconciling"));
            self.check_step(&(name.to_string(), revision.to_string()), share, rollout, shift.time);
        }
        self.gets(shift, revision, share);
    }

    /// What lost its share is noted; and nothing moves while a Rollout is paused.
    fn check_withdrawals(&mut self, shift: &Shift<'_>) {
        let Shift { now, then, .. } = shift;
        // Of the newest, whatever it is, the shares in effect tell the name.
        let before = if then.contains_key("") { &shift.serving } else { then };
        for revision in before.keys().filter(|revision| !now.contains_key(*revision) && **revision != shift.stable) {
            let course = self.course(shift, revision);
            // One that was superseded may come back, when what it is for is asked for again.
            let superseded = shift.rollout["status"]["conditions"][0]["reason"] == "Superseding";
            // What somebody gave by hand is put back, and goes on.
            let by_hand = then.contains_key("");
            course.withdrawn_in = (!superseded && !by_hand).then(|| shift.generation.clone());
            course.shares.clear();
        }
        self.check_pause(shift);
    }

    /// While a release is paused, either way, only what is stable or was promoted before gets more than it had.
    fn check_pause(&mut self, shift: &Shift<'_>) {
        let Shift { service: name, now, then, rollout, .. } = shift;
        let candidate = text(&rollout["status"]["candidate"]["release"]);
        let by_annotation = !candidate.is_empty() && text(&rollout["metadata"]["annotations"][PAUSE]) == candidate;
        let deleted = !rollout["metadata"]["deletionTimestamp"].is_null();
        if deleted || !(rollout["spec"]["paused"] == true || by_annotation) {
            return;
        }
        let promoted = rollout["status"]["promoted"].as_array().cloned().unwrap_or_default();
        let may_grow = |revision: &str| {
            revision == shift.stable || promoted.iter().any(|promoted| promoted["revision"] == revision)
        };
        let grows = |(revision, share): (&String, &i64)| {
            share > shift.serving.get(revision).max(then.get(revision)).unwrap_or(&0) && !may_grow(revision)
        };
        let grown = now.iter().find(|(revision, share)| grows((revision, share)));
        self.check(5, grown.is_none(), || format!("{name}: {then:?} to {now:?} while paused"));
    }

    /// A weight is the next one of the steps, or all; the one before was held; and there was data.
    fn check_step(&mut self, subject: &Subject, share: i64, rollout: &Value, time: Timestamp) {
        let steps = steps(rollout);
        let ladder: Vec<i64> = steps.iter().map(|(weight, _)| *weight).chain([100]).collect();
        let course = self.courses.get(subject).map(|c| c.shares.clone()).unwrap_or_default();
        let last = course.last().copied();
        let expected = last.and_then(|(last, _)| ladder.iter().find(|w| **w > last)).or(ladder.first()).copied();
        let returning = rollout["status"]["candidate"]["course"]["steps"].as_array().is_none_or(Vec::is_empty);
        let again = course.iter().any(|(was, _)| *was == share);
        let allowed = expected == Some(share) || returning || again;
        self.check(4, allowed, || format!("{subject:?} jumped to {share}, expected {expected:?}, after {course:?}"));
        let Some((weight, since)) = last.filter(|(last, _)| *last < share) else { return };
        if returning || claims::is_promoted(rollout, &subject.0, weight) {
            return;
        }
        if let Some((_, hold)) = steps.iter().find(|(step, _)| *step == weight) {
            let held = time.duration_since(since).as_secs();
            self.check(20, held >= *hold, || format!("{subject:?}: {weight} % was held {held} s of {hold}"));
        }
        let outage = self.outage;
        self.check(17, !outage, || format!("{subject:?}: from {weight} to {share} without data"));
    }
}
