//! What request logs tell of users' requests of the candidate that met no free instance, minute by minute, from when its share of
//! the service's instances was first too small: `FIRST MINUTE MINUTE …`, each `WINDOWS` or `WINDOWS:UNSERVED:REFUSED:FAILED`, with a
//! `+` where more failed than was told.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::FastStatus;
use std::fmt::Write;

use super::entries::Counted;
use crate::verdict::judgement::minute_of;

/// Minutes that are kept: metrics tell of theirs by then, however late they are.
const KEPT: usize = 45;
/// For how many minutes what met no instance keeps a step from passing, and makes a minute say nothing of which logs tell a part.
const RECENT: i64 = 5;
/// The same as a span.
pub const LATELY: SignedDuration = SignedDuration::from_mins(RECENT);
/// Windows of a minute.
const WINDOWS: u32 = 6;

/// What failed in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfMinute {
    /// Of how many of its windows the logs were read.
    windows: u32,
    /// Met no free instance, and counts as an error.
    unserved: i64,
    /// Met none, and was refused with 429.
    refused: i64,
    /// All that failed as errors, those among them.
    failed: i64,
    /// More failed than was told.
    is_cut: bool,
}

/// What the logs tell of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing that matters: it is as the metrics tell it.
    AsItIs,
    /// Not all of it, while requests meet no instance: how many did in it nobody knows.
    Unknown,
    /// All of it.
    All(OfMinute),
}

/// Requests that met no free instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unserved {
    /// The number of the first minute.
    first: i64,
    minutes: Vec<OfMinute>,
}

impl OfMinute {
    /// How many met no free instance.
    pub fn without_instance(&self) -> i64 {
        self.unserved.saturating_add(self.refused)
    }

    /// How many of so many errors met none.
    pub fn of_errors(&self, bad: i64) -> i64 {
        match self.is_cut && self.failed > 0 {
            // Of what was told so many did.
            true => {
                let share = i128::from(self.unserved) * i128::from(bad) / i128::from(self.failed);
                i64::try_from(share).unwrap_or(bad).max(self.unserved)
            }
            false => self.unserved,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (numbers, is_cut) = text.strip_suffix('+').map_or((text, false), |numbers| (numbers, true));
        let mut numbers = numbers.split(':').map(|number| number.parse::<i64>().ok());
        let windows = u32::try_from(numbers.next()??).ok()?;
        let mut next = || numbers.next().unwrap_or(Some(0));
        Some(Self { windows, unserved: next()?, refused: next()?, failed: next()?, is_cut })
    }

    fn write(&self, text: &mut String) {
        let Self { windows, unserved, refused, failed, is_cut } = self;
        // Writing into a text does not fail.
        let _ = match (unserved, refused, failed) {
            (0, 0, 0) => write!(text, " {windows}"),
            _ => write!(text, " {windows}:{unserved}:{refused}:{failed}"),
        };
        text.push_str(if *is_cut { "+" } else { "" });
    }
}

impl Unserved {
    /// Of a lane.
    pub fn of(fast: &FastStatus) -> Self {
        let mut parts = fast.unserved.split(' ');
        let first = parts.next().and_then(|first| first.parse().ok());
        let minutes = parts.map(OfMinute::read).collect::<Option<Vec<_>>>();
        match (first, minutes) {
            (Some(first), Some(minutes)) => Self { first, minutes },
            _ => Self::default(),
        }
    }

    pub(super) fn write(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = self.first.to_string();
        self.minutes.iter().for_each(|minute| minute.write(&mut text));
        text
    }

    /// Whether its share has never been too small, as far as logs were read.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// Takes in a window that began then.
    pub(super) fn note(&mut self, start: Timestamp, counted: &Counted, is_cut: bool) {
        let number = minute_of(start);
        let is_far = |index: i64| !(0..KEPT as i64 * 2).contains(&index);
        if self.is_empty() || is_far(number - self.first) {
            *self = Self { first: number, minutes: vec![] };
        }
        let index = usize::try_from(number - self.first).unwrap_or(0);
        if self.minutes.len() <= index {
            self.minutes.resize(index + 1, OfMinute::default());
        }
        if let Some(minute) = self.minutes.get_mut(index) {
            minute.windows = (minute.windows + 1).min(WINDOWS);
            minute.unserved = minute.unserved.saturating_add(counted.unserved);
            minute.refused = minute.refused.saturating_add(counted.refused);
            minute.failed = minute.failed.saturating_add(counted.of_users);
            minute.is_cut |= is_cut;
        }
        let old = self.minutes.len().saturating_sub(KEPT);
        self.minutes.drain(..old);
        self.first += old as i64;
    }

