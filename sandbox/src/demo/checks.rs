//! What must be true after each release, by what the cloud and its users saw.

use serde_json::Value;
use std::collections::BTreeMap;

use super::failed;
use super::follow::{Ending, Told};
use super::stage::{Release, Stage};
use crate::SandboxError;

const SERVICE: &str = "orchestra-prod-api";
const REGIONS: [&str; 2] = ["us-central1", "us-west4"];

/// Revisions that run an image, and their share in each region.
fn shares(stage: &Stage, release: &Release) -> Result<BTreeMap<&'static str, i64>, SandboxError> {
    let view = stage.sandbox.google.view();
    let mut shares = BTreeMap::new();
    for region in REGIONS {
        let ending = format!("/locations/{region}/services/{SERVICE}");
        let services = view["services"].as_array().into_iter().flatten();
        let service = services.into_iter().find(|s| s["name"].as_str().is_some_and(|n| n.ends_with(&ending)));
        let service = service.ok_or_else(|| failed(format!("{SERVICE} is not in {region}")))?;
        let revisions = revisions_of(stage, region, release);
        let sum = service["trafficStatuses"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|t| revisions.iter().any(|r| t["revision"] == r.as_str()))
            .filter_map(|t| t["percent"].as_i64())
            .sum();
        shares.insert(region, sum);
    }
    Ok(shares)
}

/// Names of the revisions that run an image.
fn revisions_of(stage: &Stage, region: &str, release: &Release) -> Vec<String> {
    let path = format!("/v2/projects/cherry-ai-project/locations/{region}/services/{SERVICE}/revisions");
    let request = crate::exchange::Request::new(http::Method::GET, &path, bytes::Bytes::new());
    let Some(body) = stage.sandbox.google.handle(&request).document().map(std::borrow::Cow::into_owned) else {
        return vec![];
    };
    let runs = |r: &&Value| r["containers"][0]["image"] == release.image.as_str();
    let short = |r: &Value| r["name"].as_str().and_then(|n| n.rsplit('/').next()).map(ToString::to_string);
    body["revisions"].as_array().into_iter().flatten().filter(runs).filter_map(short).collect()
}

/// Requests that users sent to an image, and how many failed.
fn met(stage: &Stage, release: &Release) -> (i64, i64) {
    let view = stage.sandbox.google.view();
    let names: Vec<String> = REGIONS.iter().flat_map(|region| revisions_of(stage, region, release)).collect();
    let all = view["traffic"].as_array().cloned().unwrap_or_default();
    let of = all.iter().filter(|t| names.iter().any(|n| t["revision"] == n.as_str()));
    of.fold((0, 0), |(requests, errors), t| {
        (requests + t["requests"].as_i64().unwrap_or(0), errors + t["errors"].as_i64().unwrap_or(0))
    })
}

fn expect(what: &str, is: &BTreeMap<&'static str, i64>, wanted: i64) -> Result<(), SandboxError> {
    if is.values().all(|share| *share == wanted) {
        return Ok(());
    }
    Err(failed(format!("{what} should get {wanted} % in every region, and gets {is:?}")))
}

fn expect_ending(told: &Told, wanted: Ending) -> Result<(), SandboxError> {
    if told.ending == wanted {
        return Ok(());
    }
    let message = told.status.message.clone().unwrap_or_default();
    Err(failed(format!("the release should end {wanted:?}, and ended {:?}: {message}", told.ending)))
}

pub(super) fn promoted(stage: &Stage, good: &Release, told: &Told) -> Result<String, SandboxError> {
    expect_ending(told, Ending::Promoted)?;
    expect("the good release", &shares(stage, good)?, 100)?;
    for (region, weights) in &told.weights {
        if *weights != [10, 50, 100] && *weights != [10, 50] {
            return Err(failed(format!("the steps in {region} should be 10 and 50, then 100, and were {weights:?}")));
        }
    }
    let (requests, errors) = met(stage, good);
    let minutes = told.ended.duration_since(good.applied).as_mins();
    Ok(format!(
        "the good release went 10 → 50 → 100 % in both regions in {minutes} minutes; {errors} of its {requests} requests failed"
    ))
}

pub(super) fn rolled_back(stage: &Stage, good: &Release, bad: &Release, told: &Told) -> Result<String, SandboxError> {
    expect_ending(told, Ending::RolledBack)?;
    expect("the bad release", &shares(stage, bad)?, 0)?;
    expect("the release before", &shares(stage, good)?, 100)?;
    let (requests, errors) = met(stage, bad);
    if requests == 0 {
        return Err(failed("the bad release should have met some users before it was caught"));
    }
    let seconds = told.ended.duration_since(bad.applied).as_secs();
    let line = format!(
        "the release that fails 5 % was caught after it failed {errors} of {requests} requests; {} min {} s after it was \
         applied, all traffic was back in every region",
        seconds / 60,
        seconds % 60
    );
    println!("        {line}");
    Ok(line)
}

pub(super) fn never_started(
    stage: &Stage,
    good: &Release,
    dead: &Release,
    told: &Told,
) -> Result<String, SandboxError> {
    expect_ending(told, Ending::RolledBack)?;
    expect("the release that never starts", &shares(stage, dead)?, 0)?;
    expect("the release before", &shares(stage, good)?, 100)?;
    let (requests, _) = met(stage, dead);
    if requests > 0 {
        return Err(failed(format!("the release that never starts got {requests} requests")));
    }
    let failure = told.status.failed.as_ref().ok_or_else(|| failed("the failure should be in the status"))?;
    if !failure.message.contains("failed to start and listen on the port") {
        return Err(failed(format!("Cloud Run's cause should be told, and this was: {}", failure.message)));
    }
    Ok(format!("the release that never starts got no request, and Cloud Run's cause was told ({})", failure.reason))
}
