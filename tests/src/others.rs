//! What others do past Orchestra, by the shapes that gcloud and Terraform send.

use http::Method;
use orchestra_sandbox::exchange::Request;
use serde_json::{Value, json};

use crate::world::World;

pub const SERVICE: &str = "/v2/projects/cherry-ai-project/locations/us-central1/services/shop-api";

/// Who does it.
const WHO: &str = "Bearer ann@example.com";

/// Status and body of what is asked of Google Cloud.
fn ask(world: &World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = Request { authorization: WHO.into(), ..Request::new(method, path, body.to_string().into()) };
    let reply = world.tap.sandbox.google.handle(&request);
    (reply.status, reply.document().map(|body| body.into_owned()).unwrap_or_default())
}

/// The answer; fails where Google Cloud refuses.
pub fn google(world: &World, method: Method, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(world, method, path, body);
    assert_eq!(status, 200, "{answer:#}");
    answer
}

/// The service, if there is one.
pub fn service(world: &World) -> Option<Value> {
    let (status, service) = ask(world, Method::GET, SERVICE, &Value::Null);
    (status == 200).then_some(service)
}

/// What gcloud's first `run deploy` sends.
pub fn make(world: &World, template: &Value) {
    let made = json!({"client": "gcloud", "clientVersion": "480.0.0", "labels": {"team": "shop"}, "description": "theirs",
                      "template": template});
    let (path, id) = SERVICE.rsplit_once('/').unwrap_or_default();
    google(world, Method::POST, &format!("{path}?serviceId={id}"), &made);
}

/// What gcloud's next `run deploy --image` sends: the whole service as it was read, with the image and another nonce, and no
/// name of a revision. Whether there is a service.
pub fn deploy_by_gcloud(world: &World, image: &str, env: &Value, nonce: &str) -> bool {
    let Some(mut whole) = service(world) else { return false };
    let Some(template) = whole["template"].as_object_mut() else { return false };
    template.remove("revision");
    template.entry("labels").or_insert_with(|| json!({}))["client.knative.dev/nonce"] = json!(nonce);
    template["containers"][0]["image"] = json!(image);
    if !env.is_null() {
        template["containers"][0]["env"] = env.clone();
    }
    whole["client"] = json!("gcloud");
    whole["clientVersion"] = json!("481.0.0");
    ask(world, Method::PATCH, SERVICE, &whole).0 == 200
}

/// What Terraform sends, by the provider's recorded shape: its whole configuration without a mask or an etag, nulls where a
/// kind of check is not set, and all traffic to the newest revision. Whether there is a service.
pub fn apply_by_terraform(world: &World, image: &str) -> bool {
    let Some(known) = service(world) else { return false };
    let sent = json!({
        "ingress": "INGRESS_TRAFFIC_ALL", "launchStage": "GA", "labels": {"goog-terraform-provisioned": "true"},
        "annotations": known["annotations"],
        "traffic": [{"percent": 100, "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"}],
        "template": {
            "maxInstanceRequestConcurrency": 80, "timeout": "300s", "scaling": {"maxInstanceCount": 3},
            "containers": [{
                "image": image, "ports": [{"containerPort": 8080, "name": "http1"}],
                "resources": {"cpuIdle": true, "limits": {"cpu": "1000m", "memory": "512Mi"}},
                "startupProbe": {"failureThreshold": 1, "grpc": null, "httpGet": null, "periodSeconds": 240,
                                 "tcpSocket": {"port": 8080}, "timeoutSeconds": 240},
            }],
        },
    });
    ask(world, Method::PATCH, SERVICE, &sent).0 == 200
}
