//! Who calls, and what they may: bearer tokens and role-based access control.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::built_in::{self, ACCESS_REVIEW, RULES_REVIEW};
use super::kinds::Kind;
use super::managed::{self, Writer};
use super::refusal::Refusal;
use super::route::Target;
use super::store::{Store, key};
use super::write::text;
use crate::exchange::{Request, TRUSTED};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// Whoever runs the sandbox: may do everything.
    Trusted,
    ServiceAccount {
        namespace: String,
        name: String,
    },
    /// Somebody that whoever runs the sandbox acts for.
    Named(String),
    Anonymous,
}

/// What someone would like to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    /// Subresource.
    pub(super) part: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Wish {
    /// As roles name it: `rollouts/status`.
    fn full_resource(&self) -> String {
        if self.part.is_empty() { self.resource.clone() } else { format!("{}/{}", self.resource, self.part) }
    }

    fn denied_to(&self, user: &User) -> String {
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_string(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let (verb, resource, group) = (&self.verb, self.full_resource(), &self.group);
        format!("User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}", user.name())
    }
}

pub(super) fn who(store: &Store, request: &Request) -> Result<User, Refusal> {
    let caller = match request.authorization.strip_prefix("Bearer ") {
        None => User::Anonymous,
        Some(_) if request.authorization == TRUSTED => User::Trusted,
        Some(token) => {
            let (namespace, name) = store.token_of(token).cloned().ok_or_else(Refusal::unauthorized)?;
            User::ServiceAccount { namespace, name }
        }
    };
    acts_for(store, caller, request)
}

/// Whom the caller acts for: itself, or another, if it may.
fn acts_for(store: &Store, caller: User, request: &Request) -> Result<User, Refusal> {
    let beyond = |(name, _): &&(String, String)| name.starts_with("impersonate-") && name != "impersonate-user";
    if let Some((name, _)) = request.extra.iter().find(beyond) {
        let why = format!("the sandbox lets a caller act for a user or a service account alone: leave {name} out");
        return Err(Refusal::bad_request(why));
    }
    let Some(other) = request.header("impersonate-user").map(named) else { return Ok(caller) };
    let (resource, namespace, name) = match &other {
        User::ServiceAccount { namespace, name } => ("serviceaccounts", namespace.clone(), name.clone()),
        user => ("users", String::new(), user.name()),
    };
    let wish = Wish { verb: "impersonate".into(), resource: resource.into(), namespace, name, ..Wish::default() };
    match reason(store, &caller, &wish) {
        Some(_) => Ok(other),
        None => Err(Refusal::forbidden_resource("", resource, &wish.name, &wish.denied_to(&caller))),
    }
}

fn named(name: &str) -> User {
    match name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => User::ServiceAccount { namespace: namespace.into(), name: name.into() },
        None => User::Named(name.into()),
    }
}

impl User {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Trusted => "sandbox-admin".into(),
            Self::ServiceAccount { namespace, name } => format!("system:serviceaccount:{namespace}:{name}"),
            Self::Named(name) => name.clone(),
            Self::Anonymous => "system:anonymous".into(),
        }
    }

    pub(super) fn groups(&self) -> Vec<String> {
        match self {
            Self::Trusted => vec!["system:masters".into(), "system:authenticated".into()],
            Self::ServiceAccount { namespace, .. } => vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".into(),
            ],
            Self::Named(_) => vec!["system:authenticated".into()],
            Self::Anonymous => vec!["system:unauthenticated".into()],
        }
    }

    fn is(&self, subject: &Value, binding_namespace: &str) -> bool {
        match text(&subject["kind"]) {
            "ServiceAccount" => {
                let at = subject["namespace"].as_str().unwrap_or(binding_namespace);
                self.name() == format!("system:serviceaccount:{at}:{}", text(&subject["name"]))
            }
            "Group" => self.groups().iter().any(|group| *group == text(&subject["name"])),
            _ => self.name() == text(&subject["name"]),
        }
    }
}

fn verb(target: &Target, request: &Request) -> &'static str {
    match (request.method.as_str(), &target.name) {
        ("GET", _) if request.flag("watch") => "watch",
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", Some(_)) => "delete",
        _ => "deletecollection",
    }
}

/// Refuses what the user may not.
pub(super) fn check(store: &Store, user: &User, target: &Target, request: &Request) -> Result<(), Refusal> {
    let wish = Wish {
        verb: verb(target, request).into(),
        group: target.kind.group.clone(),
        resource: target.kind.plural.clone(),
        part: target.part.map(|part| part.name().to_string()).unwrap_or_default(),
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name().into(),
    };
    if reason(store, user, &wish).is_some() {
        return Ok(());
    }
    Err(Refusal::forbidden(&target.kind, &wish.name, &wish.denied_to(user)))
}

/// A role that someone has: its rules, and in words how it comes about.
struct Grant {
    rules: Vec<Value>,
    words: String,
}

