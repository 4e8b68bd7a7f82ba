//! `adopt`: an environment and Rollouts that say what runs, so that applying them takes it over and changes nothing.

use orchestra_cloud::Cloud;
use orchestra_crds::{GROUP, Ingress, Switch, VERSION};
use orchestra_planner::cloud::{RevisionView, ServiceId, ServiceSettings, ServiceView};
use orchestra_planner::names::{BadName, ProjectId, Region, ServiceName};
use orchestra_planner::template::Description;
use orchestra_planner::traffic::only_revision;
use serde_json::{Map, Value, json};

use crate::args::AdoptArgs;
use crate::error::CliError;

/// What was written.
#[derive(Debug)]
pub struct Adopted {
    /// The environment, and a Rollout for each service.
    pub objects: Vec<Value>,
    /// What could not be said as it is.
    pub left_out: Vec<String>,
}

/// Describes services.
///
/// # Errors
/// When Google can't be asked, or a service can't be taken over as it is.
pub async fn adopt(args: &AdoptArgs, namespace: Option<&str>) -> Result<Adopted, CliError> {
    let cloud = Cloud::connect(args.google_endpoint.as_deref()).await.map_err(|e| CliError::Google(e.to_string()))?;
    let mut description = Description::of_project(&args.project);
    let mut rollouts = vec![];
    for service in &args.services {
        let (view, revision) = found(&cloud, args, service).await?;
        let mut template = description.template(&revision.template);
        template.health_check_disabled = view.health_check_disabled;
        let spec = spec(args, service, &view.settings, template.as_value()?);
        rollouts.push(object("Rollout", service, namespace, spec));
    }
    let mut environment = Map::from_iter([
        ("project".to_string(), json!(args.project)),
        ("stage".to_string(), json!(format!("{:?}", args.stage))),
        ("regions".to_string(), json!(args.regions)),
    ]);
    let secrets = description.secrets();
    if !secrets.is_empty() {
        environment.insert("secrets".into(), json!(secrets));
    }
    let environment = object("OrchestraEnvironment", &args.environment, namespace, environment.into());
    let objects = std::iter::once(environment).chain(rollouts).collect();
    Ok(Adopted { objects, left_out: description.left_out().to_vec() })
}

/// Anything that is written as JSON.
trait AsValue {
    fn as_value(&self) -> Result<Value, CliError>;
}

impl<T: serde::Serialize> AsValue for T {
    fn as_value(&self) -> Result<Value, CliError> {
        serde_json::to_value(self).map_err(|error| CliError::Print(error.to_string()))
    }
}

/// A service and the revision that serves, the same in each region.
async fn found(cloud: &Cloud, args: &AdoptArgs, service: &str) -> Result<(ServiceView, RevisionView), CliError> {
    let wrong = |error: BadName| CliError::BadName(error.to_string());
    let refuse = |message: String| CliError::NotAdoptable(message);
    let (project, name) =
        (ProjectId::new(args.project.as_str()).map_err(wrong)?, ServiceName::new(service).map_err(wrong)?);
    let mut first: Option<(ServiceView, RevisionView)> = None;
    for region in &args.regions {
        let id = ServiceId {
            project: project.clone(),
            region: Region::new(region.as_str()).map_err(wrong)?,
            name: name.clone(),
        };
        let asked = |e: orchestra_cloud::CloudError| CliError::Google(e.to_string());
        let view = cloud.run.service(&id).await.map_err(asked)?;
        let view =
            view.ok_or_else(|| refuse(format!("{region}: there is no Cloud Run service `{service}` in {project}")))?;
        if let Some(owner) = view.marks.owner.as_ref().filter(|owner| owner.uid.is_some()) {
            return Err(refuse(format!("{region}: `{service}` belongs to the Rollout `{}` already", owner.name)));
        }
        let serving = only_revision(&view.serving).ok_or_else(|| {
            refuse(format!(
                "{region}: the requests of `{service}` are split, or nothing serves: one revision must have all"
            ))
        })?;
        let revision = cloud.run.revision(&id, serving).await.map_err(asked)?;
        let revision = revision.ok_or_else(|| refuse(format!("{region}: `{serving}` serves, and is not there")))?;
        match &first {
            Some((_, known)) if known.name != revision.name => {
                return Err(refuse(format!(
                    "`{service}` serves by `{}` and in {region} by `{serving}`: stable has one name everywhere. Describe each \
                     region by itself, with an --environment of its own",
                    known.name
                )));
            }
            Some((known, runs)) => {
                let differs = known.settings != view.settings || runs.template != revision.template;
                if differs {
                    return Err(refuse(format!(
                        "{region}: the settings of `{service}` or what `{serving}` runs differ from the other region's: describe each \
                         region by itself, with an --environment of its own"
                    )));
                }
            }
            None => first = Some((view, revision)),
        }
    }
    first.ok_or_else(|| refuse("name a --region".into()))
}

