//! Requests and answers, the same for both faces.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::sync::mpsc;

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
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request with a path that may have a query.
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
            body,
        }
    }

    /// The value of a query parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
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
pub enum Reply {
    /// A JSON document.
    Json {
        /// Status code.
        status: u16,
        /// The document.
        body: Value,
    },
    /// Plain text.
    Text {
        /// Status code.
        status: u16,
        /// The text.
        body: String,
    },
    /// Bytes of some type.
    Bytes {
        /// Content type.
        content_type: &'static str,
        /// The bytes.
        body: Vec<u8>,
    },
    /// A stream of JSON documents, one on each line.
    Stream(mpsc::Receiver<Value>),
}

impl Reply {
    /// 200 with a document.
    pub fn ok(body: Value) -> Self {
        Self::Json { status: 200, body }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        match self {
            Self::Json { status, .. } | Self::Text { status, .. } => *status,
            Self::Stream(_) | Self::Bytes { .. } => 200,
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
