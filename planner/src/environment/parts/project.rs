//! The project and its regions: that they exist and may be seen is asked of Google, not believed.

use super::super::part::PartPlan;
use super::super::{Observation, project, regions};
use crate::cloud::{Fault, FaultClass};
use crate::names::Region;
use crate::reason::Reason;

/// Whether the project and every region are there for us.
pub(in super::super) fn plan(seen: &Observation) -> PartPlan {
    let wanted = regions(&seen.environment);
    if project(&seen.environment).is_none() || wanted.len() != seen.environment.spec.regions.len() {
        return PartPlan::stalled(Reason::InvalidSpec, "spec.project or spec.regions is no valid name: correct it");
    }
    let failed = wanted.iter().filter_map(|region| Some((region, seen.regions.get(region)?.as_ref().err()?)));
    // What needs a person is told first.
    let worst = failed.max_by_key(|(_, fault)| matches!(fault.class, FaultClass::Denied | FaultClass::Permanent));
    match worst {
        Some((region, fault)) => unseen(&seen.environment.spec.project, region, fault),
        None => PartPlan::ready(
            Reason::ProjectFound,
            format!("Cloud Run of {} can be seen in every region", seen.environment.spec.project),
        ),
    }
}

fn unseen(project: &str, region: &Region, fault: &Fault) -> PartPlan {
    let mut plan = PartPlan::unreadable(&format!("Cloud Run of project {project} in {region}"), fault);
    if matches!(fault.class, FaultClass::Denied | FaultClass::Permanent) {
        let way_out = "switch run.googleapis.com on, or give the controller roles/run.admin in the project; where the name is \
                       wrong, take the region out of spec.regions (the project and the first region are immutable: delete this \
                       environment and create another)";
        plan.note.message = format!("{}: {way_out}", plan.note.message.trim_end_matches('.'));
    }
    plan
}
