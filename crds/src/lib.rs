//! The API of Orchestra, group `orchestra.cherry-ai.me`, version `v1alpha1`.
//!
//! These types are the single source of the CRDs: `make crds` writes `crds/*.yaml` from them, and each
//! doc comment on a field is what `kubectl explain` shows.

// A printer column is an attribute of the same name as the one before it.
#![allow(clippy::duplicated_attributes)]

mod common;
mod environment;
mod known;
mod lenient;
pub mod requests;
mod rollout;

pub use common::*;
pub use environment::*;
pub use lenient::{Lenient, Unread};
pub use requests::Request;
pub use rollout::*;

/// API group of both kinds, and the prefix of every annotation and label that Orchestra owns.
pub const GROUP: &str = "orchestra.cherry-ai.me";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Annotation of an environment that confirms a smaller Redis, though data may be lost. Value: its size in GiB.
pub const CONFIRM_SHRINK: &str = "orchestra.cherry-ai.me/confirm-redis-memory-size-gb";
/// Finalizer on both kinds: it goes when what the object owns in Google Cloud is gone or released.
pub const FINALIZER: &str = "orchestra.cherry-ai.me/cloud-resources";
