//! `/metrics`, `/healthz` and `/readyz`; with TLS, and `/metrics` for some only, where that is asked for.

mod tls;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Extension, Router};
use std::net::SocketAddr;
use std::path::PathBuf;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::Metrics;
use tls::{Caller, TlsListener};
pub use tls::{TlsError, TlsSettings};

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct WebSettings {
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub http_address: SocketAddr,
    #[command(flatten)]
    pub tls: TlsSettings,
    /// File with a token: who sends it as bearer may read /metrics; read anew for each request.
    #[arg(long, value_name = "FILE")]
    pub metrics_token: Option<PathBuf>,
}

/// Who may read `/metrics`: everybody, or those with a token or a certificate.
#[derive(Clone, Debug)]
struct Readers {
    token: Option<PathBuf>,
    certified: bool,
}

impl Readers {
    fn of(settings: &WebSettings) -> Self {
        Self { token: settings.metrics_token.clone(), certified: settings.tls.tls_client_ca.is_some() }
    }

    async fn admit(&self, caller: &Caller, headers: &HeaderMap) -> bool {
        let is_open = self.token.is_none() && !self.certified;
        is_open || (self.certified && caller.is_certified) || self.has_token(headers).await
    }

    async fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(path) = &self.token else { return false };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else { return false };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return false;
        }
        match tokio::fs::read_to_string(path).await {
            Ok(token) if !token.trim().is_empty() => token.trim().as_bytes().ct_eq(given.as_bytes()).into(),
            Ok(_) => {
                tracing::error!(path = %path.display(), "--metrics-token: the file is empty");
                false
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "--metrics-token can't be read");
                false
            }
        }
    }
}

async fn ready(State((_, health)): State<(Metrics, Health)>) -> (StatusCode, String) {
    let (ready, told) = health.report();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, told)
}

async fn metrics(
    State((metrics, health)): State<(Metrics, Health)>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Extension(readers): Extension<Readers>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if !readers.admit(&caller, &headers).await {
        return (StatusCode::UNAUTHORIZED, "metrics are for those with a token or a certificate\n".into());
    }
    metrics.show_watches(&health.failing_watches());
    (StatusCode::OK, metrics.render())
}

impl Connected<IncomingStream<'_, TcpListener>> for Caller {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self { is_certified: false }
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// What connections come from.
pub(crate) enum Door {
    /// As they are.
    Plain(TcpListener),
    /// Encrypted.
    Tls(TlsListener),
}

/// Takes the address, and gives it with the port that it has then.
///
/// # Errors
/// When the address is taken, or a file can't be used.
pub(crate) async fn listen(settings: &WebSettings) -> Result<(Door, SocketAddr), WebError> {
    let address = settings.http_address;
    let taken = |source| WebError::Address { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    let (door, scheme) = match settings.tls.tls_certificate {
        None => (Door::Plain(listener), "http"),
        Some(_) => (Door::Tls(TlsListener::new(listener, settings.tls.clone())?), "https"),
    };
    tracing::info!(%address, scheme, "serving /metrics, /healthz and /readyz");
    Ok((door, address))
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is taken, or none of this machine's.
    #[error("--http-address {address}: {source}; choose another, or 127.0.0.1:0 for any free port")]
    Address {
        /// What was asked for.
        address: SocketAddr,
        /// Why it can't be had.
        source: std::io::Error,
    },
    /// TLS can't be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Serves until the process ends.
pub(crate) async fn serve(door: Door, settings: &WebSettings, metrics: Metrics, health: Health) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(self::metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(Extension(Readers::of(settings)))
        .with_state((metrics, health));
    let service = router.into_make_service_with_connect_info::<Caller>();
    match door {
        Door::Plain(listener) => axum::serve(listener, service).await,
        Door::Tls(listener) => axum::serve(listener, service).await,
    }
}

#[cfg(test)]
mod tests;
