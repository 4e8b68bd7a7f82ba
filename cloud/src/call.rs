//! One way to make a call: with a time limit around everything, token fetch included.

use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_longrunning::model::{Operation, operation};
use orchestra_planner::cloud::OperationView;
use std::future::Future;
use std::time::Duration;

use crate::CloudError;

/// Longest that a call may take from beginning to end.
const TOTAL_LIMIT: Duration = Duration::from_secs(25);

/// Most pages that one list may take: each is read to its end, and a longer one is an error.
pub(crate) const PAGES: usize = 50;

/// A write that is sent once: what is planned for one moment must not be sent again at another, perhaps after the lease
/// of this process has ended. The shell looks again before it tries again.
pub(crate) fn once<B: RequestOptionsBuilder>(write: B) -> B {
    write.with_retry_policy(NeverRetry)
}

pub(crate) async fn call<T>(
    operation: &'static str,
    call: impl Future<Output = google_cloud_gax::Result<T>>,
) -> Result<T, CloudError> {
    match tokio::time::timeout(TOTAL_LIMIT, call).await {
        Ok(answer) => answer.map_err(|e| CloudError::new(operation, &e)),
        Err(_) => Err(CloudError::late(operation)),
    }
}

/// A read that may find nothing.
pub(crate) async fn find<T>(
    operation: &'static str,
    read: impl Future<Output = google_cloud_gax::Result<T>>,
) -> Result<Option<T>, CloudError> {
    match call(operation, read).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// How an operation stands.
pub(crate) fn view(operation: Option<Operation>, what: &'static str) -> OperationView {
    match operation {
        None => OperationView::Forgotten,
        Some(operation) if !operation.done => OperationView::Pending,
        Some(operation) => match operation.result {
            Some(operation::Result::Error(status)) => {
                OperationView::Failed(CloudError::of_operation(what, status.code, status.message).into())
            }
            _ => OperationView::Done,
        },
    }
}
