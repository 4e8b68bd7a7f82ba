//! The tables, and the bounds that they must keep.

mod latency;
mod logs;
mod own;

use orchestra_crds::Analysis;
use std::process::ExitCode;
use std::time::Instant;

use crate::cells::{EFFECTS, REQUESTS, Trouble, minimum};
use crate::hour::{Cell, Held};
use crate::release::{End, release};
use crate::rules::Kind;
use crate::runs::{lower_limit, median, runs};
use crate::traffic::Rates;
use crate::whole::World;

/// The candidate's share in all cells that hold it.
const SHARE: f64 = 0.1;
/// How many times the fewest requests of the candidate a failure may take.
const MOST_REQUESTS: f64 = 1.7;
/// How many good ones of a hundred may be taken back, by `confidencePercent: 99`.
const LEVEL: f64 = 0.01;

/// The bench.
pub struct Bench {
    sample: bool,
    cell: u64,
    broken: Vec<String>,
    began: Instant,
}

fn rates(requests_per_second: f64, stable: f64, candidate: f64, bursts: f64) -> Rates {
    Rates { requests_per_second, share: SHARE, stable, candidate, bursts }
}

fn percent(rate: f64) -> String {
    format!("{} %", rate * 100.0)
}

impl Bench {
    pub fn new(sample: bool) -> Self {
        Self { sample, cell: 0, broken: vec![], began: Instant::now() }
    }

    fn runs(&self, all: u64) -> u64 {
        if self.sample { (all / 40).max(50) } else { all }
    }

    /// The table of that number begins.
    pub fn begin_table(&mut self, number: u64) {
        self.cell = number * 1_000;
    }

    fn next(&mut self) -> u64 {
        self.cell += 1;
        self.cell
    }

    /// A share that must not be above a bound.
    fn bound(&mut self, what: String, seen: usize, of: usize, most: f64) {
        let least = lower_limit(seen, of);
        if least > most {
            self.broken.push(format!("{what}: {seen} of {of}, surely more than {} %", most * 100.0));
        }
    }

    /// What the numbers are worth.
    pub fn begin(&self) {
        println!("<!-- Made by `make bench-verdict`; do not edit. -->\n# The verdict, measured\n");
        let runs = self.runs(20_000);
        println!(
            "Simulated: Poisson arrivals, binomial errors, bursts as a gamma factor of each arm and minute; fixed seeds; up to {runs} \
             runs a cell. What the words mean: [verdict.md](verdict.md). A line with BROKEN names a bound that does not hold.\n"
        );
    }

    /// An hour at 10 %: what each rule finds, and what it takes until then.
    pub fn found(&mut self) {
        println!("## An hour at 10 % of the requests, looked at each minute as it ends\n");
        println!("Each cell: taken back in % of the runs / median minute / mean requests failed until then.\n");
        for requests in REQUESTS {
            println!("### {requests} requests a second\n");
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            println!("| stable → candidate | {} | ours ÷ least |", names.join(" | "));
            println!("|---|{}---|", "---|".repeat(names.len()));
            for (stable, candidates) in EFFECTS {
                for candidate in candidates {
                    self.found_row(rates(requests, stable, *candidate, 0.0));
                }
            }
            println!();
        }
    }

    fn found_row(&mut self, rates: Rates) {
        let cell = self.next();
        let mut told = vec![];
        let mut ratio = String::from("–");
        for kind in Kind::ALL {
            let of_peers = if kind == Kind::Ours { 20_000 } else { 4_000 };
            let cell = Cell::of(cell, self.runs(of_peers), &Held::hour(rates), kind);
            let median = cell.median().map_or("–".to_string(), |median| median.to_string());
            told.push(format!("{:.1} / {median} / {:.1}", cell.percent(), cell.mean(|ended| ended.bad).of));
            if kind == Kind::Ours && rates.candidate > rates.stable {
                let least = minimum(&rates, LEVEL);
                let requests = cell.mean(|ended| ended.requests);
                ratio = format!("{:.2}", requests.of / least);
                let ten_minutes = rates.requests_per_second * rates.share * 600.0;
                if least >= ten_minutes && requests.surely_above(MOST_REQUESTS * least) {
                    self.broken.push(format!("{rates:?}: {ratio} times the fewest requests"));
                }
            }
        }
        println!("| {} → {} | {} | {ratio} |", percent(rates.stable), percent(rates.candidate), told.join(" | "));
    }

    /// Good releases that are taken back.
    pub fn false_alarms(&mut self) {
        println!("## Good releases taken back, in % of the runs\n");
        println!(
            "| hours | trouble | bursts CV² | base | 1 | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|---|---|---|---|"
        );
        for trouble in Trouble::ALL {
            for bursts in [0.0, 0.25, 1.0] {
                for base in [0.001, 0.01, 0.05] {
                    self.false_row(1, trouble, bursts, base);
                }
            }
        }
        for bursts in [0.0, 1.0] {
            for base in [0.001, 0.01] {
                self.false_row(6, Trouble::None, bursts, base);
            }
        }
        println!();
    }

