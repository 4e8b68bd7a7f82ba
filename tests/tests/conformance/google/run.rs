use http::Method;
use serde_json::{Value, json};

use super::{Cloud, minutes};

const SERVICES: &str = "/v2/projects/shop/locations/us-central1/services";
const API: &str = "/v2/projects/shop/locations/us-central1/services/api";

async fn created() -> Cloud {
    let cloud = Cloud::new();
    let body = json!({"template": {"containers": [{"image": "app:1"}]}});
    cloud.call(Method::POST, &format!("{SERVICES}?serviceId=api"), &body);
    minutes(1).await;
    cloud
}

fn revisions(cloud: &Cloud) -> Vec<Value> {
    cloud.get(&format!("{API}/revisions"))["revisions"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_template_without_a_container_makes_no_service() {
    let cloud = Cloud::new();
    let limits = json!({"limits": {"cpu": "9223372036854775807m"}});
    let vast = json!([{"image": "a:1", "resources": limits}, {"image": "b:1", "resources": limits, "ports": [{}]}]);
    for template in
        [json!({}), json!({"timeout": "300s"}), json!("x"), json!({"containers": ["x"]}), json!({"containers": vast})]
    {
        let body = json!({"template": template});
        assert_eq!(cloud.refusal(Method::POST, &format!("{SERVICES}?serviceId=api"), &body).0, 400, "{body}");
    }
    assert_eq!(cloud.get(SERVICES)["services"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_makes_no_revision_when_it_is_written_back() {
    let cloud = created().await;
    let read = cloud.get(API);
    assert!(read["template"]["containers"][0]["startupProbe"].is_object(), "defaults are shown: {read}");
    cloud.call(Method::PATCH, API, &read);
    minutes(1).await;
    assert_eq!(revisions(&cloud).len(), 1);
    cloud.call(Method::PATCH, API, &json!({"template": {"containers": [{"image": "app:2"}]}}));
    assert_eq!(revisions(&cloud).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_changed_while_its_first_revision_is_made_has_not_failed() {
    let cloud = Cloud::new();
    let body = json!({"template": {"containers": [{"image": "app:1"}]}});
    cloud.call(Method::POST, &format!("{SERVICES}?serviceId=api"), &body);
    let changed = cloud.call(Method::PATCH, &format!("{API}?updateMask=description"), &json!({"description": "ours"}));
    minutes(1).await;
    let operation = cloud.get(&format!("/v2/{}", changed["name"].as_str().unwrap()));
    assert_eq!((&operation["done"], &operation["error"]), (&json!(true), &Value::Null));
    let service = cloud.get(API);
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_SUCCEEDED");
    assert_eq!(service["trafficStatuses"][0]["percent"], 100);
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_deleted_by_its_etag() {
    let cloud = created().await;
    cloud.call(Method::PATCH, API, &json!({"template": {"containers": [{"image": "app:2"}]}}));
    minutes(1).await;
    let old = revisions(&cloud).pop().unwrap();
    let path = format!("/v2/{}", old["name"].as_str().unwrap());
    assert_eq!(cloud.refusal(Method::DELETE, &format!("{path}?etag=wrong"), &Value::Null).0, 409);
    let etag = old["etag"].as_str().unwrap().replace('"', "%22");
    cloud.call(Method::DELETE, &format!("{path}?etag={etag}"), &Value::Null);
    assert_eq!(revisions(&cloud).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_time_series_is_as_large_as_it_has_points() {
    let cloud = created().await;
    minutes(10).await;
    let filter =
        "metric.type%3D%22run.googleapis.com/request_count%22%20AND%20resource.type%3D%22cloud_run_revision%22";
    let span = "interval.startTime=2026-03-01T12:00:00Z&interval.endTime=2026-03-01T12:10:00Z";
    let list = |more: &str| cloud.get(&format!("/v3/projects/shop/timeSeries?filter={filter}&{span}{more}"));
    let points = |page: &Value| -> Vec<Value> {
        let series = page["timeSeries"].as_array().cloned().unwrap_or_default();
        series.iter().flat_map(|one| one["points"].as_array().cloned().unwrap_or_default()).collect()
    };
    let all = points(&list(""));
    assert!(all.len() > 4, "{all:?}");
    let (mut paged, mut token) = (vec![], String::new());
    loop {
        let page = list(&format!("&pageSize=3{token}"));
        assert!(points(&page).len() <= 3);
        paged.extend(points(&page));
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = format!("&pageToken={next}");
    }
    assert_eq!(paged, all);
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_forgotten_a_day_after_its_end() {
    let cloud = Cloud::new();
    let body = json!({"template": {"containers": [{"image": "app:1"}]}});
    let operation = cloud.call(Method::POST, &format!("{SERVICES}?serviceId=api"), &body);
    let path = format!("/v2/{}", operation["name"].as_str().unwrap());
    minutes(60).await;
    assert_eq!(cloud.get(&path)["done"], true);
    minutes(24 * 60).await;
    assert_eq!(cloud.refusal(Method::GET, &path, &Value::Null).0, 404);
}
