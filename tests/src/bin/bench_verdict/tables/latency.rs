//! Latencies, and all metrics together.

use orchestra_crds::Analysis;

use super::{Bench, LEVEL};
use crate::cells::REQUESTS;
use crate::hour::Ended;
use crate::runs::{lower_limit, median, runs};
use crate::slow::{Slow, hold};

/// Within how many minutes a slowdown must be found, and in what share of the runs.
const SOON: usize = 5;
const FOUND: f64 = 0.95;
/// Up to which deviation: beside latencies that are spread wider, half as long again is little, and takes more requests.
const USUAL: f64 = 0.7;

impl Bench {
    /// Candidates that answer slowly.
    pub fn latency(&mut self) {
        println!("## Latency: an hour at 10 % of the requests\n");
        println!(
            "Log-normal latencies, buckets of a factor of 1.4. Each cell: taken back in % of the runs / median minute / within {SOON} \
             minutes, in %.\n"
        );
        println!("| slower by | deviation | 1 | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|---|---|");
        for deviation in [0.5, 0.7, 1.0] {
            for times in [1.0, 1.25, 1.5, 2.0] {
                let told: Vec<String> = REQUESTS.iter().map(|r| self.latency_cell(*r, times, deviation)).collect();
                println!("| {times} | {deviation} | {} |", told.join(" | "));
            }
        }
        println!(
            "\nAll default metrics together, good releases taken back in an hour, in %; errors of 1 % in bursts of CV² 1:\n"
        );
        println!("| 1 | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|");
        let told: Vec<String> = REQUESTS.iter().map(|r| self.together_cell(*r)).collect();
        println!("| {} |\n", told.join(" | "));
    }

    fn latency_cell(&mut self, requests_per_second: f64, times: f64, deviation: f64) -> String {
        let slow = Slow { requests_per_second, share: 0.1, times, deviation, minutes: 60, errors: None };
        let (cell, number) = (self.next(), self.runs(if times > 1.0 { 2_000 } else { 8_000 }));
        let all = runs(number, |run| hold((cell, run), &slow, &Analysis::default()));
        let found = |within: usize| all.iter().filter(|e| e.taken_back.is_some_and(|at| at <= within)).count();
        let (ever, soon) = (found(usize::MAX), found(SOON));
        if times == 1.0 {
            self.bound(
                format!("false by latency: {requests_per_second} requests/s, {deviation}"),
                ever,
                all.len(),
                LEVEL / 2.0,
            );
        }
        if times == 1.5 && requests_per_second >= 10.0 && deviation <= USUAL {
            // As few found as that is no chance: of those not found, the lower limit.
            let missed = lower_limit(all.len() - soon, all.len());
            if missed > 1.0 - FOUND {
                self.broken.push(format!("{slow:?}: {soon} of {} found within {SOON} minutes", all.len()));
            }
        }
        let share = |n: usize| n as f64 * 100.0 / all.len() as f64;
        let minute = median(all.iter().filter_map(|ended| ended.taken_back).collect());
        let minute = minute.map_or("–".to_string(), |minute| minute.to_string());
        format!("{:.1} / {minute} / {:.0}", share(ever), share(soon))
    }

    fn together_cell(&mut self, requests_per_second: f64) -> String {
        let errors = Some((0.01, 1.0));
        let slow = Slow { requests_per_second, share: 0.1, times: 1.0, deviation: 0.5, minutes: 60, errors };
        let (cell, number) = (self.next(), self.runs(8_000));
        let all: Vec<Ended> = runs(number, |run| hold((cell, run), &slow, &Analysis::default()));
        let seen = all.iter().filter(|ended| ended.taken_back.is_some()).count();
        self.bound(format!("false by all metrics: {requests_per_second} requests/s"), seen, all.len(), LEVEL);
        format!("{:.2}", seen as f64 * 100.0 / all.len() as f64)
    }
}
