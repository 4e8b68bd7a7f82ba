//! A recorded release judged again, minute by minute, by what judges releases: each minute is looked at as soon as it has
//! ended. What followed from a verdict on the way (steps, extensions, a person) is in the record already, and not replayed.

use jiff::Timestamp;
use orchestra_crds::{Analysis, EvidenceStatus, Metric, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

use super::{HOUR, MINUTE, Subject, Terms, count, in_words, later, together};
use crate::cloud::{Count, History, Measured, Minute, Tally, Window};
use crate::names::{Percent, ReleaseId};

/// What one revision answered in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests, and those answered with 5xx.
    pub requests: Count,
    /// How long they took, where that was recorded.
    pub latencies: Option<Tally>,
}

/// A recorded minute of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number. The candidate's first minute with requests begins the release; what is before it is stable's history.
    pub minute: i64,
    /// The region; empty: there is one.
    pub region: String,
    /// The candidate's weight, where that was recorded. In a minute with another weight than the one before, it changed.
    pub weight: Option<Percent>,
    /// The candidate.
    pub candidate: Served,
    /// Stable, in the same minute.
    pub stable: Served,
}

/// Where the judgement stood at the end of a minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The minute.
    pub minute: i64,
    /// What the candidate and stable answered in it, in all regions.
    pub candidate: Count,
    /// Stable.
    pub stable: Count,
    /// All of it together.
    pub verdict: Verdict,
    /// How much of the evidence for a rollback there was, at most.
    pub evidence_percent: i32,
    /// The evidence of each region and metric.
    pub evidence: Vec<(String, EvidenceStatus)>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Decision {
    /// Taken back.
    Fail,
    /// At the end of the record, harm was ruled out.
    Pass,
    /// At its end, neither.
    Inconclusive,
}

/// A replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The minutes from the first to the one that decided; without a decision, to the last.
    pub minutes: Vec<Replayed>,
    /// What became of it.
    pub decision: Decision,
    /// The minute after which that was so: of a pass, the first since which it stood.
    pub minute: i64,
    /// What the candidate answered up to that minute's end, in all regions.
    pub candidate: Count,
    /// Why, in words.
    pub reason: String,
}

/// What is known of a region on the way.
struct Region {
    /// Which minute began the release there.
    first: i64,
    history: BTreeMap<Metric, History>,
    step: u32,
    weight: Option<Percent>,
    written_at: Timestamp,
    since: Timestamp,
    evidence: BTreeMap<Metric, EvidenceStatus>,
}

/// When a minute begins.
fn start_of(minute: i64) -> Timestamp {
    let seconds = minute.saturating_mul(60);
    Timestamp::from_second(seconds).unwrap_or(if minute < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl Served {
    fn tally(&self, metric: Metric) -> Tally {
        match metric {
            Metric::ERRORS => Tally::of_errors(self.requests.total, self.requests.bad),
            Metric::LATENCY => self.latencies.clone().unwrap_or_default(),
            // A record has none of them.
            Metric::Preset(_) | Metric::Named(_) => Tally::default(),
        }
    }
}

/// Stable's minutes before the release, as Cloud Monitoring would tell of them: the last hour by minutes, the last day by
/// hours.
fn history<'r>(rows: impl Iterator<Item = &'r Recorded>, first: i64, metric: Metric) -> History {
    let mut history = History::default();
    for row in rows.filter(|row| row.minute < first) {
        let (age, tally) = (first - row.minute, row.stable.tally(metric));
        if tally.is_empty() || age > 24 * 60 {
            continue;
        }
        let hour = later(start_of(first), HOUR.saturating_mul(i32::try_from(-1 - (age - 1) / 60).unwrap_or(i32::MIN)));
        let known: &mut Tally = history.hours.entry(hour).or_default();
        tally.0.iter().for_each(|(bound, values)| known.add(*bound, *values));
        if age <= 60 {
            history.minutes.insert(start_of(row.minute), tally);
        }
    }
    history
}

impl Region {
    /// As its release begins; none: the candidate had no requests there.
    fn begin(rows: &[&Recorded], metrics: &[Metric]) -> Option<Self> {
        let first = rows.iter().filter(|row| row.candidate.requests.total > 0).map(|row| row.minute).min()?;
        let of = |metric: &Metric| (*metric, history(rows.iter().copied(), first, *metric));
        let (history, since) = (metrics.iter().map(of).collect(), start_of(first));
        let weight = rows.iter().find(|row| row.minute == first).and_then(|row| row.weight);
        Some(Self { first, history, step: 1, weight, written_at: since, since, evidence: BTreeMap::new() })
    }

    fn add(&mut self, row: &Recorded, terms: &Terms<'_>, release: &ReleaseId) {
        if row.minute < self.first {
            return;
        }
        let start = start_of(row.minute);
        if row.weight != self.weight {
            (self.weight, self.written_at, self.since) = (row.weight, start, later(start, MINUTE));
            self.step += 1;
        }
        for (metric, history) in &self.history {
            let before = self.evidence.get(metric);
            let subject = Subject {
                metric: *metric,
                release,
                step: self.step,
                written_at: self.written_at,
                since: self.since,
                has_all: self.weight == Some(Percent::ALL),
            };
            let minute = Minute { start, candidate: row.candidate.tally(*metric), stable: row.stable.tally(*metric) };
            let measured = Measured {
                minutes: vec![minute],
                history: before.is_none().then(|| history.clone()),
                delay_seconds: None,
            };
            let from = before.map_or(start, |evidence| evidence.through.0.min(start));
            let window = Window { from, to: later(start, MINUTE) };
            let after = count(before, &subject, terms, &measured, window);
            self.evidence.insert(*metric, after);
        }
    }
}

/// Judges a record again.
struct Replayer<'a> {
    terms: Terms<'a>,
    release: ReleaseId,
    regions: BTreeMap<String, Region>,
}

