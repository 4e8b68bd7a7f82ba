//! The sandbox, the adapters and what is shipped against what they are to be like.

mod admission;
mod cluster;
mod dashboards;
mod google;
mod manifests;
mod measured;
mod people;
mod recordings;
mod templates;
mod wire;
