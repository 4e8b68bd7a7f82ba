//! By what a record is judged: the analysis of a Rollout.

use orchestra_controller::clock::Clock;
use orchestra_crds::{Analysis, Rollout};
use orchestra_planner::rollout::planned_minutes;
use std::path::Path;

use crate::args::FileArgs;
use crate::error::CliError;
use crate::files::{self, Manifest};
use crate::kind::Kind;
use crate::offline::Offline;

/// By what a record is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The settings; by default those of a Rollout that names none.
    pub analysis: Analysis,
    /// For how many minutes its strategy plans a release; none: that isn't said.
    pub planned_minutes: Option<u32>,
}

impl Policy {
    /// That of the Rollouts in a file.
    ///
    /// # Errors
    /// When there is none, when they differ, or when a cluster would refuse one.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let manifests = files::read(&FileArgs { files: vec![path.to_path_buf()], recursive: false })?;
        let is_rollout = |manifest: &&Manifest| manifest.is_ours() && manifest.text("/kind") == Kind::Rollout.name();
        let mut policies: Vec<Self> = vec![];
        for rollout in manifests.iter().filter(is_rollout) {
            let policy = Self::of(&name, rollout)?;
            if !policies.contains(&policy) {
                policies.push(policy);
            }
        }
        match (policies.pop(), policies.is_empty()) {
            (None, _) => Err(CliError::File(name, "there is no Rollout of Orchestra's in it".into())),
            (Some(policy), true) => Ok(policy),
            (Some(_), false) => {
                Err(CliError::File(name, "its Rollouts are judged in different ways: give it one of them".into()))
            }
        }
    }

    fn of(name: &str, rollout: &Manifest) -> Result<Self, CliError> {
        let refusals = Offline::new(Clock::of_this_machine())?.refusals(&rollout.object);
        if let Some(refusal) = refusals.first() {
            let line = rollout.line(&refusal.field);
            return Err(CliError::File(format!("{name}:{line}"), format!("{}: {}", refusal.field, refusal.message)));
        }
        let object: Rollout = serde_json::from_value(rollout.object.clone())
            .map_err(|error| CliError::File(name.to_string(), error.to_string()))?;
        let planned_minutes = Some(planned_minutes(&object.spec.strategy, &object.spec.analysis));
        Ok(Self { analysis: object.spec.analysis, planned_minutes })
    }
}
