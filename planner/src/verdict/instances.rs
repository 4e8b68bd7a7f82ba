//! What instances say, by looks at them or by probes. One that is bad stays so for a while, so minutes tell little of each other
//! that is new: a test that multiplies what minutes say would count one instance again and again.
//!
//! Here what they say is added up. If the candidate's instances are bad no more often than stable's, a look at them is as one more
//! among the K independent ones that stable's history has. So K + 1 times its part of all that is bad is on average at most 1 (a
//! conformal e-value: Vovk, arXiv 2001.05989), and so is the sum over all minutes, each with a weight, where the weights sum to 1,
//! whatever the minutes have to do with each other (Vovk and Wang, arXiv 1912.06116). The sum only grows, and by Markov's inequality
//! it ever reaches 1/α with probability α at most.

use super::Pair;
use crate::cloud::Count;

/// What all minutes of the planned time weigh together; those after it weigh the rest.
const PLANNED: f64 = 0.8;
/// The fewest minutes that a release is planned to have.
const LEAST_PLANNED: u32 = 20;

/// What the `number`-th minute weighs, from 1, of a release planned to have so many.
fn weight_of(number: u32, planned_minutes: u32) -> f64 {
    let (planned, number) = (f64::from(planned_minutes.max(LEAST_PLANNED)), f64::from(number.max(1)));
    match number <= planned {
        true => PLANNED / planned,
        false => (1.0 - PLANNED) * planned / (number * (number - 1.0)),
    }
}

/// How much likelier a share of bad ones is than among stable's, of which so many in a row are as one.
fn evidence(beyond: f64, stable: Count, in_a_row: f64) -> f64 {
    let (all, bad) = (stable.total as f64 / in_a_row, stable.bad as f64 / in_a_row);
    (all + 1.0) * beyond / (bad + beyond)
}

/// The logarithm of what the `number`-th minute adds, by the candidate's share of bad ones beyond the worst of stable's at about that
/// time: what hits both alike is not held against it. None: nothing.
pub(super) fn said(
    number: u32,
    minute: &Pair,
    last_of_stable: Count,
    (known, in_a_row): (Count, f64),
    planned_minutes: u32,
) -> Option<f64> {
    let beyond = minute.candidate.rate() - minute.stable.rate().max(last_of_stable.rate());
    let weight = weight_of(number, planned_minutes);
    (beyond > 0.0).then(|| (weight * evidence(beyond, known, in_a_row)).ln())
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
            let sum: f64 = (1..=1_000_000).map(|number| weight_of(number, planned)).sum();
            assert!(sum <= 1.0 + 1e-9 && sum > 0.99, "{planned}: {sum}");
        }
    }

    #[test]
    fn as_many_independent_looks_as_stables_day_has_are_said_at_most() {
        let said = |bad| evidence(1.0, count(9 * 1_440, bad), 10.0);
        assert!((evidence(1.0, Count::default(), 10.0) - 1.0).abs() < 1e-9, "without a day nothing is sure");
        assert!((said(0) - 1_297.0).abs() < 1e-9, "nine instances for a day, none of them bad");
        assert!((said(130) - 1_297.0 / 14.0).abs() < 1e-9);
    }

    #[test]
    fn what_hits_both_says_nothing() {
        let both = Pair { candidate: count(2, 2), stable: count(9, 9) };
        let alone = Pair { candidate: count(2, 2), stable: count(9, 0) };
        let known = (count(9 * 1_440, 0), 10.0);
        assert_eq!(said(1, &both, Count::default(), known, 20), None);
        assert_eq!(said(1, &alone, count(9, 9), known, 20), None, "a minute ago");
        let said = said(1, &alone, count(9, 0), known, 20).unwrap().exp();
        assert!((said - 0.04 * 1_297.9).abs() < 0.1, "{said}");
    }
}
