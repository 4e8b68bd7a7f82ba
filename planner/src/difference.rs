//! What a write changes, in words: for the log of the controller and for `kubectl orchestra plan`.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cloud::{
    PolicyView, RedisView, RevisionView, ServiceSettings, ServiceView, Setting, Target, TrafficTarget, pairs,
};
use crate::names::Percent;
use crate::plan::{Effect, NewService, ServiceChange};
use crate::template::{EffectiveTemplate, words};

/// One thing that a write changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What, in a word.
    pub what: String,
    /// As it was read; empty: it was not there.
    pub before: String,
    /// As it is to be; empty: it is taken away.
    pub after: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.before.as_str(), self.after.as_str()) {
            ("", after) => write!(f, "{}: {after}", self.what),
            (before, "") => write!(f, "{}: {before} → nothing", self.what),
            (before, after) => write!(f, "{}: {before} → {after}", self.what),
        }
    }
}

/// What is written to, as it was read; none: it is not there, or was not read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'a> {
    /// A service.
    pub service: Option<&'a ServiceView>,
    /// The revision that most of its users meet.
    pub revision: Option<&'a RevisionView>,
    /// Who may call it.
    pub policy: Option<&'a PolicyView>,
    /// A Redis instance.
    pub redis: Option<&'a RedisView>,
}

/// What a write changes. A write that changes marks only, which are Orchestra's own notes, says so.
pub fn differences(effect: &Effect, before: Before<'_>) -> Vec<Difference> {
    match effect {
        Effect::CreateService { new, .. } => of_service(&as_change(new), None, None),
        Effect::UpdateService { change, .. } => of_service(change, before.service, before.revision),
        Effect::SetPolicy { policy, .. } => of_policy(policy, before.policy),
        Effect::CreateRedis { spec, .. } => {
            let version = spec.version.as_deref().map(|version| format!(", {version}")).unwrap_or_default();
            vec![new("instance", format!("{:?}, {} GiB{version}", spec.tier, spec.memory_size_gb))]
        }
        Effect::ResizeRedis { memory_size_gb, .. } => {
            let known = before.redis.map(|redis| format!("{} GiB", redis.memory_size_gb));
            vec![changed("memory", known.unwrap_or_default(), format!("{memory_size_gb} GiB"))]
        }
        Effect::LabelRedis { labels, .. } => {
            let known = before.redis.map(|redis| pairs(&redis.labels)).unwrap_or_default();
            let asked = pairs(labels);
            (known != asked).then(|| changed("labels", known, asked)).into_iter().collect()
        }
        Effect::DeleteService { .. } => vec![changed("service", "there".into(), String::new())],
        Effect::DeleteRevision { revision, .. } => {
            vec![changed(&format!("revision {revision}"), "there".into(), String::new())]
        }
        Effect::DeleteRedis { .. } => vec![changed("instance", "there".into(), String::new())],
    }
}

fn new(what: &str, after: String) -> Difference {
    changed(what, String::new(), after)
}

fn changed(what: &str, before: String, after: String) -> Difference {
    Difference { what: what.into(), before, after }
}

fn as_change(new: &NewService) -> ServiceChange {
    ServiceChange {
        template: Some((new.revision.clone(), new.template.clone())),
        traffic: Some(new.traffic.clone()),
        marks: None,
        settings: ServiceSettings::default().changes_to(&new.settings),
    }
}

fn of_service(
    change: &ServiceChange,
    before: Option<&ServiceView>,
    revision: Option<&RevisionView>,
) -> Vec<Difference> {
    let mut found = vec![];
    if let Some((name, template)) = &change.template {
        let known = revision.map(|revision| &revision.name);
        let known = known.or_else(|| before.and_then(|service| service.template_revision.as_ref()));
        found.push(changed("revision", known.map(ToString::to_string).unwrap_or_default(), name.to_string()));
        let of_template = of_template(template, revision.map(|revision| &revision.template));
        // The same number of a secret that was made anew, or another attempt at what failed.
        let is_other = revision.is_some_and(|revision| revision.name != *name) && of_template.is_empty();
        found.extend(is_other.then(|| new("template", "the same settings, as another revision".into())));
        found.extend(of_template);
    }
    if let Some(traffic) = &change.traffic {
        let (known, asked) = (before.map(|service| shares(&service.traffic)).unwrap_or_default(), shares(traffic));
        found.extend((known != asked).then(|| changed("traffic", known, asked)));
    }
    found.extend(of_settings(&change.settings, before.map(|service| &service.settings)));
    found.extend(of_annotations(change, before));
    if found.is_empty() && change.marks.is_some() {
        found.push(new("marks", "written".into()));
    }
    found
}

