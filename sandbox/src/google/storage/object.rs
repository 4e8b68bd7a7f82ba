//! An object: its metadata, and its bytes in whole or in part.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::exchange::{Content, Reply};
use crate::google::problem::Problem;
use crate::google::stamp;

/// What the writer of an object may say of it.
const MUTABLE: [&str; 7] = [
    "contentType",
    "metadata",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "customTime",
];

#[derive(Debug)]
pub(super) struct Object {
    pub(super) document: Value,
    pub(super) bytes: Vec<u8>,
}

/// Which part of an object is wanted.
enum Part {
    Whole,
    /// From a byte to before another.
    Bytes(usize, usize),
    Outside,
}

impl Object {
    /// The error: the checksum that the writer names is another.
    pub(super) fn new(
        (bucket, name): (&str, &str),
        metadata: &Value,
        bytes: Vec<u8>,
        generation: i64,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let crc = STANDARD.encode(crc32c::crc32c(&bytes).to_be_bytes());
        if let Some(sent) = metadata["crc32c"].as_str().filter(|sent| *sent != crc) {
            let why = format!("Provided CRC32C \"{sent}\" doesn't match calculated CRC32C \"{crc}\".");
            return Err(Problem::invalid(why));
        }
        let mut document = json!({
            "kind": "storage#object", "id": format!("{bucket}/{name}/{generation}"), "name": name, "bucket": bucket,
            "generation": generation.to_string(), "metageneration": "1", "size": bytes.len().to_string(),
            "contentType": "application/octet-stream", "storageClass": "STANDARD", "timeCreated": stamp(now),
            "updated": stamp(now), "timeStorageClassUpdated": stamp(now), "crc32c": crc,
            "etag": etag(generation, 1),
        });
        for field in MUTABLE.into_iter().chain(["storageClass"]).filter(|field| !metadata[field].is_null()) {
            document[field] = metadata[field].clone();
        }
        Ok(Self { document, bytes })
    }

    pub(super) fn generation(&self) -> i64 {
        number(&self.document["generation"])
    }

    pub(super) fn patch(&mut self, body: &Value, now: Timestamp) {
        let patch: Map<String, Value> =
            MUTABLE.iter().filter_map(|f| Some(((*f).to_string(), body.get(f)?.clone()))).collect();
        json_patch::merge(&mut self.document, &Value::Object(patch));
        let metageneration = number(&self.document["metageneration"]) + 1;
        self.document["metageneration"] = json!(metageneration.to_string());
        self.document["updated"] = stamp(now);
        self.document["etag"] = json!(etag(self.generation(), metageneration));
    }

    /// `bytes=0-99`, `bytes=100-`, or `bytes=-5` for the last five.
    fn part(&self, range: &str) -> Part {
        let size = self.bytes.len();
        let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Part::Whole;
        };
        match (from.parse::<usize>(), to.parse::<usize>()) {
            (Ok(from), Ok(to)) if to < from => Part::Whole,
            (Ok(from), _) if from >= size => Part::Outside,
            (Ok(from), Ok(to)) => Part::Bytes(from, to.saturating_add(1).min(size)),
            (Ok(from), Err(_)) => Part::Bytes(from, size),
            (Err(_), Ok(last)) if last == 0 || size == 0 => Part::Outside,
            (Err(_), Ok(last)) => Part::Bytes(size.saturating_sub(last), size),
            (Err(_), Err(_)) => Part::Whole,
        }
    }

    pub(super) fn download(&self, range: &str) -> Reply {
        let size = self.bytes.len();
        let (status, first, end) = match self.part(range) {
            Part::Whole => (200, 0, size),
            Part::Bytes(first, end) => (206, first, end),
            Part::Outside => {
                let reply = Reply::text(416, "The requested range cannot be satisfied.");
                return reply.with("content-range", format!("bytes */{size}"));
            }
        };
        let text = |field: &str| self.document[field].as_str().unwrap_or_default().to_string();
        let content = Content::Bytes {
            content_type: "application/octet-stream",
            bytes: self.bytes.get(first..end).unwrap_or_default().to_vec(),
        };
        let mut reply = Reply { status, headers: vec![], content };
        if status == 206 {
            reply = reply.with("content-range", format!("bytes {first}-{}/{size}", end.saturating_sub(1)));
        }
        for (field, header) in [
            ("contentType", "content-type"),
            ("cacheControl", "cache-control"),
            ("contentDisposition", "content-disposition"),
            ("contentEncoding", "content-encoding"),
            ("contentLanguage", "content-language"),
        ] {
            if !self.document[field].is_null() {
                reply = reply.with(header, text(field));
            }
        }
        reply
            .with("etag", text("etag"))
            .with("x-goog-generation", text("generation"))
            .with("x-goog-metageneration", text("metageneration"))
            .with("x-goog-storage-class", text("storageClass"))
            .with("x-goog-stored-content-encoding", "identity")
            .with("x-goog-stored-content-length", text("size"))
            .with("x-goog-hash", format!("crc32c={}", text("crc32c")))
    }
}

fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn etag(generation: i64, metageneration: i64) -> String {
    STANDARD.encode([generation.to_be_bytes(), metageneration.to_be_bytes()].concat())
}
