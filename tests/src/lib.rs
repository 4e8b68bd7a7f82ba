//! The deterministic simulation: the real shell, planner and cloud adapter over both APIs of the sandbox, in one
//! process, under a virtual clock. The same seed gives the same trace.

pub mod disturbed;
pub mod faces;
pub mod faults;
pub mod others;
pub mod place;
pub mod plants;
pub mod promises;
pub mod recording;
pub mod rehearsals;
pub mod scenario;
pub mod simulation;
pub mod world;

/// Tells people something, also where a test passes: the harness keeps to itself only what the macros print.
pub fn tell(text: &str) {
    use std::io::Write;
    // Nobody may be listening, and that fails no test.
    let _ = writeln!(std::io::stderr(), "{text}");
}
