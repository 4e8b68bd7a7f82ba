//! What is tried, in this order.

use kube::api::{Patch, PatchParams};
use orchestra_tests::world::{canary, one_container, plain_environment};
use serde_json::{Value, json};
use std::time::Instant;

use crate::Failure;
use crate::stage::Stage;

/// A candidate without an error: the verdict may be wrong on one in a hundred good ones, and chance has no say here.
fn flawless() -> Value {
    json!([{"name": "SANDBOX_ERROR_PERCENT", "value": "0"}])
}

async fn first_deployment(stage: &Stage) -> Result<(), Failure> {
    stage.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await?;
    stage.create("Rollout", "api", canary("shop", "app:1")).await?;
    stage.until_phase("api", "Promoted").await
}

async fn canary_that_promotes(stage: &Stage) -> Result<(), Failure> {
    stage.patch("api", json!({"spec": {"template": one_container("app:2", flawless())}})).await?;
    stage.until_phase("api", "Promoted").await
}

async fn canary_that_rolls_back(stage: &Stage) -> Result<(), Failure> {
    let env = json!([{"name": "SANDBOX_ERROR_PERCENT", "value": "20"}]);
    stage.patch("api", json!({"spec": {"template": one_container("app:3", env)}})).await?;
    stage.until_phase("api", "RolledBack").await
}

async fn status_that_is_emptied(stage: &Stage) -> Result<(), Failure> {
    stage.patch("api", json!({"spec": {"template": one_container("app:4", flawless())}})).await?;
    let weight = async |stage: &Stage| stage.status("Rollout", "api").await["weight"] == 10;
    stage.until("10 % of the requests", weight).await?;
    let empty = Patch::Merge(json!({"status": null}));
    stage.ours("Rollout").patch_status("api", &PatchParams::default(), &empty).await?;
    stage.until_phase("api", "Promoted").await
}

async fn refusals(stage: &Stage) -> Result<(), Failure> {
    let mut heavy = canary("shop", "app:1");
    heavy["strategy"]["canary"]["steps"][0]["weight"] = json!(130);
    let mut both = canary("shop", "app:1");
    both["strategy"]["immediate"] = json!({});
    let mut nameless = canary("shop", "app:1");
    nameless["serviceName"] = json!("x".repeat(60));
    for (spec, field) in [(heavy, "weight"), (both, "strategy"), (nameless, "serviceName")] {
        match stage.create("Rollout", "refused", spec).await {
            Err(kube::Error::Api(status)) if status.message.contains(field) => {}
            other => return Err(format!("a bad {field} was not refused as it should be: {other:?}").into()),
        }
    }
    Ok(())
}

async fn environment_that_is_missing(stage: &Stage) -> Result<(), Failure> {
    stage.create("Rollout", "lost", canary("nowhere", "app:1")).await?;
    let told = async |stage: &Stage| stage.status("Rollout", "lost").await.to_string().contains("nowhere");
    stage.until("a condition that names the environment", told).await
}

pub async fn play(stage: &Stage) -> Result<usize, Failure> {
    let mut passed = 0;
    macro_rules! scenarios {
        ($($scenario:ident),* $(,)?) => {$(
            let began = Instant::now();
            $scenario(stage).await.map_err(|why| format!("{}: {why}", stringify!($scenario)))?;
            println!("ok   {} ({:.1} s)", stringify!($scenario).replace('_', " "), began.elapsed().as_secs_f64());
            passed += 1;
        )*};
    }
    scenarios!(
        first_deployment,
        canary_that_promotes,
        canary_that_rolls_back,
        status_that_is_emptied,
        refusals,
        environment_that_is_missing,
    );
    Ok(passed)
}
