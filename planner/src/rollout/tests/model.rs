//! A cloud of values: writes take effect at once, requests come by the minute.

mod traffic;
mod writes;

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{
    FINALIZER, Metric, OrchestraEnvironment, Preset, Request, Rollout, RolloutPhase, RolloutStatus, Unread,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::super::{Counts, Logged, Observation, RegionQuestions, RegionView, plan, questions, services};
use crate::cloud::{
    FailedRequest, Failures, FailuresQuery, Fault, FaultClass, Incidents, Measured, PolicyView, Readiness, Reading,
    RevisionView, SecretVersionId, ServiceView, Target, Trouble, VersionView,
};
use crate::names::{Etag, RevisionName};
use crate::plan::Finalizer;
use crate::resource::FailedWrites;
use crate::template::{Container, EffectiveTemplate};
use crate::traffic::weight_of;

/// How the revisions of an image behave.
#[derive(Clone, Default)]
pub struct Traits {
    pub error_percent: i64,
    /// Answered with 4xx, 429 among them.
    pub refused_percent: i64,
    /// Whether its instances are above 90 % of their CPU and memory.
    pub breaches: bool,
    pub broken_in: Option<&'static str>,
}

/// Changes the log entries that answer a question at a time.
pub type Spoil = fn(&mut Vec<FailedRequest>, &FailuresQuery, Timestamp);

pub struct World {
    /// Incidents of alert policies that are open, or why that is not known.
    pub incidents: Reading<Incidents>,
    /// How late Google says that metrics come.
    pub delay_seconds: Option<i64>,
    /// What stable has nothing of.
    pub only_candidate_has: Option<Preset>,
    pub now: Timestamp,
    pub rollout: Rollout,
    pub environment: Option<OrchestraEnvironment>,
    pub cloud: BTreeMap<String, ServiceView>,
    pub revisions: BTreeMap<String, String>,
    pub traits: BTreeMap<String, Traits>,
    pub writes: Vec<String>,
    pub events: Vec<crate::plan::Event>,
    pub requests_per_minute: i64,
    pub down: Option<&'static str>,
    pub down_class: FaultClass,
    /// What can't be read of the Rollout and of its environment.
    pub unread: Vec<Unread>,
    pub environment_unread: Vec<Unread>,
    /// How often stable fails, beside one error a minute.
    pub stable_error_percent: i64,
    /// Requests that candidates answered, of all minutes that were asked for.
    pub counted_requests: i64,
    /// Monitoring does not answer, in this way.
    pub blind: bool,
    pub blind_class: FaultClass,
    /// What becomes of log entries before they are read.
    pub spoil: Option<Spoil>,
    /// Others have eaten the quota of reads of logs.
    pub logs_refused: bool,
    /// More failed than a read of the logs tells of.
    pub logs_cut: bool,
    /// Somebody's write is not in effect yet, in that region.
    pub unsettled: Option<&'static str>,
    /// And it never will be: it is as old as the last one that took effect.
    pub stuck: bool,
    pub policies: BTreeMap<String, PolicyView>,
    /// Which revision is in which region.
    pub deployed: BTreeSet<(String, String)>,
    pub failed_writes: FailedWrites,
    /// Which version of a secret an image reads.
    pub secret_of: BTreeMap<String, SecretVersionId>,
    /// Versions that are disabled.
    pub disabled: BTreeSet<SecretVersionId>,
}

impl World {
    pub fn new(regions: &[&str]) -> Self {
        let environment = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment",
            "metadata": {"name": "production", "namespace": "shop", "generation": 1},
            "spec": {"project": "cherry-ai-project", "stage": "Production", "regions": regions,
                     "access": {"invokers": ["allUsers"]}},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready",
                       "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        let rollout = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "api", "namespace": "shop", "uid": "u-1", "generation": 1, "finalizers": [FINALIZER]},
            "spec": {"environmentRef": {"name": "production"}, "serviceName": "api", "template": {"containers": [{"image": "app:1"}]},
                     "strategy": {"canary": {"steps": [{"weight": 10, "holdSeconds": 300}, {"weight": 50}]}},
                     "analysis": {"watchSeconds": 0, "fastLane": "Disabled"}},
        });
        Self {
            now: Timestamp::from_second(1_000_000).unwrap(),
            rollout: serde_json::from_value(rollout).unwrap(),
            environment: Some(serde_json::from_value(environment).unwrap()),
            cloud: BTreeMap::new(),
            revisions: BTreeMap::new(),
            traits: BTreeMap::new(),
            writes: vec![],
            events: vec![],
            requests_per_minute: 3000,
            down: None,
            down_class: FaultClass::Retryable,
            unread: vec![],
            environment_unread: vec![],
            stable_error_percent: 0,
            counted_requests: 0,
            blind: false,
            blind_class: FaultClass::Retryable,
            spoil: None,
            logs_refused: false,
            logs_cut: false,
            unsettled: None,
            stuck: false,
            policies: BTreeMap::new(),
            deployed: BTreeSet::new(),
            failed_writes: FailedWrites::new(),
            incidents: Ok(Incidents::default()),
            delay_seconds: None,
            only_candidate_has: None,
            secret_of: BTreeMap::new(),
            disabled: BTreeSet::new(),
        }
    }

    pub fn promoted(regions: &[&str]) -> Self {
        let mut world = Self::new(regions);
        world.run(40);
        assert_eq!(world.phase(), RolloutPhase::Promoted);
        world.writes.clear();
        world
    }

    pub fn release(&mut self, image: &str, traits: Traits) {
        self.rollout.spec.template.containers[0].image = image.into();
        self.traits.insert(image.into(), traits);
        self.generation();
    }

    pub fn generation(&mut self) {
        self.rollout.metadata.generation = self.rollout.metadata.generation.map(|g| g + 1);
    }

    /// What the environment adds to each template now.
    pub fn set_default(&mut self, value: &str) {
        let env = json!({"env": [{"name": "LEVEL", "value": value}]});
        self.environment.as_mut().unwrap().spec.defaults = serde_json::from_value(env).unwrap();
    }

    pub fn ask(&mut self, request: Request, value: &str) {
        self.rollout.metadata.annotations.get_or_insert_default().insert(request.key(), value.into());
    }

    pub fn status(&self) -> RolloutStatus {
        self.rollout.status.clone().unwrap_or_default()
    }

    pub fn phase(&self) -> RolloutPhase {
        self.status().phase.unwrap()
    }

    pub fn candidate(&self) -> String {
        self.status().candidate.unwrap().revision
    }

    /// The candidate's release: what requests are bound to.
    pub fn release_id(&self) -> String {
        self.status().candidate.unwrap().release
    }

    /// Where the evidence stands, in the first region that has any.
    pub fn verdict(&self) -> Option<orchestra_crds::Verdict> {
        self.status().regions.iter().find_map(|region| region.evidence.first().map(|evidence| evidence.verdict))
    }

    pub fn image(&self) -> String {
        self.rollout.spec.template.image().to_string()
    }

    pub fn weights(&self, image: &str) -> Vec<i32> {
        let of = |service: &ServiceView| -> i32 {
            let names = self.revisions.iter().filter(|(_, i)| *i == image);
            names.map(|(name, _)| weight_of(&RevisionName::new(name.as_str()).unwrap(), &service.serving).get()).sum()
        };
        self.cloud.values().map(of).collect()
    }

    pub fn run(&mut self, passes: usize) {
        for _ in 0..passes {
            self.pass();
        }
    }

    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..500 {
            if done(self) {
                return;
            }
            self.pass();
        }
        panic!("it did not happen: {:?}", self.status());
    }

    fn pass(&mut self) {
        let seen = self.observe();
        let plan = plan(&seen);
        assert_eq!(crate::promises::broken_by_rollout(&seen, &plan.effects), None);
        assert_eq!(plan, super::super::plan(&seen), "the same observation, the same plan");
        let told = seen.regions.iter().filter_map(|region| region.counts.get(&Metric::ERRORS)?.measured.as_ref().ok());
        let minutes = told.flat_map(|measured| &measured.minutes);
        self.counted_requests += minutes.map(|minute| minute.candidate.above(0).total).sum::<i64>();
        match plan.finalizer {
            Finalizer::Remove => self.rollout.metadata.finalizers = Some(vec![]),
            Finalizer::Add => self.rollout.metadata.finalizers = Some(vec![FINALIZER.into()]),
            Finalizer::Keep => {}
        }
        self.rollout.status = Some(plan.status);
        self.events.extend(plan.events);
        for effect in plan.effects {
            self.apply(effect);
        }
        self.now += plan.next.min(SignedDuration::from_secs(30)).max(SignedDuration::from_secs(1));
    }

    pub fn observe(&self) -> Observation {
        let ids = services(&self.rollout, self.environment.as_ref());
        let service = |region: &str| match self.down == Some(region) {
            true => Err(Fault { class: self.down_class, message: "503".into() }),
            false => Ok(self.cloud.get(region).cloned().map(|view| self.as_seen(region, view))),
        };
        let regions = ids.into_iter().map(|id| RegionView::of(id.clone(), service(id.region.as_str()))).collect();
        let (now, rollout, environment) = (self.now, self.rollout.clone(), self.environment.clone());
        let failed_writes = self.failed_writes.clone();
        let (unread, environment_unread) = (self.unread.clone(), self.environment_unread.clone());
        let mut seen = Observation {
            now,
            rollout,
            unread,
            environment,
            environment_unread,
            regions,
            secrets: BTreeMap::new(),
            incidents: None,
            failed_writes,
        };
        for round in 0.. {
            assert!(round < 8, "the questions have no end: {:?}", questions(&seen));
            let asked = questions(&seen);
            if asked.is_empty() {
                break;
            }
            for id in asked.secrets {
                let view = VersionView { number: id.version, created_at: None };
                let read = (!self.disabled.contains(&id)).then_some(view);
                seen.secrets.insert(id, Ok(read));
            }
            if asked.incidents.is_some() {
                seen.incidents = Some(self.incidents.clone());
            }
            for id in asked.services {
                let region = id.region.to_string();
                seen.regions.push(RegionView::of(id, service(&region)));
            }
            for (region, asked) in seen.regions.iter_mut().zip(asked.regions) {
                self.answer(region, asked);
            }
        }
        seen
    }

    fn as_seen(&self, region: &str, mut view: ServiceView) -> ServiceView {
        if self.unsettled == Some(region) {
            view.settled = false;
            view.written_at = if self.stuck { view.written_at } else { Some(self.now) };
        }
        view
    }

    fn answer(&self, region: &mut RegionView, asked: RegionQuestions) {
        let place = region.id.region.as_str();
        for name in asked.revisions {
            let image = self.revisions.get(name.as_str()).filter(|_| self.cloud.contains_key(place));
            let view = image.filter(|_| self.deployed(place, &name)).map(|image| RevisionView {
                name: name.clone(),
                template: EffectiveTemplate {
                    containers: vec![Container { image: image.clone(), ..Container::default() }],
                    ..EffectiveTemplate::default()
                },
                created_by: Some(if name.as_str().ends_with("ann") { "ann@example.com" } else { "orchestra" }.into()),
                secrets: self.secret_of.get(image).cloned().into_iter().collect(),
                readiness: match self.traits.get(image).and_then(|t| t.broken_in) == Some(place) {
                    true => Readiness::Failed(Trouble {
                        reason: "ContainerFailed".into(),
                        message: "it did not listen on port 8080".into(),
                    }),
                    false => Readiness::Ready,
                },
            });
            region.revisions.insert(name, Ok(view));
        }
        let empty = PolicyView { etag: Etag("p".into()), bindings: vec![] };
        if asked.policy {
            region.policy = Some(Ok(self.policies.get(place).cloned().unwrap_or(empty)));
        }
        for query in asked.counts {
            let minutes = self.minutes(place, &query);
            let fault = Fault { class: self.blind_class, message: "503".into() };
            let history = query.history_until.map(|until| self.history(query.metric, until));
            let measured = if self.blind {
                Err(fault)
            } else {
                Ok(Measured { minutes, history, delay_seconds: self.delay_seconds })
            };
            region.counts.insert(query.metric, Counts { query, measured });
        }
        if let Some(query) = asked.failures {
            let mut requests = self.failed_requests(place, &query);
            self.spoil.inspect(|spoil| spoil(&mut requests, &query, self.now));
            let failures = match (self.blind, self.logs_refused) {
                (true, _) => Err(Fault { class: self.blind_class, message: "503".into() }),
                (_, true) => Err(Fault { class: FaultClass::Retryable, message: "429".into() }),
                (false, false) => Ok(Failures { requests, is_cut: self.logs_cut }),
            };
            region.failures = Some(Logged { query, failures });
        }
    }

    /// `app:1 90 app:2 10`
    fn shares(&self, view: &ServiceView) -> String {
        let share = |t: &crate::cloud::TrafficTarget| match &t.to {
            Target::Revision(name) => format!("{} {}", self.revisions[name.as_str()], t.percent.get()),
            Target::Latest => format!("LATEST {}", t.percent.get()),
        };
        let told = view.traffic.iter().filter(|target| target.tag.as_deref() != Some(crate::traffic::CANDIDATE));
        told.map(share).collect::<Vec<_>>().join(" ")
    }

    /// A revision is in a region once it has been deployed there.
    fn deployed(&self, place: &str, name: &RevisionName) -> bool {
        self.deployed.contains(&(place.to_string(), name.to_string()))
    }
}
