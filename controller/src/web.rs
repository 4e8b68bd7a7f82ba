//! `/metrics`, `/healthz` and `/readyz`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::Metrics;

async fn ready(State((_, health)): State<(Metrics, Health)>) -> (StatusCode, String) {
    let (ready, told) = health.report();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, told)
}

async fn metrics(State((metrics, health)): State<(Metrics, Health)>) -> String {
    metrics.show_watches(&health.failing_watches());
    metrics.render()
}

/// Takes the address.
pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
    Ok(listener)
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, health: Health) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(self::metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state((metrics, health));
    axum::serve(listener, router).await
}
