//! Promise 24: a new version of the controller starts no release and writes nothing. What this version saw, remembered and
//! marked was recorded, and every later one has to read it as this one did. `RECORD=1 cargo test -p orchestra-planner
//! recorded` writes the records. They are written once: a new form gets a folder of its own, and those before it stay.

// A record is a file.
#![allow(clippy::disallowed_methods)]

use super::super::*;
use super::model::{Traits, World};
use crate::marks::Marks;
use orchestra_crds::Request;
use std::path::PathBuf;

/// What was seen, and the marks of each service as they stand in its annotations.
#[derive(Serialize, Deserialize)]
struct Record {
    observation: Observation,
    annotations: BTreeMap<String, BTreeMap<String, String>>,
}

type Story = fn() -> World;

const STORIES: [(&str, Story); 5] = [
    ("promoted", || World::promoted(&["us-central1", "us-west4"])),
    ("on-a-step", || on_a_step(None)),
    ("paused", || on_a_step(Some(Request::Pause))),
    ("rolled-back", || on_a_step(Some(Request::Abort))),
    ("asks-a-person", || {
        let mut world = World::promoted(&["us-central1"]);
        world.requests_per_minute = 0;
        world.release("app:2", Traits::default());
        world.run_until(|w| w.phase() == RolloutPhase::Paused);
        world.run(5);
        world
    }),
];

fn on_a_step(asked: Option<Request>) -> World {
    let mut world = World::promoted(&["us-central1", "us-west4"]);
    world.release("app:2", Traits::default());
    world.run_until(|w| w.weights("app:2") == [100, 50]);
    if let Some(request) = asked {
        world.ask(request, &world.release_id());
    }
    world.run(3);
    world
}

/// Where the records of each form are, newest first.
const FORMS: [&str; 2] = ["", "before-untouched/"];

fn records() -> impl Iterator<Item = String> {
    FORMS.into_iter().flat_map(|form| STORIES.map(|(name, _)| format!("{form}{name}")))
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rollout/tests/recorded"));
    folder.join(format!("{name}.json"))
}

fn record(name: &str, story: Story) {
    let observation = story().observe();
    let of_region = |region: &RegionView| (region.id.region.to_string(), region.view().unwrap().marks.write());
    let annotations = observation.regions.iter().map(of_region).collect();
    let text = serde_json::to_string_pretty(&Record { observation, annotations }).unwrap();
    std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
    std::fs::write(path(name), text + "\n").unwrap();
}

#[test]
fn what_an_earlier_version_recorded_is_read_as_it_was_and_nothing_is_written() {
    if std::env::var_os("RECORD").is_some() {
        STORIES.into_iter().for_each(|(name, story)| record(name, story));
    }
    for name in records() {
        let text = std::fs::read_to_string(path(&name)).unwrap();
        let Record { observation: seen, annotations } = serde_json::from_str(&text).unwrap();
        for region in &seen.regions {
            let (marks, stored) = (&region.view().unwrap().marks, &annotations[region.id.region.as_str()]);
            assert_eq!((&Marks::read(stored), &marks.write()), (marks, stored), "{name}");
        }
        let (before, plan) = (seen.rollout.status.clone().unwrap(), plan(&seen));
        assert_eq!(plan.effects, vec![], "{name}");
        let told = |status: &RolloutStatus| {
            (status.phase, status.candidate.clone(), status.stable.clone(), status.latches.clone())
        };
        assert_eq!(told(&plan.status), told(&before), "{name}");
        let promoted = |status: &RolloutStatus| -> Vec<_> {
            status.promoted.iter().map(|p| (p.revision.clone(), p.template_hash.clone())).collect()
        };
        assert_eq!((&plan.status.history, promoted(&plan.status)), (&before.history, promoted(&before)), "{name}");
    }
}

#[test]
fn with_the_recorded_status_lost_the_marks_tell_the_same() {
    for name in records() {
        let text = std::fs::read_to_string(path(&name)).unwrap();
        let Record { observation: mut seen, .. } = serde_json::from_str(&text).unwrap();
        let before = seen.rollout.status.take().unwrap();
        let plan = plan(&seen);
        assert_eq!(plan.effects, vec![], "{name}");
        let revisions = |status: &RolloutStatus| {
            let (stable, candidate) = (status.stable.clone(), status.candidate.clone());
            (stable.map(|stable| stable.revision), candidate.map(|candidate| candidate.release))
        };
        assert_eq!(revisions(&plan.status), revisions(&before), "{name}");
    }
}
