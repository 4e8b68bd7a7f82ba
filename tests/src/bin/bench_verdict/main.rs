//! What the verdict does, measured, beside what other tools do: `make bench-verdict`. Fixed seeds; a bound that is broken
//! fails it. `--sample` runs a part in minutes,
//! `--only NAME` one table.

mod cells;
mod fast;
mod hour;
mod ours;
mod ranks;
mod release;
mod rules;
mod runs;
mod tables;
mod traffic;

use std::process::ExitCode;

/// A table.
type Part = fn(&mut tables::Bench);

fn main() -> ExitCode {
    let sample = std::env::args().any(|arg| arg == "--sample");
    let mut bench = tables::Bench::new(sample);
    bench.begin();
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    let parts: [(&str, Part); 5] = [
        ("found", tables::Bench::found),
        ("false", tables::Bench::false_alarms),
        ("breaks", tables::Bench::breaks),
        ("releases", tables::Bench::releases),
        ("logs", tables::Bench::fast_lane),
    ];
    parts
        .iter()
        .filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
        .for_each(|(_, part)| part(&mut bench));
    bench.end()
}
