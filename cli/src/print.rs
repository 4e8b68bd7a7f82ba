//! Printing: lines cut to the screen, and objects as they are.

use console::Term;
use orchestra_crds::Rollout;
use serde::Serialize;
use std::io::Write;

use crate::args::Output;
use crate::error::CliError;

/// Fewest cells that words are wrapped to; a screen that is narrower cuts them.
const NARROW: usize = 40;

/// A line in lines that are no wider than the screen, further ones indented below its words; off a screen it is whole.
fn fitted(line: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![line.to_string()] };
    if console::measure_text_width(line) <= width || width < NARROW {
        return vec![console::truncate_str(line, width, "…").into_owned()];
    }
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let below = " ".repeat(indent + 4);
    let mut lines = vec![];
    let mut current = " ".repeat(indent);
    for word in line.trim_start().split_inclusive(' ') {
        let has_words = !current.trim().is_empty();
        if has_words && console::measure_text_width(&current) + console::measure_text_width(word.trim_end()) > width {
            lines.push(current.trim_end().to_string());
            current.clone_from(&below);
        }
        current.push_str(word);
    }
    lines.push(current.trim_end().to_string());
    lines.iter().map(|line| console::truncate_str(line, width, "…").into_owned()).collect()
}

/// How wide the screen is; none: it is none.
fn width(term: &Term) -> Option<usize> {
    term.is_term().then(|| usize::from(term.size().1))
}

/// What others wrote, without what a terminal would obey; lines stay lines.
pub fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && !matches!(c, '\t' | '\n') { '\u{fffd}' } else { c }).collect()
}

/// Prints lines.
///
/// # Errors
/// When nobody reads them, or they can't be written.
pub fn lines(lines: &[String]) -> Result<(), CliError> {
    let width = width(&Term::stdout());
    let mut out = std::io::stdout().lock();
    for line in lines.iter().flat_map(|line| fitted(&harmless(line), width)) {
        writeln!(out, "{line}")?;
    }
    out.flush().map_err(CliError::from)
}

/// Prints a text as it is.
///
/// # Errors
/// As above.
pub fn text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    out.flush().map_err(CliError::from)
}

/// Draws lines where others were drawn before; gives how many there are.
pub fn drawn_over(lines: &[String], before: usize) -> std::io::Result<usize> {
    let term = Term::stdout();
    let (height, width) = (usize::from(term.size().0), width(&term));
    term.clear_last_lines(before)?;
    let shown: Vec<String> =
        lines.iter().flat_map(|line| fitted(&harmless(line), width)).take(height.saturating_sub(1)).collect();
    for line in &shown {
        term.write_line(line)?;
    }
    Ok(shown.len())
}

/// Prints objects.
///
/// # Errors
/// When they can't be written.
pub fn objects(objects: &[Rollout], is_one: bool, output: Output) -> Result<(), CliError> {
    // As kubectl does: what the cluster notes for itself is not for people.
    let bare = |rollout: &Rollout| {
        let mut rollout = rollout.clone();
        rollout.metadata.managed_fields = None;
        rollout
    };
    let objects: Vec<Rollout> = objects.iter().map(bare).collect();
    match objects.as_slice() {
        [one] if is_one => object(one, output),
        all => object(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": all}), output),
    }
}

/// Prints one thing.
///
/// # Errors
/// When it can't be written.
pub fn object(object: &impl Serialize, output: Output) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Print(error.to_string());
    let text = match output {
        Output::Json => serde_json::to_string_pretty(object).map_err(|error| failed(&error))?,
        Output::Yaml => serde_yaml_ng::to_string(object).map_err(|error| failed(&error))?,
    };
    self::text(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_obeyed() {
        assert_eq!(harmless("ok\u{1b}[2K\rwell ✔\t."), "ok\u{fffd}[2K\u{fffd}well ✔\t.");
    }

    #[test]
    fn long_lines_are_wrapped_below_their_words_and_lose_none() {
        let line = "  status  us-central1, step 1/2: 1 min 9 s left at 10 %; waiting for Cloud Monitoring, whose metrics are late";
        let lines = fitted(line, Some(60));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.chars().count() <= 60), "{lines:?}");
        assert!(lines[1].starts_with("      "), "{lines:?}");
        let words = |text: &str| text.split_whitespace().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(words(&lines.join(" ")), words(line));
        assert_eq!(fitted(line, None), [line]);
    }
}
