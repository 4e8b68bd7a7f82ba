//! The steps of a release, in order. Every strategy compiles into such a list; a kind of step is a file here and a match
//! arm below.
//!
//! A step either moves traffic, and is marked on the service by the write that does, or it doesn't, and says in its file
//! where its progress is found again when the status is lost.

mod pause;
mod watch;
mod weight;

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{
    Analysis, EvidenceStatus, FastLane, Promql, RolloutSpec, Step as StepSpec, StepKind, Strategy, Threshold,
};
use std::borrow::Cow;
use std::fmt::Write;

use crate::conditions::{Note, note};
use crate::marks::Position;
use crate::names::{Percent, TemplateHash};
use crate::reason::Reason;
use crate::verdict;
pub(super) use pause::Pause;
pub(super) use watch::Watch;
pub(super) use weight::Weight;

/// All requests, in words.
const ALL: &str = "100 %";

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A share of the requests.
    Weight(Weight),
    /// A planned wait.
    Pause(Pause),
    /// All requests, before the release counts as promoted.
    Watch(Watch),
}

/// What a step is looked at with.
pub(super) struct StepContext<'a> {
    pub(super) now: Timestamp,
    /// Since when the step has been in effect.
    pub(super) since: Timestamp,
    /// A person asked to end it as passed.
    pub(super) promoted: bool,
    /// The evidence of the weight that is in effect, by each metric.
    pub(super) evidence: &'a [&'a EvidenceStatus],
    pub(super) analysis: &'a Analysis,
    /// What keeps it from passing that is no evidence.
    pub(super) held_by: Option<Note>,
    /// Why there may be nothing of the candidate to count, and no metrics are to blame.
    pub(super) excuse: Option<Note>,
}

impl StepContext<'_> {
    /// What is told while the step waits: that it is held, and by what, comes before what it waits for otherwise.
    fn waiting(&self, otherwise: Reason, message: String) -> Note {
        match &self.held_by {
            Some(hold) => Note::told(hold.reason.clone(), message),
            None => note(otherwise, message),
        }
    }

    /// What somebody should know who waits for the end of a step that asks for no evidence; empty: nothing.
    fn meanwhile(&self) -> String {
        let held = self.held_by.as_ref().map(|hold| hold.message.clone());
        let tells = |evidence: &&EvidenceStatus| evidence.fault.is_some() || verdict::leans_to_harm(evidence);
        let telling: Vec<&EvidenceStatus> = self.evidence.iter().copied().filter(tells).collect();
        let told = (!telling.is_empty()).then(|| verdict::all_in_words(&telling, self.analysis));
        held.into_iter().chain(told).map(|words| format!("; {words}")).collect()
    }

    /// Why the candidate fails now that there is no more time; none: it doesn't.
    fn fails_at_end(&self) -> Option<String> {
        self.evidence.iter().find_map(|evidence| verdict::fails_at_end(evidence, self.analysis))
    }
}

/// What becomes of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ruling {
    /// It is over; the next one may begin.
    Pass,
    /// It goes on until then, or until somebody asks for its end.
    Wait(Note, Option<Timestamp>),
    /// Something is not as it should be, and a person has to say how to go on.
    AskPerson(Note),
    /// The candidate is taken back.
    Fail(String),
}

impl Ruling {
    /// A person is asked to end what holds a step.
    pub(super) fn asked_of(hold: &Note, words: &str) -> Self {
        Self::AskPerson(Note::told(hold.reason.clone(), format!("promote or abort: {words}")))
    }
}

impl Step {
    fn read(spec: &StepSpec) -> Option<Self> {
        match (spec.weight, &spec.pause) {
            (Some(100), _) => Watch::read(spec.hold_seconds.unwrap_or(0)).map(Self::Watch),
            (Some(weight), _) => Some(Self::Weight(Weight::read(weight, spec.hold_seconds))),
            (None, Some(pause)) => Some(Self::Pause(Pause::read(pause))),
            (None, None) => None,
        }
    }

    fn write(&self) -> StepSpec {
        match self {
            Self::Weight(weight) => weight.write(),
            Self::Pause(pause) => pause.write(),
            Self::Watch(watch) => watch.write(),
        }
    }

    pub(super) fn kind(&self) -> StepKind {
        match self {
            Self::Weight(_) => StepKind::Weight,
            Self::Pause(_) => StepKind::Pause,
            Self::Watch(_) => StepKind::Watch,
        }
    }

    /// The share that it puts in effect; none: it moves no traffic.
    pub(super) fn share(&self) -> Option<Percent> {
        match self {
            Self::Weight(weight) => Some(weight.share),
            Self::Pause(_) => None,
            Self::Watch(_) => Some(Percent::ALL),
        }
    }

    /// What becomes of it.
    pub(super) fn look(&self, context: &StepContext<'_>) -> Ruling {
        match self {
            Self::Weight(weight) => weight.look(context),
            Self::Pause(pause) => pause.look(context),
            Self::Watch(watch) => watch.look(context),
        }
    }

