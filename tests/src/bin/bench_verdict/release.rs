//! A whole release by the default steps, 10 % and 50 % for five minutes each, with metrics that are three minutes late:
//! what the verdict makes of it, by the rules of a weight step.

use orchestra_crds::{Analysis, Fallback};
use orchestra_planner::cloud::Count;

use crate::ours::Ours;
use crate::traffic::{Rates, Traffic};

/// Shares of the steps.
const SHARES: [f64; 2] = [0.1, 0.5];
/// How long a step is held until a whole minute is over, how late metrics are, and how long is waited for the last of them,
/// in minutes. A step begins within a minute, and ends within one.
const HELD: usize = 5;
const HOLD: usize = HELD + 1;
const LATE: usize = 3;
const WAIT: usize = 2;

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Promoted,
    RolledBack,
    Person,
}

/// One release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub end: End,
    /// After how many minutes.
    pub minutes: usize,
    /// Requests that the candidate failed until then.
    pub bad: i64,
}

/// What becomes of a step now.
enum Look {
    Goes,
    Passes,
    Asks,
}

/// One run.
pub fn release(seed: (u64, u64), rates: Rates, settings: &Analysis) -> Release {
    let mut traffic = Traffic::new(seed.0, seed.1);
    let before: Vec<Count> = (0..60).map(|_| traffic.minute(&Rates { share: 0.0, ..rates }).stable).collect();
    let planned = u32::try_from(HELD * SHARES.len()).unwrap_or(0);
    let mut ours = Ours::new(&before, settings, planned);
    // Minutes that ended and have not arrived, each with whether one weight was in effect all through it.
    let mut under_way = std::collections::VecDeque::new();
    let (mut step, mut began, mut bad, mut judged) = (0, 0, 0, 0);
    for now in 1.. {
        let pair = traffic.minute(&Rates { share: SHARES[step], ..rates });
        bad += pair.candidate.bad;
        // The first minute of a step has the change in it; the first of all is cold, too.
        let counts = now > began + if step == 0 { 2 } else { 1 };
        under_way.push_back((step, counts, pair));
        if under_way.len() > LATE {
            match under_way.pop_front() {
                Some((of_step, true, pair)) => {
                    judged += if of_step == step { pair.candidate.total } else { 0 };
                    ours.add(pair);
                }
                // Stable's history ends where the first minute that counts begins.
                _ if judged > 0 || step > 0 => ours.skip(),
                _ => {}
            }
        }
        if ours.fails() {
            return Release { end: End::RolledBack, minutes: now, bad };
        }
        match look(&ours, now - began, judged, settings) {
            Look::Goes => {}
            Look::Asks => return Release { end: End::Person, minutes: now, bad },
            Look::Passes if step + 1 == SHARES.len() => return Release { end: End::Promoted, minutes: now, bad },
            Look::Passes => {
                (step, began, judged) = (step + 1, now, 0);
                ours.begins_step();
            }
        }
    }
    unreachable!("a step ends")
}

fn look(ours: &Ours, age: usize, judged: i64, settings: &Analysis) -> Look {
    let extension = usize::try_from(settings.extend_seconds / 60).unwrap_or(0);
    if age < HOLD + LATE {
        return Look::Goes;
    }
    if ours.passes() && judged >= i64::from(settings.minimum_requests) {
        return Look::Passes;
    }
    match (age < HELD + LATE + WAIT + extension, ours.leans(), settings.on_inconclusive) {
        (true, ..) => Look::Goes,
        (false, false, Fallback::Promote) => Look::Passes,
        _ => Look::Asks,
    }
}
