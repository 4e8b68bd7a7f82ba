//! A small REST path with the same credentials, for what the SDK lacks.

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::{Code, Status};
use http::{Extensions, HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

use crate::in_process::{Answer, Transport};
use crate::{ATTEMPT_LIMIT, CloudError};

/// The largest answer that is read, in bytes.
const LARGEST: usize = 8 * 1024 * 1024;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    /// Over the network: to one address, or to each API's own.
    Http { client: reqwest::Client, endpoint: Option<String>, credentials: Credentials },
    /// To something in the same process.
    InProcess(Arc<dyn Transport>),
}

impl Rest {
    /// Over the network. None as an endpoint: to each API's own, with Application Default Credentials.
    pub(crate) fn connect(endpoint: Option<(&str, &Credentials)>) -> Result<Self, CloudError> {
        let setup = |error: &dyn std::error::Error| CloudError::setup("the REST client", error);
        let builder = reqwest::Client::builder().timeout(ATTEMPT_LIMIT).redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|e| setup(&e))?;
        let (endpoint, credentials) = match endpoint {
            Some((endpoint, credentials)) => (Some(endpoint.trim_end_matches('/').to_string()), credentials.clone()),
            None => (None, google_cloud_auth::credentials::Builder::default().build().map_err(|e| setup(&e))?),
        };
        Ok(Self::Http { client, endpoint, credentials })
    }

    /// Sends a request to an API; `path` has its query, percent-encoded.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        api: &str,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> google_cloud_gax::Result<T> {
        match self {
            Self::Http { client, endpoint, credentials } => {
                let base = endpoint.clone().unwrap_or_else(|| format!("https://{api}.googleapis.com"));
                let request = client.request(method, format!("{base}{path}")).headers(headers(credentials).await?);
                let request = match &body {
                    Some(body) => request.json(body),
                    None => request,
                };
                let (status, bytes) = read(request.send().await.map_err(lost)?).await?;
                match status {
                    // Not by way of a tree of values, which is many times as large.
                    ..400 => serde_json::from_slice(&bytes).map_err(Error::deser),
                    // What refuses need not speak JSON.
                    _ => Err(refusal(&Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })),
                }
            }
            Self::InProcess(transport) => {
                let answer = transport.call(method, path, body).await;
                match answer.ok_or_else(|| Error::io("the connection broke"))? {
                    Answer { status: ..400, body } => serde_json::from_value(body).map_err(Error::deser),
                    refused => Err(refusal(&refused)),
                }
            }
        }
    }
}

async fn headers(credentials: &Credentials) -> google_cloud_gax::Result<HeaderMap> {
    match credentials.headers(Extensions::new()).await.map_err(Error::authentication)? {
        CacheableResource::New { data, .. } => Ok(data),
        // Nothing was said to be known: there is nothing that could not have changed.
        CacheableResource::NotModified => Ok(HeaderMap::new()),
    }
}

fn lost(error: reqwest::Error) -> Error {
    match error {
        error if error.is_timeout() => Error::timeout(error.without_url()),
        error if error.is_connect() => Error::connect(error.without_url()),
        error => Error::io(error.without_url()),
    }
}

async fn read(mut response: reqwest::Response) -> google_cloud_gax::Result<(u16, Vec<u8>)> {
    let status = response.status().as_u16();
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(Error::deser("the answer is larger than any sensible one"));
        }
    }
    Ok((status, bytes))
}

/// Google's own error, or Prometheus's.
pub(crate) fn refusal(answer: &Answer) -> Error {
    let payload = serde_json::to_vec(&answer.body).unwrap_or_default().into();
    if let (Some(message), Some("error")) = (answer.body["error"].as_str(), answer.body["status"].as_str()) {
        let code = match answer.status {
            401 | 403 => Code::PermissionDenied,
            429 => Code::ResourceExhausted,
            500.. => Code::Unavailable,
            _ => Code::InvalidArgument,
        };
        let status = Status::default().set_code(code).set_message(message);
        return Error::service_with_http_metadata(status, Some(answer.status), None);
    }
    match Status::try_from(&payload) {
        Ok(status) => Error::service_with_http_metadata(status, Some(answer.status), None),
        Err(_) => Error::http(answer.status, HeaderMap::new(), payload),
    }
}