/// What a template says otherwise than what runs, by name.
pub(crate) fn names_of(template: &EffectiveTemplate, before: &EffectiveTemplate) -> Vec<String> {
    // What others put on a revision, and nobody asks for, is no difference.
    let is_said = |told: &Difference| !(told.after.is_empty() && told.what.starts_with("revision "));
    of_template(template, Some(before)).into_iter().filter(is_said).map(|told| told.what).collect()
}

/// What a template changes of the one before it. Of variables the names are told, never a value. What nobody asked for and
/// Cloud Run filled in is no change.
fn of_template(template: &EffectiveTemplate, before: Option<&EffectiveTemplate>) -> Vec<Difference> {
    let nothing = EffectiveTemplate::default();
    let known = before.unwrap_or(&nothing);
    let mut found = vec![];
    if !before.is_some_and(|before| template.is_run_by(before)) {
        let (asked, mut known) = (words::settings(template), words::settings(known));
        // Without one of its own it runs as the default account, by whatever name Cloud Run tells that.
        if template.service_account.is_none() {
            known.retain(|_, account| !account.ends_with("-compute@developer.gserviceaccount.com"));
        }
        let names: BTreeSet<&String> = asked.keys().chain(known.keys()).collect();
        let of = |all: &BTreeMap<String, String>, name: &String| all.get(name).cloned().unwrap_or_default();
        let other = |name: &String| {
            (asked.get(name) != known.get(name)).then(|| changed(name, of(&known, name), of(&asked, name)))
        };
        found.extend(names.into_iter().filter_map(other));
    }
    found.extend(of_variables(&words::variables(template), &words::variables(known)));
    found
}

fn of_variables(asked: &BTreeMap<String, String>, known: &BTreeMap<String, String>) -> Vec<Difference> {
    let is_in = |name: &&String, these: bool, those: bool| {
        (asked.contains_key(*name), known.contains_key(*name)) == (these, those)
    };
    let other = |name: &&String| asked.get(*name) != known.get(*name);
    let names: BTreeSet<&String> = asked.keys().chain(known.keys()).filter(other).collect();
    let told =
        [("variables added", true, false), ("variables changed", true, true), ("variables removed", false, true)];
    let told = told.map(|(what, these, those)| {
        let names: Vec<&str> =
            names.iter().filter(|name| is_in(name, these, those)).map(|name| name.as_str()).collect();
        (!names.is_empty()).then(|| new(what, names.join(", ")))
    });
    told.into_iter().flatten().collect()
}

