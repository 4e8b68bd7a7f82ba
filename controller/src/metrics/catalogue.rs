//! Every metric that the controller serves: its name, labels and meaning, once. The registry is built from this, and so are
//! docs/metrics.md, and the checks of dashboards and alerts.

use prometheus::{HistogramOpts, Opts};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, with upper bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub type_: Type,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
    /// What a reader makes of it.
    pub reading: &'static str,
}

impl Described {
    pub(super) fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    pub(super) fn histogram(&self) -> HistogramOpts {
        let options = HistogramOpts::from(self.options());
        match self.type_ {
            Type::Histogram(bounds) => options.buckets(bounds.to_vec()),
            Type::Counter | Type::Gauge => options,
        }
    }
}

/// Part of the metrics that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its title.
    pub title: &'static str,
    /// What its metrics share.
    pub about: &'static str,
    /// Whether its series are those of single objects.
    pub is_of_objects: bool,
    /// Its metrics.
    pub metrics: &'static [&'static Described],
}

/// Seconds that a pass or a call takes.
const CALLS: Type = Type::Histogram(&[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0]);
/// Seconds that a release takes: half a minute to three days.
const RELEASES: Type =
    Type::Histogram(&[30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0, 259_200.0]);
/// Seconds until a bad candidate has no traffic any more.
const ROLLBACKS: Type = Type::Histogram(&[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0]);

macro_rules! metrics {
    ($($constant:ident = $name:literal, $type_:expr, [$($label:literal),*], $help:literal, $reading:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Described = Described {
                name: $name, type_: $type_, labels: &[$($label),*], help: $help, reading: $reading,
            };
        )*
    };
}

