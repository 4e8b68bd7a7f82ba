//! A plan for people: as lines, and as Markdown for a pull request.

use orchestra_controller::rehearsal::Write;
use orchestra_crds::Rollout;
use orchestra_planner::rollout::outlook;
use orchestra_planner::template::own_hash;
use serde_json::Value;

use super::Planned;

fn count(plan: &Planned) -> String {
    match plan.writes.len() {
        0 if plan.is_stalled => "nothing to write, a person is asked".into(),
        0 if plan.is_new => "nothing to write before the first wait".into(),
        0 => "nothing to write".into(),
        1 => "1 write".into(),
        many => format!("{many} writes"),
    }
}

fn head(write: &Write) -> String {
    format!("{} {}", write.verb.replace('_', " "), write.resource)
}

/// Lines for a terminal.
pub fn as_text(planned: &[Planned]) -> Vec<String> {
    let mut lines = vec![];
    for plan in planned {
        let new = if plan.is_new { ", new" } else { "" };
        lines.push(format!("{} {}/{}{new}: {}", plan.kind, plan.namespace, plan.name, count(plan)));
        for write in &plan.writes {
            lines.push(format!("  {}", head(write)));
            lines.extend(write.changes.iter().map(|change| format!("      {change}")));
            lines.push(format!("      {} {}", write.call.method, write.call.path));
        }
        if !plan.message.is_empty() {
            lines.push(format!("  status  {}", plan.message));
        }
        if plan.is_new && plan.changes() {
            lines.push("  note    the UID of a new object, and what is named by it, is made up here".into());
        }
        lines.extend(plan.then.iter().map(|then| format!("  then    {then}")));
    }
    lines
}

/// Markdown for a pull request.
pub fn as_markdown(planned: &[Planned]) -> Vec<String> {
    let mut lines = vec!["### What Orchestra would do".to_string(), String::new()];
    for plan in planned {
        let new = if plan.is_new { ", new" } else { "" };
        lines.push(format!("**{} `{}/{}`**{new}: {}", plan.kind, plan.namespace, plan.name, count(plan)));
        lines.push(String::new());
        for write in &plan.writes {
            lines.push(format!("- `{}`", head(write)));
            lines.extend(write.changes.iter().map(|change| format!("  - {change}")));
        }
        if !plan.message.is_empty() {
            lines.push(format!("- status: {}", plan.message));
        }
        lines.extend(plan.then.iter().map(|then| format!("- then: {then}")));
        lines.push(String::new());
    }
    lines
}

/// What follows after the first wait, by the steps that the release is frozen with.
pub fn then(after: &Value) -> Vec<String> {
    let Ok(rollout) = serde_json::from_value::<Rollout>(after.clone()) else { return vec![] };
    let own = own_hash(&rollout.spec.template).to_string();
    // One that is not wanted any more goes nowhere.
    let candidate = rollout.status.and_then(|status| status.candidate).filter(|known| known.template_hash == own);
    let Some(course) = candidate.and_then(|candidate| candidate.course) else { return vec![] };
    let outlook = outlook(&course);
    let mut regions = course.regions.iter();
    let first = regions.next().map(|region| format!("{region}: {}", outlook.in_full.join(", ")));
    let rest: Vec<&str> = regions.map(String::as_str).collect();
    let rest = (!rest.is_empty()).then(|| format!("the same in {}, one after the other", rest.join(", ")));
    let judged = (!course.steps.is_empty())
        .then(|| "the candidate is judged beside stable all the while; worse, it is taken back in all regions".into());
    first.into_iter().chain(rest).chain(judged).collect()
}
