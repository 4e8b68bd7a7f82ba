//! What this process can see and do, for /readyz and the log: what is missing is named, with the fix.

use orchestra_planner::cloud::{Fault, FaultClass, ServiceId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a trouble that lasts is logged again.
const REMIND: Duration = Duration::from_secs(60);
/// How many troubles are kept apart: an error's text may differ each time.
const MOST_KNOWN: usize = 64;
/// A watch that fails is tried again within seconds: one that has not failed for so long works, as far as a pass shows
/// that the cluster answers.
const WATCH_WORKS_AFTER: Duration = Duration::from_secs(15);
/// The same, where no pass shows anything: longer than an attempt may hang.
const WATCH_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// A read of Google that works ends a trouble when none of the same place has failed for so long.
const GOOGLE_WORKS_AFTER: Duration = Duration::from_secs(15);
/// A status that was cut says so until no other was for so long.
const CUT_FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// What was not asked for so long is of no object any more.
const GOOGLE_FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// What this process can see and do.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The CRDs were found, once.
    started: bool,
    /// What is wrong with the cluster, by what was tried.
    cluster: BTreeMap<&'static str, Trouble>,
    /// What is wrong with the watches, by kind and what is said: a kind's controller may watch several resources.
    watches: BTreeMap<(&'static str, String), Trouble>,
    /// Kinds of which the cluster does not keep the whole status.
    statuses: BTreeMap<&'static str, Trouble>,
    /// What is wrong with Google Cloud, by API and place.
    google: BTreeMap<Source, Trouble>,
}

/// An API of Google's, where it was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    api: &'static str,
    place: String,
}

impl Source {
    /// In a region of a project.
    pub(crate) fn of_region(api: &'static str, project: impl Display, region: impl Display) -> Self {
        Self { api, place: format!("{region} of {project}") }
    }

    /// Cloud Run, where that service is.
    pub(crate) fn of_service(id: &ServiceId) -> Self {
        Self::of_region("run", &id.project, &id.region)
    }

    /// Where there are no regions: in a project.
    pub(crate) fn new(api: &'static str, place: impl ToString) -> Self {
        Self { api, place: place.to_string() }
    }
}

#[derive(Debug)]
struct Trouble {
    message: String,
    since: Instant,
    told: Instant,
    seen: Instant,
}

impl State {
    /// Forgets the trouble of a watch that has not failed for so long.
    fn forget_watch(&mut self, kind: &'static str, quiet: Duration) {
        let before = self.watches.len();
        self.watches.retain(|(of, _), trouble| *of != kind || trouble.seen.elapsed() < quiet);
        if self.watches.len() < before && !self.watches.keys().any(|(of, _)| *of == kind) {
            tracing::info!(kind, "the watch is all right again");
        }
    }
}

/// Notes a trouble; whether it is to be logged now.
fn note<K: Ord>(troubles: &mut BTreeMap<K, Trouble>, what: K, message: String) -> bool {
    let (now, is_room) = (Instant::now(), troubles.len() < MOST_KNOWN);
    match troubles.get_mut(&what) {
        Some(known) => {
            (known.message, known.seen) = (message, now);
            let remind = now.duration_since(known.told) >= REMIND;
            known.told = if remind { now } else { known.told };
            remind
        }
        None if is_room => {
            troubles.insert(what, Trouble { message, since: now, told: now, seen: now });
            true
        }
        None => false,
    }
}