metrics! {
    RELEASES_ENDED = "orchestra_releases_total", Type::Counter, ["outcome", "reason"],
        "Releases that ended, by outcome and, for those that failed, by reason.",
        "`outcome` is that of `status.history`; `reason` is that of `status.failed`, and empty for a release that did not fail.";
    RELEASE_SECONDS = "orchestra_release_duration_seconds", RELEASES, ["outcome"],
        "Time from the start of a release to its end, by outcome.",
        "A week's median tells how long a change takes to its users; `Promoted` and `RolledBack` are different questions.";
    ROLLBACK_SECONDS = "orchestra_rollback_duration_seconds", ROLLBACKS, [],
        "Time from the record of a failure until its candidate was seen without traffic in every region.",
        "A rollback is one write in each region: more than some seconds means that Cloud Run was slow, or a region not readable.";
    BAD_REQUESTS = "orchestra_failed_release_requests_total", Type::Counter, [],
        "Requests that candidates answered which were then taken back, as far as Monitoring had counted them.",
        "How many requests met a bad release. Minutes that Monitoring had not closed at the rollback are missing.";
    BAD_ERRORS = "orchestra_failed_release_errors_total", Type::Counter, [],
        "Requests that such candidates answered with 5xx, as far as Monitoring had counted them.",
        "What bad releases cost users. The stable revisions' own errors are not taken off.";
    EVENTS = "orchestra_events_total", Type::Counter, ["kind", "type", "reason"],
        "Events that were told, by kind of object, type and reason.",
        "Drift is `reason=~\"TrafficCorrected|TrafficChanged|MarksRestored|ServiceGone\"`; docs/troubleshooting.md explains each reason.";
    OBJECTS = "orchestra_objects", Type::Gauge, ["kind"],
        "Objects that this process looks after, by kind.",
        "0 on a replica that does not lead.";
    ROLLOUTS = "orchestra_rollouts", Type::Gauge, ["phase"],
        "Rollouts by phase.",
        "Counts every Rollout, also where series of single objects are bounded.";
    ROLLOUT_INFO = "orchestra_rollout_info", Type::Gauge,
        ["namespace", "rollout", "environment", "service", "stable", "candidate", "image"],
        "1, with what a Rollout is and runs.",
        "For joins: `… * on (namespace, rollout) group_left (environment, candidate) orchestra_rollout_info`.";
    ROLLOUT_PHASE = "orchestra_rollout_phase", Type::Gauge, ["namespace", "rollout", "phase"],
        "1, with the phase of a Rollout.",
        "Only the present phase has a series.";
    ROLLOUT_WEIGHT = "orchestra_rollout_weight_percent", Type::Gauge, ["namespace", "rollout", "region", "revision"],
        "Share of requests that Cloud Run gives the candidate in a region, as last seen; without one, stable.",
        "`revision` is `candidate` while a release is under way, else `stable`. What was seen, not what was asked for.";
    ROLLOUT_STEP = "orchestra_rollout_step", Type::Gauge, ["namespace", "rollout", "region"],
        "Number of the step that is in effect in a region; 0 without one.",
        "Of `orchestra_rollout_steps`.";
    ROLLOUT_STEPS = "orchestra_rollout_steps", Type::Gauge, ["namespace", "rollout"],
        "Steps of the release under way; 0 without one.",
        "Frozen when the release starts.";
    ROLLOUT_STARTED = "orchestra_rollout_release_started_timestamp_seconds", Type::Gauge, ["namespace", "rollout"],
        "When the release under way started, in Unix time.",
        "`time() - …` is its age. No series while none is under way.";
    ROLLOUT_REQUESTS = "orchestra_rollout_requests", Type::Gauge, ["namespace", "rollout", "region", "metric", "revision"],
        "Requests that were compared since the release started, of `candidate` and `stable`, in the same minutes.",
        "Per metric, of the release under way or of the last one if it failed; else no series.";
    ROLLOUT_BAD = "orchestra_rollout_bad_requests", Type::Gauge, ["namespace", "rollout", "region", "metric", "revision"],
        "The bad ones among the requests that were compared.",
        "For the metric `Errors`: answered with 5xx; for `Latency`: slower than a bound of stable's; for `ClientErrors` and `TooManyRequests`: 4xx and 429; for `RequestLogs`: 5xx by the fast lane, whose requests aren't counted.";
    ROLLOUT_EVIDENCE = "orchestra_rollout_evidence_percent", Type::Gauge, ["namespace", "rollout", "region", "metric"],
        "How much of the evidence that a rollback needs there is against the candidate.",
        "From 100 on it is sure that the candidate is worse; it is rolled back if the difference matters, too. It falls, too. In mode Threshold: looks that failed, of as many as fail a step.";
    ROLLOUT_VERDICT = "orchestra_rollout_verdict", Type::Gauge, ["namespace", "rollout", "region", "metric", "verdict"],
        "1, with where the evidence stands.",
        "Only the present verdict has a series, of the release under way or of the last one if it failed. `NoData` of `RequestLogs`: the fast lane is off.";
    ENVIRONMENT_INFO = "orchestra_environment_info", Type::Gauge, ["namespace", "environment", "project", "stage"],
        "1, with what an environment is.",
        "For joins, and for links to Cloud Run.";
    CONDITION = "orchestra_condition", Type::Gauge, ["kind", "namespace", "name", "condition", "reason"],
        "1 where a condition of an object is true, 0 where it is false.",
        "Ready, Reconciling and Stalled of both kinds; of an environment each part's, too.";
    OPERATION_STARTED = "orchestra_operation_started_timestamp_seconds", Type::Gauge,
        ["namespace", "environment", "resource", "verb"],
        "When a long operation of Google Cloud that is under way was asked for, in Unix time.",
        "`count()` is how many there are, `time() - …` their age. Memorystore takes up to half an hour.";
    OBJECTS_LEFT_OUT = "orchestra_metrics_objects_left_out", Type::Gauge, [],
        "Objects without series of their own, because there are more than --metrics-objects.",
        "Fleet-wide metrics count them all the same.";
    RECONCILIATIONS = "orchestra_reconciliations_total", Type::Counter, ["kind", "result"],
        "Looks at objects by kind and result.",
        "`result` is ok, or why it ended early: retryable, conflict, denied, permanent, not_leader. Conflicts are normal: somebody else wrote.";
    RECONCILIATION_SECONDS = "orchestra_reconciliation_duration_seconds", CALLS, ["kind"],
        "Duration of looks at objects by kind.",
        "Mostly reads of Google; a look that users wait for waits for no read that hangs.";
    QUEUE_DEPTH = "orchestra_queue_depth", Type::Gauge, ["kind"],
        "Objects whose next look is due and has not begun.",
        "More than a few for minutes: the controller can't keep up, or is held up by reads.";
    QUEUE_AGE = "orchestra_queue_oldest_age_seconds", Type::Gauge, ["kind"],
        "How long the look that is due for longest has been waiting; 0 when none is.",
        "A look is due when the plan before it said so; changes of objects call for one at once and are not waited for here.";
    BROKEN_PROMISES = "orchestra_broken_promises_total", Type::Counter, ["promise"],
        "Plans that would have broken a promise, by its number.",
        "Must be 0: each is a fault of Orchestra's, was not carried out, and should be reported. docs/promises.md has the numbers.";
    UNDECODABLE = "orchestra_undecodable_objects_total", Type::Counter, ["kind"],
        "Looks at objects of which a part could not be read, by kind.",
        "The object's conditions name the field.";
    GOOGLE_REQUESTS = "orchestra_google_requests_total", Type::Counter, ["api", "method", "code"],
        "Calls of Google's APIs, by API, method and canonical code.",
        "`RESOURCE_EXHAUSTED` is a quota, `PERMISSION_DENIED` a missing role, `DEADLINE_EXCEEDED` no answer in time. Attempts that the client repeats by itself are one call.";
    GOOGLE_SECONDS = "orchestra_google_request_duration_seconds", CALLS, ["api", "method"],
        "Duration of calls of Google's APIs, with the attempts that the client repeats by itself.",
        "Cloud Run's writes answer within seconds; the operation goes on.";
    GOOGLE_WRITES = "orchestra_cloud_writes_total", Type::Counter, ["verb", "result"],
        "Changes of Google Cloud that were planned and tried, by verb and result.",
        "In the steady state this does not grow.";
    LEADER = "orchestra_leader", Type::Gauge, [],
        "1 while this process leads.",
        "The sum over replicas is 1, and 0 for up to 20 s after a leader died.";
    WATCH_FAILURES = "orchestra_watch_failures_total", Type::Counter, ["kind"],
        "Failures of watches of the cluster by kind.",
        "A watch is tried again within seconds.";
    WATCHING = "orchestra_watch_up", Type::Gauge, ["kind"],
        "1 while the watch of a kind works, 0 while it fails.",
        "Only where this process leads. Without a watch, changes are seen at the next look.";
    BUILD = "orchestra_build_info", Type::Gauge, ["version", "rust_version"],
        "1, with what was built.",
        "Two versions at once for longer than an upgrade takes: a replica was not replaced.";
}

