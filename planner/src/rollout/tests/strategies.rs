//! Strategies other than the canary: each comes to a list of steps.

use super::*;
use orchestra_crds::{BlueGreen, Rolling, Strategy};

fn with(strategy: Strategy) -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.rollout.spec.strategy = strategy;
    world
}

fn blue_green(preview_seconds: Option<i32>) -> World {
    with(Strategy { blue_green: Some(BlueGreen { preview_seconds }), ..Strategy::default() })
}

fn message(world: &World) -> String {
    world.status().message.unwrap_or_default()
}

#[test]
fn green_stands_without_a_request_until_somebody_promotes_and_is_then_watched() {
    let mut world = blue_green(None);
    world.rollout.spec.analysis.watch_seconds = 600;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.status().step.as_deref() == Some("1/2"));
    world.run(100);
    assert_eq!((world.weights("app:2"), world.weights("app:1")), (vec![0, 0], vec![100, 100]));
    assert!(message(&world).contains("pause, until somebody promotes"), "{}", message(&world));
    for _ in 0..2 {
        let token = world.status().candidate.unwrap().promote_token.unwrap();
        world.ask(Request::Promote, &token);
        world.run_until(|world| world.status().step.as_deref() == Some("2/2"));
        assert!(message(&world).contains("it has all requests, and is watched"), "{}", message(&world));
        world.run_until(|world| {
            world.phase() == RolloutPhase::Promoted || world.status().step.as_deref() == Some("1/2")
        });
    }
    assert_eq!((world.phase(), world.weights("app:2")), (RolloutPhase::Promoted, vec![100, 100]));
}

#[test]
fn green_that_breaks_under_all_requests_is_taken_back() {
    let mut world = blue_green(Some(60));
    world.rollout.spec.analysis.watch_seconds = 1_800;
    world.release("app:2", Traits { error_percent: 40, ..Traits::default() });
    world.run_until(|world| world.weights("app:2")[0] == 100);
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100, 100]);
    let shares: Vec<&String> = world.writes.iter().filter(|write| write.contains("app:2")).collect();
    assert!(shares.iter().all(|write| !write.contains(" 50 ") && !write.contains(" 10 ")), "{shares:?}");
}

#[test]
fn without_a_preview_green_gets_everything_as_soon_as_it_is_ready() {
    let mut world = blue_green(Some(0));
    world.rollout.spec.analysis.watch_seconds = 0;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100, 100]);
}

#[test]
fn what_rolls_goes_in_even_parts_by_readiness_alone() {
    let rolling = Some(Rolling { increments: 4, interval_seconds: 60 });
    let mut world = with(Strategy { rolling, ..Strategy::default() });
    // Nobody judges it.
    world.release("app:2", Traits { error_percent: 90, ..Traits::default() });
    let began = world.now;
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100, 100]);
    let took = world.now.duration_since(began).as_secs();
    assert!((360..600).contains(&took), "{took} s");
    let shares: Vec<&str> = world.writes.iter().filter_map(|write| write.strip_prefix("us-central1 app:1 ")).collect();
    assert_eq!(shares, ["75 app:2 25", "50 app:2 50", "25 app:2 75"], "{:?}", world.writes);
    assert_eq!(world.counted_requests, 0, "no metrics are read");
}

#[test]
fn what_can_not_start_rolls_nowhere() {
    let mut world = with(Strategy { rolling: Some(Rolling::default()), ..Strategy::default() });
    world.release("app:2", Traits { broken_in: Some("us-central1"), ..Traits::default() });
    world.run_until(|world| world.phase() == RolloutPhase::RolledBack);
    assert_eq!(world.weights("app:1"), [100, 100]);
}

#[test]
fn with_the_status_lost_each_goes_on_from_its_marks() {
    let all = [
        Strategy { blue_green: Some(BlueGreen { preview_seconds: Some(120) }), ..Strategy::default() },
        Strategy { rolling: Some(Rolling::default()), ..Strategy::default() },
    ];
    for strategy in all {
        for passes in [1, 3, 6, 10, 20] {
            let mut world = with(strategy.clone());
            world.release("app:2", Traits::default());
            world.run(passes);
            world.rollout.status = None;
            world.run(1);
            world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100, 100]);
        }
    }
}

fn addressed(world: &World, region: &str) -> bool {
    crate::traffic::is_addressed(&world.cloud[region].traffic)
}

