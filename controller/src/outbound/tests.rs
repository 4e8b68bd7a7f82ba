use super::*;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header::LOCATION};
use axum::routing::{get, post};

/// A server on loopback, and its port.
async fn server() -> u16 {
    let elsewhere = || async { (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "http://127.0.0.1:1/secret")], "moved") };
    let router = Router::new()
        .route("/echo", post(|body: String| async move { body }))
        .route("/large", post(|| async { vec![b'x'; LARGEST + 1] }))
        .route("/moved", post(elsewhere))
        .route("/read-only", get(|query: RawQuery| async move { query.0.unwrap_or_default() }))
        .route("/denied", post(|| async { (StatusCode::FORBIDDEN, "not\nyou") }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn outbound(hosts: &[String]) -> Outbound {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Outbound::to(&hosts.iter().map(|host| host.parse().unwrap()).collect::<Vec<_>>())
}

async fn post_to(outbound: &Outbound, host: &str, port: u16, path: &str) -> Result<String, Fault> {
    let form = [("query", "a b".to_string())];
    let body = outbound.post_form(&format!("http://{host}:{port}/{path}"), &form).await?;
    Ok(String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn what_is_listed_is_called() {
    let port = server().await;
    let out = outbound(&[format!("127.0.0.1:{port},private,http"), format!("localhost:{port},private,http")]);
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(post_to(&out, host, port, "echo").await.unwrap(), "query=a+b");
        assert_eq!(post_to(&out, host, port, "read-only").await.unwrap(), "query=a+b", "where a POST is refused");
    }
}

#[tokio::test]
async fn what_is_not_listed_or_only_in_another_way_is_not_called() {
    let port = server().await;
    let fault = |hosts: Vec<String>, host: &'static str| async move {
        post_to(&outbound(&hosts), host, port, "echo").await.unwrap_err()
    };
    let cases = [
        (vec![], "127.0.0.1", "may not be called: the platform team lists it"),
        (vec![format!("127.0.0.1:{port},private")], "127.0.0.1", "with https only"),
        (vec![format!("127.0.0.1:{port},http")], "127.0.0.1", "list it with private"),
        // A name is refused by where it leads.
        (vec![format!("localhost:{port},http")], "localhost", "list it with private"),
        // What other notations mean is checked, too.
        (vec![format!("0x7f.1:{port},private,http")], "0x7f.1", "127.0.0.1"),
    ];
    for (hosts, host, why) in cases {
        let fault = fault(hosts, host).await;
        assert!(fault.class == FaultClass::Denied && fault.message.contains(why), "{fault:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_endless_answer_read() {
    let port = server().await;
    let out = outbound(&[format!("127.0.0.1:{port},private,http"), "127.0.0.1:1,private,http".to_string()]);
    let moved = post_to(&out, "127.0.0.1", port, "moved").await.unwrap_err();
    assert_eq!(moved.message, "127.0.0.1 answers 307: redirects are not followed: moved");
    let large = post_to(&out, "127.0.0.1", port, "large").await.unwrap_err();
    assert_eq!(large.message, "127.0.0.1 answers with more than 8 MiB: aggregate more, with sum(…) or sum by (le) (…)");
    let denied = post_to(&out, "127.0.0.1", port, "denied").await.unwrap_err();
    assert_eq!((denied.class, denied.message.as_str()), (FaultClass::Denied, "127.0.0.1 answers 403: notyou"));
    let lost = post_to(&out, "127.0.0.1", 1, "echo").await.unwrap_err();
    assert_eq!((lost.class, lost.message.as_str()), (FaultClass::Retryable, "127.0.0.1 refuses the connection"));
}