fn object(kind: &str, name: &str, namespace: Option<&str>, spec: Value) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata, "spec": spec})
}

/// What is not at Cloud Run's default. The steps are the ones that the guide begins with.
fn spec(args: &AdoptArgs, service: &str, read: &ServiceSettings, template: Value) -> Value {
    let mut spec = Map::from_iter([
        ("environmentRef".to_string(), json!({"name": args.environment})),
        ("serviceName".to_string(), json!(service)),
        ("adopt".to_string(), json!({"service": service})),
        ("template".to_string(), template),
    ]);
    let default = ServiceSettings::default();
    let mut put = |field: &str, value: Value, is_said: bool| {
        if is_said {
            spec.insert(field.into(), value);
        }
    };
    put("description", json!(read.description), !read.description.is_empty());
    put("binaryAuthorization", json!(read.binary_authorization), read.binary_authorization.is_some());
    let scaling = given([
        ("minInstances", json!(read.min_instances), read.min_instances > 0 && read.manual_instances.is_none()),
        ("maxInstances", json!(read.max_instances), read.max_instances.is_some() && read.manual_instances.is_none()),
        ("manualInstances", json!(read.manual_instances), read.manual_instances.is_some()),
    ]);
    put("scaling", scaling.clone().into(), !scaling.is_empty());
    let access = given([
        ("ingress", json!(read.ingress), read.ingress.is_some_and(|ingress| ingress != Ingress::All)),
        ("invokerIamCheck", json!(read.invoker_iam_check), read.invoker_iam_check != default.invoker_iam_check),
        ("defaultAddress", json!(read.default_address), read.default_address != default.default_address),
        ("iap", json!(read.iap), read.iap == Switch::Enabled),
        ("customAudiences", json!(read.custom_audiences), !read.custom_audiences.is_empty()),
    ]);
    put("access", access.clone().into(), !access.is_empty());
    let steps = json!([{"weight": 10, "holdSeconds": 300}, {"weight": 50, "holdSeconds": 300}]);
    put("strategy", json!({"canary": {"steps": steps}}), true);
    spec.into()
}

fn given<const N: usize>(fields: [(&str, Value, bool); N]) -> Map<String, Value> {
    fields.into_iter().filter(|(.., is_said)| *is_said).map(|(field, value, _)| (field.to_string(), value)).collect()
}

/// The objects as documents for kubectl, and above them what a person should know.
pub fn as_yaml(adopted: &Adopted) -> String {
    let mut text =
        "# What runs, as kubectl applies it. `kubectl orchestra plan -f FILE` shows what that would write.\n\
                    # Where there is an environment of this name already, keep that one, and add what it lacks.\n"
            .to_string();
    text.extend(adopted.left_out.iter().map(|what| format!("# Not as it is: {what}\n")));
    for object in &adopted.objects {
        text.push_str("---\n");
        text.push_str(&crate::yaml::document(object));
    }
    text
}
