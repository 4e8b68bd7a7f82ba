//! Whether the containers of a template go together, where no one field decides. Rules as in Cloud Run's guides on CPU, memory,
//! GPUs and sidecars.

use orchestra_crds::{CpuAllocation, ExecutionEnvironment};
use std::collections::{BTreeMap, BTreeSet};

use super::quantity::misfit;
use super::{Bytes, EffectiveTemplate, Millis};

/// The least memory of the second generation, and of CPU that is always there.
const ROOMY: Bytes = Bytes::DEFAULT;

/// Why Cloud Run would refuse it, with the field to change. None: it wouldn't.
pub(super) fn refusal(template: &EffectiveTemplate) -> Option<String> {
    let sizes = template.containers.iter().enumerate().find_map(|(index, container)| {
        let why = misfit(container.cpu, container.memory, container.gpus > 0)?;
        Some(format!(
            "spec.template.containers[{index}].resources.limits, with the environment's spec.defaults.resources: {why}"
        ))
    });
    sizes.or_else(|| of_all(template)).or_else(|| cycle(template))
}

/// What all containers have together, and how they are run.
fn of_all(template: &EffectiveTemplate) -> Option<String> {
    let cpu: u64 = template.containers.iter().map(|c| c.cpu.unwrap_or(Millis::DEFAULT).0).sum();
    let memory: u64 = template.containers.iter().map(|c| c.memory.unwrap_or(Bytes::DEFAULT).0).sum();
    let always = template.cpu_allocation == CpuAllocation::Always;
    let second = template.execution_environment == Some(ExecutionEnvironment::Gen2);
    let (small, tight) = (cpu < Millis::DEFAULT.0, memory < ROOMY.0);
    let gpu = template.containers.iter().any(|container| container.gpus > 0);
    let limits = "raise resources.limits of a container";
    let first = template.execution_environment == Some(ExecutionEnvironment::Gen1);
    let told = match () {
        () if small && template.concurrency.is_some_and(|n| n > 1) => {
            format!(
                "concurrency: with less than 1 CPU in all containers an instance takes one request at a time: set 1, or {limits}"
            )
        }
        () if (small || tight) && always => {
            format!("cpuAllocation: Always needs 1 CPU and 512Mi in all containers together: {limits}")
        }
        () if (small || tight) && second => {
            format!("executionEnvironment: Gen2 needs 1 CPU and 512Mi in all containers together: {limits}")
        }
        () if gpu && !always => "cpuAllocation: a GPU needs CPU that is always there: set Always".to_string(),
        () if gpu && first => "executionEnvironment: a GPU needs Gen2: set that, or nothing".to_string(),
        () => return None,
    };
    Some(format!("spec.template.{told}"))
}

/// Containers that wait for each other.
fn cycle(template: &EffectiveTemplate) -> Option<String> {
    let mut waiting: BTreeMap<&str, &BTreeSet<String>> =
        template.containers.iter().map(|c| (c.name.as_str(), &c.depends_on)).collect();
    // Each round at least one starts, or none ever will.
    for _ in 0..template.containers.len() {
        let left: BTreeSet<&str> = waiting.keys().copied().collect();
        waiting.retain(|_, after| after.iter().any(|name| left.contains(name.as_str())));
    }
    let names: Vec<&str> = waiting.into_keys().collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("spec.template.containers: {names} wait for each other: take a name out of dependsOn")
    })
}
