//! The same release by the whole `plan()`, pass by pass, on a service whose writes take effect at once.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{Analysis, FastLane, Metric, OrchestraEnvironment, Rollout, RolloutPhase};
use orchestra_planner::cloud::{
    Count, CountsQuery, History, Measured, Minute, PolicyView, Readiness, RevisionView, ServiceSettings, ServiceView,
    Tally,
};
use orchestra_planner::names::{Etag, Percent, RevisionName};
use orchestra_planner::plan::{Effect, Finalizer, ServiceChange};
use orchestra_planner::rollout::{Counts, Observation, RegionView, plan, questions, services};
use orchestra_planner::template::EffectiveTemplate;
use orchestra_planner::traffic::weight_of;
use orchestra_planner::verdict::Pair;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use crate::release::{End, Release};
use crate::traffic::{Rates, Traffic};

/// More passes than any minute takes.
const PASSES: usize = 20;
/// Latencies of so many requests, a tenth of which are slow: that they are equal is seen at once.
const LATENCIES: [(i64, i64); 2] = [(20_000, 900_000), (200_000, 100_000)];

/// A Rollout and its one service.
#[derive(Clone, Debug)]
pub struct World {
    now: Timestamp,
    rollout: Rollout,
    environment: OrchestraEnvironment,
    service: Option<ServiceView>,
    revisions: BTreeSet<RevisionName>,
    policy: PolicyView,
    before: Vec<Count>,
    minutes: Vec<(Timestamp, Pair)>,
}

