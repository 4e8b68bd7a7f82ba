//! The judgement under what Monitoring, clocks and crashes do to it: the verdict is that of the undisturbed run, or it waits
//! and says why. It is never wrong.

use orchestra_crds::{EvidenceStatus, RolloutPhase, RolloutStatus};
use orchestra_tests::disturbed::Disturbance;
use orchestra_tests::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scenarios::{SERVICE, promoted};

/// How often what goes wrong is looked after: within each minute.
const TICK: Duration = Duration::from_secs(20);
const TICKS_OF_A_MINUTE: usize = 3;
/// Longer than any release here takes.
const TICKS: usize = 4 * 60 * TICKS_OF_A_MINUTE;

/// What goes wrong, and in which minutes of the release.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Nothing,
    Answers(Disturbance, (usize, usize)),
    Restarts,
    StatusLost,
    ClockOff(i32),
}

const ALWAYS: (usize, usize) = (0, TICKS);

impl Wrong {
    async fn on(self, world: &mut World, tick: usize) {
        match self {
            Self::Nothing => {}
            Self::Answers(disturbance, (from, to)) => {
                let minute = tick / TICKS_OF_A_MINUTE;
                world.tap.disturb((from..to).contains(&minute).then_some(disturbance));
            }
            Self::Restarts => world.restart().await,
            Self::StatusLost if tick % (TICKS_OF_A_MINUTE * 4) == TICKS_OF_A_MINUTE * 3 => {
                world.wipe_status("api").await
            }
            Self::StatusLost => {}
            Self::ClockOff(hours) => {
                world.restart_where_the_clock_is_off_by(if tick.is_multiple_of(2) { hours } else { 0 }).await
            }
        }
    }
}

/// A release, and how it ends where nothing goes wrong.
#[derive(Clone, Copy, Debug)]
struct Release {
    env: &'static [(&'static str, &'static str)],
    end: RolloutPhase,
}

const GOOD: Release = Release { env: &[], end: RolloutPhase::Promoted };
const FAILING: Release = Release { env: &[("SANDBOX_ERROR_PERCENT", "5")], end: RolloutPhase::RolledBack };
const SLOW: Release = Release { env: &[("SANDBOX_LATENCY_MS", "400")], end: RolloutPhase::RolledBack };

/// What there was to see of a release.
#[derive(Debug, Default)]
struct Seen {
    end: Option<RolloutPhase>,
    message: String,
    /// Evidence, by region, metric and the last minute counted.
    evidence: BTreeMap<String, EvidenceStatus>,
    faults: BTreeSet<String>,
    had_all: bool,
}

impl Seen {
    fn note(&mut self, status: &RolloutStatus) {
        for region in &status.regions {
            for evidence in &region.evidence {
                let key = format!("{} {:?} {}", region.region, evidence.metric, evidence.through.0);
                self.faults.extend(evidence.fault.clone());
                self.evidence.insert(key, EvidenceStatus { fault: None, ..evidence.clone() });
            }
        }
    }
}

