//! The parts of an environment, one file each.

pub(super) mod identity;
pub(super) mod project;
pub(super) mod redis;
pub(super) mod secrets;
