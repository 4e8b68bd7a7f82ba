//! What was told of a Rollout.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;

/// When it was last told.
pub fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series.or(first).or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
}

/// One line for each.
pub fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let at = time(event).map_or_else(|| "-".to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        let mark = if event.type_.as_deref() == Some("Warning") { "!" } else { " " };
        let (reason, note) = (event.reason.as_deref().unwrap_or_default(), event.note.as_deref().unwrap_or_default());
        format!("{at} {mark} {reason:<18} {note}")
    };
    events.iter().map(line).collect()
}
