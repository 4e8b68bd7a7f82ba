use http::Method;
use serde_json::{Value, json};

use super::{Cloud, path_of};

const ALL: &str = "/v1/projects/shop/serviceAccounts";

fn create(cloud: &Cloud) -> Value {
    let body = json!({"accountId": "api-runner", "serviceAccount": {"displayName": "one", "disabled": true}});
    cloud.call(Method::POST, ALL, &body)
}

#[tokio::test]
async fn an_account_is_known_by_its_email_and_its_number() {
    let cloud = Cloud::new();
    let made = create(&cloud);
    assert_eq!(made["email"], "api-runner@shop.iam.gserviceaccount.com");
    assert_eq!((&made["displayName"], &made["disabled"]), (&json!("one"), &Value::Null));
    assert_eq!(cloud.get(&path_of(&made)), made);
    let number = made["uniqueId"].as_str().unwrap();
    assert_eq!(cloud.get(&format!("/v1/projects/-/serviceAccounts/{number}")), made);
    assert_eq!(cloud.refusal(Method::POST, ALL, &json!({"accountId": "api-runner"})).0, 409);
    assert_eq!(cloud.refusal(Method::POST, ALL, &json!({"accountId": "short"})).0, 400);
    assert_eq!(cloud.get("/v1/projects/other/serviceAccounts"), json!({}));
}

#[tokio::test]
async fn an_account_is_changed_by_mask_disabled_and_deleted() {
    let cloud = Cloud::new();
    let path = path_of(&create(&cloud));
    let change = json!({"serviceAccount": {"displayName": "two", "description": "x"}, "updateMask": "displayName"});
    let answer = cloud.call(Method::PATCH, &path, &change);
    assert_eq!(answer, json!({"name": path.trim_start_matches("/v1/"), "displayName": "two"}));
    assert_eq!(cloud.get(&path)["description"], Value::Null);
    let fixed = json!({"serviceAccount": {"email": "x"}, "updateMask": "email"});
    assert_eq!(cloud.refusal(Method::PATCH, &path, &fixed).0, 400);
    cloud.call(Method::POST, &format!("{path}:disable"), &json!({}));
    assert_eq!(cloud.get(&path)["disabled"], true);
    cloud.call(Method::POST, &format!("{path}:enable"), &json!({}));
    assert_eq!(cloud.get(&path)["disabled"], Value::Null);
    cloud.call(Method::DELETE, &path, &Value::Null);
    assert_eq!(cloud.refusal(Method::GET, &path, &Value::Null).0, 404);
}