#[test]
fn a_candidate_has_an_address_of_its_own_for_as_long_as_it_is_one() {
    let mut world = blue_green(None);
    world.cloud.values_mut().for_each(|view| view.url = Some("https://api-shop.run.app".into()));
    world.release("app:2", Traits::default());
    world.run_until(|world| world.status().step.as_deref() == Some("1/1"));
    assert!(addressed(&world, "us-central1"));
    let told: Vec<Option<String>> = world.status().regions.into_iter().map(|region| region.candidate_url).collect();
    assert!(told[0].as_ref().is_some_and(|url| url.starts_with("https://candidate---")), "{told:?}");
    assert_eq!(told[1], None, "it has not come there");
    for _ in 0..20 {
        if let Some(token) = world.status().candidate.and_then(|candidate| candidate.promote_token) {
            world.ask(Request::Promote, &token);
        }
        world.run(20);
    }
    assert_eq!(world.phase(), RolloutPhase::Promoted);
    assert!(["us-central1", "us-west4"].iter().all(|region| !addressed(&world, region)));
    assert!(world.status().regions.iter().all(|region| region.candidate_url.is_none()));
}

#[test]
fn a_candidate_that_is_taken_back_or_given_up_leaves_no_address() {
    for (traits, template) in
        [(Traits { error_percent: 50, ..Traits::default() }, None), (Traits::default(), Some("app:1"))]
    {
        let mut world = World::promoted(&["us-central1"]);
        world.release("app:2", traits);
        world.run_until(|world| world.weights("app:2") == [10]);
        assert!(addressed(&world, "us-central1"));
        template.inspect(|image| world.release(image, Traits::default()));
        world.run_until(|world| world.weights("app:1") == [100]);
        world.run(20);
        assert!(!addressed(&world, "us-central1"), "{:?}", world.phase());
    }
    let mut world = blue_green(None);
    world.release("app:2", Traits::default());
    world.run_until(|world| addressed(world, "us-central1"));
    world.release("app:1", Traits::default());
    world.run(20);
    assert_eq!((world.phase(), addressed(&world, "us-central1")), (RolloutPhase::Promoted, false));
}

#[test]
fn a_tag_candidate_of_somebody_elses_stays_and_is_in_nobodys_way() {
    let mut world = blue_green(Some(60));
    let theirs = super::adopt::to("api-theirs", 0, Some("candidate"));
    world.revisions.insert("api-theirs".into(), "app:0".into());
    world.cloud.values_mut().for_each(|view| view.traffic.push(theirs.clone()));
    world.rollout.spec.analysis.watch_seconds = 0;
    world.release("app:2", Traits::default());
    world.run_until(|world| world.phase() == RolloutPhase::Promoted && world.weights("app:2") == [100, 100]);
    assert!(world.cloud.values().all(|view| view.traffic.contains(&theirs)));
}

#[test]
fn a_preview_goes_on_though_somebody_takes_its_address_away() {
    let mut world = blue_green(Some(1_800));
    world.release("app:2", Traits::default());
    world.run_until(|world| world.status().regions[0].step.is_some());
    let since = world.status().regions[0].step.clone();
    let view = world.cloud.get_mut("us-central1").unwrap();
    view.traffic.retain(|target| target.tag.is_none());
    view.serving.retain(|target| target.tag.is_none());
    world.run(10);
    assert_eq!(world.status().regions[0].step, since, "it is held no longer for that");
}

#[test]
fn where_google_refuses_the_address_the_release_goes_on_without() {
    let mut world = blue_green(Some(60));
    world.rollout.spec.analysis.watch_seconds = 0;
    world.release("app:2", Traits::default());
    world.run(2);
    let refused = crate::resource::FailedWrite {
        fault: crate::cloud::Fault { class: crate::cloud::FaultClass::Permanent, message: "no such tag".into() },
        tries: 1,
        at: world.now,
    };
    let id = world.observe().regions[0].id.clone();
    world.failed_writes.insert(crate::resource::ResourceId::Service(id), refused);
    world.run_until(|world| world.status().regions[0].step.is_some());
}

#[test]
fn a_share_never_goes_with_its_tag() {
    let mut world = World::promoted(&["us-central1"]);
    let stable = world.status().stable.unwrap().revision;
    let joined = vec![super::adopt::to(&stable, 100, Some("candidate"))];
    let view = world.cloud.get_mut("us-central1").unwrap();
    (view.traffic, view.serving) = (joined.clone(), joined);
    world.run(10);
    assert_eq!(world.weights("app:1"), [100]);
    assert!(!addressed(&world, "us-central1"));
}
