//! A backtest as a picture: rates above; below them the evidence, what a rollback needs, and the decision.

use orchestra_crds::Verdict;
use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::replay::{Decision, Replayed};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Backtest;
use crate::error::CliError;

/// Pixels.
const SIZE: (u32, u32) = (960, 640);
/// Those of the upper half.
const UPPER: u32 = 320;
/// What is drawn of evidence, in percent of what a rollback needs.
const EVIDENCE: std::ops::Range<f64> = 0.0..130.0;
/// From how many minutes on lines are thin.
const MANY: usize = 300;

const CANDIDATE: RGBColor = RGBColor(0xc2, 0x41, 0x0c);
const STABLE: RGBColor = RGBColor(0x1d, 0x4e, 0xd8);
const NEEDED: RGBColor = RGBColor(0x7f, 0x1d, 0x1d);
const RULED_OUT: RGBColor = RGBColor(0x15, 0x80, 0x3d);

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The picture, as SVG.
///
/// # Errors
/// When it can't be drawn.
pub fn svg(backtest: &Backtest) -> Result<String, CliError> {
    let mut out = String::new();
    draw(backtest, &mut out).map_err(|error| CliError::Print(error.to_string()))?;
    Ok(out)
}

fn draw(backtest: &Backtest, out: &mut String) -> Drawn {
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(UPPER);
    rates(&upper, &backtest.replay.minutes)?;
    evidence(&lower, backtest)?;
    root.present()?;
    Ok(())
}

/// From the first minute to the end of the last.
fn across(minutes: &[Replayed]) -> std::ops::Range<f64> {
    let at = |minute: Option<&Replayed>| minute.map_or(0.0, |minute| minute.minute as f64);
    at(minutes.first())..at(minutes.last()) + 1.0
}

fn whole(number: &f64) -> String {
    format!("{number:.0}")
}

/// From when to when harm was ruled out.
fn passing(minutes: &[Replayed]) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = vec![];
    for minute in minutes.iter().filter(|minute| minute.verdict == Verdict::Pass) {
        let at = minute.minute as f64;
        match spans.last_mut().filter(|(_, to)| *to == at) {
            Some((_, to)) => *to = at + 1.0,
            None => spans.push((at, at + 1.0)),
        }
    }
    spans
}

fn rates(area: &Area<'_>, minutes: &[Replayed]) -> Drawn {
    let points = |of: fn(&Replayed) -> Count| {
        let served = minutes.iter().filter(move |minute| of(minute).total > 0);
        served.map(move |minute| (minute.minute as f64, of(minute).rate() * 100.0)).collect::<Vec<(f64, f64)>>()
    };
    let (candidate, stable) = (points(|minute| minute.candidate), points(|minute| minute.stable));
    let highest = candidate.iter().chain(&stable).map(|(_, rate)| *rate).fold(0.1, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("requests that failed, %", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(across(minutes), 0.0..highest * 1.1)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_label_formatter(&whole).draw()?;
    let width = if minutes.len() > MANY { 1 } else { 2 };
    for (name, points, colour) in [("stable", stable, STABLE), ("candidate", candidate, CANDIDATE)] {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(width)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn evidence(area: &Area<'_>, backtest: &Backtest) -> Drawn {
    let (minutes, replay) = (&backtest.replay.minutes, &backtest.replay);
    let (across, at) = (across(minutes), replay.minute as f64);
    let told = match replay.decision {
        Decision::Fail => format!("taken back after minute {}", replay.minute),
        Decision::Pass => format!("harm ruled out since minute {}", replay.minute),
        Decision::Inconclusive => "undecided".to_string(),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(format!("evidence that it is worse, % of what a rollback needs: {told}"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(across.clone(), EVIDENCE)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).x_desc("minute").x_label_formatter(&whole).y_label_formatter(&whole).draw()?;
    let shade = |(from, to): (f64, f64)| {
        Rectangle::new([(from, EVIDENCE.start), (to, EVIDENCE.end)], RULED_OUT.mix(0.12).filled())
    };
    chart
        .draw_series(passing(minutes).into_iter().map(shade))?
        .label("harm is ruled out")
        .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], RULED_OUT.mix(0.25).filled()));
    let needed = vec![(across.start, 100.0), (across.end, 100.0)];
    chart
        .draw_series(LineSeries::new(needed, NEEDED.stroke_width(1)))?
        .label("needed for a rollback")
        .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], NEEDED));
    let points = minutes
        .iter()
        .map(|minute| (minute.minute as f64, f64::from(minute.evidence_percent).clamp(EVIDENCE.start, EVIDENCE.end)));
    chart
        .draw_series(LineSeries::new(points, CANDIDATE.stroke_width(2)))?
        .label("evidence")
        .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], CANDIDATE.stroke_width(2)));
    let colour = if replay.decision == Decision::Fail { NEEDED } else { RULED_OUT };
    if replay.decision != Decision::Inconclusive {
        chart.draw_series(LineSeries::new(vec![(at, EVIDENCE.start), (at, EVIDENCE.end)], colour.stroke_width(2)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
