//! The cloud adapter, with the real SDK, against the sandbox over HTTP.

use jiff::{SignedDuration, Timestamp};
use orchestra_cloud::Cloud;
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_crds::{BinaryAuthorization, Ingress, Metric, Redis, RedisTier, Switch};
use orchestra_planner::cloud::{
    AccountView, Binding, CountsQuery, FailuresQuery, FaultClass, OperationView, Readiness, RedisId, ServiceId,
    ServiceSettings, Target, TrafficTarget, VersionView, Window,
};
use orchestra_planner::marks::{Marks, Owner};
use orchestra_planner::names::{Percent, ProjectId, Region, RevisionName, ServiceName};
use orchestra_planner::plan::{NewService, ServiceChange};
use orchestra_planner::template::{
    Bytes, Container, EffectiveTemplate, EnvValue, Millis, Mount, NetworkAccess, Route, SecretFile, SecretVersion,
    Version, Volume,
};
use orchestra_planner::traffic::{all_to, split, weight_of};
use orchestra_sandbox::Sandbox;
use orchestra_sandbox::exchange::Request;
use orchestra_sandbox::journal::Fault;
use orchestra_sandbox::serve::Servers;
use std::collections::BTreeMap;
use std::time::Duration;

/// A second of the test is an hour of the cloud.
const SPEED: u32 = 3600;

pub(super) async fn cloud() -> (Cloud, Sandbox) {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::starting_at(ClockReading { now: Timestamp::now(), speed: SPEED });
    let sandbox = Sandbox::new(Clock::of_this_machine(), clock, 5);
    sandbox.google.seed_secret("cherry-ai-project", "key");
    sandbox.google.seed_secret("cherry-ai-project", "file");
    let servers = Servers::listen(None, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", servers.google_address);
    tokio::spawn(servers.run(sandbox.clone()));
    (Cloud::connect(Some(&url)).await.unwrap(), sandbox)
}

#[tokio::test]
async fn c5_a_page_that_is_empty_is_not_the_last() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let page = async |request: axum::extract::Request| {
        let second = request.uri().query().unwrap_or_default().contains("pageToken=more");
        axum::Json(match second {
            false => serde_json::json!({"nextPageToken": "more"}),
            true => {
                serde_json::json!({"versions": [{"name": "projects/1/secrets/key/versions/7", "state": "ENABLED"}]})
            }
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(page)).await });
    let cloud = Cloud::connect(Some(&url)).await.unwrap();
    let project = ProjectId::new("cherry-ai-project").unwrap();
    let found = cloud.secrets.resolve(&project, "key", None).await.unwrap();
    assert_eq!(found.map(|version| version.number), Some(7));
}

pub(super) fn id() -> ServiceId {
    ServiceId {
        project: ProjectId::new("cherry-ai-project").unwrap(),
        region: Region::new("us-central1").unwrap(),
        name: ServiceName::new("api").unwrap(),
    }
}

pub(super) fn revision(name: &str) -> RevisionName {
    RevisionName::new(name).unwrap()
}

fn template(image: &str) -> EffectiveTemplate {
    let version = |secret: &str| SecretVersion { secret: secret.into(), version: Version::Number(1), created_at: None };
    let file = SecretFile { version: version("file"), mode: None };
    let files = BTreeMap::from([("key".into(), file)]);
    let container = Container {
        name: "main".into(),
        image: image.into(),
        env: BTreeMap::from([
            ("LEVEL".into(), EnvValue::Plain("info".into())),
            ("KEY".into(), EnvValue::Secret(version("key"))),
        ]),
        mounts: BTreeMap::from([("/secrets".into(), Mount { volume: "keys".into(), sub_path: None })]),
        cpu: Millis::parse("2"),
        memory: Bytes::parse("2Gi"),
        ..Container::default()
    };
    EffectiveTemplate {
        containers: vec![container],
        volumes: BTreeMap::from([("keys".into(), Volume::Secret { secret: "file".into(), files, default_mode: None })]),
        timeout_seconds: Some(60),
        network: Some(NetworkAccess {
            route: Route::Connector("dev".into()),
            egress: orchestra_crds::Egress::AllTraffic,
        }),
        ..EffectiveTemplate::default()
    }
}

