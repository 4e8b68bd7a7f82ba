//! Printing: lines cut to the screen, and objects as they are.

use console::Term;
use orchestra_crds::Rollout;
use serde::Serialize;

use crate::args::Output;
use crate::error::CliError;

/// A line that is no wider than the screen; off a screen it is whole.
fn fitted(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => console::truncate_str(line, width, "…").into_owned(),
        None => line.to_string(),
    }
}

/// How wide the screen is; none: it is none.
fn width(term: &Term) -> Option<usize> {
    term.is_term().then(|| usize::from(term.size().1))
}

/// Prints lines.
pub fn lines(lines: &[String]) {
    let width = width(&Term::stdout());
    for line in lines {
        println!("{}", fitted(line, width));
    }
}

/// Draws lines where others were drawn before; gives how many there are.
pub fn drawn_over(lines: &[String], before: usize) -> std::io::Result<usize> {
    let term = Term::stdout();
    let (height, width) = (usize::from(term.size().0), width(&term));
    term.clear_last_lines(before)?;
    let shown: Vec<String> = lines.iter().take(height.saturating_sub(1)).map(|line| fitted(line, width)).collect();
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
    match objects {
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
    println!("{}", text.trim_end());
    Ok(())
}
