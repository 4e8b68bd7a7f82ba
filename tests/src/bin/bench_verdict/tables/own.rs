//! Metrics of one's own: looks at instances, probes, and counters that are read seldom.

use super::{Bench, LEVEL, percent, rates};
use crate::cells::REQUESTS;
use crate::instances::{Instances, Measured, hold, hold_thinned};
use crate::runs::{median, runs};

/// How many instances stable and candidate have.
const FLEETS: [(usize, usize); 4] = [(9, 1), (2, 2), (18, 2), (90, 10)];
/// Looks at gauges, and the probes of a minute.
const MEASURED: [(Measured, &str); 2] = [(Measured::Looks, "looks"), (Measured::Probes(6), "probes")];

impl Bench {
    /// Values of instances.
    pub fn own_metrics(&mut self) {
        println!("## Looks at instances, and probes: an hour\n");
        println!(
            "An instance that is bad stays so for some minutes, on average; of each there is one look a minute, or six probes. One \
             such metric, beside errors. Each cell: taken back in % of the runs / median minute / held at the end of the hour, in %. Columns: instances of stable and \
             candidate.\n"
        );
        let fleets = FLEETS.map(|(stable, candidate)| format!("{stable} and {candidate}"));
        println!("| what | bad of stable → candidate | stays | {} |", fleets.join(" | "));
        println!("|---|---|---|{}", "---|".repeat(fleets.len()));
        for (measured, name) in MEASURED {
            for bad in [0.0005, 0.005, 0.02, 0.1] {
                for stays in [1.0, 3.0, 10.0, 30.0] {
                    self.instances_row(measured, name, (bad, bad), stays);
                }
            }
            for bad in [(0.0, 0.9), (0.0005, 0.3), (0.005, 0.9)] {
                self.instances_row(measured, name, bad, 10.0);
            }
        }
        println!();
        self.thinned();
    }

    fn instances_row(&mut self, measured: Measured, name: &str, bad: (f64, f64), stays: f64) {
        let mut told = vec![];
        for (stable, candidate) in FLEETS {
            let instances = Instances { measured, stable, candidate, bad, stays };
            let cell = self.next();
            let all = runs(self.runs(4_000), |run| hold((cell, run), &instances));
            let back: Vec<usize> = all.iter().filter_map(|ended| ended.taken_back).collect();
            let held = all.iter().filter(|ended| ended.taken_back.is_none() && ended.held).count();
            if bad.0 == bad.1 {
                self.bound(format!("false by {name}: {instances:?}"), back.len(), all.len(), LEVEL / 2.0);
            }
            let share = |many: usize| many as f64 * 100.0 / all.len() as f64;
            let shown = share(back.len());
            let minute = median(back).map_or("–".to_string(), |minute| minute.to_string());
            told.push(format!("{shown:.2} / {minute} / {:.1}", share(held)));
        }
        println!("| {name} | {} → {} | {stays} min | {} |", percent(bad.0), percent(bad.1), told.join(" | "));
    }

    /// Counters that Prometheus reads seldom.
    fn thinned(&mut self) {
        println!(
            "Good releases taken back in an hour, in %, by a counter of which Prometheus sees so much of each minute and makes the \
             whole minute of it; errors of 1 %, in bursts of CV² 0.25. Every 10 s it sees 50 s, every 30 s 30 s.\n"
        );
        println!("| seen | 1 | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|---|");
        for seen in [60.0, 50.0, 30.0] {
            let mut told = vec![];
            for requests in REQUESTS {
                let (cell, rates) = (self.next(), rates(requests, 0.01, 0.01, 0.25));
                let all = runs(self.runs(4_000), |run| hold_thinned((cell, run), &rates, seen));
                let back = all.iter().filter(|ended| ended.taken_back.is_some()).count();
                self.bound(
                    format!("false by a counter, {seen} s, {requests} requests/s"),
                    back,
                    all.len(),
                    LEVEL / 2.0,
                );
                told.push(format!("{:.2}", back as f64 * 100.0 / all.len() as f64));
            }
            println!("| {seen} s | {} |", told.join(" | "));
        }
        println!();
    }
}