/// By metrics alone, by request logs, too, and by fixed limits.
const JUDGES: [&str; 3] = [r#"{"fastLane": "Disabled"}"#, r#"{"fastLane": "Auto"}"#, LIMITS];
const LIMITS: &str = r#"{"mode": "Threshold", "threshold": {"errors": {"failAboveBasisPoints": 200}}}"#;

async fn outcome(release: Release, wrong: Wrong, judge: &str) -> Seen {
    let mut world = promoted(&["us-central1"]).await;
    let analysis: Value = serde_json::from_str(judge).unwrap();
    world.patch_rollout("api", json!({"spec": {"analysis": analysis}})).await;
    // Stable has an hour of history, and a minute begins.
    world.run_for(Duration::from_secs(2 * 3600)).await;
    let to_minute = 60 - u64::try_from(world.now().as_second() % 60).unwrap();
    world.run_for(Duration::from_secs(to_minute)).await;
    world.release("api", "app:2", release.env).await;
    let mut seen = Seen::default();
    for tick in 0..TICKS {
        wrong.on(&mut world, tick).await;
        world.run_for(TICK).await;
        let status = world.status("api").await;
        seen.note(&status);
        seen.had_all |= world.weights(SERVICE, "app:2") == [100];
        let ends = [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Paused];
        if tick > TICKS_OF_A_MINUTE && world.is_in("api", &ends) {
            seen.end = status.phase;
            seen.message = status.message.unwrap_or_default();
            break;
        }
    }
    world.assert_promises();
    seen
}

fn each() -> impl Iterator<Item = (Release, &'static str)> {
    [GOOD, FAILING, SLOW].into_iter().flat_map(|release| JUDGES.map(|judge| (release, judge)))
}

/// It ends as where nothing is wrong.
async fn ends_the_same(wrong: Wrong) {
    for (release, judge) in each() {
        let seen = outcome(release, wrong, judge).await;
        assert_eq!(seen.end, Some(release.end), "{wrong:?}, {release:?}, {judge}: {}", seen.message);
        assert_eq!(seen.had_all, release.end == RolloutPhase::Promoted, "{wrong:?}, {release:?}");
    }
}

/// It ends as where nothing is wrong, or asks a person and says why.
async fn is_never_wrong(wrong: Wrong, why: &str) {
    for (release, judge) in each() {
        let seen = outcome(release, wrong, judge).await;
        match seen.end {
            Some(end) if end == release.end => {}
            Some(RolloutPhase::Paused) => {
                assert!(
                    seen.message.contains(why),
                    "{wrong:?}, {release:?}, {judge}: {} {:?}",
                    seen.message,
                    seen.faults
                );
            }
            end => panic!("{wrong:?}, {release:?}, {judge}: {end:?}: {}", seen.message),
        }
        assert!(!seen.had_all || release.end == RolloutPhase::Promoted, "{wrong:?}, {release:?}");
    }
}

/// What is known after a minute is the same as where nothing is wrong.
async fn knows_the_same(wrong: Wrong) {
    for release in [GOOD, FAILING, SLOW] {
        let (undisturbed, seen) =
            (outcome(release, Wrong::Nothing, JUDGES[0]).await, outcome(release, wrong, JUDGES[0]).await);
        assert_eq!(seen.end, undisturbed.end, "{wrong:?}, {release:?}");
        let mut same = 0;
        for (key, evidence) in &seen.evidence {
            if let Some(expected) = undisturbed.evidence.get(key) {
                assert_eq!(evidence, expected, "{wrong:?}, {release:?}, {key}");
                same += 1;
            }
        }
        assert!(same > 2, "{wrong:?}, {release:?}: {same} of {}", seen.evidence.len());
    }
}

#[tokio::test(start_paused = true)]
async fn without_disturbance() {
    ends_the_same(Wrong::Nothing).await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_restarts_between_any_two_minutes_knows_the_same() {
    knows_the_same(Wrong::Restarts).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_by_an_hour_changes_nothing() {
    for hours in [1, -1] {
        knows_the_same(Wrong::ClockOff(hours)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn points_that_come_twice_count_once() {
    knows_the_same(Wrong::Answers(Disturbance::Twice, ALWAYS)).await;
}

#[tokio::test(start_paused = true)]
async fn minutes_that_were_counted_are_not_counted_again_with_other_numbers() {
    ends_the_same(Wrong::Answers(Disturbance::Revised, ALWAYS)).await;
}

#[tokio::test(start_paused = true)]
async fn minutes_that_are_missing_or_unreadable_are_no_verdict() {
    for disturbance in [Disturbance::Missing, Disturbance::NotANumber] {
        ends_the_same(Wrong::Answers(disturbance, ALWAYS)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_that_are_later_than_they_may_be_are_waited_for() {
    for minutes in [5, 10, 14] {
        is_never_wrong(Wrong::Answers(Disturbance::Late(minutes), ALWAYS), "no metrics of the candidate").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_lost_every_four_minutes_makes_no_verdict_wrong() {
    is_never_wrong(Wrong::StatusLost, "promote or abort").await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_for_five_minutes_changes_nothing() {
    for status in [503, 403] {
        for from in [1, 3, 6, 10] {
            ends_the_same(Wrong::Answers(Disturbance::Refused(status), (from, from + 5))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_for_an_hour_is_waited_for_and_told() {
    for from in [1, 6, 12] {
        is_never_wrong(Wrong::Answers(Disturbance::Refused(503), (from, from + 60)), "Cloud Monitoring can't be read")
            .await;
        is_never_wrong(Wrong::Answers(Disturbance::Refused(403), (from, from + 60)), "roles/monitoring.viewer").await;
    }
}
