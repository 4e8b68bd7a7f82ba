//! Request logs beside the minutes, and beside what other tools make of minutes that are as late.

use orchestra_crds::Analysis;

use super::{Bench, LEVEL, percent, rates};
use crate::fast::Lanes;
use crate::hour::{Cell, Held};
use crate::rules::Kind;
use crate::runs::{Mean, runs};
use crate::traffic::Rates;

/// How late metrics are, in minutes.
const LATE: f64 = 3.0;
/// The most of a sound peer's failed requests that ours may be.
const FIFTH: f64 = 0.2;

impl Bench {
    /// What the logs save, and whether they are ever wrong.
    pub fn fast_lane(&mut self) {
        println!("## Requests that a bad candidate fails until it is taken back, with metrics three minutes late\n");
        println!("| requests/s | stable → candidate | by minutes | with logs | ratio |\n|---|---|---|---|---|");
        for requests in [10.0, 100.0, 1_000.0] {
            for candidate in [0.01, 0.05, 0.5] {
                let rates = rates(requests, 0.001, candidate, 0.0);
                let cell = self.next();
                let (slow, fast) = (self.bad_until(cell, rates, false), self.bad_until(cell, rates, true));
                println!(
                    "| {requests} | 0.1 % → {} | {:.0} | {:.0} | {:.2} |",
                    percent(candidate),
                    slow.of,
                    fast.of,
                    fast.of / slow.of
                );
                let most = if candidate >= 0.05 { 1.0 / 6.0 } else { 1.0 / 3.0 };
                if requests >= 100.0 && fast.surely_more_than(most, slow) {
                    self.broken.push(format!("logs save too little: {rates:?}: {:.0} of {:.0}", fast.of, slow.of));
                }
            }
        }
        println!();
        self.false_by_logs();
    }

    /// Requests that a candidate fails until it is taken back, on average.
    fn bad_until(&self, cell: u64, rates: Rates, fast: bool) -> Mean {
        let lanes = Lanes { rates, minutes: 60, breaks_after: 0, fast };
        let number = self.runs(if rates.requests_per_second * rates.candidate > 100.0 { 1_000 } else { 4_000 });
        let all = runs(number, |run| crate::fast::lanes((cell, run), &lanes, &Analysis::default()));
        Mean::new(all.iter().map(|ended| ended.bad as f64))
    }

    fn false_by_logs(&mut self) {
        println!(
            "Good releases taken back by logs in an hour, in %:\n\n| bursts CV² | base | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|---|"
        );
        for bursts in [0.0, 0.25, 1.0] {
            for base in [0.001, 0.01] {
                let mut told = vec![];
                for requests in [10.0, 100.0, 1_000.0] {
                    let lanes =
                        Lanes { rates: rates(requests, base, base, bursts), minutes: 60, breaks_after: 0, fast: true };
                    let number = self.runs(if requests * base > 1.0 { 2_000 } else { 5_000 });
                    let cell = self.next();
                    let all = runs(number, |run| crate::fast::lanes((cell, run), &lanes, &Analysis::default()));
                    let seen = all.iter().filter(|ended| ended.by_logs).count();
                    told.push(format!("{:.2}", seen as f64 * 100.0 / all.len() as f64));
                    self.bound(
                        format!("false by logs: {requests} requests/s, base {base}, CV² {bursts}"),
                        seen,
                        all.len(),
                        0.002,
                    );
                }
                println!("| {bursts} | {} | {} |", percent(base), told.join(" | "));
            }
        }
        println!();
    }

    /// Other tools, told each minute as late as we are.
    pub fn late_peers(&mut self) {
        println!("## The same beside other tools, whose metrics are as late\n");
        println!(
            "Requests failed until taken back. In brackets: a rule that takes back more than 1 % of good releases in that hour.\n"
        );
        let peers = &Kind::ALL[1..];
        let names: Vec<&str> = peers.iter().map(|kind| kind.name()).collect();
        println!("| requests/s | stable → candidate | Orchestra | {} |", names.join(" | "));
        println!("|---|---|---|{}", "---|".repeat(names.len()));
        for requests in [100.0, 1_000.0] {
            let healthy: Vec<f64> =
                peers.iter().map(|kind| self.by_peer(*kind, rates(requests, 0.001, 0.001, 0.0)).1).collect();
            for candidate in [0.01, 0.05, 0.5] {
                let rates = rates(requests, 0.001, candidate, 0.0);
                let cell = self.next();
                let ours = self.bad_until(cell, rates, true);
                let mut told = vec![];
                for (peer, taken_back) in peers.iter().zip(&healthy) {
                    let (bad, _) = self.by_peer(*peer, rates);
                    let is_sound = *taken_back <= LEVEL;
                    told.push(if is_sound { format!("{:.0}", bad.of) } else { format!("({:.0})", bad.of) });
                    if is_sound && ours.surely_more_than(FIFTH, bad) {
                        self.broken.push(format!(
                            "{rates:?}: {:.0} failed requests, {} has {:.0}",
                            ours.of,
                            peer.name(),
                            bad.of
                        ));
                    }
                }
                println!("| {requests} | 0.1 % → {} | {:.0} | {} |", percent(candidate), ours.of, told.join(" | "));
            }
        }
        println!();
    }

    /// Requests that the candidate fails until a peer's rule takes it back, and how many are taken back.
    fn by_peer(&mut self, kind: Kind, rates: Rates) -> (Mean, f64) {
        let cell = Cell::of(self.next(), self.runs(4_000), &Held::hour(rates), kind);
        let meanwhile = rates.requests_per_second * rates.share * rates.candidate * 60.0 * LATE;
        let found = cell.percent() / 100.0;
        (cell.mean(move |ended| ended.bad + if ended.taken_back.is_some() { meanwhile as i64 } else { 0 }), found)
    }
}
