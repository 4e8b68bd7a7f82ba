//! How things are said to people.

use jiff::{SignedDuration, Timestamp};

/// How long until then, for people: `3 min 10 s`.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    lasting(to.duration_since(from))
}

/// A duration, for people: `3 min 10 s`.
pub fn lasting(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// The end of an image's name, its digest cut short.
pub fn short_image(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.chars().take(12).collect::<String>()),
        None => name.to_string(),
    }
}
