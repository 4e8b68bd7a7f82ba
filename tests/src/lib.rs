//! The deterministic simulation: the real shell, planner and cloud adapter over both APIs of the sandbox, in one
//! process, under a virtual clock. The same seed gives the same trace.

pub mod faces;
pub mod faults;
pub mod place;
pub mod plants;
pub mod promises;
pub mod recording;
pub mod scenario;
pub mod simulation;
pub mod world;
