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

/// What a deletion asks for: in its body, or else in its query.
pub(super) fn of_deletion(request: &Request) -> Result<Value, Refusal> {
    let mut options = body::options(request)?;
    if request.body.is_empty() {
        if let Some(policy) = request.param("propagationPolicy") {
            options["propagationPolicy"] = json!(policy);
        }
        let dry = request.query.iter().filter(|(name, _)| name == "dryRun");
        options["dryRun"] = dry.map(|(_, value)| json!(value)).collect();
    }
    let mut causes = vec![];
    let policy = &options["propagationPolicy"];
    if !policy.is_null() && !POLICIES.contains(&text(policy)) {
        causes.push(Cause::not_supported("propagationPolicy", policy, &[&POLICIES[..], &["nil"]].concat()));
    }
    if options["dryRun"].as_array().is_some_and(|dry| dry.iter().any(|value| value != "All")) {
        causes.push(Cause::not_supported("dryRun", &options["dryRun"], &["All"]));
    }
    told("DeleteOptions", &causes)?;
    Ok(options)
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
