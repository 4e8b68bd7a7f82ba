//! Every decision of Orchestra, as functions of values: no async, no I/O, no clock, no randomness.
//!
//! [`environment::plan`] and [`rollout::plan`] take an observation of the world and say what to do about it.
//! They are total: waiting is a plan, not an error.

pub mod cloud;
pub mod conditions;
pub mod difference;
pub mod environment;
pub mod event;
pub mod hosts;
pub mod lease;
pub mod marks;
pub mod names;
pub mod plan;
pub mod promises;
pub mod promql;
pub mod reason;
pub mod resource;
pub mod rollout;
mod second_look;
pub mod template;
pub mod traffic;
pub mod verdict;
pub mod words;