impl World {
    /// One in which the first revision is promoted, at the beginning of a minute and a second.
    pub fn promoted(settings: &Analysis) -> Self {
        let environment = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment",
            "metadata": {"name": "production", "namespace": "shop", "generation": 1},
            "spec": {"project": "cherry-ai-project", "stage": "Production", "regions": ["us-central1"]},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready",
                       "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        let rollout = json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "api", "namespace": "shop", "uid": "u-1", "generation": 1},
            "spec": {"environmentRef": {"name": "production"}, "serviceName": "api",
                     "template": {"containers": [{"image": "app:1"}]},
                     "strategy": {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}}},
        });
        let mut rollout: Rollout = serde_json::from_value(rollout).expect("it is a Rollout");
        rollout.spec.analysis = Analysis { watch_seconds: 0, fast_lane: FastLane::Disabled, ..settings.clone() };
        let mut world = Self {
            now: Timestamp::from_second(1_800_000_001).expect("it is a time"),
            rollout,
            environment: serde_json::from_value(environment).expect("it is an environment"),
            service: None,
            revisions: BTreeSet::new(),
            policy: PolicyView { etag: Etag("p".into()), bindings: vec![] },
            before: vec![],
            minutes: vec![],
        };
        world.passes();
        assert_eq!(world.phase(), Some(RolloutPhase::Promoted));
        world
    }

    fn phase(&self) -> Option<RolloutPhase> {
        self.rollout.status.as_ref()?.phase
    }

    /// The candidate's share now.
    fn share(&self) -> f64 {
        let candidate = self.rollout.status.as_ref().and_then(|status| status.candidate.as_ref());
        let name = candidate.and_then(|candidate| RevisionName::new(candidate.revision.as_str()).ok());
        let weight =
            |name: RevisionName| weight_of(&name, &self.service.as_ref().map_or(vec![], |s| s.serving.clone()));
        f64::from(name.map_or(Percent::NONE, weight).get()) / 100.0
    }

    /// Passes until nothing is to be done.
    fn passes(&mut self) {
        for _ in 0..PASSES {
            let plan = plan(&self.observe());
            let known = self.rollout.status.as_ref() == Some(&plan.status);
            let is_quiet = known && plan.effects.is_empty() && plan.finalizer == Finalizer::Keep;
            self.rollout.status = Some(plan.status);
            if plan.finalizer == Finalizer::Add {
                self.rollout.metadata.finalizers = Some(vec![orchestra_crds::FINALIZER.into()]);
            }
            plan.effects.into_iter().for_each(|effect| self.apply(effect));
            if is_quiet {
                return;
            }
        }
        panic!("it is never quiet: {:?}", self.rollout.status);
    }

    fn observe(&self) -> Observation {
        let ids = services(&self.rollout, Some(&self.environment));
        let mut seen = Observation {
            now: self.now,
            rollout: self.rollout.clone(),
            unread: vec![],
            environment: Some(self.environment.clone()),
            environment_unread: vec![],
            regions: ids.into_iter().map(|id| RegionView::of(id, Ok(self.service.clone()))).collect(),
            secrets: BTreeMap::new(),
            incidents: None,
            failed_writes: BTreeMap::new(),
        };
        loop {
            let asked = questions(&seen);
            if asked.is_empty() {
                return seen;
            }
            for (region, asked) in seen.regions.iter_mut().zip(asked.regions) {
                let views = asked.revisions.into_iter().map(|name| (name.clone(), Ok(self.revision(name))));
                region.revisions.extend(views);
                if asked.policy {
                    region.policy = Some(Ok(self.policy.clone()));
                }
                let counts = asked.counts.into_iter().map(|query| (query.metric, self.counts(query)));
                region.counts.extend(counts);
            }
        }
    }

    fn revision(&self, name: RevisionName) -> Option<RevisionView> {
        self.revisions.contains(&name).then(|| RevisionView {
            created_by: None,
            name,
            template: EffectiveTemplate::default(),
            secrets: BTreeSet::new(),
            readiness: Readiness::Ready,
        })
    }

    fn counts(&self, query: CountsQuery) -> Counts {
        let tally = |count: Count| match query.metric {
            Metric::ERRORS => Tally::of_errors(count.total, count.bad),
            _ => Tally(LATENCIES.into()),
        };
        let of = |(start, pair): &(Timestamp, Pair)| Minute {
            start: *start,
            candidate: tally(pair.candidate),
            stable: tally(pair.stable),
        };
        let in_window = |(start, _): &&(Timestamp, Pair)| *start >= query.window.from && *start < query.window.to;
        let minutes = self.minutes.iter().filter(in_window).map(of).collect();
        let history = query.history_until.map(|until| {
            let ago = |minutes: usize| until - SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(0));
            let hour = self.before.iter().copied().fold(Count::default(), Count::plus);
            let minutes = self.before.iter().enumerate();
            History {
                minutes: minutes.map(|(n, count)| (ago(self.before.len() - n), tally(*count))).collect(),
                hours: (1..=24).map(|n| (ago(60 * n), tally(hour))).collect(),
            }
        });
        Counts { query, measured: Ok(Measured { minutes, history, delay_seconds: None }) }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::CreateService { new, .. } => {
                let service = ServiceView {
                    etag: Etag("1".into()),
                    uid: Some("s-1".into()),
                    settled: true,
                    marks: new.marks,
                    template_revision: None,
                    newest: None,
                    traffic: vec![],
                    serving: vec![],
                    settings: new.settings,
                    url: None,
                    trouble: None,
                    settled_at: None,
                    written_at: None,
                    modified_by: None,
                    health_check_disabled: false,
                };
                let change = ServiceChange {
                    template: Some((new.revision, new.template)),
                    traffic: Some(new.traffic),
                    ..ServiceChange::default()
                };
                self.change(service, change);
            }
            Effect::UpdateService { change, .. } => {
                let service = self.service.clone().expect("it is there");
                self.change(service, *change);
            }
            Effect::SetPolicy { policy, .. } => self.policy = policy,
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, mut service: ServiceView, change: ServiceChange) {
        if let Some((name, _)) = change.template {
            self.revisions.insert(name.clone());
            service.template_revision = Some(name);
        }
        service.marks = change.marks.unwrap_or(service.marks);
        service.settings = change.settings.into_iter().fold(service.settings, ServiceSettings::with);
        service.traffic = change.traffic.unwrap_or(service.traffic);
        service.serving = service.traffic.clone();
        (service.settled_at, service.written_at) = (Some(self.now), Some(self.now));
        service.etag = Etag(format!("{}x", service.etag.0));
        self.service = Some(service);
    }

    /// One run, of the same traffic as `release` has for the same seed.
    pub fn release(mut self, seed: (u64, u64), rates: Rates) -> Release {
        let mut traffic = Traffic::new(seed.0, seed.1);
        self.before = (0..60).map(|_| traffic.minute(&Rates { share: 0.0, ..rates }).stable).collect();
        self.rollout.spec.template.containers[0].image = "app:2".into();
        self.rollout.metadata.generation = Some(2);
        self.passes();
        let mut bad = 0;
        for minutes in 1.. {
            let pair = traffic.minute(&Rates { share: self.share(), ..rates });
            bad += pair.candidate.bad;
            // Passes are a second after the minute's end.
            self.minutes.push((self.now - SignedDuration::from_secs(1), pair));
            self.now += SignedDuration::from_mins(1);
            self.passes();
            let end = match self.phase() {
                Some(RolloutPhase::RolledBack) => End::RolledBack,
                Some(RolloutPhase::Promoted) => End::Promoted,
                Some(RolloutPhase::Paused) => End::Person,
                _ => continue,
            };
            return Release { end, minutes, bad };
        }
        unreachable!("a release ends")
    }
}
