//! Logs: JSON lines with the field names of Cloud Logging.

use serde_json::{Map, Value, json};
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The SDK's own logs hold whole requests and responses below this level, values of environment variables among them.
const ALWAYS: [&str; 4] = ["google_cloud_gax_internal=info", "gaxi=info", "hyper=info", "reqwest=info"];

/// What fails in a watch or a call is told by [`crate::health`], with the fix and not each time.
const DEFAULT_FILTER: &str = "info,kube_runtime::watcher=off,kube_client::client=off";

/// A `RUST_LOG` that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("RUST_LOG=`{value}`: {source}; write it as info, or target=level")]
pub struct BadFilter {
    value: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Sends logs to standard error, filtered by `RUST_LOG`.
///
/// # Errors
/// When `RUST_LOG` can't be read.
pub fn init() -> Result<(), BadFilter> {
    let value = std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty());
    let mut filter = match value {
        Some(value) => EnvFilter::try_new(&value).map_err(|source| BadFilter { value, source })?,
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    for directive in ALWAYS {
        if let Ok(directive) = directive.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).event_format(CloudLogging);
    if logs.try_init().is_err() {
        tracing::debug!("logs are set up already");
    }
    Ok(())
}

struct CloudLogging;

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), json!(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), json!(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), json!(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), json!(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), json!(value));
    }
}

fn severity(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

impl<S, N> FormatEvent<S, N> for CloudLogging
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = fields.0;
        line.insert("severity".into(), json!(severity(event.metadata().level())));
        line.insert("timestamp".into(), json!(jiff::Timestamp::now().to_string()));
        line.insert("target".into(), json!(event.metadata().target()));
        writeln!(writer, "{}", Value::Object(line))
    }
}
