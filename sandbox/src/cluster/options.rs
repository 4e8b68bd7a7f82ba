//! What a request asks for besides its object: dry runs, managers, versions, propagation.

use http::Method;
use serde_json::{Value, json};

use super::refusal::{Cause, Refusal};
use super::write::text;
use super::{body, patch};
use crate::exchange::Request;

const GROUP: &str = "meta.k8s.io";
const LONGEST_MANAGER: usize = 128;
const VALIDATIONS: [&str; 4] = ["", "Ignore", "Strict", "Warn"];
const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];

fn told(kind: &str, causes: &[Cause]) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid_as(GROUP, kind, "", causes)) }
}

/// The options of a write are some that there are.
pub(super) fn check_write(request: &Request) -> Result<(), Refusal> {
    let mut causes = vec![];
    let kind = match request.method {
        Method::POST => "CreateOptions",
        Method::PUT => "UpdateOptions",
        _ => {
            causes.extend(of_patch(request));
            "PatchOptions"
        }
    };
    causes.extend(of_manager(request.param("fieldManager").unwrap_or_default()));
    let dry: Vec<&str> =
        request.query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str()).collect();
    if dry.iter().any(|value| *value != "All") {
        causes.push(Cause::not_supported("dryRun", &json!(dry), &["All"]));
    }
    let validation = request.param("fieldValidation").unwrap_or_default();
    if !VALIDATIONS.contains(&validation) {
        causes.push(Cause::not_supported("fieldValidation", &json!(validation), &VALIDATIONS));
    }
    told(kind, &causes)
}

/// An apply needs a name for its manager; only an apply can be forced.
fn of_patch(request: &Request) -> Option<Cause> {
    let named = request.param("fieldManager").is_some_and(|name| !name.is_empty());
    match body::content_type(request) == patch::APPLY {
        true => (!named).then(|| Cause::required("fieldManager", "is required for apply patch")),
        false => {
            let forced = request.param("force").is_some();
            forced.then(|| Cause::forbidden("force", "may not be specified for non-apply patch"))
        }
    }
}

/// The name of a manager is short and can be printed.
fn of_manager(name: &str) -> Vec<Cause> {
    let mut causes = vec![];
    if name.len() > LONGEST_MANAGER {
        let message = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: "fieldManager".into(), message });
    }
    let unprintable = |c: &char| c.is_control() || (c.is_whitespace() && *c != ' ');
    for (at, character) in name.char_indices().filter(|(_, c)| unprintable(c)) {
        let code = u32::from(character);
        let message = format!("{name:?}: invalid character U+{code:04X} (at position {at})");
        causes.push(Cause::invalid("fieldManager", message));
    }
    causes
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a deletion asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) is_dry: bool,
    pub(super) propagation: Propagation,
    /// Only an object with this UID.
    pub(super) uid: Option<String>,
    /// Only this version of it.
    pub(super) version: Option<String>,
}

/// Reads what a deletion asks for: in its body, or else in its query.
pub(super) fn of_deletion(request: &Request) -> Result<Deletion, Refusal> {
    let mut options = body::options(request)?;
    if !options.is_object() {
        return Err(undecodable("the options are no object"));
    }
    if request.body.is_empty() {
        for name in ["propagationPolicy", "orphanDependents"] {
            let value = request.param(name).map(|value| if value == "true" { json!(true) } else { json!(value) });
            options[name] = value.unwrap_or_default();
        }
        let dry = request.query.iter().filter(|(name, _)| name == "dryRun");
        options["dryRun"] = dry.map(|(_, value)| json!(value)).collect();
    }
    let (policy, dry, orphans) = (&options["propagationPolicy"], &options["dryRun"], &options["orphanDependents"]);
    for (field, fits) in [
        ("propagationPolicy", policy.is_null() || policy.is_string()),
        ("dryRun", dry.is_null() || dry.as_array().is_some_and(|values| values.iter().all(Value::is_string))),
        ("preconditions", options["preconditions"].is_null() || options["preconditions"].is_object()),
    ] {
        if !fits {
            return Err(undecodable(&format!("{field} is of another type")));
        }
    }
    let mut causes = vec![];
    if !orphans.is_null() && !policy.is_null() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", format!("{policy}: {why}")));
    }
    let propagation = match (policy.as_str(), orphans.as_bool()) {
        (None, Some(true)) | (Some("Orphan"), _) => Propagation::Orphan,
        (Some("Foreground"), _) => Propagation::Foreground,
        (None | Some("Background"), _) => Propagation::Background,
        (Some(_), _) => {
            causes.push(Cause::not_supported("propagationPolicy", policy, &[&POLICIES[..], &["nil"]].concat()));
            Propagation::Background
        }
    };
    let dry = dry.as_array().cloned().unwrap_or_default();
    if dry.iter().any(|value| value != "All") {
        causes.push(Cause::not_supported("dryRun", &json!(dry), &["All"]));
    }
    told("DeleteOptions", &causes)?;
    let precondition =
        |field: &str| Some(text(&options["preconditions"][field]).to_string()).filter(|value| !value.is_empty());
    let (uid, version) = (precondition("uid"), precondition("resourceVersion"));
    Ok(Deletion { is_dry: !dry.is_empty(), propagation, uid, version })
}

fn undecodable(why: &str) -> Refusal {
    let kind = "DeleteOptions";
    Refusal::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {why}"))
}