/// A split as people write it: `api-1 90 %, api-2 10 % as candidate`.
pub(crate) fn shares(traffic: &[TrafficTarget]) -> String {
    let share = |target: &TrafficTarget| {
        let name = match &target.to {
            Target::Latest => "the newest revision".to_string(),
            Target::Revision(revision) => revision.to_string(),
        };
        match &target.tag {
            Some(tag) if target.percent == Percent::NONE => format!("{name} tagged {tag}"),
            Some(tag) => format!("{name} {} % tagged {tag}", target.percent.get()),
            None => format!("{name} {} %", target.percent.get()),
        }
    };
    traffic.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// What settings change of those that were read.
pub(crate) fn of_settings(settings: &[Setting], before: Option<&ServiceSettings>) -> Vec<Difference> {
    let known = before.map(ServiceSettings::each).unwrap_or_default();
    let known: BTreeMap<&str, String> = known.iter().map(Setting::words).collect();
    let asked = settings.iter().map(Setting::words);
    let told = asked.filter_map(|(what, asked)| {
        let known = known.get(what).cloned().unwrap_or_default();
        (known != asked).then(|| changed(what, known, asked))
    });
    told.collect()
}

/// Annotations of others than Orchestra, which stand with its marks.
fn of_annotations(change: &ServiceChange, before: Option<&ServiceView>) -> Option<Difference> {
    let asked = pairs(&change.marks.as_ref()?.others);
    let known = before.map(|service| pairs(&service.marks.others)).unwrap_or_default();
    (known != asked).then(|| changed("annotations", known, asked))
}

/// The bindings that come and go; those that stay are not told.
fn of_policy(policy: &PolicyView, before: Option<&PolicyView>) -> Vec<Difference> {
    let members = |policy: Option<&PolicyView>| -> Vec<String> {
        let bindings = policy.into_iter().flat_map(|policy| &policy.bindings);
        bindings.flat_map(|b| b.members.iter().map(move |member| format!("{member} as {}", b.role))).collect()
    };
    let (known, asked) = (members(before), members(Some(policy)));
    let only = |these: &[String], those: &[String]| -> String {
        these.iter().filter(|member| !those.contains(member)).cloned().collect::<Vec<_>>().join(", ")
    };
    let (gone, come) = (only(&known, &asked), only(&asked, &known));
    let told = [changed("granted", String::new(), come), changed("revoked", gone, String::new())];
    told.into_iter().filter(|told| !(told.before.is_empty() && told.after.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Binding;
    use crate::names::{Etag, RevisionName};
    use crate::template::{Container, EnvValue};

    fn to(revision: &str, percent: i32) -> TrafficTarget {
        let percent = Percent::clamped(percent);
        TrafficTarget { to: Target::Revision(RevisionName::new(revision).unwrap()), percent, tag: None }
    }

    #[test]
    fn what_changes_is_told_and_what_stays_is_not() {
        let settings = ServiceSettings { min_instances: 1, ..ServiceSettings::default() };
        let more = ServiceSettings { min_instances: 3, ..ServiceSettings::default() };
        let told: Vec<String> =
            of_settings(&settings.changes_to(&more), Some(&settings)).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["fewest instances: 1 → 3"]);
        assert_eq!(shares(&[to("api-1", 90), to("api-2", 10)]), "api-1 90 %, api-2 10 %");
    }

    #[test]
    fn of_a_template_what_changes_is_told_and_of_variables_the_names_alone() {
        let template = |env: &[(&str, &str)], concurrency| EffectiveTemplate {
            containers: vec![Container {
                image: "app:1".into(),
                env: env.iter().map(|(k, v)| (k.to_string(), EnvValue::Plain(v.to_string()))).collect(),
                ..Container::default()
            }],
            concurrency,
            ..EffectiveTemplate::default()
        };
        let wanted = template(&[("A", "hush"), ("B", "b")], Some(10));
        let before = template(&[("A", "old"), ("B", "b"), ("C", "c")], None);
        let told: Vec<String> = of_template(&wanted, Some(&before)).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["concurrency: 10", "variables changed: A", "variables removed: C"]);
        let wanted = template(&[("A", "hush"), ("B", "b")], None);
        let first: Vec<String> = of_template(&wanted, None).iter().map(|d| d.to_string()).collect();
        assert_eq!(first, ["image: app:1", "variables added: A, B"]);
    }

    #[test]
    fn who_may_call_is_told_by_who_comes_and_who_goes() {
        let policy = |members: &[&str]| PolicyView {
            etag: Etag("e".into()),
            bindings: vec![Binding {
                role: "roles/run.invoker".into(),
                members: members.iter().map(ToString::to_string).collect(),
                condition: None,
            }],
        };
        let told = of_policy(&policy(&["user:a@x", "user:c@x"]), Some(&policy(&["user:a@x", "user:b@x"])));
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["granted: user:c@x as roles/run.invoker", "revoked: user:b@x as roles/run.invoker → nothing"]
        );
    }
}
