//! `kubectl orchestra backtest` on the traces of the docs.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Exit code, output, and what was said beside it.
fn backtest(arguments: &[&str]) -> (i32, String, String) {
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("kubectl-orchestra");
    let output = Command::new(&program)
        .arg("backtest")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo build --workspace` first", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn trace(name: &str) -> String {
    docs().join("traces").join(name).display().to_string()
}

fn report(name: &str) -> Value {
    let (code, out, err) = backtest(&["--trace", &trace(name), "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn the_traces_of_the_docs_are_judged_as_the_docs_say() {
    let healthy = report("healthy.csv");
    assert_eq!((&healthy["verdict"], healthy["minutes"].as_array().unwrap().len()), (&"Pass".into(), 100), "{healthy}");
    let broken = report("broken.csv");
    assert_eq!((&broken["verdict"], &broken["minute"]), (&"Fail".into(), &29.into()), "{}", broken["reason"]);
    let last = broken["minutes"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["minute"], &last["verdict"]), (&29.into(), &"Fail".into()));
    assert!(
        broken["badRequests"].as_i64() > last["evidence"][0]["candidateBad"].as_i64(),
        "warm-up and changes are in it"
    );
}

#[test]
fn the_pictures_of_the_docs_are_what_the_tool_draws() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["healthy", "broken"] {
        let drawn = folder.path().join(name);
        let (code, _, err) =
            backtest(&["--trace", &trace(&format!("{name}.csv")), "--plot", &drawn.display().to_string()]);
        assert_eq!(code, 0, "{err}");
        let (drawn, known) =
            (std::fs::read(&drawn).unwrap(), std::fs::read(docs().join(format!("verdict-{name}.svg"))));
        assert!(known.is_ok_and(|known| known == drawn), "draw docs/verdict-{name}.svg anew: make docs-plots");
    }
}

#[test]
fn bad_input_ends_with_2_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let wrong = |arguments: &[&str], part: &str| {
        let (code, _, err) = backtest(arguments);
        assert!(code == 2 && err.contains(part), "{arguments:?}: {code}: {err}");
    };
    wrong(&[], "--trace <FILE>|--from-monitoring <SERVICE>");
    wrong(&["--trace", "none.csv"], "none.csv: No such file");
    wrong(&["--trace", "-"], "-:1: it is empty: its first line names the columns");
    wrong(&["--from-monitoring", "api"], "--project");
    let twice = "minute,candidate_requests,candidate_errors,stable_requests,stable_errors\n0,1,0,1,0\n0,1,0,1,0\n";
    wrong(&["--trace", &file("twice.csv", twice)], ":3: minute 0 is there twice");
    let policy = "apiVersion: orchestra.cherry-ai.me/v1alpha1\nkind: Rollout\nmetadata: {name: api}\nspec:\n  analysis: {confidencePercent: 9}\n";
    wrong(&["--trace", &trace("broken.csv"), "--policy", &file("policy.yaml", policy)], "policy.yaml:");
    wrong(&["--trace", &trace("broken.csv"), "--policy", &file("none.yaml", "kind: Service\n")], "there is no Rollout");
}

#[test]
fn a_policy_says_by_what_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    let examples = docs().join("../examples/quickstart.yaml");
    // A difference of less than 5 percentage points does not matter to this one.
    let text = std::fs::read_to_string(examples).unwrap() + "    minimumIncreaseBasisPoints: 500\n";
    std::fs::write(&policy, text).unwrap();
    let (code, out, err) =
        backtest(&["--trace", &trace("broken.csv"), "--policy", &policy.display().to_string(), "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["verdict"]), (0, &"Inconclusive".into()), "{err}");
}
