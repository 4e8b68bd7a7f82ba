//! A trace: what candidate and stable answered, minute by minute, as CSV.
//!
//! `minute,candidate_requests,candidate_errors,stable_requests,stable_errors`, and where they were recorded `region`, `weight`
//! (percent) and latencies: `candidate_le_100,stable_le_100` are requests that took at most 100 ms, as in the buckets of
//! Prometheus (`candidate_le_2.5`, `candidate_le_+Inf`); what is above the last bound is the rest of the requests.

use orchestra_planner::cloud::{Count, Tally};
use orchestra_planner::names::Percent;
use orchestra_planner::verdict::replay::{Recorded, Served};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::error::CliError;

/// Most minutes of a trace, in all regions: a month of ten regions.
const MOST_ROWS: usize = 500_000;
/// A minute's number is at most this: about 2,000 years.
const MOST_MINUTE: i64 = 1_000_000_000;
/// Longest bound of a latency, in milliseconds: Cloud Run's longest request.
const MOST_MILLISECONDS: f64 = 3_600_000.0;
/// A bound that nothing is above.
const ALL: i64 = i64::MAX;
/// Most requests of a minute.
const MOST_REQUESTS: i64 = 1_000_000_000_000;

/// What each column is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Minute,
    Region,
    Weight,
    Requests(Arm),
    Errors(Arm),
    /// Requests that took at most so many microseconds.
    AtMost(Arm, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arm {
    Candidate,
    Stable,
}

impl Column {
    fn read(name: &str) -> Result<Self, String> {
        let of_arm = |arm: Arm, what: &str| match (what, what.strip_prefix("le_")) {
            ("requests", _) => Some(Self::Requests(arm)),
            ("errors", _) => Some(Self::Errors(arm)),
            (_, Some("+inf" | "inf")) => Some(Self::AtMost(arm, ALL)),
            (_, Some(bound)) => {
                let bound: f64 = bound.parse().ok().filter(|bound| (0.001..=MOST_MILLISECONDS).contains(bound))?;
                Some(Self::AtMost(arm, (bound * 1_000.0).round() as i64))
            }
            _ => None,
        };
        let column = match (name, name.split_once('_')) {
            ("minute", _) => Some(Self::Minute),
            ("region", _) => Some(Self::Region),
            ("weight", _) => Some(Self::Weight),
            (_, Some(("candidate", what))) => of_arm(Arm::Candidate, what),
            (_, Some(("stable", what))) => of_arm(Arm::Stable, what),
            _ => None,
        };
        column.ok_or_else(|| {
            format!(
                "there is no column `{name}`: a trace has minute, candidate_requests, candidate_errors, stable_requests, \
                 stable_errors, and may have region, weight, and candidate_le_MS with stable_le_MS"
            )
        })
    }

    fn name(&self) -> String {
        let arm = |arm: &Arm| if *arm == Arm::Candidate { "candidate" } else { "stable" };
        match self {
            Self::Minute => "minute".into(),
            Self::Region => "region".into(),
            Self::Weight => "weight".into(),
            Self::Requests(of) => format!("{}_requests", arm(of)),
            Self::Errors(of) => format!("{}_errors", arm(of)),
            Self::AtMost(of, ALL) => format!("{}_le_+Inf", arm(of)),
            Self::AtMost(of, micros) => format!("{}_le_{}", arm(of), *micros as f64 / 1_000.0),
        }
    }
}

/// The columns of a trace, each once, and none missing.
fn columns(header: &csv::StringRecord) -> Result<Vec<Column>, String> {
    let columns: Vec<Column> =
        header.iter().map(|name| Column::read(&name.to_lowercase())).collect::<Result<_, _>>()?;
    let known: BTreeSet<&Column> = columns.iter().collect();
    if known.len() < columns.len() {
        return Err("a column is there twice".into());
    }
    let arms = [Arm::Candidate, Arm::Stable];
    let mut needed = vec![Column::Minute];
    needed.extend(arms.into_iter().flat_map(|arm| [Column::Requests(arm), Column::Errors(arm)]));
    for column in &columns {
        if let Column::AtMost(_, bound) = column {
            // Candidate and stable are counted by the same bounds.
            needed.extend(arms.map(|arm| Column::AtMost(arm, *bound)));
        }
    }
    match needed.iter().find(|needed| !known.contains(needed)) {
        Some(missing) => Err(format!("column `{}` is missing", missing.name())),
        None => Ok(columns),
    }
}

/// A row by its columns.
struct Row<'r>(BTreeMap<&'r Column, &'r str>);

impl Row<'_> {
    fn number(&self, column: &Column, most: i64) -> Result<i64, String> {
        let text = self.0.get(column).copied().unwrap_or_default();
        let least = if *column == Column::Minute { -most } else { 0 };
        let number = text.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("{}: `{text}` is no whole number from {least} to {most}", column.name()))
    }

    fn weight(&self) -> Result<Option<Percent>, String> {
        match self.0.get(&Column::Weight) {
            None | Some(&"") => Ok(None),
            Some(_) => self.number(&Column::Weight, 100).map(|weight| Some(Percent::clamped(weight as i32))),
        }
    }

    fn served(&self, arm: Arm) -> Result<Served, String> {
        let total = self.number(&Column::Requests(arm), MOST_REQUESTS)?;
        let bad = self.number(&Column::Errors(arm), MOST_REQUESTS)?;
        if bad > total {
            return Err(format!("{} has {bad} errors of {total} requests", Column::Errors(arm).name()));
        }
        let mut tally = Tally::default();
        let mut below = 0;
        let bounds = self.0.keys().filter(|column| matches!(column, Column::AtMost(of, _) if *of == arm));
        let mut has_bounds = false;
        for column in bounds {
            let Column::AtMost(_, bound) = column else { continue };
            let at_most = self.number(column, MOST_REQUESTS)?;
            if at_most < below || at_most > total {
                return Err(format!(
                    "{} is {at_most}: it counts all requests up to that bound, so it is from {below} to {total}",
                    column.name()
                ));
            }
            if *bound == ALL && at_most < total {
                return Err(format!("{} is {at_most}, and there were {total} requests", column.name()));
            }
            tally.add(*bound, at_most - below);
            (below, has_bounds) = (at_most, true);
        }
        tally.add(i64::MAX, total - below);
        Ok(Served { requests: Count { total, bad }, latencies: has_bounds.then_some(tally) })
    }

    fn read(&self) -> Result<Recorded, String> {
        Ok(Recorded {
            minute: self.number(&Column::Minute, MOST_MINUTE)?,
            region: self.0.get(&Column::Region).copied().unwrap_or_default().to_string(),
            weight: self.weight()?,
            candidate: self.served(Arm::Candidate)?,
            stable: self.served(Arm::Stable)?,
        })
    }
}

