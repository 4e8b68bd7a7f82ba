//! What is let go, and by whom: 12, 14 and 21.

use http::Method;
use orchestra_crds::FINALIZER;
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::journal::Api;
use serde_json::Value;

use super::{OWNER_UID, Promises, text};

const REDIS_OWNER_UID: &str = "orchestra-owner-uid";
const KINDS: [&str; 2] = ["rollouts", "orchestraenvironments"];

fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|f| f == FINALIZER))
}

/// UIDs of the objects that hold something.
fn held(sandbox: &Sandbox) -> Vec<String> {
    let objects = KINDS.iter().flat_map(|plural| sandbox.cluster.objects(plural));
    objects.filter(is_held).map(|object| uid(&object).to_string()).collect()
}

/// Whether a write may take a finalizer off.
fn changes_finalizers(api: Api, request: &Request) -> bool {
    api == Api::Kubernetes && request.method == Method::PATCH && !request.path.ends_with("/status")
}

/// Whose a resource of Google is, by its marks.
fn owner(resource: &Value) -> &str {
    let by_annotation = text(&resource["annotations"][OWNER_UID]);
    if by_annotation.is_empty() { text(&resource["labels"][REDIS_OWNER_UID]) } else { by_annotation }
}

impl Promises {
    pub(super) fn before_end(&mut self, sandbox: &Sandbox, api: Api, request: &Request, view: &Value) {
        if changes_finalizers(api, request) {
            self.held = held(sandbox);
        }
        if api != Api::Google {
            return;
        }
        let (method, path) = (&request.method, &request.path);
        let destroys = path.contains("/secrets/") && (method == Method::DELETE || path.ends_with(":destroy"));
        self.check(14, !destroys, || format!("{method} {path}"));
        if method != Method::DELETE {
            return;
        }
        let resources = ["services", "redis"].into_iter().flat_map(|list| view[list].as_array().into_iter().flatten());
        let Some(resource) = resources.clone().find(|one| path.ends_with(&format!("/{}", text(&one["name"])))) else {
            return;
        };
        let marked = owner(resource);
        // One whose marks somebody took off is known by Cloud Run's own UID.
        let stripped = marked.is_empty() && self.owned.contains(text(&resource["uid"]));
        let lives = KINDS.iter().flat_map(|plural| sandbox.cluster.objects(plural)).any(|o| uid(&o) == marked);
        self.check(12, lives || stripped, || format!("{path} of {marked:?}, which no object has, is deleted"));
    }

    pub(super) fn after_end(&mut self, sandbox: &Sandbox, api: Api, request: &Request, view: &Value) {
        if !changes_finalizers(api, request) {
            return;
        }
        let still = held(sandbox);
        for let_go in std::mem::take(&mut self.held).into_iter().filter(|uid| !still.contains(uid)) {
            let resources = ["services", "redis"].iter().flat_map(|list| view[*list].as_array().into_iter().flatten());
            let left: Vec<&str> = resources.filter(|r| owner(r) == let_go).map(|r| text(&r["name"])).collect();
            self.check(21, left.is_empty(), || format!("the finalizer of {let_go} is gone, and it owns {left:?}"));
        }
    }
}
