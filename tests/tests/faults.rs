//! Every fault at every call of the controller: each rerun ends as it ends without a fault, and breaks no promise.
//! A failure names the scenario and the plan; `FAULT_PLAN=Scenario/12:Hang` replays one and prints its calls.

use orchestra_tests::faults::Plan;
use orchestra_tests::scenario::{Scenario, complaint};

async fn every_fault(scenario: Scenario) {
    let (expected, calm) = scenario.play(None).await;
    calm.assert_promises();
    let calls = calm.tap.calls();
    let plans: Vec<Plan> = calls
        .iter()
        .enumerate()
        .flat_map(|(call, made)| made.faults().into_iter().map(move |fault| Plan { call, fault }))
        .collect();
    if let Ok(wanted) = std::env::var("FAULT_PLAN") {
        for plan in plans.iter().filter(|plan| wanted == format!("{scenario:?}/{plan}")) {
            let (end, world) = scenario.play(Some(*plan)).await;
            println!("{:#?}", world.tap.calls().iter().map(ToString::to_string).collect::<Vec<_>>());
            println!("{wanted}: {}", complaint(*plan, &expected, &end, &world).unwrap_or("nothing is wrong".into()));
        }
        return;
    }
    let mut failures = vec![];
    for plan in &plans {
        let (end, world) = scenario.play(Some(*plan)).await;
        if let Some(complaint) = complaint(*plan, &expected, &end, &world) {
            failures.push(format!("FAULT_PLAN={scenario:?}/{plan} ({}): {complaint}", calls[plan.call]));
        }
    }
    let writes = calls.iter().filter(|call| call.is_write()).count();
    println!("{scenario:?}: {} plans over {writes} writes and {} reads", plans.len(), calls.len() - writes);
    assert!(failures.is_empty(), "{} of {} plans failed; the first: {}", failures.len(), plans.len(), failures[0]);
}

macro_rules! scenarios {
    ($($test:ident: $scenario:ident,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            every_fault(Scenario::$scenario).await;
        }
    )*};
}

scenarios! {
    first_deployment: FirstDeployment,
    canary_that_promotes: CanaryThatPromotes,
    canary_that_rolls_back: CanaryThatRollsBack,
    container_that_never_starts: ContainerThatNeverStarts,
    supersede: Supersede,
    abort_and_retry: AbortAndRetry,
    two_regions: TwoRegions,
    environment_that_is_deleted: EnvironmentThatIsDeleted,
    environment_that_is_retained: EnvironmentThatIsRetained,
}
