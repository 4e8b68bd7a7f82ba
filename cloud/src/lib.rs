//! Google Cloud through narrow ports, in the planner's words. The one crate that names the Google SDK.
//!
//! Every call has a time limit for each attempt and one for all of them; long-running operations are started and later
//! asked about by name. Errors are classed by status, never by text.

mod accounts;
mod call;
mod error;
mod in_process;
mod logging;
mod monitoring;
mod redis;
mod rehearsal;
mod rest;
mod run;
mod secrets;
mod shared;

pub use accounts::Accounts;
pub use call::{Made, Observer};
pub use error::CloudError;
pub use in_process::{Answer, Transport};
pub use logging::Logging;
pub use monitoring::Monitoring;
pub use redis::Memorystore;
pub use rehearsal::{Rehearsal, Unsent};
pub use run::CloudRun;
pub use secrets::Secrets;

use call::Calls;
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicyExt};
use rest::Rest;
use std::sync::Arc;
use std::time::Duration;

/// Longest that one attempt at a call may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// Longest that a call may take with its retries; the work queue does the long ones.
const RETRY_LIMIT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 3;

/// The ports.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Cloud Run.
    pub run: CloudRun,
    /// Memorystore for Redis.
    pub redis: Memorystore,
    /// Secret Manager.
    pub secrets: Secrets,
    /// Cloud Monitoring.
    pub monitoring: Monitoring,
    /// Cloud Logging.
    pub logging: Logging,
    /// Service accounts.
    pub accounts: Accounts,
}

macro_rules! client {
    ($client:ty, $endpoint:expr) => {{
        let builder = <$client>::builder()
            .with_attempt_timeout(ATTEMPT_LIMIT)
            .with_retry_policy(Aip194Strict.with_attempt_limit(ATTEMPTS).with_time_limit(RETRY_LIMIT));
        let builder = match $endpoint {
            Some((endpoint, credentials)) => {
                let credentials: &Credentials = credentials;
                let endpoint: &str = endpoint;
                builder.with_endpoint(endpoint).with_credentials(credentials.clone())
            }
            None => builder,
        };
        builder.build().await.map_err(|e| CloudError::setup(stringify!($client), &e))?
    }};
}

impl Cloud {
    /// Connects with Application Default Credentials, or anonymously to one endpoint that serves every API.
    ///
    /// # Errors
    /// When credentials or certificates can't be set up.
    pub async fn connect(endpoint: Option<&str>) -> Result<Self, CloudError> {
        use google_cloud_iam_admin_v1::client::Iam;
        use google_cloud_logging_v2::client::LoggingServiceV2;
        use google_cloud_monitoring_v3::client::MetricService;
        use google_cloud_redis_v1::client::CloudRedis;
        use google_cloud_run_v2::client::{Revisions, Services};
        use google_cloud_secretmanager_v1::client::SecretManagerService;

        let anonymous = anonymous::Builder::new().build();
        let target = endpoint.map(|endpoint| (endpoint, &anonymous));
        let services: Services = client!(Services, target);
        let redis: CloudRedis = client!(CloudRedis, target);
        let revisions: Revisions = client!(Revisions, target);
        Ok(Self {
            run: CloudRun {
                writes: services.clone(),
                services,
                revision_writes: revisions.clone(),
                revisions,
                calls: Calls::of("run"),
            },
            redis: Memorystore { writes: redis.clone(), client: redis, calls: Calls::of("redis") },
            secrets: Secrets { client: client!(SecretManagerService, target), calls: Calls::of("secretmanager") },
            monitoring: Monitoring::new(client!(MetricService, target), Rest::connect(target)?),
            logging: Logging::new(client!(LoggingServiceV2, target)),
            accounts: Accounts { client: client!(Iam, target), calls: Calls::of("iam") },
        })
    }

    /// Talks REST to something in the same process, without sockets: for the simulation.
    pub fn in_process(transport: Arc<dyn Transport>) -> Self {
        use google_cloud_iam_admin_v1::client::Iam;
        use google_cloud_logging_v2::client::LoggingServiceV2;
        use google_cloud_monitoring_v3::client::MetricService;
        use google_cloud_redis_v1::client::CloudRedis;
        use google_cloud_run_v2::client::{Revisions, Services};
        use google_cloud_secretmanager_v1::client::SecretManagerService;

        let stub = in_process::Stub::new(transport.clone());
        Self {
            run: CloudRun {
                services: Services::from_stub(stub.clone()),
                writes: Services::from_stub(stub.clone()),
                revisions: Revisions::from_stub(stub.clone()),
                revision_writes: Revisions::from_stub(stub.clone()),
                calls: Calls::of("run"),
            },
            redis: Memorystore {
                client: CloudRedis::from_stub(stub.clone()),
                writes: CloudRedis::from_stub(stub.clone()),
                calls: Calls::of("redis"),
            },
            secrets: Secrets {
                client: SecretManagerService::from_stub(stub.clone()),
                calls: Calls::of("secretmanager"),
            },
            monitoring: Monitoring::new(MetricService::from_stub(stub.clone()), Rest::InProcess(transport)),
            logging: Logging::new(LoggingServiceV2::from_stub(stub.clone())),
            accounts: Accounts { client: Iam::from_stub(stub), calls: Calls::of("iam") },
        }
    }

    /// The same, with no write sent: each is kept in the rehearsal.
    #[must_use]
    pub fn rehearsed(mut self, rehearsal: &Arc<Rehearsal>) -> Self {
        use google_cloud_redis_v1::client::CloudRedis;
        use google_cloud_run_v2::client::{Revisions, Services};

        let stub = in_process::Stub::new(rehearsal.clone());
        self.run.writes = Services::from_stub(stub.clone());
        self.run.revision_writes = Revisions::from_stub(stub.clone());
        self.redis.writes = CloudRedis::from_stub(stub);
        self
    }

    /// The same, telling somebody of each call.
    #[must_use]
    pub fn observed(mut self, observer: &Arc<dyn Observer>) -> Self {
        let Self { run, redis, secrets, monitoring, logging, accounts } = &mut self;
        let reads = [&mut secrets.calls, &mut monitoring.calls, &mut logging.calls, &mut accounts.calls];
        for calls in [&mut run.calls, &mut redis.calls].into_iter().chain(reads) {
            calls.tell(observer);
        }
        self
    }
}
