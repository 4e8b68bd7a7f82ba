//! Requests and answers, the same for both faces.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::borrow::Cow;
use tokio::sync::mpsc;

/// The credentials of whoever runs the sandbox.
pub const TRUSTED: &str = "Bearer sandbox-admin";

/// A request to either API.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path, decoded, without the query.
    pub path: String,
    /// Its query parameters, decoded.
    pub query: Vec<(String, String)>,
    /// What the caller would like to get.
    pub accept: String,
    /// What the caller sends.
    pub content_type: String,
    /// The caller's name for itself.
    pub caller: String,
    /// The host that the caller called; empty in process.
    pub host: String,
    /// Which part of an upload the body is.
    pub content_range: String,
    /// Which part of an object is wanted.
    pub range: String,
    /// The caller's credentials, as the Authorization header has them.
    pub authorization: String,
    /// Headers of Cloud Storage, and for whom the caller would act in the cluster; by lower-case name.
    pub extra: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// Who a caller of Google is, for what Google notes of that: a token that is an e-mail address says so.
    pub(crate) fn author(&self) -> &str {
        self.authorization.strip_prefix("Bearer ").filter(|token| token.contains('@')).unwrap_or("sandbox@example.com")
    }

    /// A request of whoever runs the sandbox, with a path that may have a query.
    pub fn new(method: Method, target: &str, body: Bytes) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        };
        Self {
            method,
            path: percent_decode(path),
            query: query.split('&').filter(|part| !part.is_empty()).map(pair).collect(),
            accept: String::new(),
            content_type: String::new(),
            caller: String::new(),
            host: String::new(),
            content_range: String::new(),
            range: String::new(),
            authorization: TRUSTED.to_string(),
            extra: vec![],
            body,
        }
    }

    /// The value of a query parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The value of one of the extra headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.extra.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter in camel or in snake case; empty when there is none.
    pub fn either(&self, camel: &str, snake: &str) -> &str {
        self.param(camel).or_else(|| self.param(snake)).unwrap_or_default()
    }

    /// Whether a query parameter is true.
    pub fn flag(&self, key: &str) -> bool {
        self.param(key).is_some_and(|v| v == "true" || v == "1" || v.is_empty())
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = 0;
    while let Some(&byte) = bytes.get(rest) {
        let hex = (byte == b'%').then(|| bytes.get(rest + 1..rest + 3)).flatten();
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(byte));
        rest += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// An answer of either API.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers besides the content type, and that where the content does not say it.
    pub headers: Vec<(&'static str, String)>,
    /// What it says.
    pub content: Content,
}

/// What an answer says.
#[derive(Debug)]
pub enum Content {
    /// A JSON document.
    Json(Value),
    /// A JSON document that is text already.
    JsonText(String),
    /// Plain text.
    Text(String),
    /// Bytes of some type.
    Bytes {
        /// Content type.
        content_type: &'static str,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A stream of JSON documents, one on each line.
    Stream(mpsc::Receiver<Value>),
}

impl Reply {
    fn new(status: u16, content: Content) -> Self {
        Self { status, headers: vec![], content }
    }

    /// A document.
    pub fn json(status: u16, body: Value) -> Self {
        Self::new(status, Content::Json(body))
    }

    /// 200 with a document.
    pub fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    /// 200 with a document that is text already.
    pub fn json_text(body: String) -> Self {
        Self::new(200, Content::JsonText(body))
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, Content::Text(body.into()))
    }

    /// 200 with bytes of some type.
    pub fn bytes(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self::new(200, Content::Bytes { content_type, bytes })
    }

    /// 200 with a stream of documents.
    pub fn stream(events: mpsc::Receiver<Value>) -> Self {
        Self::new(200, Content::Stream(events))
    }

    /// The same with a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The document, if it is one.
    pub fn document(&self) -> Option<Cow<'_, Value>> {
        match &self.content {
            Content::Json(body) => Some(Cow::Borrowed(body)),
            Content::JsonText(text) => serde_json::from_str(text).ok().map(Cow::Owned),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded() {
        let request = Request::new(Method::GET, "/v2/a%2Fb?filter=x%20%3D+1&watch", Bytes::new());
        assert_eq!(request.path, "/v2/a/b");
        assert_eq!(request.param("filter"), Some("x = 1"));
        assert!(request.flag("watch"));
        assert_eq!(percent_decode("100%"), "100%");
    }
}
