//! What `kubectl orchestra plan` foresees is what the controller then does.

use orchestra_tests::rehearsals::Rehearsals;
use orchestra_tests::scenario::Scenario;
use orchestra_tests::world::World;

#[tokio::test(start_paused = true)]
async fn each_pass_of_each_scenario_sends_what_was_foreseen_and_nothing_else() {
    for scenario in Scenario::ALL {
        let mut world = World::new(3).await;
        world.rehearsals = Some(Rehearsals::default());
        let (_, world) = scenario.play_in(world).await;
        let rehearsals = world.rehearsals.as_ref().unwrap();
        assert!(rehearsals.broken.is_empty(), "{scenario:?}: {}", rehearsals.broken.join("\n"));
        assert!(rehearsals.kept > 0, "{scenario:?} sent nothing");
        world.assert_promises();
    }
}
