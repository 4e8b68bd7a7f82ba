use http::Method;
use orchestra_sandbox::google::Mishap;
use serde_json::{Value, json};

use super::{Cloud, PLACE, minutes, path_of};

const LINK: &str = "/v1/projects/shop/locations/us-central1/connectors/link";

fn wanted() -> Value {
    json!({"network": "default", "ipCidrRange": "10.8.0.0/28", "minInstances": 2, "maxInstances": 4})
}

fn create(cloud: &Cloud, id: &str, body: &Value) -> Value {
    cloud.call(Method::POST, &format!("{PLACE}/connectors?connectorId={id}"), body)
}

#[tokio::test(start_paused = true)]
async fn a_connector_is_made_grows_and_goes() {
    let cloud = Cloud::new();
    let operation = create(&cloud, "link", &wanted());
    assert_eq!(cloud.get(LINK)["state"], "CREATING");
    minutes(3).await;
    let made = cloud.get(&path_of(&operation));
    assert_eq!((&made["response"]["state"], &made["response"]["maxThroughput"]), (&json!("READY"), &json!(400)));
    let larger = format!("{LINK}?updateMask=maxInstances");
    cloud.call(Method::PATCH, &larger, &json!({"maxInstances": 6}));
    assert_eq!(cloud.get(LINK)["maxInstances"], 4);
    minutes(3).await;
    assert_eq!(cloud.get(LINK)["maxInstances"], 6);
    let (status, message) = cloud.refusal(Method::PATCH, &larger, &json!({"maxInstances": 5}));
    assert!(status == 400 && message.contains("only be increased"), "{message}");
    cloud.call(Method::DELETE, LINK, &Value::Null);
    minutes(3).await;
    assert_eq!(cloud.refusal(Method::GET, LINK, &Value::Null).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_range_belongs_to_one_connector() {
    let cloud = Cloud::new();
    create(&cloud, "link", &wanted());
    let other = format!("{PLACE}/connectors?connectorId=other");
    let (status, message) = cloud.refusal(Method::POST, &other, &wanted());
    assert!(status == 400 && message.contains("connectors/link"), "{message}");
    for (field, value) in
        [("ipCidrRange", json!("10.8.0.0/24")), ("ipCidrRange", json!("10.8.0.8/28")), ("minInstances", json!(1))]
    {
        let mut body = wanted();
        body["ipCidrRange"] = json!("10.9.0.0/28");
        body[field] = value;
        assert_eq!(cloud.refusal(Method::POST, &other, &body).0, 400, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_can_not_be_made_stays_as_an_error() {
    let cloud = Cloud::new();
    let target = format!("{PLACE}/connectors?connectorId=link");
    let operation = cloud.start_badly(Mishap::Fails, Method::POST, &target, &wanted());
    minutes(3).await;
    assert_eq!(cloud.get(&operation)["error"]["code"], 13);
    assert_eq!(cloud.get(LINK)["state"], "ERROR");
}

#[tokio::test(start_paused = true)]
async fn each_operation_is_listed_with_the_numbers_of_its_own_api() {
    let cloud = Cloud::new();
    create(&cloud, "link", &wanted());
    let instance = json!({"tier": "BASIC", "memorySizeGb": 1});
    cloud.call(Method::POST, &format!("{PLACE}/instances?instanceId=cache"), &instance);
    minutes(7).await;
    let listed = cloud.get(&format!("{PLACE}/operations?$alt=json;enum-encoding=int"));
    let mut states: Vec<(bool, i64)> = listed["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| (o["metadata"]["@type"].as_str().unwrap().contains("redis"), o["response"]["state"].as_i64().unwrap()))
        .collect();
    states.sort_unstable();
    // READY is 1 of a connector and 2 of an instance.
    assert_eq!(states, [(false, 1), (true, 2)]);
}