fn fix(fault: &Fault) -> &'static str {
    match fault.class {
        FaultClass::Denied => "check the credentials and roles of the controller's service account",
        _ => "check the network, and that the credentials can be had",
    }
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kinds whose watch fails.
    pub(crate) fn failing_watches(&self) -> BTreeSet<&'static str> {
        self.state().watches.keys().map(|(kind, _)| *kind).collect()
    }

    /// The CRDs are there.
    pub(crate) fn started(&self) {
        self.state().started = true;
    }

    /// How something tried on the cluster went.
    pub(crate) fn note_cluster(&self, what: &'static str, trouble: Option<String>) {
        let mut state = self.state();
        match trouble {
            Some(message) => {
                if note(&mut state.cluster, what, message.clone()) {
                    tracing::warn!(what, trouble = message, "a call to the cluster fails");
                }
            }
            None => {
                if state.cluster.remove(what).is_some() {
                    tracing::info!(what, "the cluster is all right again");
                }
            }
        }
    }

    /// The cluster did not keep all of a status of that kind.
    pub(crate) fn status_cut(&self, kind: &'static str) {
        let trouble = "the cluster doesn't keep all of the status that this version writes: its CRD is another version's; \
                       apply this version's: kubectl apply -f crds/";
        let mut state = self.state();
        if note(&mut state.statuses, kind, trouble.into()) {
            tracing::warn!(kind, trouble, "a status was cut");
        }
    }

    /// A watch failed.
    pub(crate) fn watch_failed(&self, kind: &'static str, trouble: String) {
        let mut state = self.state();
        if note(&mut state.watches, (kind, trouble.clone()), trouble.clone()) {
            tracing::warn!(kind, trouble, "watching {kind}s fails");
        }
    }

    /// A pass of that kind began, by an event or a timer: the cluster answers.
    pub(crate) fn pass_began(&self, kind: &'static str) {
        self.state().forget_watch(kind, WATCH_WORKS_AFTER);
    }

    /// How a read of Google went. What is refused because of the spec is no trouble of Google's.
    pub(crate) fn note_google(&self, source: Source, fault: Option<&Fault>) {
        let mut state = self.state();
        match fault {
            Some(fault) if matches!(fault.class, FaultClass::Retryable | FaultClass::Denied) => {
                let message = format!("{}; {}", fault.message.trim_end_matches('.'), fix(fault));
                if note(&mut state.google, source.clone(), message.clone()) {
                    let Source { api, place } = source;
                    tracing::warn!(api, place, trouble = message, "Google Cloud can't be read");
                }
            }
            Some(_) => {}
            None => {
                let passed = state.google.get(&source).is_some_and(|t| t.seen.elapsed() >= GOOGLE_WORKS_AFTER);
                if passed && state.google.remove(&source).is_some() {
                    let Source { api, place } = source;
                    tracing::info!(api, place, "Google Cloud can be read again");
                }
            }
        }
    }

    /// What of Google Cloud could not be read.
    pub(crate) fn google_troubles(&self) -> Vec<String> {
        let told = |(source, trouble): (&Source, &Trouble)| {
            format!("Google Cloud, {} in {}: {}", source.api, source.place, trouble.message)
        };
        self.state().google.iter().map(told).collect()
    }

    /// Whether this process can do its work, and what is to be said of it. Google's troubles are told and make it no less
    /// ready: another replica would meet them too.
    pub(crate) fn report(&self) -> (bool, String) {
        let mut state = self.state();
        let watched: BTreeSet<&'static str> = state.watches.keys().map(|(kind, _)| *kind).collect();
        watched.into_iter().for_each(|kind| state.forget_watch(kind, WATCH_FORGOTTEN_AFTER));
        state.google.retain(|_, trouble| trouble.seen.elapsed() < GOOGLE_FORGOTTEN_AFTER);
        state.statuses.retain(|_, trouble| trouble.seen.elapsed() < CUT_FORGOTTEN_AFTER);
        let mut lines = vec![];
        if !state.started {
            lines.push("waiting for the CRDs: kubectl apply -f crds/".to_string());
        }
        let told = |what: &str, trouble: &Trouble| {
            format!("{what}: {} (for {} s)", trouble.message, trouble.since.elapsed().as_secs())
        };
        lines.extend(state.cluster.iter().map(|(what, trouble)| told(what, trouble)));
        lines.extend(state.watches.iter().map(|((kind, _), trouble)| told(&format!("watching {kind}s"), trouble)));
        lines.extend(state.statuses.iter().map(|(kind, trouble)| told(&format!("the status of {kind}s"), trouble)));
        let ready = lines.is_empty();
        let google = |(source, trouble): (&Source, &Trouble)| {
            told(&format!("Google Cloud, {} in {}", source.api, source.place), trouble)
        };
        lines.extend(state.google.iter().map(google));
        if ready {
            lines.insert(0, "ok".into());
        }
        (ready, lines.join("\n") + "\n")
    }
}

