//! Incidents of alert policies, which the SDK does not know of: `projects.alerts.list` of Cloud Monitoring's REST API, v3.

use http::Method;
use jiff::Timestamp;
use orchestra_planner::cloud::{AlertPolicy, Incident};
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
    enabled: Option<bool>,
    validity: Validity,
}

/// What is wrong with a policy, where anything is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Validity {
    message: String,
}

/// A policy; none: there is none of that name.
pub(super) async fn policy(
    rest: &Rest,
    calls: &Calls,
    project: &ProjectId,
    id: &str,
) -> Result<Option<AlertPolicy>, CloudError> {
    let path = format!("/v3/projects/{project}/alertPolicies/{}", encode(id));
    let found = calls.find("get alert policy", rest.send::<Policy>("monitoring", Method::GET, path, None)).await?;
    Ok(found.map(|policy| AlertPolicy {
        // Where it isn't told, it is.
        enabled: policy.enabled != Some(false),
        invalid: Some(policy.validity.message).filter(|message| !message.is_empty()),
        called: policy.display_name,
    }))
}

impl Alert {
    fn incident(self) -> Result<Incident, CloudError> {
        let labels = self.metric.labels.into_iter().chain(self.resource.labels).collect();
        let Policy { name, display_name, .. } = self.policy;
        let called = if display_name.is_empty() { name.clone() } else { display_name };
        let opened = self.open_time.ok_or_else(|| CloudError::incomplete("list alerts", "openTime"))?;
        // Its project may be written as ID or as number.
        let policy = name.rsplit('/').next().unwrap_or_default().to_string();
        Ok(Incident { policy, called, opened, labels })
    }
}

/// The incidents of a project that are open.
pub(super) async fn open(rest: &Rest, calls: &Calls, project: &ProjectId) -> Result<Vec<Incident>, CloudError> {
    let (mut found, mut token) = (vec![], String::new());
    for _ in 0..PAGES {
        let query = format!("filter={}&pageSize={PAGE_SIZE}&pageToken={}", encode(OPEN), encode(&token));
        let path = format!("/v3/projects/{project}/alerts?{query}");
        let page: Page = calls.call("list alerts", rest.send("monitoring", Method::GET, path, None)).await?;
        for alert in page.alerts.into_iter().filter(|alert| alert.state == "OPEN") {
            found.push(alert.incident()?);
        }
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(found);
        }
    }
    Err(CloudError::endless("list alerts"))
}
