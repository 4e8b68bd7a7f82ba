//! What instances say, by looks at them or by probes. One that is bad stays so for a while, so minutes tell little of each other
//! that is new: a test that multiplies what minutes say would count one instance again and again.
//!
//! Here what they say is added up. Stable's history has K looks that are independent, X of them bad. If the candidate's instances
//! are bad no more often than stable's, `(K + 1) · share / (X + 1)` is on average at most 1, of whatever number of looks the share of
//! bad ones is, because `1 / (X + 1)` is on average at most `1 / ((K + 1) · rate)`. So is the sum over all minutes, each with a weight,
//! where the weights sum to 1, whatever the minutes have to do with each other (Vovk and Wang, arXiv 1912.06116). The sum only
//! grows, and by Markov's inequality it ever reaches 1/α with probability α at most.
//!
//! A sum does not forget, so it says nothing about now: a candidate leans to harm, and fails, only while a breach goes on.

use super::Pair;
use super::trial::Since;
use crate::cloud::Count;

/// What all minutes of the planned time weigh together; those after it weigh the rest.
const PLANNED: f64 = 0.6;
/// The fewest minutes that a release is planned to have.
const LEAST_PLANNED: u32 = 20;

/// What the `number`-th minute weighs, from 1, of a release planned to have so many. After those it falls little faster than the
/// number grows, so that a late break is still told.
fn weight_of(number: u32, planned_minutes: u32) -> f64 {
    let (planned, number) = (f64::from(planned_minutes.max(LEAST_PLANNED)), f64::from(number.max(1)));
    let spans = 1.0 + (number / planned).ln();
    match number <= planned {
        true => PLANNED / planned,
        false => (1.0 - PLANNED) / (number * spans * spans),
    }
}

/// How much likelier a share of bad ones is than among stable's, of which so many in a row are as one.
fn evidence(share: f64, stable: Count, in_a_row: f64) -> f64 {
    let (all, bad) = (stable.total as f64 / in_a_row, stable.bad as f64 / in_a_row);
    (all + 1.0) * share / (bad + 1.0)
}

/// The candidate's share of bad ones beyond the worst of stable's at about that time: what hits both alike is not held against it.
pub(super) fn beyond(minute: &Pair, last_of_stable: Count) -> f64 {
    minute.candidate.rate() - minute.stable.rate().max(last_of_stable.rate())
}

/// The logarithm of what the `number`-th minute adds, by such a share above zero.
pub(super) fn said(number: u32, share: f64, (stable, in_a_row): (Count, f64), planned_minutes: u32) -> f64 {
    (weight_of(number, planned_minutes) * evidence(share, stable, in_a_row)).ln()
}

/// How much of a minute with a breach one without takes back: one in six is a breach that goes on.
const TAKEN_BACK: f64 = 0.2;
/// For how many minutes a breach is remembered at most, once it is over, times that.
const LONGEST: f64 = 3.0;

/// For how many minutes a breach must go on to matter.
pub(super) const LEAST_BREACH: f64 = 2.0;

/// What a sum that does not forget says, in percent of what is needed, while a breach goes on for so many minutes: nothing before and
/// after it, and not all in its first minute.
pub(super) fn in_breach(percent: i32, minutes: f64) -> i32 {
    match minutes {
        minutes if minutes <= 0.0 => 0,
        minutes if minutes < LEAST_BREACH => percent.clamp(1, 99),
        _ => percent.max(1),
    }
}

impl Since {
    /// Takes in a minute with or without a breach.
    pub(super) fn note_breach(&mut self, is_breach: bool, minute: &Pair) {
        match is_breach {
            true => self.said = (self.said + 1.0).min(LONGEST),
            false => self.fade(1),
        }
        if self.said > 0.0 {
            self.counted = self.counted.plus(minute);
        }
    }

