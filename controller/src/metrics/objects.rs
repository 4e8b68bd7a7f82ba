//! Series of single objects: each object's are replaced as a whole, and go with it.

use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

use super::catalogue::{self, Described};

/// How many objects have series of their own, unless another bound is asked for: at some twenty series each.
pub const DEFAULT_BOUND: usize = 2000;

/// Kind, namespace and name of an object.
pub type Key = (&'static str, String, String);

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Of this metric.
    pub metric: &'static Described,
    /// Values of its labels, in order.
    pub labels: Vec<String>,
    /// Its value.
    pub value: f64,
}

#[derive(Debug, Default)]
struct Entry {
    /// Whether there was room for series of its own.
    has_room: bool,
    series: Arc<Vec<Series>>,
    phase: Option<String>,
    /// When the next look is due; none while one is under way.
    due: Option<Instant>,
}

/// What the objects show, read when somebody asks for metrics.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    entries: Arc<Mutex<BTreeMap<Key, Entry>>>,
    bound: usize,
    descriptions: Arc<Vec<Desc>>,
}

/// Every metric that is made here.
fn metrics() -> impl Iterator<Item = &'static Described> {
    let own = [&catalogue::OBJECTS, &catalogue::ROLLOUTS, &catalogue::QUEUE_DEPTH, &catalogue::QUEUE_AGE];
    let of_objects = catalogue::GROUPS.iter().filter(|group| group.is_of_objects).flat_map(|group| group.metrics);
    own.into_iter().chain(of_objects.copied())
}

impl Objects {
    pub(super) fn new(bound: usize) -> Result<Self, prometheus::Error> {
        let describe = |metric: &'static Described| {
            let options: Opts =
                metric.options().variable_labels(metric.labels.iter().map(ToString::to_string).collect());
            options.describe()
        };
        let descriptions = metrics().map(describe).collect::<Result<_, _>>()?;
        Ok(Self { entries: Arc::default(), bound, descriptions: Arc::new(descriptions) })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn show(&self, key: &Key, phase: Option<String>, series: Vec<Series>) {
        let mut entries = self.entries();
        let has_had_room = entries.get(key).is_some_and(|entry| entry.has_room);
        // Counted only where it is not known: for a new object, or one that waits for room.
        let has_room = has_had_room || entries.values().filter(|entry| entry.has_room).count() < self.bound;
        let entry = entries.entry(key.clone()).or_default();
        entry.has_room = has_room;
        entry.series = Arc::new(if has_room { series } else { vec![] });
        entry.phase = phase;
    }

    pub(super) fn look_begins(&self, key: &Key) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.due = None;
        }
    }

    pub(super) fn look_ended(&self, key: &Key, next: Option<Duration>) {
        let mut entries = self.entries();
        match next {
            Some(wait) => {
                if let Some(entry) = entries.get_mut(key) {
                    entry.due = Instant::now().checked_add(wait);
                }
            }
            None => drop(entries.remove(key)),
        }
    }
}

/// Series by the name of their metric.
#[derive(Default)]
struct Table(BTreeMap<&'static str, Vec<Series>>);

impl Table {
    fn add(&mut self, metric: &'static Described, labels: &[&str], value: f64) {
        self.push(Series { metric, labels: labels.iter().map(ToString::to_string).collect(), value });
    }

    fn push(&mut self, series: Series) {
        self.0.entry(series.metric.name).or_default().push(series);
    }

    fn into_families(self) -> Vec<MetricFamily> {
        let family = |series: &Vec<Series>| {
            let metric = series.first()?.metric;
            // A label too many is a fault of ours that a test finds; the other metrics are served all the same.
            let gauges = GaugeVec::new(metric.options(), metric.labels).ok()?;
            for one in series {
                if let Ok(gauge) = gauges.get_metric_with_label_values(&one.labels) {
                    gauge.set(one.value);
                }
            }
            Some(gauges.collect())
        };
        self.0.values().filter_map(family).flatten().collect()
    }
}

/// A value of an enum as the API has it.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(String::from)).unwrap_or_default()
}

