//! The daemon: watch, observe, plan, act.

mod act;
pub mod app;
pub mod clock;
mod environment;
mod error;
pub mod lease;
pub mod metrics;
mod rollout;
pub mod shell;
mod telemetry;
mod watch;
mod web;

pub use telemetry::init as init_telemetry;
