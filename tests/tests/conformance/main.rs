//! The sandbox, the adapters and what is shipped against what they are to be like.

mod admission;
mod cluster;
mod google;
mod manifests;
mod recordings;
mod wire;
