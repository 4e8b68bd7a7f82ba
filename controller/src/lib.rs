//! The daemon: watch, observe, plan, act.

mod act;
pub mod app;
pub mod clock;
mod cluster;
pub mod error;
mod health;
pub mod lease;
pub mod metrics;
mod observe;
mod outbound;
pub mod rehearsal;
pub mod shell;
mod telemetry;
mod watch;
mod web;

pub use cluster::respect_no_proxy;
pub use health::Health;
pub use telemetry::init as init_telemetry;
