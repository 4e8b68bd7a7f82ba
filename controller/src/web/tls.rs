//! TLS for what the controller serves. Files are read anew for each connection: a certificate that is renewed is used at
//! once.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest that a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most connections that are waiting to be served.
const WAITING: usize = 16;

/// What is needed to serve TLS.
#[derive(Clone, Debug, clap::Args)]
pub struct TlsSettings {
    /// Certificate, as PEM, to serve /metrics, /healthz and /readyz with TLS; read anew for each connection.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Certificates, as PEM, of those who sign for clients: who shows a certificate of theirs may read /metrics.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_client_ca: Option<PathBuf>,
}

/// Why TLS can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is no PEM of its kind.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Certificate and key don't go together, or can't be used.
    #[error("the certificate can't be used: {0}")]
    Certificate(#[from] rustls::Error),
    /// There is no certificate that can sign for clients.
    #[error("--tls-client-ca: {0}")]
    ClientCa(String),
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File { path: path.to_path_buf(), why };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("there is no certificate in it".into())) } else { Ok(found) }
}

/// What connections are accepted with; none: they are not encrypted.
///
/// # Errors
/// When a file can't be read or used.
pub(crate) fn config(settings: &TlsSettings) -> Result<Option<ServerConfig>, TlsError> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else { return Ok(None) };
    let builder = ServerConfig::builder();
    let builder = match &settings.tls_client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(path)?);
            // The kubelet asks for health without a certificate.
            let verifier = WebPkiClientVerifier::builder(roots.into()).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| TlsError::ClientCa(error.to_string()))?)
        }
    };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::File { path: key.clone(), why: error.to_string() })?;
    let mut config = builder.with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(config))
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whether it showed a certificate of those who sign for clients.
    pub(crate) is_certified: bool,
}

/// Accepts connections with TLS, each handshake beside the others.
#[derive(Debug)]
pub(crate) struct TlsListener {
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, Caller)>,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener, settings: TlsSettings) -> Self {
        let (sender, accepted) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // Out of file descriptors: others are closed meanwhile.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (sender, settings) = (sender.clone(), settings.clone());
                tokio::spawn(async move {
                    if let Some(accepted) = handshake(stream, &settings).await {
                        // Nobody listens any more when the process ends.
                        let _ = sender.send(accepted).await;
                    }
                });
            }
        });
        Self { accepted }
    }
}

async fn handshake(stream: TcpStream, settings: &TlsSettings) -> Option<(TlsStream<TcpStream>, Caller)> {
    let config = match config(settings) {
        Ok(config) => config?,
        Err(error) => {
            tracing::error!(%error, "TLS can't be served");
            return None;
        }
    };
    let shaken = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(Arc::new(config)).accept(stream)).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return None;
        }
        Err(_) => return None,
    };
    let is_certified = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    Some((stream, Caller { is_certified }))
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = Caller;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // The task that accepts ends with the process only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(Caller { is_certified: false })
    }
}
