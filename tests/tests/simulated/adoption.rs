//! Services that others had made, with the real controller: taken over, released, and given up again.

use http::Method;
use orchestra_crds::{Outcome, RolloutPhase};
use orchestra_tests::others::{self, SERVICE, apply_by_terraform, deploy_by_gcloud, google};
use orchestra_tests::world::{World, canary, plain_environment};
use serde_json::{Value, json};
use std::time::Duration;

/// How soon what others do is told.
const A_MINUTE: Duration = Duration::from_secs(60);

fn service(world: &World) -> Value {
    others::service(world).unwrap()
}

fn revisions(world: &World) -> Vec<String> {
    let listed = google(world, Method::GET, &format!("{SERVICE}/revisions"), &Value::Null);
    let name = |revision: &Value| revision["name"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
    listed["revisions"].as_array().unwrap().iter().map(name).collect()
}

/// A service as gcloud makes it: a sidecar, probes, a bucket, a Cloud SQL connection, and marks of gcloud's own.
async fn made_by_gcloud() -> World {
    let mut world = World::new(7).await;
    let template = json!({
        "labels": {"client.knative.dev/nonce": "abcdefghij", "team": "shop"},
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2", "maxInstanceRequestConcurrency": 160,
        "serviceMesh": {"mesh": "projects/p/locations/global/meshes/m"},
        "containers": [
            {"name": "app-1", "image": "app:1", "ports": [{"containerPort": 8080}], "dependsOn": ["proxy"],
             "env": [{"name": "A", "value": "b"}],
             "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "cpuIdle": true, "startupCpuBoost": true},
             "volumeMounts": [{"name": "assets", "mountPath": "/assets"}],
             "startupProbe": {"httpGet": {"path": "/ready"}, "periodSeconds": 5, "failureThreshold": 20},
             "livenessProbe": {"httpGet": {"path": "/live"}}},
            {"name": "proxy", "image": "proxy:3", "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "cpuIdle": true},
             "startupProbe": {"tcpSocket": {"port": 9000}}},
        ],
        "volumes": [
            {"name": "assets", "gcs": {"bucket": "shop-assets", "readOnly": true}},
            {"name": "cloudsql", "cloudSqlInstance": {"instances": ["cherry-ai-project:us-central1:orders"]}},
        ],
    });
    others::make(&world, &template);
    world.run_for(Duration::from_secs(60)).await;
    world
}

/// What `kubectl orchestra adopt` writes of it.
fn described() -> Value {
    let mut spec = canary("shop", "app:1");
    spec["adopt"] = json!({"service": "shop-api"});
    spec["template"] = json!({
        "labels": {"team": "shop"}, "executionEnvironment": "Gen2", "concurrency": 160, "startupCpuBoost": true,
        "containers": [
            {"name": "app-1", "image": "app:1", "ports": [{"containerPort": 8080}], "dependsOn": ["proxy"],
             "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
             "volumeMounts": [{"name": "assets", "mountPath": "/assets"}, {"name": "cloudsql", "mountPath": "/cloudsql"}],
             "startupProbe": {"httpGet": {"path": "/ready"}, "periodSeconds": 5, "failureThreshold": 20},
             "livenessProbe": {"httpGet": {"path": "/live"}}},
            {"name": "proxy", "image": "proxy:3", "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
             "startupProbe": {"tcpSocket": {"port": 9000}}},
        ],
        "volumes": [
            {"name": "assets", "gcs": {"bucket": "shop-assets", "readOnly": true}},
            {"name": "cloudsql", "cloudSql": {"instances": ["cherry-ai-project:us-central1:orders"]}},
        ],
    });
    spec
}

fn environment() -> Value {
    let mut spec = plain_environment(&["us-central1"]);
    spec.as_object_mut().unwrap().remove("access");
    spec
}

async fn adopted() -> World {
    let mut world = made_by_gcloud().await;
    world.create_environment("shop", environment()).await;
    world.create_rollout("api", described()).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world
}

/// What the controller has written to Google.
fn writes(world: &World) -> Vec<String> {
    world.tap.writes().into_iter().filter(|write| write.contains("/v2/")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_of_gclouds_is_taken_over_released_and_left() {
    let mut world = made_by_gcloud().await;
    let before = (service(&world), revisions(&world));
    world.create_environment("shop", environment()).await;
    world.create_rollout("api", described()).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.run_for(Duration::from_secs(3600)).await;
    let after = service(&world);
    let told = writes(&world);
    assert_eq!(told.len(), 1, "one write claims it: {told:?}");
    assert_eq!((&revisions(&world), &after["template"]), (&before.1, &before.0["template"]));
    for field in ["client", "clientVersion", "description", "scaling", "ingress"] {
        assert_eq!(after[field], before.0[field], "{field}");
    }
    assert_eq!(world.status("api").await.history[0].outcome, Outcome::Adopted);

    // The first canary keeps what the spec doesn't name.
    let mut next = described()["template"].clone();
    next["containers"][0]["image"] = json!("app:2");
    world.patch_rollout("api", json!({"spec": {"template": next}})).await;
    world.run_until_weights("shop-api", "app:2", &[10]).await;
    world.run_until_weights("shop-api", "app:2", &[100]).await;
    let template = service(&world)["template"].clone();
    assert_eq!(template["serviceMesh"], before.0["template"]["serviceMesh"]);

    let token =
        world.status("api").await.promoted.iter().find(|p| p.revision == before.1[0]).unwrap().undo_token.clone();
    let undo = json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/undo": token}}});
    world.patch_rollout("api", undo).await;
    world.run_for(Duration::from_secs(60)).await;
    assert_eq!(service(&world)["traffic"][0]["revision"], json!(before.1[0]));

    // What others had made stays, whatever the policy says.
    world.patch_environment("shop", json!({"spec": {"deletionPolicy": "Delete"}})).await;
    world.delete_rollouts().await;
    world.run_for(Duration::from_secs(600)).await;
    assert!(world.rollouts().list(&Default::default()).await.unwrap().items.is_empty());
    assert_eq!(service(&world)["traffic"][0]["revision"], json!(before.1[0]));
    world.assert_promises();
}

#[tokio::test(start_paused = true)]
async fn objects_restored_into_another_cluster_take_over_what_the_lost_one_marked() {
    let mut world = adopted().await;
    // As it is where the objects have new UIDs: the mark is another's, and the status is lost.
    let mut annotations = service(&world)["annotations"].clone();
    annotations["orchestra.cherry-ai.me/owner-uid"] = json!("of-the-lost-cluster");
    google(&world, Method::PATCH, &format!("{SERVICE}?updateMask=annotations"), &json!({"annotations": annotations}));
    world.wipe_status("api").await;
    world.run_for(Duration::from_secs(120)).await;
    let message = world.status("api").await.message.unwrap();
    assert!(message.contains("(UID of-the-lost-cluster)"), "{message}");
    let known = (revisions(&world), service(&world)["traffic"].clone());
    let named = json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/adopt-uid": "of-the-lost-cluster"}}});
    world.patch_rollout("api", named).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world.run_for(Duration::from_secs(600)).await;
    assert_eq!((revisions(&world), service(&world)["traffic"].clone()), known);
    let uid = world.rollouts().get("api").await.unwrap().metadata.uid.unwrap();
    assert_eq!(service(&world)["annotations"]["orchestra.cherry-ai.me/owner-uid"], json!(uid));
    world.assert_promises();
}

/// What is theirs where Orchestra has the traffic: all that neither it nor Cloud Run itself writes.
fn theirs(service: &Value) -> Value {
    let fields = ["template", "scaling", "ingress", "labels", "description", "client", "clientVersion", "launchStage"];
    fields.iter().map(|field| service[field].clone()).collect()
}

async fn of_others() -> World {
    let mut world = made_by_gcloud().await;
    world.create_environment("shop", plain_environment(&["us-central1"])).await;
    let mut spec = canary("shop", "app:1");
    spec.as_object_mut().unwrap().remove("template");
    (spec["adopt"], spec["trafficOnly"]) = (json!({"service": "shop-api"}), json!(true));
    world.create_rollout("api", spec).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    world
}

#[tokio::test(start_paused = true)]
async fn what_gcloud_and_terraform_deploy_is_released_and_theirs_stays_theirs() {
    let mut world = of_others().await;
    assert!(deploy_by_gcloud(&world, "app:2", &Value::Null, "klmnopqrst"));
    let sent = theirs(&service(&world));
    world.run_until_weights("shop-api", "app:2", &[10]).await;
    world.run_until_weights("shop-api", "app:2", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(theirs(&service(&world)), sent, "gcloud sees what it wrote");

    assert!(apply_by_terraform(&world, "app:3"));
    let sent = theirs(&service(&world));
    world.run_until_weights("shop-api", "app:3", &[10]).await;
    world.run_until_weights("shop-api", "app:3", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(theirs(&service(&world)), sent, "Terraform sees what it wrote");

    assert!(deploy_by_gcloud(&world, "app:bad", &Value::Null, "uvwxyzabcd"));
    let mut whole = service(&world);
    whole["template"]["containers"][0]["env"] = json!([{"name": "SANDBOX_ERROR_PERCENT", "value": "40"}]);
    google(&world, Method::PATCH, SERVICE, &whole);
    world.run_until_phase("api", RolloutPhase::RolledBack).await;
    assert_eq!(world.weights("shop-api", "app:3"), [100]);
}

#[tokio::test(start_paused = true)]
async fn what_others_deploy_where_the_template_is_ours_is_told_with_who() {
    let mut world = adopted().await;
    assert!(deploy_by_gcloud(&world, "app:7", &Value::Null, "klmnopqrst"));
    world.run_for(A_MINUTE).await;
    let status = world.status("api").await;
    let told = status.regions[0].deployed_by_others.clone().unwrap();
    assert!(told.ends_with(" by ann@example.com"), "{told}");
    assert_eq!(status.phase, Some(RolloutPhase::Promoted), "it has no requests");
    assert!(apply_by_terraform(&world, "app:8"));
    world.run_for(A_MINUTE).await;
    let status = world.status("api").await;
    assert_eq!(world.weights("shop-api", "app:1"), [100], "what Terraform sent away is back: {status:?}");
    let told = world.tap.sandbox.cluster.history();
    let told: Vec<&str> = told.iter().filter_map(|object| object["status"]["message"].as_str()).collect();
    assert!(
        told.iter().any(|message| message.contains("the traffic was changed past Orchestra (last written by ann@example.com)")),
        "{told:?}"
    );
}

fn probe(kind: &Value) -> Value {
    let mut probe = json!({"timeoutSeconds": 2, "periodSeconds": 10, "failureThreshold": 3});
    probe.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    probe
}

/// A service that carries all that a template can say, and what Orchestra has no word for.
fn template_of_everything() -> Value {
    json!({
        "labels": {"team": "shop"}, "annotations": {"example.com/note": "kept"},
        "scaling": {"minInstanceCount": 1, "maxInstanceCount": 3},
        "vpcAccess": {"egress": "PRIVATE_RANGES_ONLY",
                      "networkInterfaces": [{"network": "main", "subnetwork": "run", "tags": ["web"]}]},
        "timeout": "60s", "serviceAccount": "worker@cherry-ai-project.iam.gserviceaccount.com",
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2", "maxInstanceRequestConcurrency": 40, "sessionAffinity": true,
        "nodeSelector": {"accelerator": "nvidia-l4"}, "gpuZonalRedundancyDisabled": true, "healthCheckDisabled": true,
        "serviceMesh": {"mesh": "projects/p/locations/global/meshes/m"},
        "containers": [
            {"name": "app", "image": "app:1", "command": ["/app"], "args": ["--serve"], "workingDir": "/srv",
             "env": [{"name": "LEVEL", "value": "info"},
                     {"name": "KEY", "valueSource": {"secretKeyRef": {"secret": "key", "version": "1"}}}],
             "ports": [{"name": "h2c", "containerPort": 9090}], "dependsOn": ["proxy"],
             "resources": {"limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}, "cpuIdle": false,
                           "startupCpuBoost": true},
             "startupProbe": probe(&json!({"httpGet": {"path": "/ready", "port": 9090}})),
             "livenessProbe": probe(&json!({"grpc": {"port": 9090, "service": "health"}})),
             "volumeMounts": [{"name": "keys", "mountPath": "/keys"}, {"name": "assets", "mountPath": "/assets", "subPath": "v2"},
                              {"name": "share", "mountPath": "/share"}, {"name": "scratch", "mountPath": "/scratch"},
                              {"name": "cloudsql", "mountPath": "/cloudsql"}]},
            {"name": "proxy", "image": "proxy:3",
             "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "cpuIdle": false, "startupCpuBoost": true},
             "startupProbe": probe(&json!({"tcpSocket": {"port": 9000}}))},
        ],
        "volumes": [
            {"name": "keys", "secret": {"secret": "key", "defaultMode": 256, "items": [{"path": "now", "version": "1", "mode": 292}]}},
            {"name": "assets", "gcs": {"bucket": "shop-assets", "readOnly": true, "mountOptions": ["implicit-dirs"]}},
            {"name": "share", "nfs": {"server": "10.0.0.2", "path": "/exports", "readOnly": true}},
            {"name": "scratch", "emptyDir": {"medium": "MEMORY", "sizeLimit": "64Mi"}},
            {"name": "cloudsql", "cloudSqlInstance": {"instances": ["cherry-ai-project:us-central1:orders"]}},
        ],
    })
}

/// The same without what differs from revision to revision, in an order of its own: lists of names are maps, and what is false by
/// default may be left out.
fn comparable(service: &Value) -> Value {
    let sort = |list: &mut Value| list.as_array_mut().unwrap().sort_by_key(|item| item["name"].to_string());
    let mut template = service["template"].clone();
    template.as_object_mut().unwrap().remove("revision");
    template["containers"][0].as_object_mut().unwrap().remove("image");
    sort(&mut template["volumes"]);
    for container in template["containers"].as_array_mut().unwrap() {
        container["resources"].as_object_mut().unwrap().retain(|_, value| *value != json!(false));
        for list in ["env", "volumeMounts"].into_iter().filter(|list| !container[*list].is_null()).collect::<Vec<_>>() {
            sort(&mut container[list]);
        }
    }
    template
}

#[tokio::test(start_paused = true)]
async fn a_service_that_carries_everything_loses_nothing_that_the_spec_does_not_name() {
    let mut world = World::new(7).await;
    world.tap.sandbox.google.seed_secret("cherry-ai-project", "key");
    others::make(&world, &template_of_everything());
    world.run_for(Duration::from_secs(120)).await;
    google(
        &world,
        Method::PATCH,
        &format!("{SERVICE}?updateMask=customAudiences,scaling"),
        &json!({"customAudiences": ["https://api.example.com"], "scaling": {"minInstanceCount": 2, "maxInstanceCount": 7}}),
    );
    world.run_for(Duration::from_secs(120)).await;
    let before = service(&world);
    let first = revisions(&world);

    let mut spec = canary("shop", "app:1");
    spec["adopt"] = json!({"service": "shop-api"});
    spec["template"] = everything_described();
    let mut wanted = environment();
    wanted["secrets"] = json!([{"name": "key"}]);
    world.create_environment("shop", wanted).await;
    world.create_rollout("api", spec.clone()).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    assert_eq!(revisions(&world), first, "{:?}", world.status("api").await.message);

    spec["template"]["containers"][0]["image"] = json!("app:2");
    world.patch_rollout("api", json!({"spec": {"template": spec["template"]}})).await;
    world.run_until_weights("shop-api", "app:2", &[100]).await;
    world.run_until_phase("api", RolloutPhase::Promoted).await;
    let after = service(&world);
    assert_eq!(comparable(&after), comparable(&before));
    let kept = ["description", "customAudiences", "scaling", "ingress", "client", "launchStage"];
    kept.iter().for_each(|field| assert_eq!(after[field], before[field], "{field}"));

    let promoted = world.status("api").await.promoted;
    let token = promoted.iter().find(|p| p.revision == first[0]).unwrap().undo_token.clone();
    world.patch_rollout("api", json!({"metadata": {"annotations": {"orchestra.cherry-ai.me/undo": token}}})).await;
    world.run_for(Duration::from_secs(60)).await;
    assert_eq!(service(&world)["traffic"][0]["revision"], json!(first[0]));
    world.delete_rollouts().await;
    world.run_for(Duration::from_secs(600)).await;
    let left = service(&world);
    assert_eq!(comparable(&left), comparable(&before));
    kept.iter().for_each(|field| assert_eq!(left[field], before[field], "{field}"));
    assert_eq!(left["labels"]["team"], json!("shop"));
    world.assert_promises();
}

/// What `kubectl orchestra adopt` writes of it.
fn everything_described() -> Value {
    json!({
        "labels": {"team": "shop"}, "annotations": {"example.com/note": "kept"},
        "scaling": {"minInstances": 1, "maxInstances": 3}, "timeoutSeconds": 60,
        "network": {"egress": "PrivateRangesOnly", "directEgress": {"network": "main", "subnetwork": "run", "tags": ["web"]}},
        "serviceAccount": "worker@cherry-ai-project.iam.gserviceaccount.com", "executionEnvironment": "Gen2", "concurrency": 40,
        "sessionAffinity": true, "nodeSelector": {"accelerator": "nvidia-l4"}, "gpuZonalRedundancyDisabled": true,
        "healthCheckDisabled": true, "cpuAllocation": "Always", "startupCpuBoost": true,
        "containers": [
            {"name": "app", "image": "app:1", "command": ["/app"], "args": ["--serve"], "workingDir": "/srv",
             "env": [{"name": "LEVEL", "value": "info"}, {"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}],
             "ports": [{"containerPort": 9090, "protocol": "H2c"}], "dependsOn": ["proxy"],
             "resources": {"limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}},
             "startupProbe": probe(&json!({"httpGet": {"path": "/ready"}})),
             "livenessProbe": probe(&json!({"grpc": {"service": "health"}})),
             "volumeMounts": [{"name": "keys", "mountPath": "/keys"}, {"name": "assets", "mountPath": "/assets", "subPath": "v2"},
                              {"name": "share", "mountPath": "/share"}, {"name": "scratch", "mountPath": "/scratch"},
                              {"name": "cloudsql", "mountPath": "/cloudsql"}]},
            {"name": "proxy", "image": "proxy:3", "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
             "startupProbe": probe(&json!({"tcpSocket": {"port": 9000}}))},
        ],
        "volumes": [
            {"name": "keys", "secret": {"name": "key", "defaultMode": 256, "items": [{"path": "now", "version": 1, "mode": 292}]}},
            {"name": "assets", "gcs": {"bucket": "shop-assets", "readOnly": true, "mountOptions": ["implicit-dirs"]}},
            {"name": "share", "nfs": {"server": "10.0.0.2", "path": "/exports", "readOnly": true}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "cloudsql", "cloudSql": {"instances": ["cherry-ai-project:us-central1:orders"]}},
        ],
    })
}