fn grants(store: &Store, user: &User, namespace: &str) -> Vec<Grant> {
    let mut grants = vec![];
    for (plural, at) in [("clusterrolebindings", None), ("rolebindings", Some(namespace))] {
        if at == Some("") {
            continue;
        }
        let place = format!("rbac.authorization.k8s.io/{plural}");
        for (binding_key, binding) in store.list(&place, at) {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            let Some(subject) = subjects.into_iter().find(|subject| user.is(subject, namespace)) else { continue };
            let role = &binding["roleRef"];
            let cluster = role["kind"] == "ClusterRole";
            let roles = if cluster { "clusterroles" } else { "roles" };
            let found = store
                .kinds()
                .find("rbac.authorization.k8s.io", "v1", roles)
                .and_then(|kind| store.get(&key(&kind, (!cluster).then_some(namespace), text(&role["name"]))).cloned());
            let named = |name: &str, namespace: &str| match namespace {
                "" => name.to_string(),
                namespace => format!("{name}/{namespace}"),
            };
            let words = format!(
                "RBAC: allowed by {} {:?} of {} {:?} to {} {:?}",
                text(&binding["kind"]),
                named(&binding_key.2, &binding_key.1),
                text(&role["kind"]),
                text(&role["name"]),
                text(&subject["kind"]),
                named(text(&subject["name"]), text(&subject["namespace"])),
            );
            let rules = found.and_then(|role| role["rules"].as_array().cloned()).unwrap_or_default();
            grants.push(Grant { rules, words });
        }
    }
    grants
}

/// Why a wish is granted; None when it is not.
fn reason(store: &Store, user: &User, wish: &Wish) -> Option<String> {
    if *user == User::Trusted {
        return Some(String::new());
    }
    let granted =
        grants(store, user, &wish.namespace).into_iter().find(|grant| grant.rules.iter().any(|r| fits(r, wish)));
    granted.map(|grant| grant.words)
}

/// Whether a rule of a role allows it.
fn fits(rule: &Value, wish: &Wish) -> bool {
    let has = |field: &str, value: &str| {
        rule[field].as_array().is_some_and(|list| list.iter().any(|item| item == "*" || item == value))
    };
    has("verbs", &wish.verb)
        && has("apiGroups", &wish.group)
        && has("resources", &wish.full_resource())
        && (rule["resourceNames"].as_array().is_none_or(Vec::is_empty) || has("resourceNames", &wish.name))
}

/// What somebody may do in a namespace, kept for later questions.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    everything: bool,
    namespace: String,
    rules: Vec<Value>,
}

impl Rights {
    pub(super) fn of(store: &Store, user: &User, namespace: &str) -> Self {
        let rules = grants(store, user, namespace).into_iter().flat_map(|grant| grant.rules).collect();
        Self { everything: *user == User::Trusted, namespace: namespace.into(), rules }
    }

    /// Questions about another namespace are answered with no.
    pub(super) fn allow(&self, wish: &Wish) -> bool {
        self.everything || (wish.namespace == self.namespace && self.rules.iter().any(|rule| fits(rule, wish)))
    }
}

/// What everyone may who is known, as the default roles of a cluster have it.
fn for_everyone() -> (Vec<Value>, Value) {
    let create =
        |group: &str, resources: &[&str]| json!({"verbs": ["create"], "apiGroups": [group], "resources": resources});
    let get = |paths: &[&str]| json!({"verbs": ["get"], "nonResourceURLs": paths});
    let resources = vec![
        create("authorization.k8s.io", &[ACCESS_REVIEW, RULES_REVIEW]),
        create("authentication.k8s.io", &["selfsubjectreviews"]),
    ];
    let issuer = "/.well-known/openid-configuration";
    let paths = json!([
        get(&["/healthz", "/livez", "/readyz", "/version", "/version/"]),
        get(&[issuer, &format!("{issuer}/"), "/openid/v1/jwks", "/openid/v1/jwks/"]),
        get(&["/.well-known", "/.well-known/*"]),
        get(&[
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ]),
    ]);
    (resources, paths)
}

/// Answers a review of what the caller may do.
pub(super) fn review(store: &Store, user: &User, kind: &Kind, writer: &Writer, mut review: Value) -> Value {
    if kind.plural == ACCESS_REVIEW {
        review["metadata"] = json!({});
        managed::note(kind, writer, None, &mut review);
        let asked = &review["spec"]["resourceAttributes"];
        let wish = Wish {
            verb: text(&asked["verb"]).into(),
            group: text(&asked["group"]).into(),
            resource: text(&asked["resource"]).into(),
            part: text(&asked["subresource"]).into(),
            namespace: text(&asked["namespace"]).into(),
            name: text(&asked["name"]).into(),
        };
        let reason = reason(store, user, &wish);
        review["status"] = json!({"allowed": reason.is_some()});
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            review["status"]["reason"] = json!(reason);
        }
        return review;
    }
    let (mut rules, paths) = for_everyone();
    if *user == User::Trusted {
        rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
    }
    let own = grants(store, user, text(&review["spec"]["namespace"]));
    rules.extend(own.into_iter().flat_map(|grant| grant.rules));
    json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": {}, "spec": {},
        "status": {"resourceRules": rules, "nonResourceRules": paths, "incomplete": false},
    })
}

/// A token for a service account.
pub(super) fn token(store: &mut Store, writer: &Writer, account: &Value, asked: &Value) -> Value {
    let (namespace, name) = (text(&account["metadata"]["namespace"]), text(&account["metadata"]["name"]));
    let seconds = asked["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let ends = store.now().checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let metadata = &account["metadata"];
    let mut request = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": asked["spec"],
        "metadata": {"name": name, "namespace": namespace, "uid": metadata["uid"],
                     "creationTimestamp": metadata["creationTimestamp"]},
    });
    managed::note(&built_in::token_request(), writer, None, &mut request);
    let audiences = match &asked["spec"]["audiences"] {
        Value::Null => json!(["https://kubernetes.default.svc.cluster.local"]),
        audiences => audiences.clone(),
    };
    request["spec"] = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null});
    request["status"] = json!({
        "token": store.new_token(namespace, name),
        "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    request
}
