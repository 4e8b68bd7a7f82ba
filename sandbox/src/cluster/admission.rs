//! ValidatingAdmissionPolicies: an object that is about to be stored is held against those that match, with `object`,
//! `oldObject`, `request`, `variables` and `authorizer`. Parameters and selectors are not known here: a policy with them is
//! refused when it is made.

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, Program, ResolveResult, Value as CelValue, to_value};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

use super::auth::{Rights, User, Wish};
use super::refusal::{Cause, Refusal};
use super::route::Target;
use super::store::Store;
use super::write::text;

const GROUP: &str = "admissionregistration.k8s.io";
pub(super) const POLICIES: &str = "validatingadmissionpolicies";
pub(super) const BINDINGS: &str = "validatingadmissionpolicybindings";

/// What is about to happen to an object.
pub(super) struct Attempt<'a> {
    pub(super) user: &'a User,
    pub(super) target: &'a Target,
    pub(super) name: &'a str,
    pub(super) before: Option<&'a Value>,
    pub(super) object: &'a Value,
    pub(super) is_dry: bool,
}

/// Refuses what a policy that is bound refuses.
pub(super) fn check(store: &Store, attempt: &Attempt<'_>) -> Result<(), Refusal> {
    let (of_policies, of_bindings) = (format!("{GROUP}/{POLICIES}"), format!("{GROUP}/{BINDINGS}"));
    let policies: Vec<_> = store.list(&of_policies, None).collect();
    for (_, binding) in store.list(&of_bindings, None) {
        let denies = list(&binding["spec"]["validationActions"]).any(|action| action == "Deny");
        let name = text(&binding["spec"]["policyName"]);
        let policy = policies.iter().find(|(key, _)| key.2 == name).filter(|_| denies);
        let Some((_, policy)) = policy.filter(|(_, policy)| matches(&policy["spec"], attempt)) else { continue };
        if let Err(denied) = evaluate(store, &policy["spec"], attempt) {
            let binding = text(&binding["metadata"]["name"]);
            let why = format!(
                "ValidatingAdmissionPolicy '{name}' with binding '{binding}' denied request: {}",
                denied.message
            );
            return Err(Refusal::denied_by_policy(&attempt.target.kind, attempt.name, &why, &denied.reason));
        }
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn matches(spec: &Value, attempt: &Attempt<'_>) -> bool {
    let kind = &attempt.target.kind;
    let operation = if attempt.before.is_some() { "UPDATE" } else { "CREATE" };
    let resource = match attempt.target.part {
        Some(part) => format!("{}/{}", kind.plural, part.name()),
        None => kind.plural.clone(),
    };
    let has = |rule: &Value, field: &str, wanted: &str| list(&rule[field]).any(|one| one == "*" || one == wanted);
    list(&spec["matchConstraints"]["resourceRules"]).any(|rule| {
        has(rule, "apiGroups", &kind.group)
            && has(rule, "apiVersions", &kind.version)
            && has(rule, "operations", operation)
            && (has(rule, "resources", &resource) || list(&rule["resources"]).any(|one| one == "*/*"))
    })
}

struct Denied {
    message: String,
    reason: String,
}

fn evaluate(store: &Store, spec: &Value, attempt: &Attempt<'_>) -> Result<(), Denied> {
    let fails = spec["failurePolicy"] != "Ignore";
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        let message = format!("expression '{what}' resulted in error: {why}");
        if fails { Err(Denied { message, reason: "Invalid".into() }) } else { Ok(()) }
    };
    let mut context = context(store, attempt);
    for condition in list(&spec["matchConditions"]) {
        let expression = text(&condition["expression"]);
        match run(&context, expression) {
            Ok(CelValue::Bool(true)) => {}
            Ok(_) => return Ok(()),
            Err(why) => return failed(expression, &why),
        }
    }
    let mut variables = HashMap::new();
    for variable in list(&spec["variables"]) {
        let expression = text(&variable["expression"]);
        match run(&context, expression) {
            Ok(value) => variables.insert(text(&variable["name"]).to_string(), value),
            Err(why) => return failed(expression, &why),
        };
        let named: kube_cel::cel::objects::Map = variables.clone().into();
        context.add_variable_from_value("variables", CelValue::Map(named));
    }
    for validation in list(&spec["validations"]) {
        let expression = text(&validation["expression"]);
        match run(&context, expression) {
            Ok(CelValue::Bool(true)) => {}
            Ok(_) => {
                let made = validation["messageExpression"].as_str().map(|message| run(&context, message));
                let message = match made {
                    Some(Ok(CelValue::String(made))) => made.to_string(),
                    _ => validation["message"]
                        .as_str()
                        .map_or_else(|| format!("failed expression: {expression}"), String::from),
                };
                let reason = validation["reason"].as_str().unwrap_or("Invalid").to_string();
                return Err(Denied { message, reason });
            }
            Err(why) => return failed(expression, &why),
        }
    }
    Ok(())
}

fn run(context: &Context<'_>, expression: &str) -> Result<CelValue, String> {
    let program = Program::compile(expression).map_err(|why| why.to_string())?;
    program.execute(context).map_err(|why| why.to_string())
}

fn context(store: &Store, attempt: &Attempt<'_>) -> Context<'static> {
    let mut context = Context::default().with_all();
    let kind = &attempt.target.kind;
    let namespace = attempt.target.namespace.clone().unwrap_or_default();
    let request = json!({
        "operation": if attempt.before.is_some() { "UPDATE" } else { "CREATE" },
        "name": attempt.name, "namespace": namespace, "dryRun": attempt.is_dry,
        "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "userInfo": {"username": attempt.user.name(), "groups": attempt.user.groups()},
    });
    let null = Value::Null;
    let known = [("object", attempt.object), ("oldObject", attempt.before.unwrap_or(&null)), ("request", &request)];
    for (name, value) in known {
        context.add_variable_from_value(name, to_value(value).unwrap_or(CelValue::Null));
    }
    add_authorizer(&mut context, Rights::of(store, attempt.user, &namespace));
    context
}

/// What somebody may be asked to be allowed: `authorizer`, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Question(Wish);

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Authorizer"
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer(bool);

impl Opaque for Answer {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

fn question(value: &CelValue) -> Result<Question, ExecutionError> {
    let opaque = match value {
        CelValue::Opaque(opaque) => opaque.downcast_ref::<Question>().cloned(),
        _ => None,
    };
    opaque.ok_or_else(|| ExecutionError::function_error("authorizer", "this is no authorizer"))
}

/// A part of what is asked for.
type Part = fn(&mut Wish) -> &mut String;

fn add_authorizer(context: &mut Context<'static>, rights: Rights) {
    context.add_variable_from_value("authorizer", CelValue::Opaque(Arc::new(Question::default())));
    let parts: [(&str, Part); 5] = [
        ("group", |wish| &mut wish.group),
        ("resource", |wish| &mut wish.resource),
        ("subresource", |wish| &mut wish.part),
        ("namespace", |wish| &mut wish.namespace),
        ("name", |wish| &mut wish.name),
    ];
    for (name, part) in parts {
        context.add_function(name, move |This(this): This<CelValue>, said: Arc<String>| -> ResolveResult {
            let mut asked = question(&this)?;
            *part(&mut asked.0) = said.to_string();
            Ok(CelValue::Opaque(Arc::new(asked)))
        });
    }
    context.add_function("check", move |This(this): This<CelValue>, verb: Arc<String>| -> ResolveResult {
        let wish = Wish { verb: verb.to_string(), ..question(&this)?.0 };
        Ok(CelValue::Opaque(Arc::new(Answer(rights.allow(&wish)))))
    });
    context.add_function("allowed", |This(this): This<CelValue>| -> ResolveResult {
        let answer = match &this {
            CelValue::Opaque(opaque) => opaque.downcast_ref::<Answer>().cloned(),
            _ => None,
        };
        let answer = answer.ok_or_else(|| ExecutionError::function_error("allowed", "this is no decision"))?;
        Ok(CelValue::Bool(answer.0))
    });
}

/// What is wrong with a policy that is made or changed: expressions that can't be read, and what is not known here.
pub(super) fn validate(policy: &Value) -> Vec<Cause> {
    let spec = &policy["spec"];
    let mut causes = vec![];
    if list(&spec["matchConstraints"]["resourceRules"]).next().is_none() {
        causes.push(Cause::required("spec.matchConstraints.resourceRules", ""));
    }
    let unknown = [("spec.paramKind", &spec["paramKind"]), ("spec.auditAnnotations", &spec["auditAnnotations"])];
    let constraints = ["namespaceSelector", "objectSelector", "excludeResourceRules"];
    let selectors = constraints.iter().map(|field| (*field, &spec["matchConstraints"][*field]));
    let is_set = |value: &Value| !value.is_null() && *value != json!({}) && *value != json!([]);
    for (field, _) in unknown.into_iter().chain(selectors).filter(|(_, value)| is_set(value)) {
        causes.push(Cause::forbidden(field, "the sandbox knows policies without it"));
    }
    for part in ["matchConditions", "variables", "validations"] {
        for (index, one) in list(&spec[part]).enumerate() {
            let all: &Map<String, Value> = &one.as_object().cloned().unwrap_or_default();
            for field in ["expression", "messageExpression"] {
                let Some(expression) = all.get(field).map(text) else { continue };
                if let Err(why) = Program::compile(expression) {
                    let shown = format!("{}: compilation failed: {why}", json!(expression));
                    causes.push(Cause::invalid(&format!("spec.{part}[{index}].{field}"), shown));
                }
            }
        }
    }
    causes
}
