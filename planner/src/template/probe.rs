//! Probes of a container, with Cloud Run's defaults filled in.

use orchestra_crds::{Grpc, HealthProbe, HttpGet, StartupProbe, TcpSocket};
use serde::{Deserialize, Serialize};

const DEFAULT_TIMEOUT_SECONDS: i32 = 1;
const DEFAULT_PERIOD_SECONDS: i32 = 10;
const DEFAULT_FAILURES: i32 = 3;
/// How long Cloud Run waits for a container to listen on its port, where there is no start-up probe.
const LISTENS_WITHIN_SECONDS: i32 = 240;

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// Seconds from the start to the first.
    pub initial_delay: i32,
    /// Seconds that an answer may take.
    pub timeout: i32,
    /// Seconds from one to the next.
    pub period: i32,
    /// How many in a row must fail.
    pub failures: i32,
}

/// What a probe asks. Where it has no port it asks the container's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// By HTTP.
    Http {
        /// Path.
        path: String,
        /// Port.
        port: Option<i32>,
        /// Headers.
        headers: Vec<(String, String)>,
    },
    /// By a connection.
    Tcp {
        /// Port.
        port: Option<i32>,
    },
    /// By gRPC's health service.
    Grpc {
        /// Port.
        port: Option<i32>,
        /// What it asks about; empty: the server as a whole.
        service: String,
    },
}

impl Check {
    /// Its port.
    pub fn port(&self) -> Option<i32> {
        let (Self::Http { port, .. } | Self::Tcp { port } | Self::Grpc { port, .. }) = self;
        *port
    }

    fn of(http: Option<&HttpGet>, tcp: Option<&TcpSocket>, grpc: Option<&Grpc>) -> Option<Self> {
        let by_http = http.map(|http| Self::Http {
            path: http.path.clone().unwrap_or_else(|| "/".into()),
            port: http.port,
            headers: http.http_headers.iter().map(|h| (h.name.clone(), h.value.clone().unwrap_or_default())).collect(),
        });
        let by_tcp = || tcp.map(|tcp| Self::Tcp { port: tcp.port });
        let by_grpc = || grpc.map(|g| Self::Grpc { port: g.port, service: g.service.clone().unwrap_or_default() });
        by_http.or_else(by_tcp).or_else(by_grpc)
    }
}

impl Probe {
    /// A probe at Cloud Run's defaults. What is zero is not set.
    pub fn new(check: Check, initial_delay: i32, [timeout, period, failures]: [i32; 3]) -> Self {
        let or = |value: i32, default: i32| if value == 0 { default } else { value };
        Self {
            check,
            initial_delay,
            timeout: or(timeout, DEFAULT_TIMEOUT_SECONDS),
            period: or(period, DEFAULT_PERIOD_SECONDS),
            failures: or(failures, DEFAULT_FAILURES),
        }
    }

    pub(super) fn of_startup(probe: &StartupProbe) -> Option<Self> {
        let check = Check::of(probe.http_get.as_ref(), probe.tcp_socket.as_ref(), probe.grpc.as_ref())?;
        let numbers = [probe.timeout_seconds, probe.period_seconds, probe.failure_threshold];
        Some(Self::new(check, probe.initial_delay_seconds.unwrap_or(0), numbers.map(Option::unwrap_or_default)))
    }

    pub(super) fn of_health(probe: &HealthProbe) -> Option<Self> {
        let check = Check::of(probe.http_get.as_ref(), None, probe.grpc.as_ref())?;
        let numbers = [probe.timeout_seconds, probe.period_seconds, probe.failure_threshold];
        Some(Self::new(check, probe.initial_delay_seconds.unwrap_or(0), numbers.map(Option::unwrap_or_default)))
    }

    /// Without the port, where that is the container's own.
    pub(super) fn normal(mut self, own_port: i32) -> Self {
        let (Check::Http { port, .. } | Check::Tcp { port } | Check::Grpc { port, .. }) = &mut self.check;
        *port = port.filter(|port| *port != own_port);
        self
    }

    /// Whether it is what Cloud Run does at the start of the container that takes the requests, without being asked.
    pub(super) fn is_default_startup(&self) -> bool {
        let waits = [self.timeout, self.period, self.failures] == [LISTENS_WITHIN_SECONDS, LISTENS_WITHIN_SECONDS, 1];
        self.check == Check::Tcp { port: None } && self.initial_delay == 0 && waits
    }
}
