//! Writing objects: at once, with their metadata, or piece by piece.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Storage, Target, target};
use crate::exchange::{Reply, Request};
use crate::google::Context;
use crate::google::problem::Problem;

/// An upload that comes piece by piece.
#[derive(Debug)]
pub(super) struct Upload {
    bucket: String,
    metadata: Value,
    /// The request that began it, for its preconditions.
    begun_by: Request,
    begun: Timestamp,
    bytes: Vec<u8>,
}

/// How long an upload may take.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Storage {
    pub(super) fn upload(&mut self, context: Context<'_>, path: &str) -> Result<Reply, Problem> {
        let request = context.request;
        let Some(Target::Objects(bucket)) = target(path) else { return Err(Problem::unknown_path(&request.path)) };
        let kind = request.param("uploadType").unwrap_or_default();
        match (kind, &request.method) {
            ("media", &Method::POST) => {
                let metadata = json!({"name": request.param("name"), "contentType": request.content_type});
                self.write(request, context.now, bucket, &metadata, request.body.to_vec()).map(Reply::ok)
            }
            ("multipart", &Method::POST) => {
                let (metadata, bytes) = parts(request).ok_or_else(|| Problem::invalid("Malformed multipart body."))?;
                self.write(request, context.now, bucket, &named(metadata, request), bytes).map(Reply::ok)
            }
            ("resumable", &Method::POST | &Method::PUT) if request.param("upload_id").is_some() => {
                self.continue_upload(context)
            }
            ("resumable", &Method::POST) => self.begin(context, bucket),
            _ => Err(Problem::invalid(format!("Unknown uploadType '{kind}'"))),
        }
    }

    fn begin(&mut self, context: Context<'_>, bucket: &str) -> Result<Reply, Problem> {
        let request = context.request;
        self.bucket(bucket)?;
        let metadata = named(context.body()?, request);
        self.uploads.retain(|_, upload| context.now.duration_since(upload.begun) < LIFE);
        let id = format!("upload-{}-{}", self.uploads.len() + 1, context.now.as_microsecond());
        let location = format!("{}?uploadType=resumable&upload_id={id}", request.path);
        let location = match request.host.is_empty() {
            true => location,
            false => format!("http://{}{location}", request.host),
        };
        let (begun_by, begun) = (preconditions_of(request), context.now);
        let upload = Upload { bucket: bucket.into(), metadata, begun_by, begun, bytes: vec![] };
        self.uploads.insert(id.clone(), upload);
        Ok(Reply::text(200, "").with("location", location).with("x-guploader-uploadid", id))
    }

    /// A piece: `Content-Range: bytes 0-99/200`, with `*` for what is not known or not sent.
    fn continue_upload(&mut self, context: Context<'_>) -> Result<Reply, Problem> {
        let id = context.request.param("upload_id").unwrap_or_default().to_string();
        let mut upload = self.uploads.remove(&id).ok_or_else(|| Problem::not_found(&format!("upload {id}")))?;
        let range = context.request.content_range.trim_start_matches("bytes ").to_string();
        let (piece, total) = range.split_once('/').unwrap_or(("", "*"));
        if piece != "*" {
            let from = piece.split_once('-').and_then(|(from, _)| from.parse::<usize>().ok()).unwrap_or(0);
            if from > upload.bytes.len() {
                self.uploads.insert(id, upload);
                return Err(Problem::invalid("a piece of the upload is missing"));
            }
            upload.bytes.truncate(from);
            upload.bytes.extend_from_slice(&context.request.body);
        }
        let complete = range.is_empty() || total.parse::<usize>() == Ok(upload.bytes.len());
        if complete {
            let Upload { bucket, metadata, begun_by, bytes, .. } = upload;
            return self.write(&begun_by, context.now, &bucket, &metadata, bytes).map(Reply::ok);
        }
        let have = upload.bytes.len();
        self.uploads.insert(id, upload);
        // Some clients can't have a 308, and are told in a header.
        let reply = match context.request.header("x-guploader-no-308") {
            Some("yes") => Reply::text(200, "").with("x-http-status-code-override", "308"),
            _ => Reply::text(308, ""),
        };
        Ok(if have == 0 { reply } else { reply.with("range", format!("bytes=0-{}", have - 1)) })
    }
}

/// The request that began an upload, as far as it counts at its end: without credentials.
fn preconditions_of(request: &Request) -> Request {
    Request { query: request.query.clone(), ..Request::new(request.method.clone(), &request.path, bytes::Bytes::new()) }
}

fn named(mut metadata: Value, request: &Request) -> Value {
    if !metadata.is_object() {
        metadata = json!({});
    }
    if let Some(name) = request.param("name").filter(|name| !name.is_empty()) {
        metadata["name"] = json!(name);
    }
    metadata
}

/// Metadata and content of a `multipart/related` body.
fn parts(request: &Request) -> Option<(Value, Vec<u8>)> {
    let boundary = request.content_type.split("boundary=").nth(1)?;
    let boundary = boundary.split(';').next()?.trim_matches(['"', '\'']);
    let delimiter = format!("--{boundary}");
    let at = |from: usize, what: &[u8]| {
        let rest = request.body.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|index| from + index)
    };
    let mut bodies = vec![];
    let mut start = at(0, delimiter.as_bytes())? + delimiter.len();
    while bodies.len() < 2 {
        let body = at(start, b"\r\n\r\n")? + 4;
        let end = at(body, format!("\r\n{delimiter}").as_bytes())?;
        let head = String::from_utf8_lossy(request.body.get(start..body)?).to_lowercase();
        bodies.push((head, request.body.get(body..end)?.to_vec()));
        start = end + 2 + delimiter.len();
    }
    let (head, content) = bodies.pop()?;
    let mut metadata: Value = serde_json::from_slice(&bodies.pop()?.1).ok().filter(Value::is_object)?;
    let type_ = head.lines().find_map(|line| line.strip_prefix("content-type:")).map(str::trim);
    if let (true, Some(type_)) = (metadata["contentType"].is_null(), type_) {
        metadata["contentType"] = json!(type_);
    }
    Some((metadata, content))
}
