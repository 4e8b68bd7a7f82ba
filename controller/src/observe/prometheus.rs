//! Metrics in PromQL: from Managed Service for Prometheus, or from a Prometheus of somebody's own.

use futures::{StreamExt, TryStreamExt, stream};
use orchestra_crds::Promql;
use orchestra_planner::cloud::{CountsQuery, Fault, FaultClass, Measured, Reading, ServiceId};
use orchestra_planner::promql::{self, Answer, Ask, Unusable};

use crate::health::Source;
use crate::shell::Shell;

/// How many queries of one metric are under way at once.
const AT_ONCE: usize = 4;

/// What was measured of candidate and stable, by a metric of somebody's own.
///
/// # Errors
/// Where one of the queries is not answered, or what comes back can't mean what the analysis says of it.
pub(crate) async fn measured(shell: &Shell, id: &ServiceId, query: &CountsQuery, promql: &Promql) -> Reading<Measured> {
    let asks = promql::asks(promql, id, query);
    let answered = |ask: Ask| async move {
        let answer = match &promql.address {
            Some(address) => of_own(shell, address, &ask).await,
            None => shell
                .noted(Source::new("monitoring", &id.project), shell.cloud.monitoring.promql(&id.project, &ask).await),
        };
        Ok::<_, Fault>((ask, answer?))
    };
    let answers: Vec<(Ask, Answer)> = stream::iter(asks).map(answered).buffered(AT_ONCE).try_collect().await?;
    let class = |error: &Unusable| if error.may_pass() { FaultClass::Retryable } else { FaultClass::Permanent };
    promql::measured(promql, query, &answers).map_err(|e| Fault { class: class(&e), message: e.to_string() })
}

async fn of_own(shell: &Shell, address: &str, ask: &Ask) -> Result<Answer, Fault> {
    let url = format!("{}/api/v1/query_range", address.trim_end_matches('/'));
    let body = shell.outbound.post_form(&url, &ask.form()).await?;
    // Not what serde says, which may quote the answer.
    let not_understood = |e: serde_json::Error| Fault {
        class: FaultClass::Permanent,
        message: format!("it does not answer as Prometheus does, at character {} of the answer", e.column()),
    };
    serde_json::from_slice(&body).map_err(not_understood)
}