    fn form(&self) -> String {
        match self {
            Self::Weight(weight) => weight.form(),
            Self::Pause(pause) => pause.form(),
            Self::Watch(watch) => watch.form(),
        }
    }

    /// How long it takes at least, if nobody ends it before.
    pub(super) fn takes(&self) -> SignedDuration {
        match self {
            Self::Weight(weight) => weight.takes(),
            Self::Pause(pause) => pause.takes(),
            Self::Watch(watch) => watch.takes(),
        }
    }

    /// What it is in full, for people: `10 % for 5 min`.
    pub(super) fn in_full(&self) -> String {
        match self {
            Self::Weight(weight) => weight.in_full(),
            Self::Pause(pause) => pause.in_full(),
            Self::Watch(watch) => watch.in_full(),
        }
    }

    /// A few words for people: `10 %`, `pause`.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Weight(weight) => weight.share.to_string(),
            Self::Pause(_) => "pause".into(),
            Self::Watch(_) => ALL.into(),
        }
    }
}

/// Steps in order, counted from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    pub(super) fn read(specs: &[StepSpec]) -> Self {
        Self(specs.iter().filter_map(Step::read).collect())
    }

    pub(super) fn write(&self) -> Vec<StepSpec> {
        self.0.iter().map(Step::write).collect()
    }

    /// The steps of a strategy: what is judged is watched at its end.
    pub(super) fn of(strategy: &Strategy, analysis: &Analysis) -> Self {
        let mut steps = match (&strategy.canary, &strategy.blue_green, &strategy.rolling) {
            (Some(canary), ..) => Self::read(&canary.steps),
            (_, Some(blue_green), _) => {
                Self(Pause::before_the_switch(blue_green).map(Step::Pause).into_iter().collect())
            }
            (.., Some(rolling)) => Self(Weight::increments(rolling).map(Step::Weight).collect()),
            _ => return Self::default(),
        };
        steps.0.extend(Watch::read(analysis.watch_seconds).map(Step::Watch));
        steps
    }

    /// The steps of a strategy, and those of a release that began before there was a watch.
    pub(super) fn known_for(strategy: &Strategy, analysis: &Analysis) -> [Self; 2] {
        let unwatched = Analysis { watch_seconds: 0, ..analysis.clone() };
        [Self::of(strategy, analysis), Self::of(strategy, &unwatched)]
    }

    /// Each step, and all requests at the end, in words.
    pub(super) fn told(&self, words: fn(&Step) -> String) -> Vec<String> {
        let is_watched = matches!(self.0.last(), Some(Step::Watch(_)));
        self.iter().map(words).chain((!is_watched).then(|| ALL.to_string())).collect()
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Step> {
        self.0.iter()
    }

    /// The step of that number.
    pub(super) fn at(&self, number: u32) -> Option<&Step> {
        usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|index| self.0.get(index))
    }

    /// The share at a position; none: there is no such step, or it moves no traffic.
    pub(super) fn share_at(&self, position: Position) -> Option<Percent> {
        match position {
            Position::Deployed => Some(Percent::NONE),
            Position::Full => Some(Percent::ALL),
            Position::At(number) => self.at(number).and_then(Step::share),
        }
    }

    /// These steps for a candidate that is on a step of others: that one keeps its number and its share, and what comes
    /// after it are the steps here with more.
    pub(super) fn going_on_from(&self, number: u32, share: Percent) -> Self {
        let more = |step: &Step| step.share().is_some_and(|s| s > share);
        let split = self.0.iter().position(more).unwrap_or(self.0.len());
        let (before, after) = self.0.split_at(split);
        let nearest = after.iter().chain(before.iter().rev()).find_map(|step| match step {
            Step::Weight(weight) if share < Percent::ALL => Some(Step::Weight(weight.clone().with_share(share))),
            Step::Watch(_) if share == Percent::ALL => Some(step.clone()),
            _ => None,
        });
        let present = nearest.unwrap_or_else(|| Step::Weight(Weight::read(share.get(), None).with_share(share)));
        let earlier = usize::try_from(number.saturating_sub(1)).unwrap_or(0);
        let kept = before.iter().filter(|step| step.share().is_some_and(|s| s < share)).take(earlier).cloned();
        let mut steps: Vec<Step> = kept.collect();
        steps.resize(earlier, present.clone());
        steps.push(present);
        steps.extend(after.iter().cloned());
        Self(steps)
    }

    /// What a candidate does after the step of that number; 0 is before the first.
    pub(super) fn after(&self, number: u32) -> Move {
        let next = number.saturating_add(1);
        match self.at(next) {
            None => Move::Traffic(Position::Full),
            Some(step) if step.share().is_some() => Move::Traffic(Position::At(next)),
            Some(_) => Move::Begin(next),
        }
    }

    /// The step whose share is in effect while one is going on: that one, or the last before it that moved traffic.
    pub(super) fn weight_step(&self, number: u32) -> Option<u32> {
        (1..=number).rev().find(|n| self.at(*n).is_some_and(|step| step.share().is_some()))
    }

    /// The first step that puts that share in effect.
    pub(super) fn with_share(&self, share: Percent) -> Option<u32> {
        (1..=self.len()).find(|number| self.at(*number).and_then(Step::share) == Some(share))
    }

    /// Whether each of the steps after one, up to another, moves no traffic.
    pub(super) fn are_still(&self, after: u32, to: u32) -> bool {
        to <= self.len() && (after + 1..=to).all(|number| self.at(number).is_some_and(|step| step.share().is_none()))
    }
}

