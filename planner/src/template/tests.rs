use super::*;
use orchestra_crds::{
    Egress, EnvironmentSecret, EnvironmentStatus, OrchestraEnvironmentSpec, ResolvedSecret, Template,
};
use serde_json::json;

fn environment(extra: serde_json::Value) -> OrchestraEnvironment {
    let mut spec = json!({"project": "cherry-ai-project", "stage": "Development", "regions": ["us-central1"]});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let spec: OrchestraEnvironmentSpec = serde_json::from_value(spec).unwrap();
    let mut environment = OrchestraEnvironment::new("dev", spec);
    environment.status = Some(EnvironmentStatus::default());
    environment
}

fn template(container: serde_json::Value) -> Template {
    serde_json::from_value(json!({"containers": [container]})).unwrap()
}

fn hash(template: &EffectiveTemplate) -> String {
    template.hash().to_string()
}

fn built(container: serde_json::Value, extra: serde_json::Value) -> Wanted {
    Wanted::build(&template(container), &environment(extra)).unwrap()
}

fn one_file(path: &str, version: SecretVersion) -> Volume {
    let (secret, file) = (version.secret.clone(), SecretFile { version, mode: None });
    Volume::Secret { secret, files: BTreeMap::from([(path.into(), file)]), default_mode: None }
}

/// These values may never change: a change would start a rollout of every service at an upgrade.
#[test]
fn hashes_are_pinned() {
    let container = |image: &str| Container { name: "main".into(), image: image.into(), ..Container::default() };
    let plain = EffectiveTemplate { containers: vec![container("eu.example/app:1")], ..Default::default() };
    assert_eq!(hash(&plain), "affiy57t3u");
    let secret = SecretVersion {
        secret: "key".into(),
        version: Version::Number(7),
        created_at: "2026-01-01T00:00:00Z".parse().ok(),
    };
    let full = EffectiveTemplate {
        containers: vec![Container {
            command: vec!["/app".into()],
            args: vec!["serve".into(), "a \"quoted\"\nword".into()],
            port: Some(8000),
            env: BTreeMap::from([
                ("A".into(), EnvValue::Plain("1".into())),
                ("KEY".into(), EnvValue::Secret(secret.clone())),
            ]),
            mounts: BTreeMap::from([("/etc/keys".into(), Mount { volume: "keys".into(), sub_path: None })]),
            cpu: Millis::parse("2"),
            memory: Bytes::parse("2Gi"),
            ..container("eu.example/app@sha256:00")
        }],
        volumes: BTreeMap::from([("keys".into(), one_file("key", secret))]),
        concurrency: Some(40),
        timeout_seconds: Some(60),
        session_affinity: true,
        service_account: Some("a@b.iam.gserviceaccount.com".into()),
        network: Some(NetworkAccess { route: Route::Connector("orchestra-dev".into()), egress: Egress::AllTraffic }),
        ..Default::default()
    };
    assert_eq!(hash(&full), "ewt42n4es7");
    let own = json!({"image": "eu.example/app:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                     "env": [{"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}]});
    assert_eq!(own_hash(&template(own)).as_str(), "lplfym7rkx");
}

#[test]
fn the_rollout_wins_over_the_environment() {
    let shared = json!({"defaults": {
        "env": [{"name": "LEVEL", "value": "info"}, {"name": "STAGE", "value": "dev"}],
        "resources": {"limits": {"cpu": "2", "memory": "2Gi"}}
    }});
    let own = json!({
        "image": "x/app", "env": [{"name": "LEVEL", "value": "debug"}], "resources": {"limits": {"cpu": "1"}}
    });
    let template = built(own, shared).template;
    let container = &template.containers[0];
    assert_eq!(container.env["LEVEL"], EnvValue::Plain("debug".into()));
    assert_eq!(container.env["STAGE"], EnvValue::Plain("dev".into()));
    assert_eq!((container.cpu, container.memory), (Millis::parse("1000m"), Bytes::parse("2048Mi")));
}

#[test]
fn the_same_written_otherwise_is_the_same() {
    let plain = built(json!({"image": "x/app"}), json!({}));
    for same in [
        json!({"image": "x/app", "ports": [{"containerPort": 8080}]}),
        json!({"image": "x/app", "resources": {"limits": {"cpu": 1, "memory": "512Mi"}}}),
        json!({"image": "x/app", "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}}}),
    ] {
        let other = built(same.clone(), json!({}));
        assert_eq!((&other.hash, &other.own), (&plain.hash, &plain.own), "{same}");
    }
    let defaults = json!({"defaults": {"concurrency": 80, "timeoutSeconds": 300}});
    assert_eq!(built(json!({"image": "x/app"}), defaults).hash, plain.hash);
    let other = built(json!({"image": "x/app", "env": [{"name": "A"}]}), json!({}));
    assert_ne!(other.hash, plain.hash);
}

#[test]
fn images_outside_the_repositories_are_refused() {
    let environment = environment(json!({"images": {"repositories": ["eu.example/team"]}}));
    for (image, allowed) in [("eu.example/team/app", true), ("eu.example/teammate/app", false), ("app", false)] {
        assert_eq!(super::allowed(image, &environment).is_ok(), allowed, "{image}");
    }
}

#[test]
fn c4_another_secret_version_or_a_secret_made_anew_is_another_template_with_other_inputs() {
    let mut environment = environment(json!({}));
    environment.spec.secrets = vec![EnvironmentSecret { name: "key".into(), secret: None, version: None }];
    let template =
        template(json!({"image": "app", "env": [{"name": "KEY", "valueFrom": {"secret": {"name": "key"}}}]}));
    assert!(matches!(Wanted::build(&template, &environment), Err(Gate::Waiting(_))));
    let mut with = |version, created: &str| {
        let created_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created.parse().unwrap()));
        let resolved = ResolvedSecret { name: "key".into(), secret: "key".into(), version, created_at };
        environment.status = Some(EnvironmentStatus { secrets: vec![resolved], ..Default::default() });
        Wanted::build(&template, &environment).unwrap()
    };
    let (one, two) = (with(1, "2026-01-01T00:00:00Z"), with(2, "2026-01-01T00:00:00Z"));
    assert_ne!((&one.hash, &one.inputs), (&two.hash, &two.inputs));
    assert_eq!(one.own, two.own, "the user's template is the same");
    assert_eq!(with(1, "2026-01-01T00:00:00Z").hash, one.hash);
    assert_ne!(with(1, "2026-02-01T00:00:00Z").hash, one.hash, "a secret that was deleted and made anew");
}

