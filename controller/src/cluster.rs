//! Calls of the cluster: each has a time limit.

use std::future::Future;
use std::time::Duration;

use crate::error::PassError;

/// Longest that a call of the cluster may take.
const KUBE_LIMIT: Duration = Duration::from_secs(15);

/// A call of the cluster, with a time limit.
pub(crate) async fn kube_call<T>(
    operation: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PassError> {
    kube_call_within(KUBE_LIMIT, operation, call).await
}

/// A call of the cluster, with another time limit.
pub(crate) async fn kube_call_within<T>(
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PassError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|e| PassError::kube(operation, e)),
        Err(_) => Err(PassError::Late(operation)),
    }
}

/// Leaves the proxy of the environment out where NO_PROXY names the cluster: the library asks that of the proxy's own address. A
/// proxy that the kubeconfig names is kept.
pub fn respect_no_proxy(config: &mut kube::Config) {
    let of_environment = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok()?.parse::<http::Uri>().ok())
        .any(|proxy| config.proxy_url.as_ref() == Some(&proxy));
    let matcher = hyper_util::client::proxy::matcher::Matcher::from_env();
    if of_environment && matcher.intercept(&config.cluster_url).is_none() {
        config.proxy_url = None;
    }
}
