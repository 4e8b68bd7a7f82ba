//! What the verdict does, measured, beside what other tools do: `make bench-verdict`. Fixed seeds; a bound that is broken
//! fails it. `--sample` runs a part in minutes,
//! `--only NAME` one table.

mod cells;
mod fast;
mod hour;
mod instances;
mod ours;
mod ranks;
mod release;
mod rules;
mod runs;
mod slow;
mod tables;
mod traffic;
mod whole;

use std::process::ExitCode;

/// A table.
type Part = fn(&mut tables::Bench);

fn main() -> ExitCode {
    let sample = std::env::args().any(|arg| arg == "--sample");
    let mut bench = tables::Bench::new(sample);
    bench.begin();
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    let parts: [(&str, Part); 9] = [
        ("found", tables::Bench::found),
        ("false", tables::Bench::false_alarms),
        ("breaks", tables::Bench::breaks),
        ("latency", tables::Bench::latency),
        ("releases", tables::Bench::releases),
        ("plans", tables::Bench::plans),
        ("logs", tables::Bench::fast_lane),
        ("peers", tables::Bench::late_peers),
        ("own", tables::Bench::own_metrics),
    ];
    for (number, (name, part)) in (0..).zip(&parts) {
        // Each table has seeds of its own, whichever others are made.
        bench.begin_table(number);
        if only.as_deref().is_none_or(|only| only == *name) {
            part(&mut bench);
        }
    }
    bench.end()
}