/// Every metric of Orchestra's own. `process_…` are Prometheus' usual ones.
pub const GROUPS: [Group; 5] = [
    Group {
        title: "Releases",
        about: "How releases end, how long they take, and what bad ones cost.",
        is_of_objects: false,
        metrics: &[
            &RELEASES_ENDED,
            &RELEASE_SECONDS,
            &ROLLBACK_SECONDS,
            &BAD_REQUESTS,
            &BAD_ERRORS,
            &EVENTS,
            &OBJECTS,
            &ROLLOUTS,
        ],
    },
    Group {
        title: "Rollouts and environments",
        about: "Series of single objects, for at most `--metrics-objects` objects; 0 switches them off.",
        is_of_objects: true,
        metrics: &[
            &ENVIRONMENT_INFO,
            &ROLLOUT_INFO,
            &ROLLOUT_PHASE,
            &ROLLOUT_WEIGHT,
            &ROLLOUT_STEP,
            &ROLLOUT_STEPS,
            &ROLLOUT_STARTED,
            &ROLLOUT_REQUESTS,
            &ROLLOUT_BAD,
            &ROLLOUT_EVIDENCE,
            &ROLLOUT_VERDICT,
        ],
    },
    Group {
        title: "Conditions and operations",
        about: "Series of single objects, bounded likewise.",
        is_of_objects: true,
        metrics: &[&CONDITION, &OPERATION_STARTED, &OBJECTS_LEFT_OUT],
    },
    Group {
        title: "Google Cloud",
        about: "What is asked of Google, and how it answers.",
        is_of_objects: false,
        metrics: &[&GOOGLE_REQUESTS, &GOOGLE_SECONDS, &GOOGLE_WRITES],
    },
    Group {
        title: "The controller",
        about: "Whether it keeps up.",
        is_of_objects: false,
        metrics: &[
            &RECONCILIATIONS,
            &RECONCILIATION_SECONDS,
            &QUEUE_DEPTH,
            &QUEUE_AGE,
            &BROKEN_PROMISES,
            &UNDECODABLE,
            &LEADER,
            &WATCH_FAILURES,
            &WATCHING,
            &BUILD,
        ],
    },
];