    fn numbered(&self) -> impl Iterator<Item = (i64, &OfMinute)> {
        (self.first..).zip(&self.minutes)
    }

    /// What the logs tell of the minute that began then.
    pub fn told_of(&self, start: Timestamp) -> Told {
        let number = minute_of(start);
        let of = self.numbered().find(|(known, _)| *known == number).map(|(_, of)| *of);
        match of {
            _ if self.is_empty() => Told::AsItIs,
            Some(of) if of.windows >= WINDOWS || of.is_cut => Told::All(of),
            // The lane had not begun.
            None if number < self.first => Told::Unknown,
            _ => {
                let near =
                    |(known, of): (i64, &OfMinute)| (known - number).abs() <= RECENT && of.without_instance() > 0;
                if self.numbered().any(near) { Told::Unknown } else { Told::AsItIs }
            }
        }
    }

    /// How many have met none since then.
    pub fn since(&self, then: Timestamp) -> i64 {
        let number = minute_of(then);
        let since = self.numbered().filter(|(known, _)| *known >= number);
        since.fold(0, |sum, (_, of)| sum.saturating_add(of.without_instance()))
    }

    /// How many in the last minutes, where they are most of what failed; none: they aren't.
    pub fn lately(&self, now: Timestamp) -> Option<i64> {
        let since = minute_of(now) - RECENT;
        let recent = self.numbered().filter(|(known, _)| *known >= since);
        let (unserved, failed) = recent.fold((0_i64, 0_i64), |(unserved, failed), (_, of)| {
            (
                unserved.saturating_add(of.without_instance()),
                failed.saturating_add(of.failed).saturating_add(of.refused),
            )
        });
        Some(unserved).filter(|unserved| *unserved > 0 && unserved.saturating_mul(2) >= failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_040 + seconds).unwrap()
    }

    fn window(unserved: i64, of_users: i64) -> Counted {
        Counted { unserved, of_users, ..Counted::default() }
    }

    fn read_again(known: &Unserved) -> Unserved {
        let release =
            crate::names::ReleaseId { revision: crate::names::RevisionName::new("api-2").unwrap(), number: 1 };
        Unserved::of(&FastStatus { unserved: known.write(), ..crate::verdict::fast::empty(&release, at(0)) })
    }

    #[test]
    fn a_minute_is_told_of_when_each_of_its_windows_was_read() {
        let mut known = Unserved::default();
        (0..6).for_each(|number| known.note(at(number * 10), &window(2, 3), false));
        let Told::All(of) = known.told_of(at(0)) else { panic!("{known:?}") };
        assert_eq!((of.of_errors(40), of.without_instance()), (12, 12));
        // A window of the next one is missing, and requests met no instance a minute before.
        (0..5).for_each(|number| known.note(at(60 + number * 10), &window(0, 0), false));
        assert_eq!(known.told_of(at(60)), Told::Unknown);
        assert_eq!(known.told_of(at(-60)), Told::Unknown, "before the lane began");
        assert_eq!(known.told_of(at(600)), Told::AsItIs, "nothing is near");
        assert_eq!(read_again(&known), known);
    }

    #[test]
    fn a_missing_window_is_nothing_where_every_request_met_an_instance() {
        let mut known = Unserved::default();
        (0..5).for_each(|number| known.note(at(number * 10), &window(0, 9), false));
        assert_eq!(known.told_of(at(0)), Told::AsItIs);
    }

    #[test]
    fn of_a_cut_answer_the_share_counts() {
        let mut known = Unserved::default();
        known.note(at(0), &window(30, 100), true);
        let Told::All(of) = known.told_of(at(0)) else { panic!("{known:?}") };
        assert_eq!(of.of_errors(1_000), 300);
        assert_eq!(read_again(&known), known);
    }

    #[test]
    fn the_oldest_minutes_go_and_others_keep_their_places() {
        let mut known = Unserved::default();
        (0..100).for_each(|minute| known.note(at(minute * 60), &window(i64::from(minute == 99), 1), false));
        assert_eq!((known.minutes.len(), known.first), (KEPT, minute_of(at(55 * 60))));
        assert_eq!((known.since(at(99 * 60)), known.since(at(0))), (1, 1));
        known.note(at(86_400), &window(1, 1), false);
        assert_eq!(known.minutes.len(), 1, "a day later everything is another");
    }
}
