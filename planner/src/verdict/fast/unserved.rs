//! What request logs tell of users' requests of the candidate that met no free instance, minute by minute, while its share of the
//! service's instances was too small: `FIRST-LAST MINUTE MINUTE …`, the first minute that is told of and the last in which that was
//! so, then each minute as `WINDOWS`, or `WINDOWS:UNSERVED:REFUSED:FAILED` and of stable `:UNSERVED:FAILED`, with a `+` where more
//! failed than was told.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::FastStatus;
use std::fmt::Write;

use super::entries::Counted;
use crate::verdict::judgement::minute_of;

/// Minutes that are kept: metrics tell of theirs by then, however late they are.
const KEPT: usize = 36;
/// For how many minutes what met no instance keeps a step from passing.
const RECENT: i64 = 5;
/// The same as a span.
pub const LATELY: SignedDuration = SignedDuration::from_mins(RECENT);
/// Windows of a minute.
const WINDOWS: u32 = 6;
/// Of so many failures the part that met no instance is taken for that of minutes that nobody told of.
const ENOUGH: i64 = 20;
/// At most so many times what met no instance in the worst minute that was told of did in one that nobody told of.
const AT_MOST: i64 = 3;

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
    /// Stable's that met none, and all of stable's that failed.
    stable: (i64, i64),
    /// More failed than was told.
    is_cut: bool,
}

/// Errors of a revision in a minute, by logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// Met no free instance.
    pub unserved: i64,
    /// Failed though an instance was free.
    pub own: i64,
}

/// What is known of a minute's requests that met no free instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// None did: it is as the metrics tell it.
    AsItIs,
    /// So many errors of each did, and so many requests of the candidate were refused.
    Exactly { candidate: Failing, refused: i64, stable: Failing },
    /// Its logs were not all read. About this part of its errors did, and that is less than half.
    Part { unserved: i64, failed: i64 },
    /// Its logs were not all read, and most of what fails meets no instance: up to so many errors did, and what is not more
    /// than that says nothing.
    Unknown { at_most: i64 },
}

/// Requests that met no free instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unserved {
    /// The number of the first minute.
    first: i64,
    /// The number of the last minute in which the share of the instances was too small.
    last: i64,
    minutes: Vec<OfMinute>,
}

impl OfMinute {
    fn without_instance(&self) -> i64 {
        self.unserved.saturating_add(self.refused)
    }

    fn is_whole(&self) -> bool {
        self.windows >= WINDOWS && !self.is_cut
    }

    fn read(text: &str) -> Option<Self> {
        let (numbers, is_cut) = text.strip_suffix('+').map_or((text, false), |numbers| (numbers, true));
        let mut numbers = numbers.split(':').map(|number| number.parse::<i64>().ok());
        let windows = u32::try_from(numbers.next()??).ok()?;
        let mut next = || numbers.next().unwrap_or(Some(0));
        let (unserved, refused, failed) = (next()?, next()?, next()?);
        Some(Self { windows, unserved, refused, failed, stable: (next()?, next()?), is_cut })
    }

    fn write(&self, text: &mut String) {
        let Self { windows, unserved, refused, failed, stable, is_cut } = self;
        // Writing into a text does not fail.
        let _ = match (unserved, refused, failed, stable) {
            (0, 0, 0, (0, _)) => write!(text, " {windows}"),
            (_, _, _, (0, _)) => write!(text, " {windows}:{unserved}:{refused}:{failed}"),
            (_, _, _, (of_stable, all)) => write!(text, " {windows}:{unserved}:{refused}:{failed}:{of_stable}:{all}"),
        };
        text.push_str(if *is_cut { "+" } else { "" });
    }
}

impl Unserved {
    /// Of a lane.
    pub fn of(fast: &FastStatus) -> Self {
        let mut parts = fast.unserved.split(' ');
        let span = parts.next().and_then(|span| span.split_once('-'));
        let span = span.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        let minutes = parts.map(OfMinute::read).collect::<Option<Vec<_>>>();
        // Whoever may write the status writes here, too.
        let is_sound = |first: i64, last: i64, kept: usize| {
            (0..minute_of(Timestamp::MAX)).contains(&first)
                && (first..=first.saturating_add(2 * KEPT as i64)).contains(&last)
                && kept <= KEPT
        };
        match (span, minutes) {
            (Some((first, last)), Some(minutes)) if is_sound(first, last, minutes.len()) => {
                Self { first, last, minutes }
            }
            _ => Self::default(),
        }
    }

