//! Whatever people and the world do, in any order.

use proptest::prelude::*;

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::Target;
use orchestra_crds::Request;

/// Something that people or the world do.
#[derive(Clone, Debug)]
enum Happening {
    Release(u8, bool),
    Pause(bool),
    Abort,
    Retry,
    Undo(usize),
    WipeStatus,
    Down(Option<&'static str>),
    Console,
    Passes(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1..4u8, any::<bool>()).prop_map(|(n, bad)| Happening::Release(n, bad)),
        1 => any::<bool>().prop_map(Happening::Pause),
        1 => Just(Happening::Abort),
        1 => Just(Happening::Retry),
        1 => (0..5usize).prop_map(Happening::Undo),
        1 => Just(Happening::WipeStatus),
        1 => prop_oneof![Just(None), Just(Some("us-central1")), Just(Some("us-west4"))].prop_map(Happening::Down),
        1 => Just(Happening::Console),
        8 => (1..40usize).prop_map(Happening::Passes),
    ]
}

fn happen(world: &mut World, what: &Happening) {
    match what {
        Happening::Release(n, bad) => {
            // An image behaves always the same.
            let (image, error_percent) =
                (format!("app:{n}{}", if *bad { "bad" } else { "" }), if *bad { 30 } else { 0 });
            world.release(&image, Traits { error_percent, ..Traits::default() });
        }
        Happening::Pause(on) => world.rollout.spec.paused = *on,
        Happening::Abort => {
            if let Some(candidate) = world.status().candidate {
                world.ask(Request::Abort, &candidate.release);
            }
        }
        Happening::Retry => {
            if let Some(failed) = world.status().failed {
                world.ask(Request::Retry, &failed.release);
            }
        }
        Happening::Undo(n) => {
            let promoted = world.status().promoted.into_iter().nth(*n);
            if let Some(token) = promoted.and_then(|promoted| promoted.undo_token) {
                world.ask(Request::Undo, &token);
            }
        }
        Happening::WipeStatus => world.rollout.status = None,
        Happening::Down(region) => world.down = *region,
        Happening::Console => {
            if let Some(service) = world.cloud.get_mut("us-west4") {
                let all = crate::names::Percent::ALL;
                service.traffic = vec![crate::cloud::TrafficTarget { to: Target::Latest, percent: all, tag: None }];
                service.serving = service.traffic.clone();
            }
        }
        Happening::Passes(count) => world.run(*count),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, the model's assertions hold (shares of 100 %, pinned; no second create; no other template under
    /// a known name; no traffic for a failed revision), and once the world is calm the release ends.
    #[test]
    fn whatever_happens_it_ends(happenings in proptest::collection::vec(happening(), 1..25)) {
        let mut world = World::new(&["us-central1", "us-west4"]);
        for what in &happenings {
            happen(&mut world, what);
        }
        world.down = None;
        world.rollout.spec.paused = false;
        world.run(1500);
        let settled = [RolloutPhase::Promoted, RolloutPhase::RolledBack, RolloutPhase::Failed, RolloutPhase::Paused];
        prop_assert!(settled.contains(&world.phase()), "{:?}", world.status());
        world.writes.clear();
        world.run(50);
        prop_assert_eq!(world.writes.len(), 0, "the steady state writes nothing: {:?}", world.writes);
        let shares: i32 = world.weights(&world.image()).iter().sum();
        prop_assert!(world.phase() != RolloutPhase::Promoted || shares == 200, "promoted with {shares}");
    }
}