pub(super) fn new_service() -> NewService {
    NewService {
        revision: revision("api-one"),
        template: template("app:1"),
        traffic: all_to(&revision("api-one"), &[]),
        marks: Marks { owner: Some(Owner { name: "n/api".into(), uid: Some("u".into()) }), ..Marks::default() },
        settings: ServiceSettings {
            min_instances: 1,
            max_instances: Some(4),
            ingress: Some(Ingress::Internal),
            manual_instances: None,
            labels: BTreeMap::from([("team".into(), "core".into())]),
            description: "what customers pay with".into(),
            invoker_iam_check: Switch::Disabled,
            default_address: Switch::Enabled,
            iap: Switch::Enabled,
            custom_audiences: ["https://pay.shop.example".into(), "pay".into()].into(),
            binary_authorization: Some(BinaryAuthorization {
                policy: Some("projects/p/platforms/cloudRun/strict".into()),
                breakglass_justification: Some("incident 7".into()),
                ..BinaryAuthorization::default()
            }),
        },
    }
}

/// Waits, without counting on how long it takes, until a reading is as wanted.
pub(super) async fn until<T, E: std::fmt::Debug>(
    read: impl AsyncFn() -> Result<T, E>,
    wanted: impl Fn(&T) -> bool,
) -> T {
    for _ in 0..2000 {
        let value = read().await.unwrap();
        if wanted(&value) {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn a_service_is_created_changed_and_deleted() {
    let (cloud, _) = cloud().await;
    assert_eq!(cloud.run.service(&id()).await.unwrap(), None);
    cloud.run.create(&id(), &new_service()).await.unwrap();
    let again = cloud.run.create(&id(), &new_service()).await.unwrap_err();
    assert_eq!(again.class(), FaultClass::Conflict);
    let view = until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await.unwrap();
    assert_eq!(view.template_revision, Some(revision("api-one")));
    assert_eq!((view.settings, view.marks), (new_service().settings, new_service().marks));
    assert!(view.uid.is_some());
    assert_eq!(weight_of(&revision("api-one"), &view.serving), Percent::ALL);
    let ready = cloud.run.revision(&id(), &revision("api-one")).await.unwrap().unwrap();
    assert_eq!((&ready.readiness, ready.image()), (&Readiness::Ready, Some("app:1")));
    assert!(new_service().template.is_run_by(&ready.template), "{:?}", ready.template);
    assert!(!template("app:2").is_run_by(&ready.template));
    assert_eq!(
        ready.secrets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["file/versions/1", "key/versions/1"]
    );

    let deploy = ServiceChange {
        template: Some((revision("api-two"), template("app:2"))),
        traffic: Some(all_to(&revision("api-one"), &[])),
        ..ServiceChange::default()
    };
    cloud.run.update(&id(), &view.etag, &deploy).await.unwrap();
    let stale = cloud.run.update(&id(), &view.etag, &deploy).await.unwrap_err();
    assert_eq!(stale.class(), FaultClass::Conflict);
    let view = until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await.unwrap();
    let tag =
        TrafficTarget { to: Target::Revision(revision("api-two")), percent: Percent::NONE, tag: Some("try".into()) };
    let traffic = split(&revision("api-one"), &revision("api-two"), Percent::clamped(10), std::slice::from_ref(&tag));
    let shift = ServiceChange { traffic: Some(traffic.clone()), ..ServiceChange::default() };
    cloud.run.update(&id(), &view.etag, &shift).await.unwrap();
    let view = until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await.unwrap();
    assert_eq!((&view.traffic, &view.serving), (&traffic, &traffic));
    assert_eq!(view.marks, new_service().marks, "a mask leaves the rest alone");

    cloud.run.delete(&id(), &view.etag).await.unwrap();
    until(async || cloud.run.service(&id()).await, Option::is_none).await;
}

#[tokio::test]
async fn a_setting_is_written_alone_and_taken_back_to_the_default() {
    let (cloud, sandbox) = cloud().await;
    cloud.run.create(&id(), &new_service()).await.unwrap();
    let settled = async || {
        until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await.unwrap()
    };
    let by_hand = ServiceSettings { manual_instances: Some(0), ..ServiceSettings::default() };
    let mut known = settled().await;
    for wanted in [by_hand, ServiceSettings::default(), new_service().settings] {
        for setting in known.settings.changes_to(&wanted) {
            let expected = known.settings.clone().with(setting.clone());
            let change = ServiceChange { settings: vec![setting], ..ServiceChange::default() };
            cloud.run.update(&id(), &known.etag, &change).await.unwrap();
            let view = settled().await;
            assert_eq!(view.settings, expected, "{:?}", change.settings);
            assert_eq!(view.template_revision, known.template_revision, "no release: {:?}", change.settings);
            known = view;
        }
        assert_eq!(known.settings, wanted);
    }
    let path = "/v2/projects/cherry-ai-project/locations/us-central1/services/api/revisions";
    let revisions = sandbox.google.handle(&Request::new(http::Method::GET, path, bytes::Bytes::new()));
    assert_eq!(revisions.document().unwrap()["revisions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_template_that_cannot_start_fails_with_the_cause_of_cloud_run() {
    let (cloud, _) = cloud().await;
    let mut new = new_service();
    new.template.containers[0].env.insert("SANDBOX_STARTUP".into(), EnvValue::Plain("fail".into()));
    cloud.run.create(&id(), &new).await.unwrap();
    let failed = |r: &Option<orchestra_planner::cloud::RevisionView>| {
        r.as_ref().is_some_and(|r| matches!(r.readiness, Readiness::Failed(_)))
    };
    let view = until(async || cloud.run.revision(&id(), &new.revision).await, failed).await.unwrap();
    let Readiness::Failed(trouble) = view.readiness else { panic!("not failed") };
    assert_eq!(trouble.reason, "HealthCheckContainerError");
    assert!(trouble.message.contains("PORT=8080"), "{}", trouble.message);
}

#[tokio::test]
async fn policies_are_changed_with_their_etag() {
    let (cloud, _) = cloud().await;
    cloud.run.create(&id(), &new_service()).await.unwrap();
    let mut policy = cloud.run.policy(&id()).await.unwrap();
    assert_eq!(policy.bindings, []);
    let stale = policy.clone();
    let binding = Binding { role: "roles/run.invoker".into(), members: vec!["allUsers".into()], condition: None };
    policy.bindings.push(binding.clone());
    cloud.run.set_policy(&id(), &policy).await.unwrap();
    assert_eq!(cloud.run.policy(&id()).await.unwrap().bindings, [binding]);
    assert_eq!(cloud.run.set_policy(&id(), &stale).await.unwrap_err().class(), FaultClass::Conflict);
}

#[tokio::test]
async fn redis_takes_one_operation_at_a_time_and_tells_its_address() {
    let (cloud, _) = cloud().await;
    let project = id().project;
    let redis = RedisId { project, region: id().region, name: "orchestra-dev".into() };
    let wanted = Redis { tier: RedisTier::Basic, memory_size_gb: 1, version: None };
    let operation = cloud.redis.create(&redis, &wanted, &BTreeMap::new()).await.unwrap();
    assert_eq!(cloud.redis.resize(&redis, 2).await.unwrap_err().class(), FaultClass::Permanent);
    until(async || cloud.redis.operation(&operation).await, |o| *o == OperationView::Done).await;
    let view = cloud.redis.instance(&redis).await.unwrap().unwrap();
    assert_eq!((view.state.as_str(), view.tier, view.port), ("READY", Some(RedisTier::Basic), Some(6379)));
    let operation = cloud.redis.resize(&redis, 2).await.unwrap();
    until(async || cloud.redis.operation(&operation).await, |o| *o == OperationView::Done).await;
    assert_eq!(cloud.redis.instance(&redis).await.unwrap().unwrap().memory_size_gb, 2);
    let forgotten = format!("{}x", operation);
    assert_eq!(cloud.redis.operation(&forgotten).await.unwrap(), OperationView::Forgotten);
    cloud.redis.delete(&redis).await.unwrap();
    until(async || cloud.redis.instance(&redis).await, Option::is_none).await;
}

#[tokio::test]
async fn secrets_resolve_to_numbers() {
    let (cloud, _) = cloud().await;
    let project = id().project;
    let newest = cloud.secrets.resolve(&project, "key", None).await.unwrap();
    assert!(matches!(&newest, Some(VersionView { number: 1, created_at: Some(_) })), "{newest:?}");
    assert_eq!(cloud.secrets.resolve(&project, "key", Some(1)).await.unwrap(), newest);
    assert_eq!(cloud.secrets.resolve(&project, "key", Some(2)).await.unwrap(), None);
    assert_eq!(cloud.secrets.resolve(&project, "none", None).await.unwrap(), None);
}

#[tokio::test]
async fn failed_requests_are_read_from_the_logs_within_seconds() {
    let (cloud, sandbox) = cloud().await;
    let mut new = new_service();
    new.template.containers[0].env.insert("SANDBOX_ERROR_PERCENT".into(), EnvValue::Plain("50".into()));
    cloud.run.create(&id(), &new).await.unwrap();
    until(async || cloud.run.service(&id()).await, |s| s.as_ref().is_some_and(|s| s.settled)).await;
    let from = sandbox.journal.clock().now();
    let window = Window { from, to: from + SignedDuration::from_secs(60) };
    let query =
        FailuresQuery { candidate: revision("api-one"), stable: revision("api-none"), window, is_history: false };
    let all = until(async || cloud.logging.failures(&id(), &query).await, |all| all.requests.len() > 500).await;
    let inside = |at: Timestamp| at >= window.from && at < window.to;
    assert!(all.requests.iter().all(|request| request.status == 500 && inside(request.at)), "{all:?}");
    assert!(all.requests.iter().all(|request| request.revision == "api-one" && !request.host.contains("---")));
    let ids: std::collections::BTreeSet<&String> = all.requests.iter().map(|request| &request.id).collect();
    assert_eq!(ids.len(), all.requests.len());
}

/// However many services of a project are looked at, no more is asked than for a few.
#[tokio::test]
async fn many_services_of_a_project_are_read_by_one_call() {
    let (cloud, sandbox) = cloud().await;
    let minute = sandbox.journal.clock().now().as_second() / 60 * 60;
    let window =
        Window { from: Timestamp::from_second(minute - 300).unwrap(), to: Timestamp::from_second(minute).unwrap() };
    let asked = async |services: std::ops::Range<usize>, history_until: Option<Timestamp>| {
        let before = sandbox.journal.calls().len();
        for number in services {
            let id = ServiceId { name: ServiceName::new(format!("api-{number}").as_str()).unwrap(), ..id() };
            let (candidate, stable) = (revision("api-one"), revision("api-none"));
            let is_history = history_until.is_some();
            let query = FailuresQuery { candidate: candidate.clone(), stable: stable.clone(), window, is_history };
            cloud.logging.failures(&id, &query).await.unwrap();
            let metric = Metric::ERRORS;
            let query = CountsQuery { metric, candidate, stable, window, history_until, promql: None };
            cloud.monitoring.measured(&id, &query).await.unwrap();
        }
        sandbox.journal.calls().len() - before
    };
    assert_eq!(asked(0..10, None).await, 20);
    assert_eq!(asked(10..1_000, None).await, 2, "one of the logs, and one of the metrics");
    assert_eq!(
        asked(10..1_000, Some(window.from)).await,
        3,
        "stable's last hour, its last day, and how late they come"
    );
    assert_eq!(asked(10..1_000, Some(window.to)).await, 2, "how late they come is known");
}

#[tokio::test]
async fn faults_are_classed() {
    let (cloud, sandbox) = cloud().await;
    let order = |status: u16| {
        let fault = serde_json::json!({"path": "/services/api", "status": status, "count": 5});
        sandbox.journal.clear_faults();
        sandbox.journal.order(serde_json::from_value::<Fault>(fault).unwrap()).unwrap();
    };
    for (status, class) in [
        (400, FaultClass::Permanent),
        (403, FaultClass::Denied),
        (409, FaultClass::Conflict),
        (429, FaultClass::Retryable),
        (503, FaultClass::Retryable),
    ] {
        order(status);
        assert_eq!(cloud.run.service(&id()).await.unwrap_err().class(), class, "{status}");
    }
    order(503);
    let error = cloud.run.service(&id()).await.unwrap_err().to_string();
    assert!(error.contains("get service") && error.contains("ordered"), "{error}");
}

#[tokio::test]
async fn a_lost_response_is_retryable_and_its_effect_is_found() {
    let (cloud, sandbox) = cloud().await;
    let fault = serde_json::json!({"method": "POST", "path": "/services", "loseResponse": true});
    sandbox.journal.order(serde_json::from_value::<Fault>(fault).unwrap()).unwrap();
    let lost = cloud.run.create(&id(), &new_service()).await.unwrap_err();
    assert_eq!(lost.class(), FaultClass::Retryable);
    assert!(cloud.run.service(&id()).await.unwrap().is_some());
}

#[tokio::test]
async fn b3_a_service_account_is_there_or_not_or_disabled() {
    let (cloud, sandbox) = cloud().await;
    let email = "vertex-agent@cherry-ai-project.iam.gserviceaccount.com";
    assert_eq!(cloud.accounts.account(email).await.unwrap(), Some(AccountView { disabled: false }));
    let missing = "web-runner@cherry-ai-project.iam.gserviceaccount.com";
    assert_eq!(cloud.accounts.account(missing).await.unwrap(), None);
    let path = format!("/v1/projects/cherry-ai-project/serviceAccounts/{email}:disable");
    assert_eq!(sandbox.google.handle(&Request::new(http::Method::POST, &path, Vec::new().into())).status, 200);
    assert_eq!(cloud.accounts.account(email).await.unwrap(), Some(AccountView { disabled: true }));
}
