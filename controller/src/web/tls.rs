//! TLS for what the controller serves. Files that changed are read anew: a certificate that is renewed is used at once, and one that
//! can't be used leaves the one before in place.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest that a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most handshakes at once; further ones wait to be accepted.
const HANDSHAKES: usize = 32;

/// What is needed to serve TLS.
#[derive(Clone, Debug, clap::Args)]
pub struct TlsSettings {
    /// Certificate, as PEM, to serve /metrics, /healthz and /readyz with TLS; read anew when it changes.
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
    /// One of the two is missing.
    #[error("--tls-certificate and --tls-key go together")]
    Incomplete,
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

/// What connections are accepted with.
///
/// # Errors
/// When a file can't be read or used.
fn config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else {
        return Err(TlsError::Incomplete);
    };
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
    Ok(config)
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whether it showed a certificate of those who sign for clients.
    pub(crate) is_certified: bool,
}

/// What connections are accepted with now.
#[derive(Debug)]
struct Current {
    settings: TlsSettings,
    /// When the files were changed, as they were read last.
    changed: Vec<Option<SystemTime>>,
    config: Arc<ServerConfig>,
}

impl Current {
    /// # Errors
    /// When a file can't be read or used.
    fn read(settings: TlsSettings) -> Result<Self, TlsError> {
        let changed = changed(&settings);
        let config = Arc::new(config(&settings)?);
        Ok(Self { settings, changed, config })
    }

    /// Of the files as they are now; as long as those can't be used, of the files as they were.
    fn config(&mut self) -> Arc<ServerConfig> {
        let now = changed(&self.settings);
        if now != self.changed {
            self.changed = now;
            match config(&self.settings) {
                Ok(config) => {
                    tracing::info!("the certificate changed and is served from now on");
                    self.config = Arc::new(config);
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate changed and can't be used: the one before stays")
                }
            }
        }
        self.config.clone()
    }
}

fn changed(settings: &TlsSettings) -> Vec<Option<SystemTime>> {
    let files = [&settings.tls_certificate, &settings.tls_key, &settings.tls_client_ca];
    let time = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    files.into_iter().map(|path| path.as_ref().and_then(time)).collect()
}

/// Accepts connections with TLS, each handshake beside the others.
#[derive(Debug)]
pub(crate) struct TlsListener {
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, Caller)>,
}

impl TlsListener {
    /// # Errors
    /// When a file can't be read or used.
    pub(crate) fn new(listener: TcpListener, settings: TlsSettings) -> Result<Self, TlsError> {
        let mut current = Current::read(settings)?;
        let (sender, accepted) = mpsc::channel(HANDSHAKES);
        let room = Arc::new(Semaphore::new(HANDSHAKES));
        tokio::spawn(async move {
            loop {
                let Ok(place) = room.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    // Out of file descriptors: others are closed meanwhile.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (sender, acceptor) = (sender.clone(), TlsAcceptor::from(current.config()));
                tokio::spawn(async move {
                    if let Some(accepted) = handshake(stream, acceptor).await {
                        // Nobody listens any more when the process ends.
                        let _ = sender.send(accepted).await;
                    }
                    drop(place);
                });
            }
        });
        Ok(Self { accepted })
    }
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor) -> Option<(TlsStream<TcpStream>, Caller)> {
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
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
