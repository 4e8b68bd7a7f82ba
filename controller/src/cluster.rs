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