/// A count as a value of a metric.
fn value(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

impl Collector for Objects {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (entries, now) = (self.entries(), Instant::now());
        let (mut table, mut shown) = (Table::default(), vec![]);
        let (mut objects, mut phases) = (BTreeMap::<&'static str, usize>::new(), BTreeMap::<String, usize>::new());
        let mut late = BTreeMap::<&'static str, Vec<Duration>>::new();
        for ((kind, ..), entry) in entries.iter() {
            *objects.entry(*kind).or_default() += 1;
            if let Some(phase) = &entry.phase {
                *phases.entry(phase.clone()).or_default() += 1;
            }
            let overdue = late.entry(*kind).or_default();
            overdue.extend(entry.due.and_then(|due| now.checked_duration_since(due)).filter(|by| !by.is_zero()));
            shown.push(entry.series.clone());
        }
        let left_out = entries.values().filter(|entry| !entry.has_room).count();
        // Passes go on while the text is made.
        drop(entries);
        shown.iter().flat_map(|series| series.iter()).for_each(|series| table.push(series.clone()));
        objects.iter().for_each(|(kind, count)| table.add(&catalogue::OBJECTS, &[kind], value(*count)));
        phases.iter().for_each(|(phase, count)| table.add(&catalogue::ROLLOUTS, &[phase], value(*count)));
        for (kind, late) in &late {
            table.add(&catalogue::QUEUE_DEPTH, &[kind], value(late.len()));
            let oldest = late.iter().max().map_or(0.0, Duration::as_secs_f64);
            table.add(&catalogue::QUEUE_AGE, &[kind], oldest);
        }
        table.add(&catalogue::OBJECTS_LEFT_OUT, &[], value(left_out));
        table.into_families()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn key(name: &str) -> Key {
        ("Rollout", "shop".into(), name.into())
    }

    fn phase(name: &str, phase: &str) -> Vec<Series> {
        vec![Series {
            metric: &catalogue::ROLLOUT_PHASE,
            labels: vec!["shop".into(), name.into(), phase.into()],
            value: 1.0,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_s_series_are_replaced_and_go_with_it() {
        let metrics = Metrics::new(10).unwrap();
        metrics.show(&key("api"), Some("Progressing".into()), phase("api", "Progressing"));
        metrics.show(&key("api"), Some("Promoted".into()), phase("api", "Promoted"));
        let shown = metrics.render();
        assert!(
            shown.contains(r#"orchestra_rollout_phase{namespace="shop",phase="Promoted",rollout="api"} 1"#),
            "{shown}"
        );
        assert!(
            shown.contains(r#"orchestra_rollouts{phase="Promoted"} 1"#) && !shown.contains("Progressing"),
            "{shown}"
        );
        metrics.look_ended(&key("api"), None);
        assert!(!metrics.render().contains("orchestra_rollout_phase{"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_room_is_counted_all_the_same() {
        let metrics = Metrics::new(1).unwrap();
        for name in ["a", "b", "c"] {
            metrics.show(&key(name), Some("Promoted".into()), phase(name, "Promoted"));
        }
        let shown = metrics.render();
        assert_eq!(shown.matches("orchestra_rollout_phase{").count(), 1, "{shown}");
        assert!(shown.contains("orchestra_metrics_objects_left_out 2"), "{shown}");
        assert!(shown.contains(r#"orchestra_rollouts{phase="Promoted"} 3"#), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_due_and_does_not_begin_is_late() {
        let metrics = Metrics::new(1).unwrap();
        metrics.show(&key("api"), None, vec![]);
        metrics.look_ended(&key("api"), Some(Duration::from_secs(5)));
        assert!(metrics.render().contains(r#"orchestra_queue_depth{kind="Rollout"} 0"#));
        tokio::time::advance(Duration::from_secs(12)).await;
        let shown = metrics.render();
        assert!(shown.contains(r#"orchestra_queue_depth{kind="Rollout"} 1"#), "{shown}");
        assert!(shown.contains(r#"orchestra_queue_oldest_age_seconds{kind="Rollout"} 7"#), "{shown}");
        metrics.look_begins(&key("api"));
        assert!(metrics.render().contains(r#"orchestra_queue_depth{kind="Rollout"} 0"#));
    }
}
