//! The memory of a judgement as one text with a version: `3;EMPTY;TRIAL;TRIAL`. Logarithms are in ten-thousandths; the
//! empty minutes are counted since 1970. What another version wrote counts as lost.

use std::fmt::Write;
use std::str::FromStr;

use super::Pair;
use super::judgement::Judgement;
use super::restarts::{NOTHING, Restarts};
use super::spread::Spread;
use super::trial::{ALTERNATIVES, Since, Trial};
use crate::cloud::Count;

const VERSION: &str = "3";
/// Parts of a nat that are kept.
const PARTS: f64 = 1e4;

/// A logarithm as it is kept: rounded down, so that rounding never adds evidence.
pub(super) fn kept(log: f64) -> f64 {
    (log * PARTS).floor() / PARTS
}

/// A sum as it is kept.
pub(super) fn shortened(sum: f64) -> f64 {
    f64::from(sum as f32)
}

impl Trial {
    /// As it is kept: what goes on after a restart is what would have gone on without.
    pub(super) fn round(&mut self) {
        for logs in [&mut self.worse, &mut self.matters, &mut self.above] {
            logs.0.iter_mut().for_each(|log| *log = kept(*log));
        }
        self.since.iter_mut().for_each(|since| since.said = kept(since.said).max(0.0));
        (self.not_relative, self.not_absolute) = (kept(self.not_relative), kept(self.not_absolute));
        for spread in [&mut self.stable, &mut self.candidate] {
            (spread.excess, spread.weight) = (shortened(spread.excess), shortened(spread.weight));
            spread.noise = shortened(spread.noise);
        }
        self.ceiling = self.ceiling.map(shortened);
    }
}

/// Fields of a trial, one after the other.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    fn text(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(text);
    }

    pub(super) fn int(&mut self, number: i64) {
        self.text(&number.to_string());
    }

    pub(super) fn log(&mut self, log: f64) {
        match log <= NOTHING {
            true => self.text("-"),
            false => self.int((log * PARTS).round() as i64),
        }
    }

    fn sum(&mut self, sum: f64) {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = write!(text, "{:e}", sum as f32);
        self.text(&text);
    }

    pub(super) fn optional(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.int(number),
            None => self.text("-"),
        }
    }

    pub(super) fn text_so_far(self) -> String {
        self.0
    }

    fn count(&mut self, count: Count) {
        self.int(count.total);
        self.int(count.bad);
    }

    fn pair(&mut self, pair: Pair) {
        self.count(pair.candidate);
        self.count(pair.stable);
    }

    pub(super) fn spread(&mut self, spread: &Spread) {
        self.sum(spread.excess);
        self.sum(spread.weight);
        self.sum(spread.noise);
        match spread.last {
            Some((minute, count)) => {
                self.int(minute);
                self.count(count);
            }
            None => (0..3).for_each(|_| self.text("-")),
        }
    }

    fn trial(mut self, bound: i64, trial: &Trial) -> String {
        self.int(bound);
        [trial.compared, trial.informative, trial.alone].into_iter().for_each(|number| self.int(number.into()));
        [&trial.worse, &trial.matters, &trial.above].into_iter().flat_map(|logs| logs.0).for_each(|log| self.log(log));
        for since in &trial.since {
            self.log(since.said);
            self.pair(since.counted);
        }
        self.log(trial.not_relative);
        self.log(trial.not_absolute);
        self.spread(&trial.stable);
        self.spread(&trial.candidate);
        self.count(trial.known);
        self.optional(trial.troubled_at);
        self.pair(trial.open);
        match trial.ceiling {
            Some(ceiling) => self.sum(ceiling),
            None => self.text("-"),
        }
        self.0
    }
}

/// Reads the fields of a trial.
pub(super) struct Reader<'t>(std::str::Split<'t, char>);

impl<'t> Reader<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self(text.split(','))
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.0.next().is_none()
    }

    pub(super) fn optional<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.0.next()? {
            "-" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Option<T> {
        self.optional()?
    }

    pub(super) fn log(&mut self) -> Option<f64> {
        Some(self.optional::<i64>()?.map_or(NOTHING, |log| log as f64 / PARTS))
    }

    fn sum(&mut self) -> Option<f64> {
        self.number::<f32>().filter(|sum| sum.is_finite()).map(f64::from)
    }

    fn count(&mut self) -> Option<Count> {
        Some(Count { total: self.number()?, bad: self.number()? })
    }

    fn pair(&mut self) -> Option<Pair> {
        Some(Pair { candidate: self.count()?, stable: self.count()? })
    }

    pub(super) fn restarts(&mut self) -> Option<Restarts<ALTERNATIVES>> {
        let mut logs = [NOTHING; ALTERNATIVES];
        for log in &mut logs {
            *log = self.log()?;
        }
        Some(Restarts(logs))
    }

    pub(super) fn spread(&mut self) -> Option<Spread> {
        let (excess, weight, noise) = (self.sum()?, self.sum()?, self.sum()?);
        let (minute, total, bad) = (self.optional()?, self.optional()?, self.optional()?);
        let last = minute.zip(total.zip(bad)).map(|(minute, (total, bad))| (minute, Count { total, bad }));
        Some(Spread { excess, weight, noise, last })
    }

    fn trial(mut self) -> Option<(i64, Trial)> {
        let bound = self.number()?;
        let (compared, informative, alone) = (self.number()?, self.number()?, self.number()?);
        let (worse, matters, above) = (self.restarts()?, self.restarts()?, self.restarts()?);
        let mut since = [Since::default(); ALTERNATIVES];
        for since in &mut since {
            *since = Since { said: self.log()?, counted: self.pair()? };
        }
        let (not_relative, not_absolute) = (self.log()?, self.log()?);
        let (stable, candidate) = (self.spread()?, self.spread()?);
        let (known, troubled_at, open) = (self.count()?, self.optional()?, self.pair()?);
        let ceiling = self.optional::<f32>()?.map(f64::from);
        let is_all = self.is_at_end();
        let trial = Trial {
            compared,
            informative,
            worse,
            matters,
            since,
            not_relative,
            not_absolute,
            stable,
            candidate,
            known,
            troubled_at,
            open,
            ceiling,
            alone,
            above,
        };
        is_all.then_some((bound, trial))
    }
}

impl Judgement {
    /// Reads it; none where another version wrote it.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some(VERSION) {
            return None;
        }
        let empty = parts.next()?.split(',').filter(|minute| !minute.is_empty()).map(|minute| minute.parse().ok());
        let empty = empty.collect::<Option<_>>()?;
        let trials = parts.map(|part| Reader::of(part).trial()).collect::<Option<Vec<_>>>()?;
        let (bounds, trials) = trials.into_iter().unzip();
        Some(Self { bounds, trials, empty })
    }

    /// Writes it.
    pub fn write(&self) -> String {
        let empty: Vec<String> = self.empty.iter().map(ToString::to_string).collect();
        let trials = self.bounds.iter().zip(&self.trials).map(|(bound, trial)| Writer::default().trial(*bound, trial));
        [VERSION.to_string(), empty.join(",")].into_iter().chain(trials).collect::<Vec<_>>().join(";")
    }
}
