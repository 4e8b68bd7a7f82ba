//! CPU, memory and GPUs, of each container and of all.

use serde_json::Value;
use std::ops::RangeInclusive;

use super::{Problem, items, text};

const GPU: &str = "nvidia.com/gpu";
/// Thousandths of a CPU that a container can have, and the mebibytes that go with them.
const SIZES: [(RangeInclusive<i64>, RangeInclusive<f64>); 7] = [
    (80..=499, 128.0..=512.0),
    (500..=999, 128.0..=1024.0),
    (1000..=1000, 128.0..=4.0 * 1024.0),
    (2000..=2000, 128.0..=8.0 * 1024.0),
    (4000..=4000, 2.0 * 1024.0..=16.0 * 1024.0),
    (6000..=6000, 4.0 * 1024.0..=24.0 * 1024.0),
    (8000..=8000, 4.0 * 1024.0..=32.0 * 1024.0),
];
/// The same beside a large GPU, in CPUs.
const LARGE: [i64; 6] = [20, 22, 24, 26, 28, 30];
pub(in crate::google::run) const DEFAULT_CPU: &str = "1000m";
pub(in crate::google::run) const DEFAULT_MEMORY: &str = "512Mi";

fn cpu_of(limits: &Value) -> Option<i64> {
    millis(limits["cpu"].as_str().unwrap_or(DEFAULT_CPU))
}

fn memory_of(limits: &Value) -> Option<f64> {
    mebibytes(limits["memory"].as_str().unwrap_or(DEFAULT_MEMORY))
}

pub(super) fn check(at: usize, limits: &Value) -> Result<(), Problem> {
    let refuse = |name: &str, why: String| {
        Err(Problem::field(&format!("template.containers[{at}].resources.limits.{name}"), why))
    };
    let known = ["cpu", "memory", GPU];
    if limits.as_object().into_iter().flatten().any(|(name, _)| !known.contains(&name.as_str())) {
        return refuse("", "Only cpu, memory and nvidia.com/gpu limits are supported".into());
    }
    let has_gpu = !limits[GPU].is_null();
    if has_gpu && limits[GPU] != "1" {
        return refuse(GPU, "GPU can only be set to 1".into());
    }
    let Some(cpu) = cpu_of(limits) else { return refuse("cpu", "Could not parse Quantity".into()) };
    let Some(range) = memory_with(cpu, has_gpu) else {
        let rule = "Must be equal to one of [.08-1], 1.0, 2.0, 4.0, 6.0, 8.0";
        return refuse("cpu", format!("Invalid value specified for container cpu. {rule}"));
    };
    let Some(memory) = memory_of(limits) else { return refuse("memory", "Could not parse Quantity".into()) };
    if has_gpu && (cpu < 4000 || memory < 16.0 * 1024.0) {
        return refuse("cpu", "CPU must be at least 4; memory must be at least 16Gi".into());
    }
    if range.contains(&memory) {
        return Ok(());
    }
    let (cpu, least, most) = (cpu as f64 / 1000.0, amount(*range.start()), amount(*range.end()));
    let rule = format!("For {cpu:?} CPU, memory must be between {least} and {most} inclusive.");
    refuse("memory", format!("Invalid value specified for container memory. {rule}"))
}

/// What all containers of an instance have together must go with how they are run.
pub(super) fn check_total(template: &Value) -> Result<(), Problem> {
    let containers = items(template, "containers");
    let limits = || containers.iter().map(|container| &container["resources"]["limits"]);
    let cpu = limits().filter_map(cpu_of).fold(0, i64::saturating_add);
    let memory: f64 = limits().filter_map(memory_of).sum();
    let set = || containers.iter().map(|c| &c["resources"]).filter(|resources| !resources.is_null());
    let always = set().any(|resources| resources["cpuIdle"] != true);
    let generation = text(template, "executionEnvironment");
    let gen2 = generation == "EXECUTION_ENVIRONMENT_GEN2";
    let crowded = template["maxInstanceRequestConcurrency"].as_i64() > Some(1);
    let refuse =
        |name: &str, why: &str| Err(Problem::field(&format!("template.containers.resources.limits.{name}"), why));
    let small_cpu =
        |with: &str| format!("Invalid value specified for cpu. Total cpu < 1 is not supported with {with}.");
    for (is_so, with) in [
        (crowded, "concurrency > 1"),
        (always, "cpu always allocated (unthrottled)"),
        (gen2, "gen2 execution environment"),
    ] {
        if cpu < 1000 && is_so {
            return refuse("cpu", &small_cpu(with));
        }
        if memory < 512.0 && is_so && !with.starts_with("concurrency") {
            let why =
                format!("Invalid value specified for memory. Total memory < 512 Mi is not supported with {with}.");
            return refuse("memory", &why);
        }
    }
    check_gpu(template, limits().filter(|limits| !limits[GPU].is_null()).count(), always)
}

fn check_gpu(template: &Value, gpus: usize, always: bool) -> Result<(), Problem> {
    let named = !text(&template["nodeSelector"], "accelerator").is_empty();
    let refuse = |field: &str, why: &str| Err(Problem::field(&format!("template.{field}"), why));
    match (gpus, named) {
        (0, false) if template["gpuZonalRedundancyDisabled"] == true => {
            refuse("node_selector", "node_selector must be set when GPU redundancy is set")
        }
        (0, false) => Ok(()),
        (1, true) if !always => {
            refuse("containers.resources", "CPU throttling must be disabled in order to set GPU requirements")
        }
        (1, true) if template["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN1" => {
            let why = "Execution environment must be set to gen2 in order to set GPU requirements";
            refuse("execution_environment", why)
        }
        (1, true) => Ok(()),
        (0 | 1, _) => refuse("node_selector", "an accelerator and a limit of nvidia.com/gpu go together"),
        _ => refuse("containers", "GPU can be set only on one container"),
    }
}

fn memory_with(cpu: i64, has_gpu: bool) -> Option<RangeInclusive<f64>> {
    let large = LARGE.iter().find(|cpus| has_gpu && **cpus * 1000 == cpu);
    let of_table = SIZES.into_iter().find(|(cpus, _)| cpus.contains(&cpu)).map(|(_, memory)| memory);
    large.map(|cpus| 80.0 * 1024.0..=(cpus * 4 * 1024) as f64).or(of_table)
}

/// `512Mi`, `4Gi`.
fn amount(mebibytes: f64) -> String {
    if mebibytes < 1024.0 { format!("{mebibytes}Mi") } else { format!("{}Gi", mebibytes / 1024.0) }
}

/// Requests that an instance takes at once, if it is not said: one, where its containers have less than a CPU.
pub(in crate::google::run) fn default_concurrency(template: &Value) -> i64 {
    let cpus = items(template, "containers").iter().filter_map(|container| cpu_of(&container["resources"]["limits"]));
    if cpus.fold(0, i64::saturating_add) < 1000 { 1 } else { 80 }
}

/// `2` or `500m`.
fn millis(text: &str) -> Option<i64> {
    match text.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => text.parse::<f64>().ok().map(|cpu| (cpu * 1000.0).round() as i64),
    }
}

/// `512Mi`, `2Gi`, `1G`.
pub(super) fn mebibytes(text: &str) -> Option<f64> {
    const MEBIBYTE: f64 = 1024.0 * 1024.0;
    let units =
        [("Ki", 1024.0), ("Mi", MEBIBYTE), ("Gi", 1024.0 * MEBIBYTE), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("", 1.0)];
    let (number, unit) = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))?;
    number.parse::<f64>().ok().map(|number| number * unit / MEBIBYTE)
}
