//! One way to make a call: with a time limit around everything, token fetch included.

use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_longrunning::model::{Operation, operation};
use orchestra_planner::cloud::OperationView;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::{CloudError, error};

/// Longest that a call may take from beginning to end.
const TOTAL_LIMIT: Duration = Duration::from_secs(25);

/// Most pages that one list may take: each is read to its end, and a longer one is an error.
pub(crate) const PAGES: usize = 50;

/// A write that is sent once: what is planned for one moment must not be sent again at another, perhaps after the lease
/// of this process has ended. The shell looks again before it tries again.
pub(crate) fn once<B: RequestOptionsBuilder>(write: B) -> B {
    write.with_retry_policy(NeverRetry)
}

/// A call of one of Google's APIs that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The API, as its host is called: `run`, `redis`, `secretmanager`, `monitoring`, `iam`.
    pub api: &'static str,
    /// What was asked, such as `get service`.
    pub operation: &'static str,
    /// Google's canonical code: `OK`, `NOT_FOUND`, …; `CANCELLED` where nobody waits for the answer any more.
    pub code: &'static str,
    /// How long it took, with the attempts that the client repeats by itself.
    pub took: Duration,
}

/// Told of each call.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// A call ended.
    fn made(&self, call: Made);
}

/// The calls of one API.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    api: &'static str,
    observer: Option<Arc<dyn Observer>>,
}

/// A call under way. What is dropped before it ends was given up.
struct Timed<'a> {
    calls: &'a Calls,
    operation: &'static str,
    began: Instant,
    code: &'static str,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        if let Some(observer) = &self.calls.observer {
            let (api, took) = (self.calls.api, self.began.elapsed());
            observer.made(Made { api, operation: self.operation, code: self.code, took });
        }
    }
}

impl Calls {
    pub(crate) fn of(api: &'static str) -> Self {
        Self { api, observer: None }
    }

    pub(crate) fn tell(&mut self, observer: &Arc<dyn Observer>) {
        self.observer = Some(observer.clone());
    }

    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = google_cloud_gax::Result<T>>,
    ) -> Result<T, CloudError> {
        let mut timed = Timed { calls: self, operation, began: Instant::now(), code: "CANCELLED" };
        match tokio::time::timeout(TOTAL_LIMIT, call).await {
            Ok(answer) => {
                timed.code = answer.as_ref().map_or_else(error::code, |_| "OK");
                answer.map_err(|e| CloudError::new(operation, &e))
            }
            Err(_) => {
                timed.code = "DEADLINE_EXCEEDED";
                Err(CloudError::late(operation))
            }
        }
    }

    /// A read that may find nothing.
    pub(crate) async fn find<T>(
        &self,
        operation: &'static str,
        read: impl Future<Output = google_cloud_gax::Result<T>>,
    ) -> Result<Option<T>, CloudError> {
        match self.call(operation, read).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
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