impl<'a> Replayer<'a> {
    /// For a record, by settings; `planned_minutes`: for how long that release was planned.
    fn new(rows: &[Recorded], settings: &'a Analysis, planned_minutes: u32, release: ReleaseId) -> Self {
        let names: BTreeSet<&str> = rows.iter().map(|row| row.region.as_str()).collect();
        let mut regions = BTreeMap::new();
        for name in names {
            let of_region: Vec<&Recorded> = rows.iter().filter(|row| row.region == name).collect();
            let is_known = |row: &&Recorded| row.stable.latencies.is_some() || row.candidate.latencies.is_some();
            let is_recorded = |metric: &Metric| match *metric {
                Metric::ERRORS => true,
                Metric::LATENCY => of_region.iter().any(is_known),
                Metric::Preset(_) | Metric::Named(_) => false,
            };
            let metrics: Vec<Metric> = settings.judged().into_iter().filter(is_recorded).collect();
            if let Some(region) = Region::begin(&of_region, &metrics) {
                regions.insert(name.to_string(), region);
            }
        }
        let terms = Terms { settings, planned_minutes, regions: u32::try_from(regions.len()).unwrap_or(u32::MAX) };
        Self { terms, release, regions }
    }

    /// Takes in all that was recorded of a minute.
    fn add(&mut self, minute: i64, rows: &[&Recorded]) -> Replayed {
        for row in rows {
            if let Some(region) = self.regions.get_mut(&row.region) {
                region.add(row, &self.terms, &self.release);
            }
        }
        let evidence: Vec<(String, EvidenceStatus)> = self
            .regions
            .iter()
            .flat_map(|(name, region)| region.evidence.values().map(|evidence| (name.clone(), evidence.clone())))
            .collect();
        let sum = |of: fn(&Recorded) -> Count| rows.iter().map(|row| of(row)).fold(Count::default(), Count::plus);
        Replayed {
            minute,
            candidate: sum(|row| row.candidate.requests),
            stable: sum(|row| row.stable.requests),
            verdict: self.verdict(&evidence),
            evidence_percent: evidence.iter().map(|(_, evidence)| evidence.evidence_percent).max().unwrap_or(0),
            evidence,
        }
    }

    fn verdict(&self, evidence: &[(String, EvidenceStatus)]) -> Verdict {
        let all: Vec<&EvidenceStatus> = evidence.iter().map(|(_, evidence)| evidence).collect();
        if together(&all, &self.terms).is_some() {
            return Verdict::Fail;
        }
        let worst = [Verdict::Fail, Verdict::NoData, Verdict::Undecided];
        let worst = worst.into_iter().find(|verdict| all.iter().any(|evidence| evidence.verdict == *verdict));
        worst.unwrap_or(if all.is_empty() { Verdict::NoData } else { Verdict::Pass })
    }
}

/// Judges a record again, up to the minute that would have taken the candidate back, or to its end.
pub fn replay(rows: &[Recorded], settings: &Analysis, planned_minutes: u32, release: ReleaseId) -> Replay {
    let mut replayer = Replayer::new(rows, settings, planned_minutes, release);
    let mut by_minute: BTreeMap<i64, Vec<&Recorded>> = BTreeMap::new();
    rows.iter().for_each(|row| by_minute.entry(row.minute).or_default().push(row));
    let (mut minutes, mut served): (Vec<Replayed>, Count) = (vec![], Count::default());
    let mut passed = None;
    for (minute, rows) in by_minute {
        let replayed = replayer.add(minute, &rows);
        served = served.plus(replayed.candidate);
        passed = passed.filter(|_| replayed.verdict == Verdict::Pass);
        if replayed.verdict == Verdict::Pass {
            passed = passed.or(Some((minute, served)));
        }
        let fails = replayed.verdict == Verdict::Fail;
        minutes.push(replayed);
        if fails {
            break;
        }
    }
    let last = minutes.last();
    let reason = last.map(|last| reason(last, &replayer.terms)).unwrap_or_default();
    let end = last.map_or(0, |last| last.minute);
    let (decision, minute, candidate) = match (last.map(|last| last.verdict), passed) {
        (Some(Verdict::Fail), _) => (Decision::Fail, end, served),
        (_, Some((minute, served))) => (Decision::Pass, minute, served),
        _ => (Decision::Inconclusive, end, served),
    };
    Replay { minutes, decision, minute, candidate, reason }
}

/// Why it stands so: the evidence that says most against the candidate, or for a pass that of all requests.
fn reason(last: &Replayed, terms: &Terms<'_>) -> String {
    let all: Vec<&EvidenceStatus> = last.evidence.iter().map(|(_, evidence)| evidence).collect();
    let telling =
        together(&all, terms).or_else(|| all.iter().copied().find(|evidence| evidence.verdict == last.verdict));
    let Some(telling) = telling else { return "no requests of the candidate".to_string() };
    let region = last.evidence.iter().find(|(name, evidence)| evidence == telling && !name.is_empty());
    let place = region.map(|(name, _)| format!("{name}: ")).unwrap_or_default();
    format!("{place}{}", in_words(telling, terms.settings))
}

#[cfg(test)]
mod tests;
