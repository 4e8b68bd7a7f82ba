//! Incidents of alert policies, which the SDK does not know of: `projects.alerts.list` of Cloud Monitoring's REST API, v3.

use http::Method;
use jiff::Timestamp;
use orchestra_planner::cloud::Incident;
use orchestra_planner::names::ProjectId;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::CloudError;
use crate::call::{Calls, PAGES};
use crate::in_process::encode;
use crate::rest::Rest;

/// Those that are open.
const OPEN: &str = "state=\"OPEN\"";
const PAGE_SIZE: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    alerts: Vec<Alert>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Alert {
    state: String,
    open_time: Option<Timestamp>,
    resource: Labelled,
    metric: Labelled,
    policy: Policy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labelled {
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Policy {
    name: String,
    display_name: String,
}

impl Alert {
    fn incident(self) -> Option<Incident> {
        let labels = self.metric.labels.into_iter().chain(self.resource.labels).collect();
        let Policy { name, display_name } = self.policy;
        let called = if display_name.is_empty() { name.clone() } else { display_name };
        (self.state == "OPEN").then_some(Incident { policy: name, called, opened: self.open_time?, labels })
    }
}

/// The incidents of a project that are open.
pub(super) async fn open(rest: &Rest, calls: &Calls, project: &ProjectId) -> Result<Vec<Incident>, CloudError> {
    let (mut found, mut token) = (vec![], String::new());
    for _ in 0..PAGES {
        let query = format!("filter={}&pageSize={PAGE_SIZE}&pageToken={}", encode(OPEN), encode(&token));
        let path = format!("/v3/projects/{project}/alerts?{query}");
        let page: Page = calls.call("list alerts", rest.send("monitoring", Method::GET, path, None)).await?;
        found.extend(page.alerts.into_iter().filter_map(Alert::incident));
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(found);
        }
    }
    Err(CloudError::endless("list alerts"))
}
