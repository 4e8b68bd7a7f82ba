//! Argo CD's health checks and actions, run as it runs them, on every state that the scenarios reach.

use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib, Value as LuaValue};
use orchestra_tests::scenario::Scenario;
use orchestra_tests::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const HEALTH: &str = include_str!("../../../examples/argocd/lua/health.lua");
const DISCOVERY: &str = include_str!("../../../examples/argocd/lua/discovery.lua");
const ACTIONS: [(&str, &str); 7] = [
    ("abort", include_str!("../../../examples/argocd/lua/abort.lua")),
    ("pause", include_str!("../../../examples/argocd/lua/pause.lua")),
    ("promote", include_str!("../../../examples/argocd/lua/promote.lua")),
    ("resume", include_str!("../../../examples/argocd/lua/resume.lua")),
    ("restart", include_str!("../../../examples/argocd/lua/restart.lua")),
    ("retry", include_str!("../../../examples/argocd/lua/retry.lua")),
    ("undo", include_str!("../../../examples/argocd/lua/undo.lua")),
];

/// What the clock says to scripts.
const NOW: &str = "2026-03-01T10:00:00Z";

/// Runs a script over an object with what Argo CD gives it: the base library, tables, and for who requires it the part of `os` that
/// does no harm; neither strings nor mathematics.
fn run(script: &str, object: &Value) -> Value {
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    let options = mlua::SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false);
    let given = lua.to_value_with(object, options).unwrap();
    lua.globals().set("obj", given).unwrap();
    let os = lua.create_table().unwrap();
    os.set("date", lua.create_function(|_, _: String| Ok(NOW)).unwrap()).unwrap();
    let require = lua.create_function(move |_, name: String| Ok((name == "os").then(|| os.clone()))).unwrap();
    lua.globals().set("require", require).unwrap();
    let made: LuaValue = lua.load(script).eval().unwrap_or_else(|error| panic!("{error}\n{object:#}"));
    lua.from_value(made).unwrap()
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == type_ && c["status"] == "True")
}

/// What a person would expect to see.
fn expected(object: &Value) -> &'static str {
    if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        return "Progressing";
    }
    match object["status"]["phase"].as_str().unwrap_or_default() {
        "Promoted" if condition(object, "Ready").is_some() => "Healthy",
        "Paused" => "Suspended",
        "RolledBack" | "Failed" => "Degraded",
        _ if condition(object, "Stalled").is_some() => "Degraded",
        _ if condition(object, "Ready").is_some() => "Healthy",
        _ => "Progressing",
    }
}

/// Each state of an object that a scenario goes through.
fn states(world: &World) -> Vec<Value> {
    let cluster = &world.tap.sandbox.cluster;
    let written = cluster.history();
    let ours = |object: &&Value| matches!(object["kind"].as_str(), Some("Rollout" | "OrchestraEnvironment"));
    written.iter().filter(ours).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn health_is_what_a_person_would_expect_in_every_state() {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for scenario in Scenario::ALL {
        let (_, world) = scenario.play(None).await;
        for object in states(&world) {
            let health = run(HEALTH, &object);
            let waits = object["metadata"]["deletionTimestamp"].is_null();
            assert!(!waits || health["status"] == expected(&object), "{health} {object:#}");
            assert!(health["message"].is_string());
            let phase = object["status"]["phase"].as_str().unwrap_or("none").to_string();
            seen.entry(phase).or_default().insert(health["status"].as_str().unwrap().into());
        }
    }
    for phase in ["Deploying", "Progressing", "RollingBack", "RolledBack", "Promoted"] {
        assert!(seen.contains_key(phase), "no scenario reaches {phase}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_is_offered_where_it_means_something_and_writes_what_the_plugin_writes() {
    let mut offered: BTreeSet<String> = BTreeSet::new();
    for scenario in [Scenario::CanaryThatPromotes, Scenario::CanaryThatRollsBack, Scenario::AbortAndRetry] {
        let (_, world) = scenario.play(None).await;
        for object in states(&world).iter().filter(|object| object["kind"] == "Rollout") {
            let found = run(DISCOVERY, object);
            let may = |name: &str| found[name]["disabled"] == false;
            assert_eq!(may("abort"), object["status"]["candidate"].is_object(), "{object:#}");
            for (name, script) in ACTIONS.iter().filter(|(name, _)| may(name)) {
                offered.insert(name.to_string());
                let asked = run(script, object);
                let restarted = &asked["spec"]["template"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
                let annotation = match *name {
                    "restart" => restarted,
                    name => &asked["metadata"]["annotations"][format!("orchestra.cherry-ai.me/{name}")],
                };
                let status = &object["status"];
                let bound_to = match *name {
                    "promote" => &status["candidate"]["promoteToken"],
                    "abort" | "pause" => &status["candidate"]["release"],
                    "restart" => &Value::from(NOW),
                    "retry" if status["latches"].is_array() => &status["latches"][0]["release"],
                    "retry" => &status["failed"]["release"],
                    "undo" => {
                        let promoted = status["promoted"].as_array().unwrap();
                        let before = promoted.iter().find(|p| p["revision"] != status["stable"]["revision"]);
                        &before.unwrap()["undoToken"]
                    }
                    _ => &Value::Null,
                };
                assert!(annotation == bound_to, "{name}: {annotation} {bound_to}");
            }
        }
    }
    assert_eq!(offered.into_iter().collect::<Vec<_>>(), ["abort", "pause", "promote", "restart", "retry", "undo"]);
}

/// Argo CD puts an emptied map back: a pause that is the only annotation would stay.
#[test]
fn resume_leaves_no_empty_map() {
    let (_, script) = ACTIONS[3];
    let paused = |annotations: Value| serde_json::json!({"metadata": {"annotations": annotations}});
    let one = run(script, &paused(serde_json::json!({"orchestra.cherry-ai.me/pause": "api-x.2"})));
    assert!(one["metadata"]["annotations"].is_null(), "{one}");
    let two = run(script, &paused(serde_json::json!({"orchestra.cherry-ai.me/pause": "api-x.2", "a": "b"})));
    assert_eq!(two["metadata"]["annotations"], serde_json::json!({"a": "b"}));
}