/// Why a call of the cluster failed, with what to do about it.
pub(crate) fn cluster_trouble(server: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            format!("{server} refuses our credentials (401): check the token or certificate in the kubeconfig")
        }
        kube::Error::Api(status) if status.is_forbidden() => {
            format!("{server}: {}; give the controller's service account that right", status.message)
        }
        kube::Error::Api(status) if status.is_not_found() => format!("{server}: {}", status.message),
        kube::Error::Api(status) => format!("{server}: {} ({})", status.message, status.code),
        other => {
            format!("{server} does not answer: {}; check the server's address and the network", innermost(other))
        }
    }
}

/// The cause behind an error.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    // Chains of errors are short; a circle would be a bug of a library.
    for _ in 0..16 {
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => break,
        }
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_by_a_timer_does_not_hide_a_watch_that_fails() {
        let health = Health::default();
        health.started();
        for _ in 0..4 {
            health.watch_failed("Rollout", "denied".into());
            health.pass_began("Rollout");
            assert!(health.report().1.contains("watching Rollouts: denied"));
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        tokio::time::advance(WATCH_WORKS_AFTER).await;
        assert!(!health.report().0);
        health.pass_began("Rollout");
        assert!(health.report().0);
        health.watch_failed("Rollout", "denied".into());
        tokio::time::advance(WATCH_FORGOTTEN_AFTER).await;
        assert!(health.report().0, "without any Rollout there is no pass");
    }

    #[test]
    fn each_right_that_a_watch_lacks_is_told() {
        let health = Health::default();
        health.started();
        health.watch_failed("Rollout", "no right to watch environments".into());
        health.watch_failed("Rollout", "no right to watch rollouts".into());
        health.watch_failed("Rollout", "no right to watch environments".into());
        let told = health.report().1;
        assert!(told.contains("watch rollouts") && told.contains("watch environments"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_of_google_is_over_where_nothing_has_failed_for_a_while() {
        let health = Health::default();
        health.started();
        let (west, central) = (Source::new("run", "us-west4"), Source::new("run", "us-central1"));
        let fault = Fault { class: FaultClass::Retryable, message: "503".into() };
        for _ in 0..5 {
            health.note_google(west.clone(), Some(&fault));
            health.note_google(central.clone(), None);
            health.note_google(west.clone(), None);
            assert!(health.report().1.contains("run in us-west4: 503"));
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        tokio::time::advance(GOOGLE_WORKS_AFTER).await;
        health.note_google(west, None);
        assert_eq!(health.report().1, "ok\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_named() {
        let health = Health::default();
        assert!(!health.report().0);
        health.started();
        assert_eq!(health.report(), (true, "ok\n".into()));
        health.note_cluster("watch Rollouts", Some("no right".into()));
        let (ready, told) = health.report();
        assert!(!ready && told.contains("watch Rollouts: no right"), "{told}");
        health.note_cluster("watch Rollouts", None);
        let denied = Fault { class: FaultClass::Denied, message: "no".into() };
        let run = Source::new("run", "us-central1");
        health.note_google(run.clone(), Some(&denied));
        let (ready, told) = health.report();
        assert!(ready && told.contains("run") && told.contains("roles"), "{told}");
        tokio::time::advance(GOOGLE_WORKS_AFTER).await;
        health.note_google(run, None);
        assert_eq!(health.report().1, "ok\n");
    }
}
