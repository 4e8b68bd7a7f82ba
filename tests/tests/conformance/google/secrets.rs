use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::{Cloud, minutes, path_of};

const ALL: &str = "/v1/projects/shop/secrets";
const KEY: &str = "/v1/projects/shop/secrets/key";

fn create(cloud: &Cloud, more: &Value) -> Value {
    let mut body = json!({"replication": {"automatic": {}}});
    for (field, value) in more.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    cloud.call(Method::POST, &format!("{ALL}?secretId=key"), &body)
}

fn add(cloud: &Cloud, value: &str) -> Value {
    let payload = json!({"payload": {"data": STANDARD.encode(value)}});
    cloud.call(Method::POST, &format!("{KEY}:addVersion"), &payload)
}

fn value(cloud: &Cloud, version: &str) -> Result<String, u16> {
    let reply = cloud.send(Method::GET, &format!("{KEY}/versions/{version}:access"), &Value::Null);
    let document = super::document(&reply);
    match reply.status {
        200 => Ok(String::from_utf8(STANDARD.decode(document["payload"]["data"].as_str().unwrap()).unwrap()).unwrap()),
        status => Err(status),
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_lives_until_it_is_destroyed() {
    let cloud = Cloud::new();
    let name = create(&cloud, &json!({}))["name"].as_str().unwrap().to_string();
    assert!(!name.contains("shop"), "names have the number of the project: {name}");
    assert_eq!(value(&cloud, "latest"), Err(404));
    add(&cloud, "one");
    let second = add(&cloud, "two");
    assert_eq!(second["name"], format!("{name}/versions/2"));
    assert_eq!((value(&cloud, "1"), value(&cloud, "latest")), (Ok("one".into()), Ok("two".into())));
    cloud.call(Method::POST, &format!("{KEY}/versions/2:disable"), &json!({}));
    // The latest is the newest, not the newest that is enabled.
    assert_eq!(value(&cloud, "latest"), Err(400));
    cloud.call(Method::POST, &format!("{KEY}/versions/2:enable"), &json!({}));
    assert_eq!(value(&cloud, "latest"), Ok("two".into()));
    cloud.call(Method::POST, &format!("{KEY}/versions/2:destroy"), &json!({}));
    assert_eq!(cloud.refusal(Method::POST, &format!("{KEY}/versions/2:enable"), &json!({})).0, 400);
    let enabled = cloud.get(&format!("{KEY}/versions?filter=state:ENABLED"));
    assert_eq!(
        (&enabled["totalSize"], &enabled["versions"][0]["name"]),
        (&json!(1), &json!(format!("{name}/versions/1")))
    );
}

#[tokio::test(start_paused = true)]
async fn every_write_of_a_version_has_an_etag_of_its_own() {
    let cloud = Cloud::new();
    create(&cloud, &json!({}));
    let first = add(&cloud, "one")["etag"].clone();
    let version = format!("{KEY}/versions/1");
    cloud.call(Method::POST, &format!("{version}:disable"), &json!({"etag": first}));
    let enabled = cloud.call(Method::POST, &format!("{version}:enable"), &json!({}));
    assert_ne!(enabled["etag"], first);
    assert_eq!(cloud.refusal(Method::POST, &format!("{version}:destroy"), &json!({"etag": first})).0, 400);
}

#[tokio::test(start_paused = true)]
async fn an_alias_names_a_version_and_an_old_etag_changes_nothing() {
    let cloud = Cloud::new();
    let made = create(&cloud, &json!({}));
    add(&cloud, "one");
    add(&cloud, "two");
    let mask = format!("{KEY}?updateMask=versionAliases");
    let changed = cloud.call(Method::PATCH, &mask, &json!({"versionAliases": {"live": 1}, "etag": made["etag"]}));
    assert_eq!(changed["versionAliases"], json!({"live": "1"}), "int64 is written as text");
    assert_eq!(value(&cloud, "live"), Ok("one".into()));
    let old = json!({"versionAliases": {"live": 2}, "etag": made["etag"]});
    assert_eq!(cloud.refusal(Method::PATCH, &mask, &old).0, 400);
    for aliases in [json!({"live": 3}), json!({"latest": 1}), json!({"1st": 1})] {
        let (status, message) = cloud.refusal(Method::PATCH, &mask, &json!({"versionAliases": aliases}));
        assert!(status == 400 && message.contains("version_aliases"), "{aliases}: {message}");
    }
    assert_eq!(value(&cloud, "live"), Ok("one".into()));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_comes_round_and_a_life_ends() {
    let cloud = Cloud::new();
    let rotation = json!({"nextRotationTime": "2026-03-01T13:00:00Z", "rotationPeriod": "7200s"});
    let new = format!("{ALL}?secretId=key");
    let untold = json!({"replication": {"automatic": {}}, "rotation": rotation});
    assert!(cloud.refusal(Method::POST, &new, &untold).1.contains("topics"));
    create(
        &cloud,
        &json!({"rotation": rotation, "topics": [{"name": "projects/shop/topics/rotate"}], "ttl": "86400s"}),
    );
    minutes(61).await;
    assert_eq!(cloud.get(KEY)["rotation"]["nextRotationTime"], "2026-03-01T15:00:00.000000Z");
    assert_eq!(cloud.get(KEY)["expireTime"], "2026-03-02T12:00:00.000000Z");
    minutes(24 * 60).await;
    assert_eq!(cloud.refusal(Method::GET, KEY, &Value::Null).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_checksum_is_noticed() {
    let cloud = Cloud::new();
    create(&cloud, &json!({}));
    let payload = json!({"payload": {"data": STANDARD.encode("one"), "dataCrc32c": "1"}});
    let (status, message) = cloud.refusal(Method::POST, &format!("{KEY}:addVersion"), &payload);
    assert!(status == 400 && message.contains("checksum"), "{message}");
    let (status, _) = cloud.refusal(Method::POST, &format!("{KEY}:addVersion"), &json!({"payload": {"data": ""}}));
    assert_eq!(status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_replaced_only_by_who_read_it() {
    let cloud = Cloud::new();
    let made = create(&cloud, &json!({}));
    let (read, write) = (format!("{}:getIamPolicy", path_of(&made)), format!("{}:setIamPolicy", path_of(&made)));
    let etag = cloud.get(&read)["etag"].clone();
    let binding = json!([{"role": "roles/secretmanager.secretAccessor", "members": ["user:a@example.com"]}]);
    let policy = json!({"policy": {"bindings": binding, "etag": etag}});
    assert_eq!(cloud.call(Method::POST, &write, &policy)["bindings"], binding);
    assert_eq!(cloud.refusal(Method::POST, &write, &policy).0, 409);
    let nobody = json!({"policy": {"bindings": [{"role": "roles/viewer", "members": ["somebody"]}]}});
    assert_eq!(cloud.refusal(Method::POST, &write, &nobody).0, 400);
    assert_eq!(cloud.get(&read)["bindings"], binding);
}
