//! The cluster API against what a real kube-apiserver answered.

use bytes::Bytes;
use http::Method;
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::{Reply, Request, TRUSTED};
use orchestra_tests::recording::{Exchange, Placeholders, Recording};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Differences that stay, with the reason; docs/sandbox.md lists the same.
const KNOWN: [(&str, &str); 7] = [
    ("01-discovery-and-errors: version", "the sandbox says what it is"),
    ("01-discovery-and-errors: legacy core versions", "the sandbox does not tell its address again"),
    ("01-discovery-and-errors: core resources", "kinds that Orchestra and its users don't touch are left out"),
    ("01-discovery-and-errors: group list", "kinds that Orchestra and its users don't touch are left out"),
    ("01-discovery-and-errors: aggregated core", "kinds that Orchestra and its users don't touch are left out"),
    ("02-crd: OpenAPI v3 index (our group's entry)", "the documents are small enough to be read anew each time"),
    (
        "02-crd: OpenAPI v3 of the group",
        "of the paths only what kubectl reads; metadata stands in the schemas of the kinds, in words of our own",
    ),
];

/// Asked with the token of the service account.
const AS_SERVICE_ACCOUNT: [&str; 7] = [
    "forbidden list",
    "forbidden create",
    "self review denied",
    "allowed list",
    "still forbidden on status",
    "self review allowed",
    "rules review",
];

struct Server {
    sandbox: Sandbox,
    placeholders: Placeholders,
    token: String,
}

impl Server {
    fn new() -> Self {
        // The recordings show an event of 2026-01-01 as 324 days old.
        let reading = ClockReading { now: "2026-11-21T12:00:00Z".parse().unwrap(), speed: 1 };
        let clock = Clock::starting_at(reading);
        let server = Self {
            sandbox: Sandbox::new(clock, clock, 7),
            placeholders: Placeholders::default(),
            token: String::new(),
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "play"}});
        assert_eq!(server.send("POST", "/api/v1/namespaces", "application/json", &namespace).status, 201);
        server
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Reply {
        let request = Request {
            content_type: content_type.into(),
            caller: "recorder/1.0".into(),
            ..Request::new(Method::from_bytes(method.as_bytes()).unwrap(), path, body.to_string().into())
        };
        self.sandbox.cluster.handle(&request)
    }

    fn ask(&self, exchange: &Exchange) -> Reply {
        let asked = &exchange.request;
        let body = match &asked.body {
            Value::Null => String::new(),
            Value::String(raw) => raw.clone(),
            body => body.to_string(),
        };
        let authorization = match exchange.name.as_str() {
            "bad token" => "Bearer nobody".to_string(),
            "anonymous" => String::new(),
            name if AS_SERVICE_ACCOUNT.contains(&name) => format!("Bearer {}", self.token),
            _ => TRUSTED.to_string(),
        };
        let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
        let path = self.placeholders.filled(&asked.path);
        let request = Request {
            accept: asked.accept.clone(),
            content_type: asked.content_type.clone(),
            caller: "recorder/1.0".into(),
            authorization,
            ..Request::new(method, &path, Bytes::from(self.placeholders.filled(&body)))
        };
        self.sandbox.cluster.handle(&request)
    }

    /// What was done while a watch was recorded.
    fn prepare(&self, exchange: &str) {
        let toys = "/apis/toys.example.com/v1alpha1/namespaces/play/toys";
        let toy = |metadata: Value| json!({"apiVersion": "toys.example.com/v1alpha1", "kind": "Toy", "metadata": metadata, "spec": {"color": "Red"}});
        let (json, merge) = ("application/json", "application/merge-patch+json");
        let done = match exchange {
            "from a version: added, modified, modified, deleted" => vec![
                ("POST", toys.to_string(), json, toy(json!({"name": "w"}))),
                ("PATCH", format!("{toys}/w"), merge, json!({"spec": {"replicas": 2}})),
                ("PATCH", format!("{toys}/w"), merge, json!({"metadata": {"labels": {"l": "1"}}})),
                ("DELETE", format!("{toys}/w"), json, json!({})),
            ],
            "label selector: leaving the selection is DELETED" => vec![
                ("POST", toys.to_string(), json, toy(json!({"name": "w2", "labels": {"l": "1"}}))),
                ("PATCH", format!("{toys}/w2"), merge, json!({"metadata": {"labels": null}})),
                ("DELETE", format!("{toys}/w2"), json, json!({})),
            ],
            _ => vec![],
        };
        for (method, path, content_type, body) in done {
            let reply = self.send(method, &path, content_type, &body);
            assert!(reply.status < 300, "{method} {path}: {reply:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_those_of_a_real_server() {
    let mut server = Server::new();
    let mut different = BTreeMap::new();
    let mut count = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/kubernetes");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
        let recording: Recording = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for exchange in recording.exchanges {
            count += 1;
            server.prepare(&exchange.name);
            let reply = server.ask(&exchange);
            if exchange.name == "token request" {
                let told = reply.document().unwrap_or_default();
                server.token = told["status"]["token"].as_str().unwrap_or_default().to_string();
            }
            let found = server.placeholders.differences(&exchange.response, reply).await;
            if !found.is_empty() {
                let file = file.file_stem().unwrap().to_string_lossy();
                different.insert(format!("{file}: {}", exchange.name), found);
            }
        }
    }
    assert_eq!(count, 175);
    assert!(KNOWN.len() <= 20);
    orchestra_tests::tell(&format!("{count} recorded exchanges, {} of them answered differently", different.len()));
    let unexpected: BTreeMap<_, _> =
        different.iter().filter(|(name, _)| KNOWN.iter().all(|(k, _)| k != name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    for (name, _) in KNOWN {
        assert!(different.contains_key(name), "{name} is equal by now: take it off the list, here and in the docs");
    }
}
