//! Cloud Logging: requests that failed, from Cloud Run's request logs.

use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_logging_v2::client::LoggingServiceV2;
use google_cloud_logging_v2::model::LogEntry;
use jiff::{SignedDuration, Timestamp};
use orchestra_planner::cloud::{FailedRequest, Failures, FailuresQuery, ServiceId, Window};
use orchestra_planner::names::ProjectId;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::CloudError;
use crate::call::Calls;
use crate::shared::Shared;

/// Entries of a page: the most that the API gives.
const PAGE: i32 = 1_000;
/// Pages of a look: reads of logs are few, 60 a minute for a project.
const PAGES: usize = 3;
/// Requests that the service failed.
const FAILED: &str = "httpRequest.status>=500";
/// Requests that met no free instance: they may be refused with 429.
const UNSERVED: &str = "textPayload:\"no available instance\"";

/// How long a look at the logs may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Logging port.
#[derive(Clone, Debug)]
pub struct Logging {
    client: LoggingServiceV2,
    pub(crate) calls: Calls,
    shared: Arc<Shared<(ProjectId, Window), Logged>>,
}

/// Where a failed request was sent to, by region and service.
type Logged = (BTreeMap<(String, String), Vec<FailedRequest>>, bool);

impl Logging {
    pub(crate) fn new(client: LoggingServiceV2) -> Self {
        Self { client, calls: Calls::of("logging"), shared: Arc::default() }
    }

    /// Requests of a service that began in the window and were answered with 5xx, as far as their entries have arrived.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn failures(&self, id: &ServiceId, query: &FailuresQuery) -> Result<Failures, CloudError> {
        let (place, window) = ((id.region.to_string(), id.name.to_string()), query.window);
        let (of_service, is_cut) = match self.shared.are_many(id) {
            // The hours before many releases are many reads.
            true if query.is_history => (None, true),
            true => {
                let ask = self.list(&id.project, window, FAILED.into());
                let all = self.shared.get((id.project.clone(), window), ask).await?;
                (all.0.get(&place).cloned(), all.1)
            }
            false => {
                // What refuses requests may be so much that nothing else is told of: of many services it is not asked for.
                let candidate = format!("resource.labels.revision_name=\"{}\"", query.candidate);
                let what = match query.is_history {
                    true => FAILED.to_string(),
                    false => format!("({FAILED} OR {UNSERVED}) AND ({FAILED} OR {candidate})"),
                };
                let only = format!(
                    "{what} AND resource.labels.service_name=\"{}\" AND resource.labels.location=\"{}\"",
                    id.name, id.region
                );
                let (mut found, is_cut) = self.list(&id.project, window, only).await?;
                (found.remove(&place), is_cut)
            }
        };
        Ok(Failures { requests: of_service.unwrap_or_default(), is_cut })
    }

    /// Requests of a project, of whatever is asked.
    async fn list(&self, project: &ProjectId, window: Window, what: String) -> Result<Logged, CloudError> {
        let filter = format!(
            "logName=\"projects/{project}/logs/run.googleapis.com%2Frequests\" AND resource.type=\"cloud_run_revision\" AND \
             timestamp>=\"{}\" AND timestamp<\"{}\" AND {what}",
            window.from, window.to
        );
        let mut found = BTreeMap::<_, Vec<FailedRequest>>::new();
        let mut token = String::new();
        for _ in 0..PAGES {
            let list = self
                .client
                .list_log_entries()
                .set_resource_names([format!("projects/{project}")])
                .set_filter(filter.as_str())
                .set_order_by("timestamp asc")
                .set_page_size(PAGE)
                .set_page_token(token)
                // The minutes judge without it: nobody waits for logs for long.
                .with_attempt_timeout(PATIENCE)
                .with_retry_policy(NeverRetry);
            let page = self.calls.call("list log entries", list.send()).await?;
            for (place, request) in page.entries.iter().filter_map(read) {
                found.entry(place).or_default().push(request);
            }
            token = page.next_page_token;
            // A page without entries may have a token: the search goes on.
            if token.is_empty() {
                return Ok((found, false));
            }
        }
        Ok((found, true))
    }
}

/// An entry as far as it tells of a failed request; none: it tells of none.
fn read(entry: &LogEntry) -> Option<((String, String), FailedRequest)> {
    let request = entry.http_request.as_ref()?;
    let at = entry.timestamp.as_ref().and_then(|t| Timestamp::new(t.seconds(), t.nanos()).ok())?;
    let took = request.latency.as_ref().map(|took| SignedDuration::new(took.seconds(), took.nanos()));
    let labels = entry.resource.as_ref().map(|resource| &resource.labels);
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).cloned().unwrap_or_default();
    let place = (label("location"), label("service_name"));
    let request = FailedRequest {
        id: entry.insert_id.clone(),
        at,
        took: took.unwrap_or(SignedDuration::ZERO),
        revision: label("revision_name"),
        host: host_of(&request.request_url),
        status: request.status,
        client: fingerprint(&request.remote_ip, &request.user_agent),
        platform: entry.text_payload().cloned().unwrap_or_default(),
    };
    Some((place, request))
}

/// The host of an address.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_string()
}

/// Who sends requests is nobody's business here: two that are the same have the same number.
fn fingerprint(ip: &str, agent: &str) -> u32 {
    let hash = Sha256::digest(format!("{ip}\n{agent}"));
    // Few bits: enough to tell clients apart, too few to find one.
    hash.iter().take(2).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_the_request_was_sent_to() {
        assert_eq!(host_of("https://candidate---api-abc.a.run.app/x?y#z"), "candidate---api-abc.a.run.app");
        assert_eq!(host_of("https://api.example.com"), "api.example.com");
        assert_eq!(host_of(""), "");
    }

    #[test]
    fn two_clients_differ_and_one_is_itself() {
        assert_eq!(fingerprint("10.0.0.1", "curl"), fingerprint("10.0.0.1", "curl"));
        assert_ne!(fingerprint("10.0.0.1", "curl"), fingerprint("10.0.0.1", "wget"));
    }
}
