//! Faults that inspection found, by their row: each test names the one that it keeps from coming back.

mod latches;
mod ownership;
mod requests;
mod told;
mod writes;

use jiff::SignedDuration;
use orchestra_crds::{Outcome, Request};

use super::super::*;
use super::model::{Traits, World};
use crate::cloud::{Fault, FaultClass, Target, Trouble};
use crate::marks::Marks;
use crate::names::Percent;
use crate::resource::{FailedWrite, ResourceId};
use crate::traffic::weight_of;

fn bad() -> Traits {
    Traits { error_percent: 50, ..Traits::default() }
}

fn reason(world: &World) -> String {
    world.status().conditions[2].reason.clone()
}

/// The objects contradict each other: nothing new can be made until they don't.
fn close_the_gate(world: &mut World) {
    world.rollout.spec.scaling =
        Some(orchestra_crds::Scaling { min_instances: Some(9), max_instances: Some(3), ..Default::default() });
}
