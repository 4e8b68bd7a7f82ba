use http::Method;
use orchestra_sandbox::google::Mishap;
use serde_json::{Value, json};

use super::{Cloud, PLACE, minutes, path_of};

const CACHE: &str = "/v1/projects/shop/locations/us-central1/instances/cache";

fn create(cloud: &Cloud, body: &Value) -> Value {
    cloud.call(Method::POST, &format!("{PLACE}/instances?instanceId=cache"), body)
}

async fn created(body: &Value) -> Cloud {
    let cloud = Cloud::new();
    create(&cloud, body);
    minutes(7).await;
    cloud
}

fn basic() -> Value {
    json!({"tier": "BASIC", "memorySizeGb": 1})
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_made_in_minutes_by_an_operation() {
    let cloud = Cloud::new();
    let operation = create(&cloud, &basic());
    assert_eq!(operation["done"], false);
    assert_eq!(operation["metadata"]["verb"], "create");
    let making = cloud.get(CACHE);
    assert_eq!((&making["state"], &making["host"]), (&json!("CREATING"), &Value::Null));
    let busy = cloud.refusal(Method::PATCH, &format!("{CACHE}?updateMask=memorySizeGb"), &json!({"memorySizeGb": 2}));
    assert_eq!((busy.0, busy.1.contains("Another operation is under way")), (400, true));
    minutes(7).await;
    let made = cloud.get(CACHE);
    assert_eq!((&made["state"], &made["port"]), (&json!("READY"), &json!(6379)));
    let ended = cloud.get(&path_of(&operation));
    assert_eq!((&ended["done"], &ended["response"]["host"]), (&json!(true), &made["host"]));
    assert_eq!(cloud.refusal(Method::POST, &format!("{PLACE}/instances?instanceId=cache"), &basic()).0, 409);
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_the_old_size_until_it_ends() {
    let cloud = created(&basic()).await;
    cloud.call(Method::PATCH, &format!("{CACHE}?updateMask=memorySizeGb"), &json!({"memorySizeGb": 4}));
    let changing = cloud.get(CACHE);
    assert_eq!((&changing["state"], &changing["memorySizeGb"]), (&json!("UPDATING"), &json!(1)));
    minutes(5).await;
    assert_eq!(cloud.get(CACHE)["memorySizeGb"], 4);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused_by_field() {
    let cloud = created(&basic()).await;
    let refused = |method: Method, target: String, body: Value, words: &str| {
        let (status, message) = cloud.refusal(method, &target, &body);
        assert!(status == 400 && message.contains(words), "{status} {message}");
    };
    let new = |id: &str| format!("{PLACE}/instances?instanceId={id}");
    refused(Method::POST, new("Upper"), basic(), "instance_id");
    refused(Method::POST, new("a"), json!({"memorySizeGb": 1}), "instance.tier");
    refused(Method::POST, new("a"), json!({"tier": "BASIC", "memorySizeGb": 301}), "instance.memory_size_gb");
    refused(
        Method::POST,
        new("a"),
        json!({"tier": "BASIC", "memorySizeGb": 1, "redisVersion": "REDIS_9"}),
        "redis_version",
    );
    refused(Method::PATCH, CACHE.into(), json!({"memorySizeGb": 2}), "update_mask");
    refused(Method::PATCH, format!("{CACHE}?updateMask=tier"), json!({"tier": "STANDARD_HA"}), "'tier'");
    refused(Method::POST, format!("{CACHE}:failover"), json!({}), "STANDARD_HA");
    refused(Method::POST, format!("{CACHE}:upgrade"), json!({"redisVersion": "REDIS_6_X"}), "cannot upgrade");
    assert_eq!(cloud.refusal(Method::GET, &format!("{PLACE}/instances/none"), &Value::Null).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_failover_serves_from_the_other_zone() {
    let cloud = created(&json!({"tier": "STANDARD_HA", "memorySizeGb": 5})).await;
    assert_eq!(cloud.get(CACHE)["currentLocationId"], "us-central1-a");
    cloud.call(Method::POST, &format!("{CACHE}:failover"), &json!({"dataProtectionMode": "LIMITED_DATA_LOSS"}));
    assert_eq!(cloud.get(CACHE)["state"], "FAILING_OVER");
    minutes(4).await;
    assert_eq!(cloud.get(CACHE)["currentLocationId"], "us-central1-b");
}

#[tokio::test(start_paused = true)]
async fn what_was_exported_comes_back_by_an_import() {
    let cloud = created(&basic()).await;
    cloud.call(Method::POST, "/storage/v1/b?project=shop", &json!({"name": "backups"}));
    let to = json!({"outputConfig": {"gcsDestination": {"uri": "gs://backups/dump.rdb"}}});
    cloud.call(Method::POST, &format!("{CACHE}:export"), &to);
    minutes(3).await;
    assert_eq!(cloud.get("/storage/v1/b/backups/o/dump.rdb")["bucket"], "backups");
    let from = json!({"inputConfig": {"gcsSource": {"uri": "gs://backups/dump.rdb"}}});
    cloud.call(Method::POST, &format!("{CACHE}:import"), &from);
    assert_eq!(cloud.get(CACHE)["state"], "IMPORTING");
    minutes(3).await;
    assert_eq!(cloud.get(CACHE)["state"], "READY");
    let nowhere = json!({"outputConfig": {"gcsDestination": {"uri": "gs://none/dump.rdb"}}});
    let operation = cloud.call(Method::POST, &format!("{CACHE}:export"), &nowhere);
    minutes(3).await;
    assert_eq!(cloud.get(&path_of(&operation))["error"]["code"], 5);
}

#[tokio::test(start_paused = true)]
async fn the_auth_string_is_told_only_where_clients_must_have_it() {
    let cloud = created(&basic()).await;
    assert_eq!(cloud.get(&format!("{CACHE}/authString")), json!({}));
    cloud.call(Method::PATCH, &format!("{CACHE}?update_mask=auth_enabled"), &json!({"authEnabled": true}));
    minutes(5).await;
    assert_eq!(cloud.get(&format!("{CACHE}/authString"))["authString"].as_str().map(str::len), Some(36));
    assert!(!cloud.get(CACHE).to_string().contains("authString"));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_leaves_nothing_and_an_update_that_fails_changes_nothing() {
    let cloud = Cloud::new();
    let target = format!("{PLACE}/instances?instanceId=cache");
    let operation = cloud.start_badly(Mishap::Fails, Method::POST, &target, &basic());
    minutes(7).await;
    assert_eq!(cloud.get(&operation)["error"]["code"], 13);
    assert_eq!(cloud.refusal(Method::GET, CACHE, &Value::Null).0, 404);

    create(&cloud, &basic());
    minutes(7).await;
    let larger = format!("{CACHE}?updateMask=memorySizeGb");
    let operation = cloud.start_badly(Mishap::Fails, Method::PATCH, &larger, &json!({"memorySizeGb": 4}));
    minutes(5).await;
    assert_eq!(cloud.get(&operation)["error"]["code"], 13);
    let same = cloud.get(CACHE);
    assert_eq!((&same["state"], &same["memorySizeGb"]), (&json!("READY"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn operations_may_be_forgotten_or_never_end() {
    let cloud = created(&basic()).await;
    let larger = format!("{CACHE}?updateMask=memorySizeGb");
    let operation = cloud.start_badly(Mishap::Forgotten, Method::PATCH, &larger, &json!({"memorySizeGb": 4}));
    assert_eq!(cloud.refusal(Method::GET, &operation, &Value::Null).0, 404);
    minutes(5).await;
    assert_eq!(cloud.get(CACHE)["memorySizeGb"], 4);
    let operation = cloud.start_badly(Mishap::Never, Method::DELETE, CACHE, &Value::Null);
    minutes(24 * 60).await;
    assert_eq!((&cloud.get(&operation)["done"], &cloud.get(CACHE)["state"]), (&json!(false), &json!("DELETING")));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_is_gone() {
    let cloud = created(&basic()).await;
    let operation = cloud.call(Method::DELETE, CACHE, &Value::Null);
    minutes(3).await;
    assert_eq!(cloud.refusal(Method::GET, CACHE, &Value::Null).0, 404);
    assert_eq!(cloud.get(&path_of(&operation))["response"]["@type"], "type.googleapis.com/google.protobuf.Empty");
    assert_eq!(cloud.get("/v1/projects/shop/locations/-/instances"), json!({}));
}

#[tokio::test(start_paused = true)]
async fn an_instance_stands_in_its_zones() {
    let zone = "us-central1-c";
    let cloud = created(&json!({"tier": "BASIC", "memorySizeGb": 1, "locationId": zone})).await;
    let basic = cloud.get(CACHE);
    assert_eq!(
        (&basic["currentLocationId"], &basic["nodes"]),
        (&json!(zone), &json!([{"id": "node-0", "zone": zone}]))
    );
    let window = json!({"weeklyMaintenanceWindow": [{"day": 2, "startTime": {"hours": 3}}]});
    let body = json!({"tier": "STANDARD_HA", "memorySizeGb": 5, "readReplicasMode": "READ_REPLICAS_ENABLED",
                      "replicaCount": 3, "maintenancePolicy": window});
    let replicated = created(&body).await.get(CACHE);
    let labelled = json!({"tier": "BASIC", "memorySizeGb": 1, "labels": {"Bad Key": "x"}});
    assert_eq!(Cloud::new().refusal(Method::POST, &format!("{PLACE}/instances?instanceId=cache"), &labelled).0, 400);
    assert_eq!(replicated["nodes"].as_array().map(Vec::len), Some(4));
    assert_eq!(replicated["maintenancePolicy"]["weeklyMaintenanceWindow"][0]["day"], "TUESDAY");
}
