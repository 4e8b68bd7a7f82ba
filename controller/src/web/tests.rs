//! What is served to whom, over sockets.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity};
use std::path::Path;
use tempfile::TempDir;

use super::*;

/// One who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, as PEM.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn settings() -> WebSettings {
    let tls = TlsSettings { tls_certificate: None, tls_key: None, tls_client_ca: None };
    WebSettings { http_address: "127.0.0.1:0".parse().unwrap(), tls, metrics_token: None }
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn with_certificate(folder: &TempDir, signed: &(String, String)) -> WebSettings {
    let mut settings = settings();
    settings.tls.tls_certificate = Some(write(folder, "tls.crt", &signed.0));
    settings.tls.tls_key = Some(write(folder, "tls.key", &signed.1));
    settings
}

/// Serves, and gives the port.
async fn served(settings: WebSettings) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (door, address) = listen(&settings).await.unwrap();
    tokio::spawn(async move { serve(door, &settings, Metrics::new(0).unwrap(), Health::default()).await });
    address.port()
}

fn client(authority: Option<&Authority>, identity: Option<&(String, String)>) -> Client {
    let mut builder = Client::builder().resolve("localhost", "127.0.0.1:0".parse().unwrap());
    if let Some(authority) = authority {
        builder = builder.tls_certs_only([Certificate::from_pem(authority.pem().as_bytes()).unwrap()]);
    }
    if let Some((certificate, key)) = identity {
        builder = builder.identity(Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

async fn status(client: &Client, url: &str, token: Option<&str>) -> u16 {
    let request = token.into_iter().fold(client.get(url), |request, token| request.bearer_auth(token));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn metrics_are_for_everybody_where_nothing_else_is_said() {
    let port = served(settings()).await;
    assert_eq!(status(&client(None, None), &format!("http://localhost:{port}/metrics"), None).await, 200);
}

#[tokio::test]
async fn a_token_is_asked_for_of_metrics_and_not_of_health_and_may_be_changed() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "token", "first\n");
    let port = served(WebSettings { metrics_token: Some(path.clone()), ..settings() }).await;
    let (client, url) = (client(None, None), format!("http://localhost:{port}"));
    let metrics = format!("{url}/metrics");
    assert_eq!(status(&client, &metrics, None).await, 401);
    assert_eq!(status(&client, &metrics, Some("firs")).await, 401);
    assert_eq!(status(&client, &metrics, Some("first")).await, 200);
    assert_eq!(status(&client, &format!("{url}/healthz"), None).await, 200);
    std::fs::write(&path, "second").unwrap();
    assert_eq!(status(&client, &metrics, Some("first")).await, 401);
    assert_eq!(status(&client, &metrics, Some("second")).await, 200);
    std::fs::write(&path, "").unwrap();
    assert_eq!(status(&client, &metrics, Some("")).await, 401, "an empty file opens nothing");
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_served_at_once() {
    let (folder, before, after) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let port = served(with_certificate(&folder, &before.sign())).await;
    let url = format!("https://localhost:{port}/metrics");
    assert_eq!(status(&client(Some(&before), None), &url, None).await, 200);
    assert!(client(Some(&after), None).get(&url).send().await.is_err(), "signed by somebody else");
    with_certificate(&folder, &(before.sign().0, before.sign().1));
    assert_eq!(status(&client(Some(&before), None), &url, None).await, 200, "what can't be used leaves what was there");
    with_certificate(&folder, &after.sign());
    assert_eq!(status(&client(Some(&after), None), &url, None).await, 200);
}

#[tokio::test]
async fn a_client_certificate_opens_metrics_and_health_needs_none() {
    let (folder, authority, stranger) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let mut settings = with_certificate(&folder, &authority.sign());
    settings.tls.tls_client_ca = Some(write(&folder, "ca.crt", &authority.pem()));
    let port = served(settings).await;
    let url = format!("https://localhost:{port}");
    let (plain, certified) = (client(Some(&authority), None), client(Some(&authority), Some(&authority.sign())));
    assert_eq!(status(&plain, &format!("{url}/healthz"), None).await, 200);
    assert_eq!(status(&plain, &format!("{url}/metrics"), None).await, 401);
    assert_eq!(status(&certified, &format!("{url}/metrics"), None).await, 200);
    let strange = client(Some(&authority), Some(&stranger.sign()));
    assert!(strange.get(format!("{url}/metrics")).send().await.is_err(), "nobody whom we know signed it");
}

async fn refused(settings: &WebSettings) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    listen(settings).await.err().unwrap().to_string()
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_before_anything_is_served() {
    let folder = TempDir::new().unwrap();
    let missing = |settings: &mut WebSettings| settings.tls.tls_key = Some(Path::new("/nowhere").into());
    let mut settings = with_certificate(&folder, &Authority::new().sign());
    missing(&mut settings);
    let error = refused(&settings).await;
    assert!(error.starts_with("/nowhere: "), "{error}");
    let empty = with_certificate(&folder, &(String::new(), Authority::new().sign().1));
    let error = refused(&empty).await;
    assert!(error.ends_with("tls.crt: there is no certificate in it"), "{error}");
}
