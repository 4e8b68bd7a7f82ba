//! A share of the requests, held for a time and judged. It moves traffic: its progress is in the marks.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{AnalysisMode, EvidenceStatus, Fallback, Metric, Rolling, Step as StepSpec, Verdict};

use super::{Ruling, StepContext, later};
use crate::conditions::note;
use crate::names::Percent;
use crate::reason::Reason;
use crate::verdict::{all_in_words, first_minute_ends, has_bad_open_look, is_silent, leans_to_harm, longest_delay};
use crate::words::{lasting, span};

/// How long a share is held if the spec does not say.
const HOLD_SECONDS: i32 = 300;
/// What is told where nothing of the candidate was measured.
const NO_METRICS: &str = "there are no metrics of the candidate";
/// How late the last minutes of a hold may be counted, after their metrics are complete.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// A share of the requests.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Weight {
    pub(in super::super) share: Percent,
    hold_seconds: i32,
}

impl Weight {
    pub(super) fn read(weight: i32, hold_seconds: Option<i32>) -> Self {
        Self { share: Percent::clamped(weight), hold_seconds: hold_seconds.unwrap_or(HOLD_SECONDS) }
    }

    /// Even parts, but the last, which is all.
    pub(super) fn increments(spec: &Rolling) -> impl Iterator<Item = Self> {
        let (parts, hold_seconds) = (spec.increments.clamp(1, 100), spec.interval_seconds);
        (1..parts).map(move |part| Self { share: Percent::clamped(part * 100 / parts), hold_seconds })
    }

    /// The same with another share.
    pub(super) fn with_share(self, share: Percent) -> Self {
        Self { share, ..self }
    }

    pub(super) fn write(&self) -> StepSpec {
        StepSpec { weight: Some(self.share.get()), hold_seconds: Some(self.hold_seconds), ..StepSpec::default() }
    }

    pub(super) fn form(&self) -> String {
        format!("weight {} {}", self.share.get(), self.hold_seconds)
    }

    pub(super) fn takes(&self) -> SignedDuration {
        SignedDuration::from_secs(self.hold_seconds.into())
    }

    pub(super) fn in_full(&self) -> String {
        format!("{} for {}", self.share, lasting(self.takes()))
    }

    pub(super) fn look(&self, context: &StepContext<'_>) -> Ruling {
        let StepContext { now, since, evidence, analysis, .. } = *context;
        if context.promoted {
            return Ruling::Pass;
        }
        if analysis.judged().is_empty() {
            return self.look_by_time(context);
        }
        let words = match evidence {
            [] => "waiting for Cloud Monitoring, whose metrics are up to 3 min late".to_string(),
            _ => all_in_words(evidence, analysis),
        };
        let words = match &context.held_by {
            Some(hold) => format!("{}; {words}", hold.message),
            None => words,
        };
        let hold_ends = later(since, self.takes());
        if now < hold_ends {
            if let Some(ruling) = silent(context, &words) {
                return ruling;
            }
            let message = format!("{} left at {}; {words}", span(now, hold_ends), self.share);
            return Ruling::Wait(context.waiting(Reason::Holding, message), Some(hold_ends));
        }
        // A hold that is over before a minute could count is no missing data.
        let counted_to = hold_ends.max(first_minute_ends(since, evidence, analysis));
        let is_whole = |evidence: &EvidenceStatus| evidence.through.0 >= counted_to;
        let verdict = taken_together(&analysis.judged(), evidence, is_whole);
        let is_open = evidence.iter().any(|evidence| has_bad_open_look(evidence, analysis));
        if verdict == Verdict::Pass && !is_open && context.held_by.is_none() {
            return Ruling::Pass;
        }
        let metrics_end = later(counted_to, longest_delay(evidence, analysis) + LATE);
        let is_observed = !evidence.is_empty() && evidence.iter().all(|evidence| is_whole(evidence));
        if analysis.mode == AnalysisMode::Observe && (is_observed || now >= metrics_end) {
            return Ruling::Pass;
        }
        if now < metrics_end {
            let message = format!(
                "waiting for the metrics of its last minutes, {} more at most; {words}",
                span(now, metrics_end)
            );
            return Ruling::Wait(context.waiting(Reason::Holding, message), Some(metrics_end));
        }
        // Minutes that could not be read may still come.
        let is_empty = !evidence.is_empty() && evidence.iter().all(|evidence| is_whole(evidence));
        self.without_pass(context, verdict, is_empty, metrics_end, &words)
    }

    /// Nothing is judged: it is held for its time.
    fn look_by_time(&self, context: &StepContext<'_>) -> Ruling {
        let until = later(context.since, self.takes());
        if context.now >= until {
            return Ruling::Pass;
        }
        let message = format!("{} left at {}, by readiness alone", span(context.now, until), self.share);
        Ruling::Wait(note(Reason::Holding, message), Some(until))
    }