/// The rows of a trace.
///
/// # Errors
/// When it can't be read, with its line.
pub fn read(name: &str, text: impl Read) -> Result<Vec<Recorded>, CliError> {
    let failed = |line: u64, what: &str| CliError::File(format!("{name}:{line}"), what.to_string());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text);
    let unread = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                failed(line, &format!("{len} fields, and the first line names {expected_len}"))
            }
            csv::ErrorKind::Utf8 { .. } => failed(line, "it is no UTF-8 text"),
            _ => failed(line, &error.to_string()),
        }
    };
    let columns = reader.headers().map_err(|error| unread(&error)).and_then(|header| {
        // A byte order mark that a spreadsheet wrote is none of the first name.
        let header: csv::StringRecord = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
        if header.iter().all(str::is_empty) {
            return Err(failed(1, "it is empty: its first line names the columns"));
        }
        columns(&header).map_err(|what| failed(1, &what))
    })?;
    let (mut rows, mut known) = (vec![], BTreeSet::new());
    for record in reader.records() {
        let record = record.map_err(|error| unread(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = Row(columns.iter().zip(record.iter()).collect()).read().map_err(|what| failed(line, &what))?;
        if !known.insert((row.minute, row.region.clone())) {
            let place = if row.region.is_empty() { String::new() } else { format!(" of {}", row.region) };
            return Err(failed(line, &format!("minute {}{place} is there twice: each counts once", row.minute)));
        }
        rows.push(row);
        if rows.len() > MOST_ROWS {
            return Err(failed(line, &format!("a trace has at most {MOST_ROWS} rows")));
        }
    }
    if rows.is_empty() {
        return Err(failed(1, "there is no minute in it"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "minute,candidate_requests,candidate_errors,stable_requests,stable_errors";

    fn parse(text: &str) -> Result<Vec<Recorded>, String> {
        read("t.csv", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_trace_is_read_by_the_names_of_its_columns() {
        let rows = parse(&format!("{HEADER}\n0,60,1,540,2\n1, 61 ,0,541,0\n")).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].candidate.requests, Count { total: 60, bad: 1 });
        assert_eq!(rows[1].stable, Served { requests: Count { total: 541, bad: 0 }, latencies: None });
        let rows = parse(
            "region,weight,minute,stable_errors,stable_requests,candidate_errors,candidate_requests,stable_le_100,candidate_le_100,candidate_le_50,stable_le_50\nus-central1,10,7,1,100,2,10,90,8,5,60\n",
        )
        .unwrap();
        assert_eq!((rows[0].minute, rows[0].weight), (7, Some(Percent::clamped(10))));
        let tally = Tally([(50_000, 5), (100_000, 3), (i64::MAX, 2)].into());
        assert_eq!(rows[0].candidate, Served { requests: Count { total: 10, bad: 2 }, latencies: Some(tally) });
        let rows = parse(&format!(
            "{HEADER},candidate_le_2.5,stable_le_2.5,candidate_le_+Inf,stable_le_+Inf\n0,10,0,20,0,4,15,10,20\n"
        ))
        .unwrap();
        assert_eq!(rows[0].candidate.latencies, Some(Tally([(2_500, 4), (i64::MAX, 6)].into())));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |rows: &str, told: &str| {
            let error = parse(rows).unwrap_err();
            assert!(error.contains(told), "{error}");
        };
        wrong("", "t.csv:1: it is empty: its first line names the columns");
        wrong("minute,candidate_requests\n0,1\n", "column `candidate_errors` is missing");
        wrong(&format!("{HEADER},speed\n0,1,0,1,0,1\n"), "there is no column `speed`");
        wrong(&format!("{HEADER},minute\n0,1,0,1,0,1\n"), "a column is there twice");
        wrong(&format!("{HEADER},stable_le_10\n0,1,0,1,0,1\n"), "column `candidate_le_10` is missing");
        wrong(&format!("{HEADER}\n"), "there is no minute in it");
        wrong(&format!("{HEADER}\n0,1,0,1,0\n0,1,0,1,0\n"), "t.csv:3: minute 0 is there twice");
        wrong(&format!("{HEADER}\n0,1,0,1,0\n1,1,0,1\n"), "t.csv:3: 4 fields, and the first line names 5");
        wrong(&format!("{HEADER}\n0,1,2,1,0\n"), "t.csv:2: candidate_errors has 2 errors of 1 requests");
        wrong(&format!("{HEADER}\n0,-1,0,1,0\n"), "candidate_requests: `-1` is no whole number");
        wrong(&format!("{HEADER}\n0,NaN,0,1,0\n"), "candidate_requests: `NaN` is no whole number");
        wrong(&format!("{HEADER},weight\n0,1,0,1,0,101\n"), "weight: `101` is no whole number from 0 to 100");
        let le = format!("{HEADER},candidate_le_10,candidate_le_20,stable_le_10,stable_le_20");
        let all = format!("{HEADER},candidate_le_+Inf,stable_le_+Inf");
        wrong(&format!("{all}\n0,9,0,9,0,8,9\n"), "candidate_le_+Inf is 8, and there were 9 requests");
        wrong(&format!("{le}\n0,9,0,9,0,5,4,1,1\n"), "candidate_le_20 is 4: it counts all requests up to that bound");
    }
}
