//! `make bench`: a cluster of 10,000 objects and a cloud of 1,000 services, over HTTP on loopback; what calls take, and
//! what the controller needs. Fails when a median is over its bound.

mod verdict;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::WatchEvent;
use kube::{Api, ResourceExt};
use orchestra_crds::Rollout;
use orchestra_sandbox::process::Controller;
use orchestra_tests::place::Place;
use orchestra_tests::world::plain_environment;
use serde_json::json;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROLLOUTS: usize = 1_000;
const CONFIG_MAPS: usize = 8_999;
const TRIES: usize = 51;
/// Longest that a call may take at the median.
const BOUND: Duration = Duration::from_millis(50);
/// Longest to wait for the controller.
const LIMIT: Duration = Duration::from_secs(900);

/// Times of one call.
struct Timed {
    what: String,
    times: Vec<Duration>,
}

impl Timed {
    async fn of<E: Into<Failure>>(what: &str, call: impl AsyncFn(usize) -> Result<(), E>) -> Result<Self, Failure> {
        let mut times = vec![];
        for number in 0..TRIES {
            let began = Instant::now();
            call(number).await.map_err(Into::into)?;
            times.push(began.elapsed());
        }
        times.sort();
        Ok(Self { what: what.into(), times })
    }

    fn median(&self) -> Duration {
        self.times[self.times.len() / 2]
    }

    fn tell(&self) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let longest = self.times.last().copied().unwrap_or_default();
        let share = 100.0 * ms(self.median()) / ms(BOUND);
        println!("{:<46} {:>7.2} ms {:>7.2} ms {share:>5.0} %", self.what, ms(self.median()), ms(longest));
    }
}

fn rollout(number: usize, image: &str) -> serde_json::Value {
    json!({
        "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "Rollout",
        "metadata": {"name": format!("svc-{number:04}")},
        "spec": {"environmentRef": {"name": "shop"}, "serviceName": format!("svc-{number:04}"),
                 "template": {"containers": [{"image": image, "env": [{"name": "SANDBOX_REQUESTS_PER_SECOND", "value": "0"}]}]},
                 "strategy": {"immediate": {}}},
    })
}

async fn fill(place: &Place) -> Result<(), Failure> {
    place.install_crds().await;
    place.create("OrchestraEnvironment", "shop", plain_environment(&["us-central1"])).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(place.client.clone());
    let map = |number: usize| {
        let object = json!({"metadata": {"name": format!("map-{number:05}"), "labels": {"app": "bench"}},
                            "data": {"key": "value", "number": number.to_string()}});
        serde_json::from_value::<ConfigMap>(object)
    };
    let made: Vec<ConfigMap> = (0..CONFIG_MAPS).map(map).collect::<Result<_, _>>()?;
    let create = async |object: &ConfigMap| maps.create(&PostParams::default(), object).await.map(drop);
    stream::iter(&made).map(create).buffer_unordered(16).try_collect::<()>().await?;
    let rollouts = place.rollouts();
    let all: Vec<Rollout> =
        (0..ROLLOUTS).map(|n| serde_json::from_value(rollout(n, "app:1"))).collect::<Result<_, _>>()?;
    let create = async |object: &Rollout| rollouts.create(&PostParams::default(), object).await.map(drop);
    stream::iter(&all).map(create).buffer_unordered(16).try_collect::<()>().await?;
    Ok(())
}

/// Resident memory of a process, now and at most, in MiB.
fn memory(controller: &Controller) -> Result<(u64, u64), Failure> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", controller.id().ok_or("it ended")?))?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    Ok((field("VmRSS:"), field("VmHWM:")))
}

