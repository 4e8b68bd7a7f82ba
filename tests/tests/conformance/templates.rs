//! Templates: what is refused at apply, with its field and the way out, and what arrives in Cloud Run as it was written.

use http::Method;
use orchestra_crds::{OrchestraEnvironment, Template};
use orchestra_planner::cloud::Readiness;
use orchestra_planner::plan::{NewService, ServiceChange};
use orchestra_planner::template::{Description, Wanted};
use orchestra_planner::traffic::all_to;
use orchestra_sandbox::exchange::Request;
use orchestra_tests::world::{World, canary};
use serde_json::{Value, json};

use super::admission::refusal;
use super::wire::{cloud, id, new_service, revision, until};

/// A template of one container with that in it.
fn container(more: Value) -> Value {
    json!({"containers": [merged(json!({"image": "app:1"}), more)]})
}

/// A template with that in it.
fn template(more: Value) -> Value {
    merged(json!({"containers": [{"image": "app:1"}]}), more)
}

/// One that takes the requests and another.
fn pair(serving: Value, other: Value) -> Value {
    let serving = merged(json!({"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}]}), serving);
    json!({"containers": [serving, merged(json!({"name": "proxy", "image": "proxy:1"}), other)]})
}

/// One container that mounts one volume.
fn mounted(volume: Value, mount: Value) -> Value {
    let mount = merged(json!({"name": volume["name"], "mountPath": "/data"}), mount);
    merged(container(json!({"volumeMounts": [mount]})), json!({"volumes": [volume]}))
}

fn limits(limits: Value) -> Value {
    container(json!({"resources": {"limits": limits}}))
}

fn merged(mut onto: Value, more: Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        onto[key] = value.clone();
    }
    onto
}

fn many(n: usize) -> Value {
    (0..n).map(|n| json!({"name": format!("V{n}"), "value": "x"})).collect()
}

/// Each with what its message has to say.
fn wrong_containers() -> Vec<(Value, &'static str)> {
    let probe = |probe: Value| container(json!({"startupProbe": probe}));
    let alive = |probe: Value| container(json!({"livenessProbe": probe}));
    let ready = |probe: Value| container(json!({"readinessProbe": probe}));
    let get = || json!({"path": "/"});
    vec![
        (json!({"containers": []}), "spec.template.containers"),
        (
            (0..11).map(|_| json!({"image": "a"})).collect::<Value>().pipe(|all| json!({"containers": all})),
            "spec.template.containers",
        ),
        (json!({"containers": [{"image": "a"}, {"image": "b"}]}), "exactly one has ports"),
        (pair(json!({}), json!({"ports": [{"containerPort": 9000}]})), "exactly one has ports"),
        (pair(json!({}), json!({"name": "app"})), "must have different names"),
        (container(json!({"name": "Main"})), "containers[0].name"),
        (container(json!({"name": "a".repeat(64)})), "containers[0].name"),
        (container(json!({"image": "https://x/app"})), "without https://"),
        (container(json!({"image": "App:1"})), "its name in small letters"),
        (container(json!({"ports": [{"containerPort": 0}]})), "ports[0].containerPort"),
        (container(json!({"ports": [{"containerPort": 70000}]})), "ports[0].containerPort"),
        (container(json!({"ports": [{"containerPort": 1}, {"containerPort": 2}]})), "containers[0].ports"),
        (container(json!({"ports": [{"containerPort": 80, "protocol": "TCP"}]})), "\"Http1\", \"H2c\""),
        (container(json!({"env": [{"name": "PORT", "value": "1"}]})), "Cloud Run sets PORT"),
        (container(json!({"env": [{"name": "K_SERVICE"}]})), "Cloud Run sets PORT"),
        (container(json!({"env": [{"name": "A=B"}]})), "env[0].name"),
        (container(json!({"env": [{"name": "A"}, {"name": "A"}]})), "Duplicate value"),
        (
            container(json!({"env": [{"name": "A", "value": "1", "valueFrom": {"secret": {"name": "key"}}}]})),
            "not both",
        ),
        (container(json!({"env": many(1001)})), "containers[0].env"),
        (pair(json!({"env": many(600)}), json!({"env": many(600)})), "of all containers together"),
        (pair(json!({"args": vec!["x"; 600]}), json!({"args": vec!["x"; 600]})), "of all containers together"),
        (container(json!({"env": [{"name": "A", "value": "x".repeat(32769)}]})), "env[0].value"),
        (pair(json!({"dependsOn": ["proxy"]}), json!({})), "needs a startupProbe"),
        (pair(json!({"dependsOn": ["nobody"]}), json!({})), "must name another container"),
        (pair(json!({"dependsOn": ["app"], "startupProbe": {"grpc": {}}}), json!({})), "must name another container"),
        (limits(json!({"cpu": "3"})), "2, 4, 6 or 8"),
        (limits(json!({"cpu": "50m"})), "80m to 1"),
        (limits(json!({"memory": "512"})), "resources.limits.memory"),
        (limits(json!({"cpu": "1", "memory": "8Gi"})), "more than this cpu can have"),
        (limits(json!({"cpu": "4", "memory": "1Gi"})), "too little for this cpu"),
        (limits(json!({"ephemeral-storage": "1Gi"})), "unknown field"),
        (limits(json!({"nvidia.com/gpu": "1", "cpu": "4", "memory": "16Gi"})), "nodeSelector.accelerator"),
        (
            merged(
                limits(json!({"nvidia.com/gpu": "2", "cpu": "4", "memory": "16Gi"})),
                json!({"nodeSelector": {"accelerator": "nvidia-l4"}}),
            ),
            "nvidia.com/gpu",
        ),
        (
            merged(
                limits(json!({"nvidia.com/gpu": "1", "cpu": "2", "memory": "8Gi"})),
                json!({"nodeSelector": {"accelerator": "nvidia-l4"}}),
            ),
            "needs cpu 4 and memory 16Gi",
        ),
        (probe(json!({"periodSeconds": 5})), "exactly one of httpGet, tcpSocket and grpc"),
        (probe(json!({"httpGet": get(), "grpc": {}})), "exactly one of httpGet, tcpSocket and grpc"),
        (probe(json!({"httpGet": {"path": "ready"}})), "httpGet.path"),
        (probe(json!({"httpGet": {"httpHeaders": [{"name": "a b"}]}})), "httpHeaders[0].name"),
        (probe(json!({"tcpSocket": {}, "periodSeconds": 60, "failureThreshold": 5})), "240 seconds at most"),
        (probe(json!({"tcpSocket": {}, "timeoutSeconds": 20})), "must not be longer than periodSeconds"),
        (probe(json!({"tcpSocket": {}, "initialDelaySeconds": 300})), "initialDelaySeconds"),
        (alive(json!({"tcpSocket": {}})), "unknown field"),
        (alive(json!({})), "exactly one of httpGet and grpc"),
        (alive(json!({"httpGet": get(), "periodSeconds": 4000})), "periodSeconds"),
        (ready(json!({"httpGet": get(), "initialDelaySeconds": 5})), "readinessProbe has no initialDelaySeconds"),
        (ready(json!({"httpGet": get(), "timeoutSeconds": 400, "periodSeconds": 400})), "must be 300 at most"),
    ]
}

fn wrong_volumes_and_settings() -> Vec<(Value, &'static str)> {
    let sql = |name: &str| json!({"name": name, "cloudSql": {"instances": ["p:us-central1:db"]}});
    let secret = || json!({"name": "keys", "secret": {"name": "key"}});
    let items = |items: Value| json!({"name": "keys", "secret": {"name": "key", "items": items}});
    vec![
        (mounted(json!({"name": "x"}), json!({})), "exactly one of secret, gcs, nfs, emptyDir and cloudSql"),
        (mounted(json!({"name": "x", "gcs": {"bucket": "abc"}, "emptyDir": {}}), json!({})), "exactly one of secret"),
        (mounted(json!({"name": "x", "gcs": {"bucket": "A_B"}}), json!({})), "gcs.bucket"),
        (mounted(json!({"name": "x", "nfs": {"server": "10.0.0.1", "path": "exports"}}), json!({})), "nfs.path"),
        (mounted(json!({"name": "x", "emptyDir": {"medium": "Disk"}}), json!({})), "\"Memory\""),
        (mounted(sql("db"), json!({"mountPath": "/cloudsql"})), "is named cloudsql"),
        (mounted(sql("cloudsql"), json!({"mountPath": "/db"})), "mounted at /cloudsql"),
        (
            mounted(json!({"name": "cloudsql", "cloudSql": {"instances": ["db"]}}), json!({"mountPath": "/cloudsql"})),
            "cloudSql.instances[0]",
        ),
        (mounted(secret(), json!({"subPath": "a"})), "subPath does not go with a secret"),
        (mounted(items(json!([{"path": "a/b"}])), json!({})), "items[0].path"),
        (mounted(items(json!([{"path": "a"}, {"path": "a"}])), json!({})), "Duplicate value"),
        (mounted(items(json!([{"path": "a", "mode": 512}])), json!({})), "items[0].mode"),
        (
            mounted(json!({"name": "x", "emptyDir": {}}), json!({"mountPath": "/proc/x"})),
            "must not be in /dev, /proc or /sys",
        ),
        (mounted(json!({"name": "x", "emptyDir": {}}), json!({"mountPath": "/a/../b"})), "plain absolute folder"),
        (mounted(json!({"name": "x", "emptyDir": {}}), json!({"mountPath": "/a:b"})), "no colon"),
        (mounted(json!({"name": "x", "emptyDir": {}}), json!({"subPath": "../x"})), "within the volume"),
        (template(json!({"volumes": [{"name": "x", "emptyDir": {}}]})), "must be mounted by a container"),
        (container(json!({"volumeMounts": [{"name": "x", "mountPath": "/a"}]})), "must name one of template.volumes"),
        (
            merged(
                mounted(json!({"name": "x", "gcs": {"bucket": "abc"}}), json!({})),
                json!({"executionEnvironment": "Gen1"}),
            ),
            "need executionEnvironment Gen2",
        ),
        (template(json!({"executionEnvironment": "gen2"})), "\"Gen1\", \"Gen2\""),
        (template(json!({"cpuAllocation": "always"})), "\"DuringRequests\", \"Always\""),
        (template(json!({"concurrency": 1001})), "concurrency"),
        (template(json!({"timeoutSeconds": 3601})), "timeoutSeconds"),
        (template(json!({"serviceAccount": "Bad Account"})), "serviceAccount"),
        (template(json!({"network": {}})), "exactly one of connector and directEgress"),
        (
            template(json!({"network": {"connector": "dev", "directEgress": {"network": "n"}}})),
            "exactly one of connector and directEgress",
        ),
        (template(json!({"network": {"directEgress": {}}})), "needs network, subnetwork or both"),
        (
            template(json!({"scaling": {"minInstances": 5, "maxInstances": 2}})),
            "minInstances must not be above maxInstances",
        ),
        (template(json!({"nodeSelector": {"accelerator": "nvidia-l4"}})), "a GPU needs both"),
        (template(json!({"encryptionKey": "my-key"})), "encryptionKey"),
        (template(json!({"labels": {"Team": "core"}})), "keys of lowercase letters"),
        (template(json!({"labels": {"team": "Core"}})), "labels.team"),
        (template(json!({"annotations": {"run.googleapis.com/cpu-throttling": "false"}})), "are Cloud Run's"),
        (template(json!({"annotations": {"orchestra.cherry-ai.me/owner": "x/y"}})), "Orchestra's"),
    ]
}

trait Pipe: Sized {
    fn pipe<T>(self, with: impl FnOnce(Self) -> T) -> T {
        with(self)
    }
}

impl Pipe for Value {}

#[tokio::test(start_paused = true)]
async fn wrong_ones_are_refused_at_apply_with_the_field_or_the_way_out() {
    let world = World::new(1).await;
    let cases: Vec<_> = wrong_containers().into_iter().chain(wrong_volumes_and_settings()).collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    for (template, message) in cases {
        let spec = merged(canary("shop", "app:1"), json!({"template": template}));
        let told = refusal(&world, "Rollout", spec).await;
        assert!(told.contains(message), "{template}\nshould say `{message}`:\n{told}");
    }
}

/// What is odd and right.
fn right() -> Vec<Value> {
    let probe = |probe: Value| container(json!({"startupProbe": probe}));
    let file = |item: Value| json!({"name": "keys", "secret": {"name": "key", "items": [item]}});
    let gpu = json!({"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": "1"});
    vec![
        container(json!({})),
        container(json!({"name": "web.v2"})),
        container(json!({"command": ["/bin/sh", "-c"], "args": ["echo \"a b\"\n$(X)", ""]})),
        container(json!({"workingDir": "relative/folder"})),
        container(json!({"ports": [{"containerPort": 65535}]})),
        container(json!({"ports": [{"containerPort": 50051, "protocol": "H2c"}]})),
        container(json!({"env": [{"name": "spring.profiles.active", "value": "a=b"}, {"name": "EMPTY"}]})),
        container(json!({"env": [{"name": "ü", "value": "ключ\t\u{1F600}"}]})),
        container(json!({"env": [{"name": "K", "valueFrom": {"secret": {"name": "key"}}}]})),
        container(json!({"env": many(1000)})),
        limits(json!({"cpu": "1000m", "memory": "0.5Gi"})),
        limits(json!({"cpu": 8, "memory": "32Gi"})),
        merged(limits(json!({"cpu": "80m", "memory": "128Mi"})), json!({"concurrency": 1})),
        merged(limits(json!({"cpu": "0.5"})), json!({"concurrency": 1})),
        limits(json!({"cpu": 2, "memory": "1500M"})),
        merged(limits(gpu.clone()), json!({"nodeSelector": {"accelerator": "nvidia-l4"}, "cpuAllocation": "Always"})),
        merged(
            limits(gpu),
            json!({
                "nodeSelector": {"accelerator": "nvidia-l4"}, "cpuAllocation": "Always", "gpuZonalRedundancyDisabled": true,
            }),
        ),
        probe(json!({"httpGet": {}})),
        probe(
            json!({"httpGet": {"path": "/a?b=c", "port": 9090, "httpHeaders": [{"name": "X-A", "value": "b"}, {"name": "Y"}]}}),
        ),
        probe(json!({"tcpSocket": {"port": 8080}, "timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1})),
        probe(
            json!({"tcpSocket": {"port": 81}, "initialDelaySeconds": 240, "periodSeconds": 1, "failureThreshold": 240}),
        ),
        probe(json!({"grpc": {"service": "shop.Health", "port": 99}})),
        container(json!({"livenessProbe": {"grpc": {}, "initialDelaySeconds": 3600, "periodSeconds": 3600}})),
        container(json!({"readinessProbe": {"httpGet": {"path": "/ready"}, "timeoutSeconds": 10}})),
        pair(json!({"dependsOn": ["proxy"]}), json!({"startupProbe": {"tcpSocket": {"port": 9000}}})),
        json!({"containers": [{"image": "proxy:1"}, {"image": "app:1", "ports": [{"containerPort": 8080}]}]}),
        pair(
            json!({"resources": {"limits": {"cpu": "1"}}}),
            json!({"resources": {"limits": {"cpu": "100m", "memory": "128Mi"}}}),
        ),
        mounted(json!({"name": "keys", "secret": {"name": "key"}}), json!({})),
        mounted(file(json!({"path": "a.pem", "mode": 256})), json!({})),
        mounted(file(json!({"path": "_x", "version": 1})), json!({"mountPath": "/etc/x/y.d"})),
        mounted(
            json!({"name": "b", "gcs": {"bucket": "a.b-c_d", "readOnly": true, "mountOptions": ["implicit-dirs", "uid=1000"]}}),
            json!({"subPath": "x/y"}),
        ),
        mounted(json!({"name": "n", "nfs": {"server": "files.internal", "path": "/", "readOnly": true}}), json!({})),
        mounted(json!({"name": "m", "emptyDir": {}}), json!({})),
        mounted(json!({"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}), json!({})),
        mounted(
            json!({"name": "cloudsql", "cloudSql": {"instances": ["shop:us-central1:b", "example.com:shop:us-central1:a"]}}),
            json!({"mountPath": "/cloudsql"}),
        ),
        template(json!({"sessionAffinity": true, "concurrency": 1000, "timeoutSeconds": 3600})),
        template(json!({"serviceAccount": "123-compute@developer.gserviceaccount.com"})),
        template(json!({"network": {"connector": "dev", "egress": "AllTraffic"}})),
        template(json!({"network": {"directEgress": {"subnetwork": "apps", "tags": ["web", "db"]}}})),
        template(
            json!({"network": {"directEgress": {"network": "projects/host/global/networks/shared"}, "egress": "AllTraffic"}}),
        ),
        template(json!({"scaling": {"minInstances": 2}})),
        template(json!({"cpuAllocation": "Always", "startupCpuBoost": true, "executionEnvironment": "Gen2"})),
        template(json!({"executionEnvironment": "Gen1", "healthCheckDisabled": true})),
        template(json!({"encryptionKey": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"})),
        template(json!({"labels": {"team": "core", "empty": ""}, "annotations": {"example.com/why": "ключ; \"x\""}})),
    ]
}

fn environment() -> OrchestraEnvironment {
    serde_json::from_value(json!({
        "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment", "metadata": {"name": "e"},
        "spec": {"project": "cherry-ai-project", "stage": "Development", "regions": ["us-central1"],
                 "secrets": [{"name": "key"}]},
        "status": {"secrets": [{"name": "key", "secret": "key", "version": 1}]},
    }))
    .unwrap()
}

#[tokio::test]
async fn right_ones_are_accepted_and_arrive_as_they_were_written() {
    let world = World::new(1).await;
    let (cloud, _) = cloud().await;
    let cases = right();
    assert!(cases.len() >= 40, "{}", cases.len());
    for (number, written) in cases.into_iter().enumerate() {
        world
            .create_rollout(&format!("r{number}"), merged(canary("shop", "app:1"), json!({"template": written})))
            .await;
        let template: Template = serde_json::from_value(written.clone()).unwrap();
        let again: Template = serde_json::from_value(serde_json::to_value(&template).unwrap()).unwrap();
        assert_eq!(again, template, "what is read is written");
        let wanted = Wanted::build(&template, &environment()).unwrap();
        let name = revision(&format!("api{number}-one"));
        let id = orchestra_planner::cloud::ServiceId {
            name: orchestra_planner::names::ServiceName::new(format!("api{number}")).unwrap(),
            ..id()
        };
        let new = NewService {
            revision: name.clone(),
            template: wanted.template.clone(),
            traffic: all_to(&name, &[]),
            ..new_service()
        };
        cloud.run.create(&id, &new).await.unwrap_or_else(|error| panic!("{written}: {error}"));
        let ready = |r: &Option<orchestra_planner::cloud::RevisionView>| {
            r.as_ref().is_some_and(|r| r.readiness == Readiness::Ready)
        };
        let read = until(async || cloud.run.revision(&id, &name).await, ready).await.unwrap();
        assert!(wanted.template.is_run_by(&read.template), "{written}\n{:?}\n{:?}", wanted.template, read.template);
        // What adopts it says the same in our words, and is accepted.
        let mut description = Description::of_project("cherry-ai-project");
        let described = description.template(&read.template);
        assert!(description.left_out().is_empty(), "{written}: {:?}", description.left_out());
        let spec = json!({"template": described});
        world.create_rollout(&format!("d{number}"), merged(canary("shop", "app:1"), spec)).await;
        let again = Wanted::build(&described, &with_secrets(&description.secrets())).unwrap();
        assert!(again.template.is_run_by(&read.template), "{:?}\n{:?}", again.template, read.template);
    }
}

/// An environment that has these secrets, by their numbers.
fn with_secrets(secrets: &[orchestra_crds::EnvironmentSecret]) -> OrchestraEnvironment {
    let resolved = |s: &orchestra_crds::EnvironmentSecret| json!({"name": s.name, "secret": s.secret.as_ref().unwrap_or(&s.name), "version": s.version});
    let mut environment = serde_json::to_value(environment()).unwrap();
    environment["spec"]["secrets"] = json!(secrets);
    environment["status"]["secrets"] = secrets.iter().map(resolved).collect();
    serde_json::from_value(environment).unwrap()
}

#[tokio::test]
async fn what_google_adds_later_survives_our_writes_and_is_no_other_template() {
    let (cloud, sandbox) = cloud().await;
    cloud.run.create(&id(), &new_service()).await.unwrap();
    let settled = |s: &Option<orchestra_planner::cloud::ServiceView>| s.as_ref().is_some_and(|s| s.settled);
    until(async || cloud.run.service(&id()).await, settled).await;
    let path = format!("/v2/projects/{}/locations/{}/services/{}", id().project, id().region, id().name);
    let google = |method: Method, path: &str, body: Value| {
        let reply = sandbox.google.handle(&Request::new(method, path, body.to_string().into()));
        reply.document().unwrap().into_owned()
    };
    let mut template = google(Method::GET, &path, Value::Null)["template"].take();
    template.as_object_mut().unwrap().remove("revision");
    template["serviceMesh"] = json!({"mesh": "projects/p/locations/global/meshes/m"});
    template["ofTheFuture"] = json!({"level": 3});
    template["containers"][0]["alsoNew"] = json!(true);
    google(Method::PATCH, &format!("{path}?updateMask=template"), json!({"template": template}));
    let view = until(async || cloud.run.service(&id()).await, settled).await.unwrap();
    let mut next = new_service().template;
    next.containers[0].image = "app:2".into();
    let change = ServiceChange { template: Some((revision("api-two"), next.clone())), ..ServiceChange::default() };
    cloud.run.update(&id(), &view.etag, &change).await.unwrap();
    let written = google(Method::GET, &path, Value::Null)["template"].take();
    assert_eq!((&written["ofTheFuture"], &written["containers"][0]["alsoNew"]), (&json!({"level": 3}), &json!(true)));
    assert_eq!(
        (&written["serviceMesh"], &written["containers"][0]["image"]),
        (&template["serviceMesh"], &json!("app:2"))
    );
    let there = |r: &Option<orchestra_planner::cloud::RevisionView>| r.is_some();
    let read = until(async || cloud.run.revision(&id(), &revision("api-two")).await, there).await.unwrap();
    assert!(next.is_run_by(&read.template));
    // The same name with the same in it is no conflict, whatever the service's template has become since.
    template["ofTheFuture"] = json!({"level": 4});
    google(Method::PATCH, &format!("{path}?updateMask=template"), json!({"template": template}));
    let view = until(async || cloud.run.service(&id()).await, settled).await.unwrap();
    cloud.run.update(&id(), &view.etag, &change).await.unwrap();
}