/// How a Rollout's releases are judged: of what rolls, by readiness alone.
pub(super) fn analysis_of(spec: &RolloutSpec) -> Cow<'_, Analysis> {
    match &spec.strategy.rolling {
        None => Cow::Borrowed(&spec.analysis),
        Some(_) => Cow::Owned(Analysis {
            metrics: vec![],
            watch_seconds: 0,
            fast_lane: FastLane::Disabled,
            ..Analysis::default()
        }),
    }
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Traffic is written.
    Traffic(Position),
    /// A step that moves no traffic begins.
    Begin(u32),
}

/// Hash of how a release takes over: with the status lost, the spec's tells whether it is still the same. Form 1.
pub(super) fn strategy_hash(steps: &Steps, analysis: &Analysis) -> TemplateHash {
    let mut form = String::from("orchestra strategy 1\n");
    let mut line = |text: String| {
        // Writing to a text can't fail.
        let _ = writeln!(form, "{text}");
    };
    steps.iter().for_each(|step| line(step.form()));
    let mode = match analysis.mode {
        orchestra_crds::AnalysisMode::Sequential => "Sequential",
        orchestra_crds::AnalysisMode::Threshold => "Threshold",
        orchestra_crds::AnalysisMode::Observe => "Observe",
    };
    let default = Analysis::default();
    line(format!("analysis {mode} {} {}", analysis.confidence_percent, analysis.metrics_delay_seconds));
    line(format!("requests {}", analysis.minimum_requests));
    line(format!("increase {} {}", analysis.relative_increase_percent, analysis.minimum_increase_basis_points));
    line(format!("fallbacks {} {}", fallback(analysis.on_inconclusive), fallback(analysis.on_no_data)));
    // What came later is told where it is no default: a release of before has the same hash.
    if analysis.fast_lane != default.fast_lane {
        line("without the fast lane".into());
    }
    if analysis.metrics != default.metrics {
        let names: Vec<&str> = analysis.metrics.iter().map(|metric| metric.word()).collect();
        line(format!("metrics {}", names.join(" ")));
    }
    if !analysis.alert_policies.is_empty() {
        line(format!("alerts {}", analysis.alert_policies.join(" ")));
    }
    analysis.promql.iter().for_each(|metric| line(promql(metric)));
    if let Some(fixed) = analysis.limits() {
        line(limits(&fixed));
    }
    if analysis.warmup_seconds != default.warmup_seconds {
        line(format!("warmup {}", analysis.warmup_seconds));
    }
    if (&analysis.harm, analysis.extend_seconds) != (&default.harm, default.extend_seconds) {
        let harm = &analysis.harm;
        line(format!("harm {} {}", harm.relative_percent, harm.absolute_basis_points));
        line(format!("extend {}", analysis.extend_seconds));
    }
    TemplateHash::of(&form)
}

fn limits(limits: &Threshold) -> String {
    let optional = |number: Option<i32>| number.map_or_else(|| "-".to_string(), |number| number.to_string());
    let Threshold { interval_seconds, count, failure_limit, consecutive_error_limit, errors, latency } = limits;
    let looks = format!("{interval_seconds} {} {failure_limit} {consecutive_error_limit}", optional(*count));
    let errors = format!("{} {}", errors.fail_above_basis_points, optional(errors.pass_at_most_basis_points));
    let latency = format!(
        "{} {} {} {}",
        latency.percentile,
        latency.fail_above_percent_of_stable,
        optional(latency.fail_above_milliseconds),
        optional(latency.pass_at_most_milliseconds)
    );
    format!("limits {looks}; {errors}; {latency}")
}

fn promql(metric: &Promql) -> String {
    let Promql { name, address, ratio, histogram, gauge, limits } = metric;
    let ratio = ratio.as_ref().map(|ratio| ("ratio", &ratio.bad, &ratio.total));
    let histogram = histogram.as_ref().map(|histogram| ("histogram", &histogram.buckets, &histogram.buckets));
    let gauge = gauge.as_ref().map(|gauge| ("gauge", &gauge.value, &gauge.bad_above));
    let limits = limits.as_ref().map(|l| (l.fail_above_basis_points, l.pass_at_most_basis_points));
    // As JSON, no part of it can be taken for the end of another.
    serde_json::json!(["promql", name, address, ratio.or(histogram).or(gauge), limits]).to_string()
}

fn fallback(fallback: orchestra_crds::Fallback) -> &'static str {
    match fallback {
        orchestra_crds::Fallback::Promote => "Promote",
        orchestra_crds::Fallback::Pause => "Pause",
        orchestra_crds::Fallback::Rollback => "Rollback",
    }
}

/// A time, some seconds later.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