    /// What becomes of the step once its minutes should all have been counted and don't pass it.
    fn without_pass(
        &self,
        context: &StepContext<'_>,
        verdict: Verdict,
        is_empty: bool,
        metrics_end: Timestamp,
        words: &str,
    ) -> Ruling {
        let StepContext { now, since, evidence, analysis, .. } = *context;
        let leans = evidence.iter().any(|evidence| leans_to_harm(evidence));
        let until = later(metrics_end, SignedDuration::from_secs(analysis.extend_seconds.into()));
        // What is not counted because there was no instance for it is no missing data.
        if verdict == Verdict::NoData && !leans && context.excuse.is_none() && (is_empty || now >= until) {
            let (reason, what) = lacking(evidence);
            return without_verdict(analysis.on_no_data, reason, &what, words);
        }
        if now < until {
            let needs = needs(evidence, since);
            let message = format!("at {} for {} more at most{needs}: {words}", self.share, span(now, until));
            return Ruling::Wait(context.waiting(Reason::Extended, message), Some(until));
        }
        if let Some(hold) = context.held_by.as_ref().filter(|_| context.excuse.is_some() || verdict == Verdict::Pass) {
            return Ruling::asked_of(hold, words);
        }
        if let Some(excuse) = context.excuse.as_ref().filter(|_| verdict != Verdict::Pass && !leans) {
            return Ruling::asked_of(excuse, &format!("{}; {words}", excuse.message));
        }
        if let Some(why) = context.fails_at_end() {
            return Ruling::Fail(why);
        }
        // What the end of its time says is about evidence that could have passed it: it does not lapse while the step is held.
        if let Some(hold) = &context.held_by {
            return Ruling::asked_of(hold, words);
        }
        match (leans, analysis.on_inconclusive) {
            (true, Fallback::Promote | Fallback::Pause) => Ruling::AskPerson(note(
                if is_neither(evidence) { Reason::Undecided } else { Reason::LeansToHarm },
                format!("{words}. It goes on by itself only when that is no longer so: promote or abort"),
            )),
            (_, fallback) => {
                let by_looks = evidence.iter().any(|evidence| evidence.looks.is_some());
                let (reason, what) = match (by_looks, leans) {
                    (true, _) => (Reason::Undecided, "its looks are not as many, or not as good, as its limits want"),
                    (false, true) => {
                        (Reason::LeansToHarm, "there are signs that it is worse, and no certainty in time")
                    }
                    (false, false) => (Reason::Undecided, "there were too few requests for a verdict"),
                };
                without_verdict(fallback, reason, what, words)
            }
        }
    }
}

/// Whether what speaks against it is only that looks were neither within their limits nor above them.
fn is_neither(evidence: &[&EvidenceStatus]) -> bool {
    let mut leaning = evidence.iter().filter(|evidence| leans_to_harm(evidence));
    leaning.all(|evidence| evidence.looks.as_ref().is_some_and(|looks| looks.failed == 0 && looks.inconclusive > 0))
}

/// Of what there is no data, and why.
fn lacking(evidence: &[&EvidenceStatus]) -> (Reason, String) {
    let without: Vec<&&EvidenceStatus> = evidence.iter().filter(|e| e.verdict == Verdict::NoData).collect();
    if let Some(fault) = evidence.iter().find_map(|evidence| evidence.fault.clone()) {
        return (Reason::MetricsUnavailable, fault);
    }
    match without.is_empty() || without.len() == evidence.len() {
        true => (Reason::NoMetrics, NO_METRICS.to_string()),
        false => {
            let names: Vec<String> = without.iter().map(|evidence| evidence.metric.to_string()).collect();
            (Reason::NoMetrics, format!("there is nothing of the candidate by {}", names.join(", ")))
        }
    }
}

/// What to do during the hold where looks in a row saw no requests for longer than they may; none: nothing, the hold goes on.
fn silent(context: &StepContext<'_>, words: &str) -> Option<Ruling> {
    let StepContext { evidence, analysis, .. } = *context;
    let leans = evidence.iter().any(|evidence| leans_to_harm(evidence));
    let is_silent = !leans && evidence.iter().any(|evidence| is_silent(evidence, analysis));
    let fallback = Some(analysis.on_no_data).filter(|fallback| is_silent && *fallback != Fallback::Promote)?;
    Some(without_verdict(fallback, Reason::NoMetrics, NO_METRICS, words))
}

/// A step passes by every metric, and fails by one.
fn taken_together(
    metrics: &[Metric],
    evidence: &[&EvidenceStatus],
    is_whole: impl Fn(&EvidenceStatus) -> bool,
) -> Verdict {
    let by = |metric: &Metric| {
        evidence.iter().find(|e| e.metric == *metric && is_whole(e)).map_or(Verdict::NoData, |e| e.verdict)
    };
    let verdicts: Vec<Verdict> = metrics.iter().map(by).collect();
    let worst = [Verdict::Fail, Verdict::NoData, Verdict::Undecided];
    worst.into_iter().find(|verdict| verdicts.contains(verdict)).unwrap_or(Verdict::Pass)
}

/// What a verdict still needs, and how long that takes as requests come now.
fn needs(evidence: &[&EvidenceStatus], since: Timestamp) -> String {
    let Some((needed, slowest)) =
        evidence.iter().filter_map(|evidence| Some((evidence.requests_needed?, *evidence))).max_by_key(|(n, _)| *n)
    else {
        return String::new();
    };
    let minutes = slowest.through.0.duration_since(since).as_mins().max(1);
    let takes = needed.saturating_mul(minutes).checked_div(slowest.step_candidate);
    let takes = takes.filter(|_| needed > 0).map(|minutes| {
        format!(", about {} as requests come now", lasting(SignedDuration::from_mins(minutes.clamp(1, 525_600))))
    });
    match needed {
        0 => String::new(),
        needed => format!(", a verdict needs about {needed} requests more{}", takes.unwrap_or_default()),
    }
}

/// The step ended without a verdict.
fn without_verdict(fallback: Fallback, reason: Reason, what: &str, words: &str) -> Ruling {
    match fallback {
        Fallback::Promote => Ruling::Pass,
        Fallback::Rollback => Ruling::Fail(format!("{what}, and the analysis says Rollback then; {words}")),
        Fallback::Pause => Ruling::AskPerson(note(
            reason,
            format!("{what}: promote or abort; it goes on by itself once that has changed. {words}"),
        )),
    }
}
