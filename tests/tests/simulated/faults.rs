//! Faults at calls of the controller: each rerun ends as it ends without a fault, and breaks no promise. `make faults`
//! tries every fault at every call; otherwise a sample is tried that changes with the commit: every kind of fault at
//! every kind of call once, and some more.
//! A failure names the scenario and the plan; `FAULT_PLAN=Scenario/12:Hang` replays one and prints its calls.

use futures::FutureExt;
use orchestra_tests::faults::{Call, Plan};
use orchestra_tests::scenario::{End, Scenario, complaint};
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Longest that a scenario may take, in its own time.
const LONGEST: Duration = Duration::from_secs(48 * 3600);

/// Plays a scenario with a fault; what is wrong with how it went.
async fn try_plan(scenario: Scenario, plan: Plan, expected: &End) -> Option<String> {
    let play = AssertUnwindSafe(tokio::time::timeout(LONGEST, scenario.play(Some(plan)))).catch_unwind();
    match play.await {
        Ok(Ok((end, world))) => {
            if std::env::var("FAULT_PLAN").is_ok() {
                println!("{:#?}", world.tap.calls().iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            complaint(plan, expected, &end, &world)
        }
        Ok(Err(_)) => Some("it hangs".into()),
        Err(panic) => Some(panic.downcast_ref::<String>().cloned().unwrap_or("it panicked".into())),
    }
}

/// Runs something in a time of its own: it begins at the same instant whatever ran before.
fn in_its_own_time<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(play)
}

/// How a scenario ends without a fault, its calls, and how many of them another scenario begins with.
async fn without_faults(scenario: Scenario) -> (End, Vec<Call>, usize) {
    let (expected, calm) = scenario.play(None).await;
    calm.assert_promises();
    let calls = calm.tap.calls();
    let first = match scenario.begins_like() {
        Some(other) => {
            let theirs = other.play(None).await.1.tap.calls();
            calls.iter().zip(&theirs).take_while(|(mine, theirs)| mine == theirs).count()
        }
        None => 0,
    };
    (expected, calls, first)
}

fn every_fault(scenario: Scenario) {
    let (expected, calls, first) = in_its_own_time(without_faults(scenario));
    let mut plans: Vec<Plan> = calls
        .iter()
        .enumerate()
        .skip(first)
        .flat_map(|(call, made)| made.faults().into_iter().map(move |fault| Plan { call, fault }))
        .collect();
    let all = plans.len();
    if std::env::var("FAULT_PLAN").is_err() && std::env::var("ALL_FAULTS").is_err() {
        plans = sample(plans, &calls);
    }
    if let Ok(wanted) = std::env::var("FAULT_PLAN") {
        plans.retain(|plan| wanted == format!("{scenario:?}/{plan}"));
        let known = Scenario::ALL.iter().any(|known| wanted.starts_with(&format!("{known:?}/")));
        assert!(known, "FAULT_PLAN={wanted} names no scenario");
        assert!(!plans.is_empty() || !wanted.starts_with(&format!("{scenario:?}/")), "there is no plan {wanted}");
    }
    let (left, failures) = (Mutex::new(plans.iter().enumerate()), Mutex::new(vec![]));
    let next = || left.lock().unwrap().next();
    let work = || {
        while let Some((place, plan)) = next() {
            if let Some(complaint) = in_its_own_time(try_plan(scenario, *plan, &expected)) {
                let failure = format!("FAULT_PLAN='{scenario:?}/{plan}' ({}): {complaint}", calls[plan.call]);
                failures.lock().unwrap().push((place, failure));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let writes = calls.iter().filter(|call| call.is_write()).count();
    let reads = calls.len() - writes;
    let elsewhere = scenario
        .begins_like()
        .map(|other| format!("; its first {first} calls are those of {other:?}, and tried there"))
        .unwrap_or_default();
    orchestra_tests::tell(&format!(
        "{scenario:?}: {} of {all} plans over {writes} writes and {reads} reads{elsewhere}",
        plans.len()
    ));
    let told: Vec<String> = failures.iter().map(|(_, f)| f.chars().take(2500).collect()).collect();
    assert!(failures.is_empty(), "{} of {} plans failed:\n{}", failures.len(), plans.len(), told.join("\n"));
}

/// How many plans of a scenario are tried beside one of each kind.
const MORE: usize = 12;

/// What makes two calls of one kind: everything but names and numbers.
fn kind(call: &Call) -> String {
    let last = call.target.rsplit('/').next().unwrap_or_default();
    let verb = last.split_once(':').map_or("", |(_, verb)| verb);
    let known = ["rollouts", "orchestraenvironments", "status", "services", "revisions", "instances", "operations"];
    let parts: Vec<&str> = call.target.split('/').filter(|part| known.contains(part)).collect();
    format!("{:?} {} {} {verb}", call.api, call.method, parts.join("/"))
}

/// One plan of each kind of fault at each kind of call, and some more, drawn by the commit.
fn sample(plans: Vec<Plan>, calls: &[Call]) -> Vec<Plan> {
    let seed = std::env::var("FAULT_SEED").unwrap_or_else(|_| "none".into());
    let rank = |plan: &Plan| {
        let mut hasher = std::hash::DefaultHasher::new();
        (&seed, plan.to_string()).hash(&mut hasher);
        hasher.finish()
    };
    let mut drawn = plans;
    drawn.sort_by_key(rank);
    let mut seen = BTreeSet::new();
    let (mut firsts, others): (Vec<Plan>, Vec<Plan>) =
        drawn.into_iter().partition(|plan| seen.insert((kind(&calls[plan.call]), format!("{:?}", plan.fault))));
    firsts.extend(others.into_iter().take(MORE));
    firsts.sort_by_key(|plan| plan.call);
    firsts
}

macro_rules! scenarios {
    ($($test:ident: $scenario:ident,)*) => {$(
        #[test]
        fn $test() {
            every_fault(Scenario::$scenario);
        }
    )*};
}

scenarios! {
    first_deployment: FirstDeployment,
    canary_that_promotes: CanaryThatPromotes,
    canary_that_rolls_back: CanaryThatRollsBack,
    supersede: Supersede,
    abort_and_retry: AbortAndRetry,
    two_regions: TwoRegions,
    adoption: Adoption,
    traffic_only: TrafficOnly,
    undo: Undo,
    restart: Restart,
    regions: Regions,
    blue_green: BlueGreen,
    rolling: Rolling,
    environment_that_is_deleted: EnvironmentThatIsDeleted,
    environment_that_is_retained: EnvironmentThatIsRetained,
}
