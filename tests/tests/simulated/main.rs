//! What happens in the deterministic simulation: no sleep, no real time.

mod adoption;
mod argocd;
mod faults;
mod gitops;
mod judgement;
mod logs;
mod metrics;
mod own_metrics;
mod planted;
mod planted_memory;
mod recovery;
mod refused;
mod rehearsals;
mod scenarios;
mod simulation;
mod unreadable;
mod urgent;

/// A third of the time goes into JSON that is made and dropped again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
