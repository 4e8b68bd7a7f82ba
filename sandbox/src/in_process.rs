//! A client of the cluster in the same process, without sockets.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use kube::client::Body;
use std::future::Future;

use crate::exchange::{Content, Reply, Request};

/// A client whose requests are answered by a function: with a reply, or not at all.
pub fn client<A, F>(
    caller: &'static str,
    now: impl Fn() -> Timestamp + Clone + Send + 'static,
    answer: A,
) -> kube::Client
where
    A: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Option<Reply>> + Send,
{
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (answer, now) = (answer.clone(), now.clone());
        async move {
            let (parts, body) = request.into_parts();
            let target = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_string();
            let bytes = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let header =
                |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
            let request = Request {
                accept: header("accept"),
                content_type: header("content-type"),
                caller: caller.into(),
                ..Request::new(parts.method, &target, bytes)
            };
            let Some(reply) = answer(request).await else {
                return Err(std::io::Error::other("the connection was lost").into());
            };
            let text = match reply.content {
                Content::Json(body) => body.to_string(),
                Content::JsonText(text) | Content::Text(text) => text,
                Content::Stream(_) | Content::Bytes { .. } => {
                    return Err(std::io::Error::other("only JSON is told in the same process").into());
                }
            };
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now())?;
            let response = http::Response::builder().status(reply.status).header("date", date);
            Ok::<_, tower::BoxError>(response.body(Full::new(Bytes::from(text)))?)
        }
    });
    kube::Client::new(service, "default")
}
