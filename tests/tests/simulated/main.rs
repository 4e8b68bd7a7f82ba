//! What happens in the deterministic simulation: no sleep, no real time.

mod faults;
mod planted;
mod recovery;
mod scenarios;
mod simulation;
mod unreadable;
mod urgent;