#[test]
fn sizes_that_do_not_go_together_name_both_fields() {
    let shared = environment(json!({"defaults": {"resources": {"limits": {"memory": "8Gi"}}}}));
    let own = template(json!({"image": "app", "resources": {"limits": {"cpu": "1"}}}));
    match Wanted::build(&own, &shared) {
        Err(Gate::Blocked(note)) => {
            assert!(
                note.message.contains("spec.template") && note.message.contains("spec.defaults.resources"),
                "{note:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_revision_of_the_same_name_is_held_against_the_template() {
    let wanted = built(json!({"image": "eu.example/app:1", "env": [{"name": "A", "value": "1"}]}), json!({})).template;
    let read = |image: &str, value: &str| EffectiveTemplate {
        containers: vec![Container {
            image: image.into(),
            env: BTreeMap::from([("A".to_string(), EnvValue::Plain(value.to_string()))]),
            ..Container::default()
        }],
        ..EffectiveTemplate::default()
    };
    assert!(wanted.is_run_by(&read("eu.example/app:1", "1")));
    assert!(wanted.is_run_by(&read("eu.example/app@sha256:00", "1")), "Google may answer with a digest");
    assert!(!wanted.is_run_by(&read("eu.example/app:2", "1")));
    assert!(!wanted.is_run_by(&read("eu.example/app:1", "2")));
}

#[test]
fn containers_that_do_not_go_together_are_told_with_the_field_to_change() {
    let refused = |template: serde_json::Value| {
        let template: Template = serde_json::from_value(template).unwrap();
        match Wanted::build(&template, &environment(json!({}))) {
            Err(Gate::Blocked(note)) => note.message,
            other => panic!("{other:?}"),
        }
    };
    let small = || json!({"image": "app", "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}}});
    let waits = |name: &str, after: &[&str]| json!({"name": name, "image": "app", "dependsOn": after, "startupProbe": {"tcpSocket": {"port": 1}}});
    let gpu = || json!({"image": "app", "resources": {"limits": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": "1"}}});
    for (template, told) in [
        (json!({"containers": [small()], "concurrency": 10}), "spec.template.concurrency"),
        (json!({"containers": [small()], "concurrency": 1, "cpuAllocation": "Always"}), "spec.template.cpuAllocation"),
        (json!({"containers": [small()], "executionEnvironment": "Gen2"}), "spec.template.executionEnvironment"),
        (
            json!({"containers": [gpu()], "nodeSelector": {"accelerator": "nvidia-l4"}}),
            "a GPU needs CPU that is always",
        ),
        (
            json!({"containers": [waits("a", &["b"]), waits("b", &["c"]), waits("c", &["a"]), waits("d", &[])]}),
            "a, b, c wait for each other",
        ),
    ] {
        let message = refused(template.clone());
        assert!(message.contains(told), "{template}: {message}");
    }
    // A sidecar may be small.
    let mut second = small();
    second["name"] = json!("proxy");
    let with_a_sidecar =
        json!({"containers": [{"image": "app", "ports": [{"containerPort": 80}]}, second], "concurrency": 80});
    assert!(Wanted::build(&serde_json::from_value(with_a_sidecar).unwrap(), &environment(json!({}))).is_ok());
}

#[test]
fn defaults_of_the_environment_are_for_the_container_that_takes_the_requests() {
    let shared = json!({
        "defaults": {"env": [{"name": "LEVEL", "value": "info"}], "resources": {"limits": {"cpu": "2"}}},
        "serviceAccount": "runner", "network": {"connector": "dev"},
    });
    let own = json!({
        "containers": [{"name": "proxy", "image": "proxy"}, {"name": "app", "image": "app", "ports": [{"containerPort": 80}]}],
        "serviceAccount": "other@x.iam.gserviceaccount.com",
    });
    let wanted = Wanted::build(&serde_json::from_value(own).unwrap(), &environment(shared)).unwrap();
    let [proxy, app] = wanted.template.containers.as_slice() else { panic!("{:?}", wanted.template) };
    assert_eq!((proxy.env.len(), proxy.cpu), (0, None));
    assert_eq!((app.env.len(), app.cpu, wanted.template.image()), (1, Millis::parse("2"), "app"));
    assert_eq!(wanted.template.service_account.as_deref(), Some("other@x.iam.gserviceaccount.com"));
    let inputs = |line: &str| wanted.inputs.contains(&crate::names::Fingerprint::of(line));
    assert!(
        inputs("network dev PrivateRangesOnly") && !inputs("account runner@cherry-ai-project.iam.gserviceaccount.com")
    );
}
