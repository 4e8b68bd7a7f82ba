//! The demo, scraped by Prometheus itself: what is served passes its own check, and each panel of the dashboards shows
//! something. Tried where Debian's `prometheus` is installed; `.ci/run` installs it.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DASHBOARDS: [&str; 3] = [
    include_str!("../../../dashboards/orchestra-fleet.json"),
    include_str!("../../../dashboards/orchestra-rollout.json"),
    include_str!("../../../dashboards/orchestra-controller.json"),
];
const ALERTS: &str = include_str!("../../../dashboards/alerts.yaml");
/// The demo takes about a minute and a half here.
const LONGEST: Duration = Duration::from_secs(400);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn demo(folder: &Path) -> Process {
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("orchestra-sandbox");
    let log = std::fs::File::create(folder.join("demo.log")).unwrap();
    let mut demo = Command::new(&program);
    demo.args(["demo", "--speed", "60", "--folder"]).arg(folder).env_remove("RUST_LOG").stdout(log);
    Process(demo.spawn().unwrap_or_else(|e| panic!("{}: {e}; run `make build` first", program.display())))
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < LONGEST, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where the demo's controller serves its metrics.
async fn target(log: PathBuf) -> String {
    until("the controller serves", async || {
        let text = std::fs::read_to_string(&log).ok()?;
        let line: Value = serde_json::from_str(text.lines().find(|line| line.contains("\"address\""))?).ok()?;
        line["address"].as_str().map(ToString::to_string)
    })
    .await
}

/// Prometheus that scrapes four times a second what is named in a file, and its address.
async fn prometheus(folder: &Path) -> (Process, String) {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 250ms}}\nscrape_configs:\n- job_name: orchestra\n  honor_labels: true\n  file_sd_configs:\n  \
         - {{files: ['{}'], refresh_interval: 1s}}\n",
        folder.join("targets.json").display()
    );
    std::fs::write(&config, text).unwrap();
    let start = |address: std::net::SocketAddr| {
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let mut prometheus = Command::new("prometheus");
        prometheus
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(log);
        Process(prometheus.spawn().unwrap())
    };
    // It can't be given any free port: another may have taken the one that was free a moment ago.
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut address = free();
    let mut process = start(address);
    let url = until("Prometheus is ready", async || {
        if process.0.try_wait().unwrap().is_some() {
            address = free();
            process = start(address);
        }
        let url = format!("http://{address}");
        let answer = reqwest::get(format!("{url}/-/ready")).await.ok()?;
        answer.status().is_success().then_some(url)
    })
    .await;
    (process, url)
}

/// What the server's own tool says of what is served.
async fn check_metrics(target: &str) {
    let text = reqwest::get(format!("http://{target}/metrics")).await.unwrap().text().await.unwrap();
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn with_variables(query: &str) -> String {
    [
        ("$__rate_interval", "15s"),
        ("$__range", "10m"),
        ("$namespace", "production"),
        ("$rollout", "api"),
        ("$environment", "orchestra-prod"),
    ]
    .iter()
    .fold(query.to_string(), |query, (name, value)| query.replace(name, value))
}

/// Whether a query has given anything since a time.
async fn shows(url: &str, query: &str, since: jiff::Timestamp) -> bool {
    let (start, end) = (since.as_second().to_string(), jiff::Timestamp::now().as_second().to_string());
    let parameters = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "0.25")];
    let request = reqwest::Client::new().get(format!("{url}/api/v1/query_range")).query(&parameters);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let series = answer["data"]["result"].as_array().unwrap();
    let is_number = |value: &Value| value[1].as_str().is_some_and(|value| value != "NaN");
    series.iter().any(|series| series["values"].as_array().unwrap().iter().any(is_number))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_panel_shows_something_of_a_demo_that_prometheus_scrapes() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        orchestra_tests::tell("not tried: Prometheus is not installed (Debian's package prometheus)");
        return;
    }
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let since = jiff::Timestamp::now();
    let (_prometheus, url) = prometheus(folder.path()).await;
    let mut demo = demo(folder.path());
    let target = target(folder.path().join("controller.log")).await;
    // Renamed, so that it is never read half written.
    std::fs::write(folder.path().join("new"), format!(r#"[{{"targets": ["{target}"]}}]"#)).unwrap();
    std::fs::rename(folder.path().join("new"), folder.path().join("targets.json")).unwrap();
    check_metrics(&target).await;
    let ended = until("the demo ended", async || demo.0.try_wait().unwrap()).await;
    let told = std::fs::read_to_string(folder.path().join("demo.log")).unwrap();
    assert!(ended.success(), "{told}");

    let (mut empty, mut asked) = (vec![], 0);
    for text in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for query in panel["targets"].as_array().into_iter().flatten().filter_map(|t| t["expr"].as_str()) {
                asked += 1;
                if !shows(&url, &with_variables(query), since).await {
                    empty.push(format!("{}: {query}", panel["title"]));
                }
            }
        }
    }
    assert!(empty.is_empty() && asked > 40, "of {asked}: {empty:#?}");

    let rules: Value = serde_yaml_ng::from_str(ALERTS).unwrap();
    let mut fired = BTreeSet::new();
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        if shows(&url, rule["expr"].as_str().unwrap(), since).await {
            fired.insert(rule["alert"].as_str().unwrap().to_string());
        }
    }
    // The others are shown to fire by promtool's cases, in `make lint`.
    assert!(fired.contains("OrchestraEnvironmentNotReady"), "{fired:?}");
}