    fn false_row(&mut self, hours: usize, trouble: Trouble, bursts: f64, base: f64) {
        let mut told = vec![];
        for requests in REQUESTS {
            let held = Held { trouble, minutes: hours * 60, ..Held::hour(rates(requests, base, base, bursts)) };
            let cell = Cell::of(self.next(), self.runs(20_000), &held, Kind::Ours);
            told.push(format!("{:.2}", cell.percent()));
            let most = if hours > 1 { LEVEL } else { LEVEL / 2.0 };
            let what =
                format!("false in {hours} h, {}, CV² {bursts}, base {base}, {requests} requests/s", trouble.name());
            self.bound(what, cell.taken_back(), cell.ended.len(), most);
        }
        println!("| {hours} | {} | {bursts} | {} | {} |", trouble.name(), percent(base), told.join(" | "));
    }

    /// Breaks after hours of health.
    pub fn breaks(&mut self) {
        println!("## A break to 1 % at 0.1 %, after so many hours of health: median minutes until taken back\n");
        println!("| requests/s | fresh | 1 h | 6 h | 24 h |\n|---|---|---|---|---|");
        for requests in [10.0, 100.0, 1_000.0] {
            let found: Vec<Option<usize>> = [0, 60, 360, 1_440]
                .into_iter()
                .map(|breaks_after| {
                    let held = Held { breaks_after, ..Held::hour(rates(requests, 0.001, 0.01, 0.0)) };
                    Cell::of(self.next(), self.runs(2_000), &held, Kind::Ours).median()
                })
                .collect();
            let told: Vec<String> = found.iter().map(|m| m.map_or("–".into(), |m| m.to_string())).collect();
            println!("| {requests} | {} |", told.join(" | "));
            if let (Some(fresh), Some(late)) = (found[0], found[3])
                && late > 3 * fresh
            {
                self.broken.push(format!(
                    "{requests} requests/s: a break after a day is found in {late} min, fresh in {fresh}"
                ));
            }
        }
        println!();
    }

    /// Whole releases by the default steps.
    pub fn releases(&mut self) {
        println!("## A whole release by the default steps, with metrics three minutes late\n");
        println!("Each cell: promoted / rolled back / to a person, in %; median minutes; mean requests failed.\n");
        println!("| stable → candidate | 1 | 10 | 100 | 1,000 requests/s |\n|---|---|---|---|---|");
        for (stable, candidates) in EFFECTS {
            for candidate in candidates {
                let told: Vec<String> =
                    REQUESTS.iter().map(|r| self.release_cell(rates(*r, stable, *candidate, 0.0))).collect();
                println!("| {} → {} | {} |", percent(stable), percent(*candidate), told.join(" | "));
            }
        }
        println!();
    }

    fn release_cell(&mut self, rates: Rates) -> String {
        let (cell, settings) = (self.next(), Analysis::default());
        let all = runs(self.runs(20_000), |run| release((cell, run), rates, &settings));
        let of = |end: End| all.iter().filter(|release| release.end == end).count();
        let share = |many: usize| many as f64 * 100.0 / all.len() as f64;
        let minutes = median(all.iter().map(|release| release.minutes).collect()).unwrap_or(0);
        let bad = all.iter().map(|release| release.bad).sum::<i64>() as f64 / all.len() as f64;
        self.promotion_bounds(&rates, of(End::Promoted), all.len());
        let [promoted, back, person] = [End::Promoted, End::RolledBack, End::Person].map(|end| share(of(end)));
        format!("{promoted:.1} / {back:.1} / {person:.1}; {minutes}; {bad:.0}")
    }

    /// The same by the whole plan, pass by pass: each release must end as the rules of a step say, in the same minute.
    pub fn plans(&mut self) {
        println!("## The same releases by the whole plan\n");
        let settings = Analysis::default();
        let world = World::promoted(&settings);
        let (mut compared, mut differ) = (0, vec![]);
        let number = if self.sample { 10 } else { 500 };
        for (stable, candidates) in EFFECTS {
            for (candidate, requests) in candidates.iter().flat_map(|candidate| REQUESTS.map(|r| (*candidate, r))) {
                let (rates, cell) = (rates(requests, stable, candidate, 0.0), self.next());
                let both = runs(number, |run| {
                    (release((cell, run), rates, &settings), world.clone().release((cell, run), rates))
                });
                compared += both.len();
                differ.extend(both.into_iter().filter(|(ours, plan)| ours != plan).map(|both| (rates, both)));
            }
        }
        println!("{compared} releases, of which {} end otherwise or in another minute.\n", differ.len());
        self.broken.extend(differ.first().map(|first| format!("a plan decides otherwise: {first:?}")));
    }

    /// Releases that must hardly ever be promoted.
    fn promotion_bounds(&mut self, rates: &Rates, promoted: usize, of: usize) {
        let Rates { requests_per_second, stable, candidate, .. } = *rates;
        let twice = candidate >= 2.0 * stable && stable >= 0.01;
        let named = [(0.001, 0.01), (0.001, 0.05), (0.05, 0.4), (0.2, 0.4)].contains(&(stable, candidate));
        let bad = twice || (candidate >= 0.01 && stable <= 0.001);
        let most = match requests_per_second {
            rps if rps >= 1_000.0 && bad => 0.01,
            rps if rps >= 100.0 && bad => 0.02,
            rps if rps >= 10.0 && named => 0.01,
            _ => return,
        };
        self.bound(format!("promoted: {rates:?}"), promoted, of, most);
    }

    /// What was broken.
    pub fn end(self) -> ExitCode {
        println!("Made in {:.0} s", self.began.elapsed().as_secs_f64());
        self.broken.iter().for_each(|broken| println!("BROKEN {broken}"));
        ExitCode::from(u8::from(!self.broken.is_empty()))
    }
}