async fn until(what: &str, so: impl AsyncFn() -> Result<bool, Failure>) -> Result<Duration, Failure> {
    let began = Instant::now();
    while !so().await? {
        if began.elapsed() > LIMIT {
            return Err(format!("{what}: not within {} s", LIMIT.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(began.elapsed())
}

/// Time until a new controller leads.
async fn start(place: &mut Place) -> Result<(Controller, Duration), Failure> {
    let before = place.leader().await;
    let (controller, _) = place.start();
    let took = until("a leader", async || {
        let now = place.leader().await;
        Ok(now.is_some() && now != before)
    });
    let took = took.await?;
    Ok((controller, took))
}

async fn cluster_calls(place: &Place) -> Result<Vec<Timed>, Failure> {
    let (maps, rollouts) = (Api::<ConfigMap>::default_namespaced(place.client.clone()), place.rollouts());
    let all = ListParams::default();
    // The text as it comes: how fast a client reads it is the client's own affair.
    let (plain, custom) = ("/api/v1/namespaces/default/configmaps", "/apis/orchestra.cherry-ai.me/v1alpha1/rollouts");
    let paged = format!("{plain}?limit=500");
    let text = async |path: &str| {
        let request = http::Request::get(path).body(vec![])?;
        place.client.request_text(request).await.map(drop).map_err(Failure::from)
    };
    let mut timed = vec![
        Timed::of("list 8,999 config maps", async |_| text(plain).await).await?,
        Timed::of("list 1,000 rollouts", async |_| text(custom).await).await?,
        Timed::of("list a page of 500 config maps", async |_| text(&paged).await).await?,
        Timed::of("get a rollout", async |n| rollouts.get(&format!("svc-{n:04}")).await.map(drop)).await?,
    ];
    let note = |n: usize| Patch::Merge(json!({"metadata": {"annotations": {"example.com/n": n.to_string()}}}));
    let params = PatchParams::default();
    let patch_map = async |n: usize| maps.patch(&format!("map-{n:05}"), &params, &note(n)).await.map(drop);
    timed.push(Timed::of("patch a config map", patch_map).await?);
    let patch = async |n: usize| rollouts.patch(&format!("svc-{n:04}"), &params, &note(n)).await.map(drop);
    timed.push(Timed::of("patch a rollout", patch).await?);
    let apply = PatchParams::apply("bench").force();
    let server_side = async |n: usize| {
        rollouts.patch(&format!("svc-{n:04}"), &apply, &Patch::Apply(&rollout(n, "app:1"))).await.map(drop)
    };
    timed.push(Timed::of("apply a rollout, server-side", server_side).await?);
    let version = maps.list(&all.clone().limit(1)).await?.metadata.resource_version.unwrap_or_default();
    let events = maps.watch(&WatchParams::default(), &version).await?.boxed();
    let events = tokio::sync::Mutex::new(events);
    let watched = async |n: usize| {
        let name = format!("map-{n:05}");
        let written = maps.patch(&name, &params, &note(n + TRIES)).await?;
        let mut events = events.lock().await;
        while let Some(event) = events.try_next().await? {
            if matches!(event, WatchEvent::Modified(map) if map.resource_version() == written.resource_version()) {
                return Ok::<_, Failure>(());
            }
        }
        Err("the watch ended".into())
    };
    timed.push(Timed::of("watch: from a patch to its event", watched).await?);
    Ok(timed)
}

async fn cloud_calls(place: &Place) -> Result<Vec<Timed>, Failure> {
    let http = reqwest::Client::new();
    let services = format!("http://{}/v2/projects/cherry-ai-project/locations/us-central1/services", place.google);
    let get = async |url: String| http.get(url).send().await?.error_for_status()?.bytes().await.map(drop);
    let patch = async |n: usize| {
        let body = json!({"description": n.to_string()}).to_string();
        let url = format!("{services}/svc-{n:04}?updateMask=description");
        http.patch(url).body(body).send().await?.error_for_status()?.bytes().await.map(drop)
    };
    Ok(vec![
        Timed::of("Cloud Run: list 1,000 services", async |_| get(services.clone()).await).await?,
        Timed::of("Cloud Run: get a service", async |n| get(format!("{services}/svc-{n:04}")).await).await?,
        Timed::of("Cloud Run: patch a service", patch).await?,
    ])
}

async fn promoted(place: &Place) -> Result<usize, Failure> {
    let all = place.rollouts().list(&ListParams::default()).await?;
    let phases = all.items.iter().filter_map(|r| r.status.as_ref()?.phase);
    Ok(phases.filter(|phase| *phase == orchestra_crds::RolloutPhase::Promoted).count())
}

async fn measure() -> Result<bool, Failure> {
    let is_cheap = verdict::beside_a_pass()?;
    let mut place = Place::at_speed(60).await;
    place.install_crds().await;
    let (idle, started) = start(&mut place).await?;
    let (empty, _) = memory(&idle)?;
    println!(
        "controller: leads {:.2} s after its start, {empty} MiB with nothing to look after",
        started.as_secs_f64()
    );
    idle.stop().await;

    fill(&place).await?;
    println!("{} objects in the cluster", CONFIG_MAPS + ROLLOUTS + 1);
    let (controller, _) = start(&mut place).await?;
    let took = until("1,000 releases", async || {
        let done = promoted(&place).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(done == ROLLOUTS)
    });
    let took = took.await?;
    let (full, most) = memory(&controller)?;
    println!("controller: {ROLLOUTS} services made and promoted in {:.1} s", took.as_secs_f64());
    println!(
        "controller: {full} MiB then, {most} MiB at most, {:.1} times the memory of an idle one",
        full as f64 / empty.max(1) as f64
    );
    controller.stop().await;

    let (again, started) = start(&mut place).await?;
    let looked = looked_at_all(&place).await?;
    println!(
        "controller: restarted, leads after {:.2} s, has looked at all {ROLLOUTS} after {:.2} s more",
        started.as_secs_f64(),
        looked.as_secs_f64()
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("\n{:<46} {:>10} {:>10} {:>7}", "call, with the controller running", "median", "longest", "bound");
    let mut timed = cluster_calls(&place).await?;
    timed.extend(cloud_calls(&place).await?);
    timed.iter().for_each(Timed::tell);
    again.stop().await;
    let slow: Vec<&str> = timed.iter().filter(|t| t.median() > BOUND).map(|t| t.what.as_str()).collect();
    if !slow.is_empty() {
        println!("\nover {} ms at the median: {}", BOUND.as_millis(), slow.join(", "));
    }
    Ok(is_cheap && slow.is_empty())
}

/// Time until each service has been read since now.
async fn looked_at_all(place: &Place) -> Result<Duration, Failure> {
    let since = place.sandbox.journal.clock().now();
    until("a look at every service", async || {
        let calls = place.sandbox.journal.calls();
        let recent = calls.iter().filter(|call| call.time >= since && call.method == "GET");
        let names: std::collections::BTreeSet<&str> =
            recent.filter_map(|call| call.path.split("/services/").nth(1)?.split(['/', ':', '?']).next()).collect();
        Ok(names.len() >= ROLLOUTS)
    })
    .await
}

#[tokio::main]
async fn main() {
    match measure().await {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
