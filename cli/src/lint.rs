//! `lint`: what the cluster would refuse, found without one.

use orchestra_controller::clock::Clock;
use orchestra_crds::{GROUP, VERSION};
use serde_json::Value;
use std::collections::BTreeSet;

use crate::args::FileArgs;
use crate::error::CliError;
use crate::files::{Manifest, read_each};
use crate::kind::Kind;
use crate::offline::{Offline, Refusal};

/// How alike two names must be for one to be meant by the other: of Jaro and Winkler, 0 to 1.
const ALIKE: f64 = 0.8;

/// What is wrong with the objects of files, a line each, and how many were looked at.
///
/// # Errors
/// When a folder can't be looked into, or nothing of ours is in the files.
pub fn lint(of: &FileArgs) -> Result<(Vec<String>, usize), CliError> {
    let offline = Offline::new(Clock::of_this_machine())?;
    let (manifests, unread) = read_each(of)?;
    let manifests: Vec<Manifest> = manifests.into_iter().filter(concerns_us).collect();
    if manifests.is_empty() && unread.is_empty() {
        return Err(CliError::NothingToLint);
    }
    let unread = unread.iter().map(ToString::to_string).chain(twice(&manifests));
    let lines = unread.chain(manifests.iter().flat_map(|manifest| of_manifest(&offline, manifest))).collect();
    Ok((lines, manifests.len()))
}

/// Objects that are there more than once: the last one applied would win.
fn twice(manifests: &[Manifest]) -> Vec<String> {
    let mut known = BTreeSet::new();
    let identity = |manifest: &Manifest| {
        ["/kind", "/metadata/namespace", "/metadata/name"].map(|pointer| manifest.text(pointer).to_string())
    };
    let again = manifests.iter().filter(|manifest| !known.insert(identity(manifest)));
    let told = |manifest: &Manifest| {
        format!("{}:{}: {}: it is in the files before", manifest.file, manifest.line("metadata.name"), manifest.title())
    };
    again.map(told).collect()
}

/// Ours, or meant to be: others have a kind Rollout, too.
fn concerns_us(manifest: &Manifest) -> bool {
    let group = manifest.text("/apiVersion").split('/').next().unwrap_or_default();
    let is_none = group.is_empty() || !manifest.text("/apiVersion").contains('/');
    nearest(group, &[GROUP]).is_some() || (is_none && Kind::named(manifest.text("/kind")).is_some())
}

fn of_manifest(offline: &Offline, manifest: &Manifest) -> Vec<String> {
    let told = |field: &str, what: &str| {
        format!("{}:{}: {}: {what}", manifest.file, manifest.line(field), manifest.title().trim())
    };
    let version = format!("{GROUP}/{VERSION}");
    if manifest.text("/apiVersion") != version {
        return vec![told("apiVersion", &format!("apiVersion: write {version}"))];
    }
    let kind = manifest.text("/kind");
    let Some(schema) = Kind::named(kind).and_then(schema) else {
        let meant = nearest(kind, &Kind::ALL.map(Kind::name)).unwrap_or("Rollout or OrchestraEnvironment");
        return vec![told("kind", &format!("there is no kind `{kind}`; did you mean {meant}?"))];
    };
    if manifest.text("/metadata/name").is_empty() {
        return vec![told("metadata", "metadata.name: it needs a name")];
    }
    let mut refusals = offline.refusals(&manifest.object);
    refusals.sort_by_key(|refusal| manifest.line(&refusal.field));
    refusals.iter().map(|refusal| told(&refusal.field, &words(&schema, refusal))).collect()
}

fn schema(kind: Kind) -> Option<Value> {
    let version = kind.crd().spec.versions.into_iter().next()?;
    serde_json::to_value(version.schema?.open_api_v3_schema?).ok()
}

fn words(schema: &Value, refusal: &Refusal) -> String {
    let field = &refusal.field;
    if !refusal.is_unknown {
        // Some messages begin with their field.
        let named = field.is_empty() || refusal.message.contains(field.as_str());
        return if named { refusal.message.clone() } else { format!("{field}: {}", refusal.message) };
    }
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let known: Vec<&str> = fields_at(schema, parent).into_iter().collect();
    let meant = nearest(name, &known).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    format!("{field}: {}{meant}", refusal.message)
}

/// The fields that there may be at a path.
fn fields_at<'a>(schema: &'a Value, path: &str) -> Vec<&'a str> {
    let mut at = schema;
    for part in path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty()) {
        at = match part.parse::<usize>() {
            Ok(_) => &at["items"],
            Err(_) if at["properties"][part].is_object() => &at["properties"][part],
            Err(_) => &at["additionalProperties"],
        };
    }
    at["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &str| {
        let (name, known) = (name.to_lowercase(), known.to_lowercase());
        let is_slip = name.len() > 2 && strsim::damerau_levenshtein(&name, &known) == 1;
        if is_slip { 1.0 } else { strsim::jaro_winkler(&name, &known) }
    };
    let alike = known.iter().map(|known| (likeness(known), *known)).filter(|(alike, _)| *alike >= ALIKE);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_by_a_slip_is_found_and_nothing_by_what_is_like_nothing() {
        let known = ["env", "image", "environmentRef", "strategy"];
        assert_eq!(nearest("evn", &known), Some("env"));
        assert_eq!(nearest("enviromentRef", &known), Some("environmentRef"));
        assert_eq!(nearest("volumes", &known), None);
    }

    #[test]
    fn an_object_that_is_there_twice_is_told() {
        let folder = std::env::temp_dir().join(format!("orchestra-twice-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let one = "apiVersion: orchestra.cherry-ai.me/v1alpha1\nkind: OrchestraEnvironment\nmetadata: {name: a}\nspec: \
                   {project: cherry-ai-project, stage: Staging, regions: [us-central1]}\n";
        std::fs::write(folder.join("a.yaml"), format!("{one}---\n{one}")).unwrap();
        let (lines, _) = lint(&FileArgs { files: vec![folder.clone()], recursive: false }).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            lines.len() == 1 && lines[0].ends_with("OrchestraEnvironment a: it is in the files before"),
            "{lines:?}"
        );
    }

    #[test]
    fn each_refusal_has_its_line_its_field_and_what_is_meant() {
        let folder = std::env::temp_dir().join(format!("orchestra-lint-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("rollout.yaml");
        let text = "apiVersion: orchestra.cherry-ai.me/v1alpha1\nkind: Rollout\nmetadata:\n  name: api\nspec:\n  \
                    enviromentRef: {name: e}\n  environmentRef: {name: e}\n  serviceName: api\n  template:\n    containers:\n    \
                    - image: a\n  strategy:\n    canary:\n      steps:\n      - weight: 50\n      - weight: 20\n";
        std::fs::write(&file, text).unwrap();
        let (lines, looked_at) = lint(&FileArgs { files: vec![folder.clone()], recursive: false }).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let told: Vec<&str> = lines.iter().filter_map(|line| line.rsplit_once("rollout.yaml:")).map(|l| l.1).collect();
        assert_eq!((told.len(), looked_at), (2, 1), "{lines:?}");
        assert!(
            told[0].starts_with("6: Rollout api: spec.enviromentRef: there is no such field; did you mean"),
            "{told:?}"
        );
        assert!(told[1].starts_with("14: Rollout api: spec.strategy.canary.steps: "), "{told:?}");
        assert!(told[1].contains("weights must not go down"), "{told:?}");
    }
}
