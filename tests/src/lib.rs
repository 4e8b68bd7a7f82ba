//! The deterministic simulation: the real shell, planner and cloud adapter over both APIs of the sandbox, in one
//! process, under a virtual clock. The same seed gives the same trace.

// Everything here serves tests: a broken expectation must stop them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod faces;
pub mod promises;
pub mod world;