    /// Lets so many minutes without a breach pass.
    pub(super) fn fade(&mut self, minutes: i64) {
        let said = self.said - TAKEN_BACK * minutes.max(0) as f64;
        // Sums of fifths are not exact.
        match said < TAKEN_BACK / 2.0 {
            true => *self = Self::default(),
            false => self.said = said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(total: i64, bad: i64) -> Count {
        Count { total, bad }
    }

    #[test]
    fn all_minutes_together_weigh_1() {
        for planned in [1, 20, 60] {
            let sum: f64 = (1..=10_000_000).map(|number| weight_of(number, planned)).sum();
            // Slowly: what is after ten million weighs 0.4 by the logarithm of that.
            assert!(sum <= 1.0 + 1e-9 && sum > 0.95, "{planned}: {sum}");
        }
    }

    #[test]
    fn the_mean_of_what_a_minute_says_is_at_most_1() {
        // One look of the candidate, K independent ones of stable: all numbers of bad ones, each with its probability.
        let (all, rate) = (200_i64, 0.01_f64);
        let mut likely = (1.0 - rate).powi(200);
        let mut mean = 0.0;
        for bad in 0..=all {
            mean += likely * rate * evidence(1.0, count(all, bad), 1.0);
            likely *= (all - bad) as f64 / (bad + 1) as f64 * rate / (1.0 - rate);
        }
        assert!(mean <= 1.0 && mean > 0.8, "{mean}");
    }

    #[test]
    fn as_many_independent_looks_as_stables_history_has_are_said_at_most() {
        let said = |share, bad| evidence(share, count(9 * 1_440, bad), 5.0);
        assert!((evidence(1.0, Count::default(), 5.0) - 1.0).abs() < 1e-9, "without a history nothing is sure");
        assert!((said(1.0, 0) - 2_593.0).abs() < 1e-9, "nine instances for a day, none of them bad");
        assert!((said(0.5, 0) - 2_593.0 / 2.0).abs() < 1e-9);
        assert!((said(1.0, 130) - 2_593.0 / 27.0).abs() < 1e-9);
    }

    #[test]
    fn what_hits_both_at_about_the_same_time_is_not_held_against_the_candidate() {
        let beside = |stable| Pair { candidate: count(2, 2), stable };
        assert_eq!(beyond(&beside(count(9, 9)), Count::default()), 0.0);
        assert_eq!(beyond(&beside(count(9, 0)), count(9, 9)), 0.0, "a minute ago");
        assert_eq!(beyond(&beside(count(9, 0)), count(9, 0)), 1.0);
    }

    #[test]
    fn a_breach_is_over_after_five_minutes_each_and_fifteen_in_all() {
        let minute = Pair { candidate: count(2, 2), stable: count(9, 0) };
        for (breaches, minutes) in [(1, 5), (2, 10), (3, 15), (60, 15)] {
            let mut since = Since::default();
            (0..breaches).for_each(|_| since.note_breach(true, &minute));
            let good = (1..).find(|_| {
                since.note_breach(false, &minute);
                since == Since::default()
            });
            assert_eq!(good, Some(minutes), "{breaches}");
        }
    }

    #[test]
    fn minutes_without_values_are_without_a_breach() {
        let minute = Pair { candidate: count(2, 2), stable: count(9, 0) };
        let mut heard = Since::default();
        (0..3).for_each(|_| heard.note_breach(true, &minute));
        let (mut slowly, mut at_once) = (heard, heard);
        (0..7).for_each(|_| slowly.fade(1));
        at_once.fade(7);
        assert!((slowly.said - at_once.said).abs() < 1e-9 && slowly.said > 1.0);
        at_once.fade(8);
        assert_eq!(at_once, Since::default(), "fifteen in all");
    }

    #[test]
    fn a_breach_that_comes_and_goes_goes_on() {
        let (mut since, minute) = (Since::default(), Pair { candidate: count(2, 2), stable: count(9, 0) });
        (0..60).for_each(|number| since.note_breach(number % 3 == 0, &minute));
        assert!(since.said >= 2.0, "{since:?}");
    }
}
