//! The regions that the regional APIs are in.

use serde_json::{Value, json};

use super::Context;
use super::page::page;
use super::problem::Problem;

const REGIONS: [&str; 43] = [
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "asia-southeast3",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-north2",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "northamerica-south1",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
];

/// Whether there is such a region; `-` stands for all, where that is allowed.
pub(super) fn check(region: &str) -> Result<(), Problem> {
    match region == "-" || REGIONS.contains(&region) {
        true => Ok(()),
        false => Err(Problem::denied(format!("Location {region} is not found or access is unauthorized."))),
    }
}

pub(super) fn handle(context: Context<'_>, project: &str, rest: &[&str]) -> Result<Value, Problem> {
    let location = |region: &str| {
        json!({"name": format!("projects/{project}/locations/{region}"), "locationId": region,
               "labels": {"cloud.googleapis.com/region": region}})
    };
    match rest {
        [] => {
            let all = REGIONS.map(|region| (region.to_string(), location(region)));
            page(context.request, "locations", all.to_vec(), 100)
        }
        [region] if REGIONS.contains(region) => Ok(location(region)),
        _ => Err(Problem::not_found(&context.request.path)),
    }
}
