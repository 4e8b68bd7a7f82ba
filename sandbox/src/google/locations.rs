//! The regions that the regional APIs are in.

use serde_json::{Value, json};

use super::Context;
use super::page::page;
use super::problem::Problem;

const REGIONS: [&str; 8] =
    ["asia-northeast1", "europe-west1", "europe-west4", "us-central1", "us-east1", "us-east4", "us-west1", "us-west4"];

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