/// The options of a list or a watch fit each other.
pub(super) fn check_list(request: &Request) -> Result<(), Refusal> {
    for name in ["limit", "timeoutSeconds"] {
        if let Some(bad) = request.param(name).filter(|value| !value.is_empty() && value.parse::<i64>().is_err()) {
            return Err(Refusal::bad_request(format!("strconv.ParseInt: parsing {bad:?}: invalid syntax")));
        }
    }
    let given = |name: &str| request.param(name).is_some_and(|value| !value.is_empty());
    let forbid = |why: &str| Cause::forbidden("resourceVersionMatch", why);
    let (matching, initial) = (request.param("resourceVersionMatch").unwrap_or_default(), given("sendInitialEvents"));
    let mut causes = vec![];
    if request.flag("watch") {
        if initial && matching != NOT_OLDER {
            causes.push(forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if !matching.is_empty() {
            if !initial {
                causes.push(forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
            }
            if matching != NOT_OLDER {
                causes.push(Cause::not_supported("resourceVersionMatch", &json!(matching), &[NOT_OLDER]));
            }
            if given("continue") {
                causes.push(forbid("resourceVersionMatch is forbidden when continue is provided"));
            }
        }
        return told("ListOptions", &causes);
    }
    if !matching.is_empty() {
        if !given("resourceVersion") {
            causes.push(forbid("resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if given("continue") {
            causes.push(forbid("resourceVersionMatch is forbidden when continue is provided"));
        }
        if ![EXACT, NOT_OLDER].contains(&matching) {
            causes.push(Cause::not_supported("resourceVersionMatch", &json!(matching), &[EXACT, NOT_OLDER, ""]));
        }
        if matching == EXACT && request.param("resourceVersion") == Some("0") {
            causes.push(forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
        }
    }
    if initial {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    told("ListOptions", &causes)
}

pub(super) const EXACT: &str = "Exact";
const NOT_OLDER: &str = "NotOlderThan";

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(check: fn(&Request) -> Result<(), Refusal>, method: Method, query: &str) -> String {
        let request = Request::new(method, &format!("/x?{query}"), Bytes::new());
        check(&request).map_or_else(|r| r.to_status()["message"].as_str().unwrap().to_string(), |()| String::new())
    }

    #[test]
    fn options_that_there_are_not_are_refused_in_the_words_of_the_real_server() {
        for (method, query, said) in [
            (
                Method::POST,
                "fieldValidation=Foo",
                "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Foo\": supported \
                 values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
            ),
            (
                Method::PUT,
                "dryRun=Foo",
                "UpdateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Foo\"]: supported values: \"All\"",
            ),
            (
                Method::PATCH,
                "force=true",
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            ),
            (Method::POST, "fieldManager=a%20b&dryRun=All&fieldValidation=Strict", ""),
        ] {
            assert_eq!(message(check_write, method, query), said, "{query}");
        }
        let long = message(check_write, Method::POST, &format!("fieldManager={}", "x".repeat(129)));
        assert!(long.ends_with("fieldManager: Too long: may not be more than 128 bytes"), "{long}");
    }

    fn deletion(query: &str, body: &str) -> Result<Deletion, u64> {
        let request = Request::new(Method::DELETE, &format!("/x?{query}"), Bytes::from(body.to_string()));
        of_deletion(&request).map_err(|refusal| refusal.to_status()["code"].as_u64().unwrap())
    }

    #[test]
    fn a_deletion_that_can_not_be_read_is_none() {
        let plain = Deletion { is_dry: false, propagation: Propagation::Background, uid: None, version: None };
        assert_eq!(deletion("", ""), Ok(plain.clone()));
        assert_eq!(deletion("dryRun=All", ""), Ok(Deletion { is_dry: true, ..plain.clone() }));
        // The query counts only without a body.
        assert_eq!(deletion("dryRun=All", "{}"), Ok(plain.clone()));
        let orphaning = Deletion { propagation: Propagation::Orphan, ..plain };
        assert_eq!(deletion("", r#"{"orphanDependents": true}"#), Ok(orphaning.clone()));
        assert_eq!(deletion("propagationPolicy=Orphan", ""), Ok(orphaning));
        for (body, code) in [
            (r#"{"dryRun": "All"}"#, 400),
            ("[]", 400),
            (r#"{"propagationPolicy": 5}"#, 400),
            (r#"{"propagationPolicy": "Foo"}"#, 422),
            (r#"{"dryRun": ["Foo"]}"#, 422),
            (r#"{"orphanDependents": true, "propagationPolicy": "Orphan"}"#, 422),
        ] {
            assert_eq!(deletion("", body), Err(code), "{body}");
        }
    }

    #[test]
    fn the_options_of_a_list_must_fit_each_other() {
        for (query, part) in [
            ("limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("resourceVersionMatch=Exact", "forbidden unless resourceVersion is provided"),
            ("resourceVersionMatch=Foo&resourceVersion=1", "Unsupported value: \"Foo\""),
            ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
            ("watch=1&sendInitialEvents=true", "requires setting resourceVersionMatch to NotOlderThan"),
        ] {
            let told = message(check_list, Method::GET, query);
            assert!(told.contains(part), "{query}: {told}");
        }
        let streaming = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        assert_eq!(message(check_list, Method::GET, streaming), "");
    }
}