    pub(super) fn write(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = format!("{}-{}", self.first, self.last);
        self.minutes.iter().for_each(|minute| minute.write(&mut text));
        text
    }

    /// Whether its share has never been too small, as far as logs were read.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// Whether the share was too small when logs were read last.
    pub fn is_short_still(&self) -> bool {
        !self.is_empty() && self.last >= self.first + self.minutes.len() as i64 - 1
    }

    /// Whether what meets no instance in a minute is excused: the share was too small in it, or a moment before.
    fn is_excused(&self, number: i64) -> bool {
        number <= self.last.saturating_add(1)
    }

    /// Takes in a window that began then, of which a part or all was told; whether the share is too small.
    pub(super) fn note(&mut self, start: Timestamp, counted: &Counted, is_short: bool, is_cut: bool) {
        let number = minute_of(start);
        let is_far = |index: i64| !(0..KEPT as i64 * 2).contains(&index);
        if is_short && (self.is_empty() || is_far(number - self.first)) {
            *self = Self { first: number, last: number, minutes: vec![] };
        }
        self.last = if is_short { self.last.max(number) } else { self.last };
        if !is_short && (self.is_empty() || !self.is_excused(number)) {
            return;
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
            let (unserved, failed) = &mut minute.stable;
            *unserved = unserved.saturating_add(counted.stable_unserved);
            *failed = failed.saturating_add(counted.stable_of_users);
            minute.is_cut |= is_cut;
        }
        let old = self.minutes.len().saturating_sub(KEPT);
        self.minutes.drain(..old);
        self.first += old as i64;
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = (i64, &OfMinute)> {
        self.minutes.iter().enumerate().map(|(index, of)| (self.first + index as i64, of))
    }

    /// What is known of the minute that began then; whether the share is too small now, though no logs tell of it.
    pub fn told_of(&self, start: Timestamp, is_short: bool) -> Told {
        let number = minute_of(start);
        if self.is_empty() || !(is_short || self.is_excused(number)) {
            return Told::AsItIs;
        }
        // The lane had not begun.
        if number < self.first {
            return Told::Unknown { at_most: i64::MAX };
        }
        let whole = self.numbered().find(|(known, of)| *known == number && of.is_whole());
        match whole {
            Some((_, of)) if of.without_instance() == 0 && of.stable.0 == 0 => Told::AsItIs,
            Some((_, of)) => Told::Exactly {
                candidate: Failing { unserved: of.unserved, own: of.failed.saturating_sub(of.unserved) },
                refused: of.refused,
                stable: Failing { unserved: of.stable.0, own: of.stable.1.saturating_sub(of.stable.0) },
            },
            None => self.by_the_others(number),
        }
    }

    /// What is known of a minute by what its windows and the last ones told: of as many failures as it takes.
    fn by_the_others(&self, number: i64) -> Told {
        let (mut unserved, mut refused, mut failed) = (0_i64, 0_i64, 0_i64);
        for (_, of) in self.numbered().rev().filter(|(known, _)| *known <= number + RECENT) {
            unserved = unserved.saturating_add(of.unserved);
            refused = refused.saturating_add(of.refused);
            failed = failed.saturating_add(of.failed);
            if failed.saturating_add(refused) >= ENOUGH {
                break;
            }
        }
        match (unserved, refused) {
            (0, 0) => Told::AsItIs,
            // What was refused is no error: of those it tells nothing.
            (0, _) => Told::Part { unserved, failed },
            _ if unserved.saturating_mul(2) >= failed => Told::Unknown { at_most: self.most_unserved() },
            _ => Told::Part { unserved, failed },
        }
    }

    /// Of how many errors of a minute at most that met no instance nobody need have told.
    fn most_unserved(&self) -> i64 {
        let of_worst = self.minutes.iter().map(|of| of.unserved).max().unwrap_or_default();
        of_worst.saturating_mul(AT_MOST).max(ENOUGH)
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
        (0..6).for_each(|number| known.note(at(number * 10), &window(2, 3), true, false));
        let of = |unserved, own| Failing { unserved, own };
        assert_eq!(
            known.told_of(at(0), false),
            Told::Exactly { candidate: of(12, 6), refused: 0, stable: Failing::default() }
        );
        // A window of the next one is missing, and requests met no instance a minute before.
        (0..5).for_each(|number| known.note(at(60 + number * 10), &window(0, 0), true, false));
        assert_eq!(known.told_of(at(60), false), Told::Unknown { at_most: 36 });
        assert_eq!(known.told_of(at(-60), false), Told::Unknown { at_most: i64::MAX }, "before the lane began");
        assert_eq!(known.told_of(at(180), false), Told::AsItIs, "the share is no longer too small");
        assert_eq!(read_again(&known), known);
    }

    #[test]
    fn a_missing_window_is_nothing_where_every_request_met_an_instance() {
        let mut known = Unserved::default();
        (0..5).for_each(|number| known.note(at(number * 10), &window(0, 9), true, false));
        assert_eq!(known.told_of(at(0), false), Told::AsItIs);
    }

    #[test]
    fn where_little_of_what_fails_met_no_instance_that_part_is_taken_out_of_what_nobody_told_of() {
        let mut known = Unserved::default();
        known.note(at(0), &window(30, 100), true, true);
        assert_eq!(known.told_of(at(0), false), Told::Part { unserved: 30, failed: 100 });
        // Long after the last that was told.
        (1..20).for_each(|minute| known.note(at(minute * 60), &window(0, 0), true, false));
        assert_eq!(known.told_of(at(12 * 60), false), Told::Part { unserved: 30, failed: 100 });
        assert_eq!(read_again(&known), known);
    }

    #[test]
    fn once_there_are_enough_instances_nothing_is_excused() {
        let mut known = Unserved::default();
        known.note(at(0), &window(9, 9), true, false);
        (6..30).for_each(|number| known.note(at(number * 10), &window(9, 9), false, false));
        let all = Failing { unserved: 54, own: 0 };
        assert_eq!(
            known.told_of(at(60), false),
            Told::Exactly { candidate: all, refused: 0, stable: Failing::default() },
            "a moment after"
        );
        assert_eq!(known.told_of(at(120), false), Told::AsItIs);
        let mut never = Unserved::default();
        never.note(at(0), &window(9, 9), false, false);
        assert!(never.is_empty());
    }

    #[test]
    fn what_nobody_could_have_written_is_nothing() {
        let release =
            crate::names::ReleaseId { revision: crate::names::RevisionName::new("api-2").unwrap(), number: 1 };
        for text in ["0-9223372036854775807 6", "9223372036854775807-9223372036854775807 6 6", "-5--5 6", "7-3 6"] {
            let fast = FastStatus { unserved: text.into(), ..crate::verdict::fast::empty(&release, at(0)) };
            assert!(Unserved::of(&fast).is_empty(), "{text}");
        }
    }

    #[test]
    fn of_stable_too_it_is_told_what_met_no_instance() {
        let mut known = Unserved::default();
        let both = Counted { stable_unserved: 5, stable_of_users: 8, ..window(2, 3) };
        (0..6).for_each(|number| known.note(at(number * 10), &both, true, false));
        let (candidate, stable) = (Failing { unserved: 12, own: 6 }, Failing { unserved: 30, own: 18 });
        assert_eq!(known.told_of(at(0), false), Told::Exactly { candidate, refused: 0, stable });
        assert_eq!(read_again(&known), known);
    }

    #[test]
    fn the_oldest_minutes_go_and_others_keep_their_places() {
        let mut known = Unserved::default();
        (0..100).for_each(|minute| known.note(at(minute * 60), &window(i64::from(minute == 99), 1), true, false));
        assert_eq!((known.minutes.len(), known.first), (KEPT, minute_of(at(64 * 60))));
        assert_eq!((known.since(at(99 * 60)), known.since(at(0))), (1, 1));
        known.note(at(86_400), &window(1, 1), true, false);
        assert_eq!(known.minutes.len(), 1, "a day later everything is another");
    }
}
