//! Cloud Storage: buckets, and objects with generations.

mod listing;
mod object;
mod upload;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::page::page;
use super::policy::Policy;
use super::problem::Problem;
use super::{Context, stamp};
use crate::exchange::{Reply, Request};
use listing::renamed;
use object::Object;
use upload::Upload;

#[derive(Debug, Default)]
pub(super) struct Storage {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, Upload>,
    /// The generation of what was written last, anywhere.
    generation: i64,
}

#[derive(Debug)]
struct Bucket {
    document: Value,
    policy: Policy,
    objects: BTreeMap<String, Object>,
}

/// What a call is about, from its path; names of objects may have slashes.
enum Target<'a> {
    Buckets,
    Bucket(&'a str),
    Policy(&'a str, bool),
    Objects(&'a str),
    Object(&'a str, &'a str),
}

fn target(path: &str) -> Option<Target<'_>> {
    let rest = path.strip_prefix("/b").map(|rest| rest.strip_prefix('/').unwrap_or(rest))?;
    let (bucket, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Some(match rest {
        "" if bucket.is_empty() => Target::Buckets,
        "" => Target::Bucket(bucket),
        "iam" => Target::Policy(bucket, false),
        "iam/testPermissions" => Target::Policy(bucket, true),
        "o" | "o/" => Target::Objects(bucket),
        _ => Target::Object(bucket, rest.strip_prefix("o/")?),
    })
}

impl Storage {
    /// Answers a call; the paths of uploads and downloads differ from the others.
    pub(super) fn handle(&mut self, context: Context<'_>) -> Reply {
        let path = context.request.path.as_str();
        let answered = if let Some(path) = path.strip_prefix("/upload/storage/v1") {
            self.upload(context, path)
        } else if let Some(path) = path.strip_prefix("/download/storage/v1") {
            self.call(context, path, true)
        } else {
            let media = context.request.param("alt") == Some("media");
            self.call(context, path.trim_start_matches("/storage/v1"), media)
        };
        answered.unwrap_or_else(|problem| Reply::json(problem.status(), problem.storage_body()))
    }

    /// Whether a path is that of an object, as the XML API has it: `/BUCKET/OBJECT`.
    pub(super) fn has(&self, path: &str) -> bool {
        path.split('/').nth(1).is_some_and(|bucket| self.buckets.contains_key(bucket))
    }

    /// Reads an object by the XML API, as clients do that read much.
    pub(super) fn read(&mut self, context: Context<'_>) -> Reply {
        let path = context.request.path.trim_start_matches('/');
        let (bucket, name) = path.split_once('/').unwrap_or((path, ""));
        let read = self.bucket(bucket).and_then(|bucket| bucket.object_call(context, name, true));
        read.unwrap_or_else(|problem| {
            let code = if problem.status() == 404 { "NoSuchKey" } else { "PreconditionFailed" };
            Reply::text(
                problem.status(),
                format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"),
            )
            .with("content-type", "application/xml; charset=UTF-8")
        })
    }

    fn call(&mut self, context: Context<'_>, path: &str, media: bool) -> Result<Reply, Problem> {
        let request = context.request;
        let unknown = || Problem::unknown_path(&request.path);
        match (target(path).ok_or_else(unknown)?, &request.method) {
            (Target::Buckets, &Method::GET) => {
                let project = request.param("project").unwrap_or_default();
                let own = self.buckets.iter().filter(|(_, bucket)| bucket.document["projectId"] == project);
                let listed =
                    page(&renamed(request), "items", own.map(|(n, b)| (n.clone(), b.shown())).collect(), 1000)?;
                Ok(Reply::ok(with_kind("storage#buckets", listed)))
            }
            (Target::Buckets, &Method::POST) => self.create_bucket(context).map(Reply::ok),
            (Target::Bucket(name), &Method::GET) => Ok(Reply::ok(self.bucket(name)?.shown())),
            (Target::Bucket(name), &Method::DELETE) => {
                if !self.bucket(name)?.objects.is_empty() {
                    let message = "The bucket you tried to delete is not empty.";
                    return Err(Problem::already_exists(message));
                }
                self.buckets.remove(name);
                Ok(nothing())
            }
            (Target::Policy(name, true), &Method::GET) => {
                self.bucket(name)?;
                let asked = request.query.iter().filter(|(key, _)| key == "permissions").map(|(_, value)| value);
                Ok(Reply::ok(
                    json!({"kind": "storage#testIamPermissionsResponse", "permissions": asked.collect::<Vec<_>>()}),
                ))
            }
            (Target::Policy(name, false), method) => {
                let bucket = self.bucket(name)?;
                match *method {
                    Method::GET => {}
                    Method::PUT => bucket.policy.replace(&context.body()?)?,
                    _ => return Err(unknown()),
                }
                Ok(Reply::ok(with_kind("storage#policy", bucket.policy.document())))
            }
            (Target::Objects(name), &Method::GET) => self.bucket(name)?.list(request).map(Reply::ok),
            (Target::Object(bucket, name), _) => self.bucket(bucket)?.object_call(context, name, media),
            _ => Err(unknown()),
        }
    }

    fn bucket(&mut self, name: &str) -> Result<&mut Bucket, Problem> {
        self.buckets.get_mut(name).ok_or_else(|| Problem::not_found(&format!("b/{name}")))
    }

    fn create_bucket(&mut self, context: Context<'_>) -> Result<Value, Problem> {
        let body = context.body()?;
        let name = body["name"].as_str().unwrap_or_default().to_string();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        if !(3..=63).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(Problem::invalid(format!("Invalid bucket name: '{name}'")));
        }
        let project = context.request.param("project").filter(|project| !project.is_empty());
        let project = project.ok_or_else(|| Problem::invalid("Required parameter: project"))?;
        if self.buckets.contains_key(&name) {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Problem::already_exists(message));
        }
        let mut document = body;
        for (field, value) in [
            ("kind", json!("storage#bucket")),
            ("id", json!(name)),
            ("projectId", json!(project)),
            ("timeCreated", stamp(context.now)),
            ("updated", stamp(context.now)),
            ("metageneration", json!("1")),
            ("etag", json!("CAE=")),
            ("softDeletePolicy", json!({"retentionDurationSeconds": "604800", "effectiveTime": stamp(context.now)})),
        ] {
            document[field] = value;
        }
        for (field, value) in [("location", "US"), ("storageClass", "STANDARD")] {
            if document[field].is_null() {
                document[field] = json!(value);
            }
        }
        let bucket = Bucket { document, policy: Policy::default(), objects: BTreeMap::new() };
        let shown = bucket.shown();
        self.buckets.insert(name, bucket);
        Ok(shown)
    }

    /// Writes an object, if the preconditions of the request hold.
    fn write(
        &mut self,
        request: &Request,
        now: Timestamp,
        bucket: &str,
        metadata: &Value,
        bytes: Vec<u8>,
    ) -> Result<Value, Problem> {
        let name = metadata["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Problem::invalid("Required parameter: name"))?.to_string();
        self.generation = now.as_microsecond().max(self.generation + 1);
        let generation = self.generation;
        let found = self.bucket(bucket)?;
        preconditions(request, found.objects.get(&name).map(Object::generation))?;
        let mut metadata = metadata.clone();
        if metadata["storageClass"].is_null() {
            metadata["storageClass"] = found.document["storageClass"].clone();
        }
        let object = Object::new((bucket, &name), &metadata, bytes, generation, now)?;
        let document = object.document.clone();
        found.objects.insert(name, object);
        Ok(document)
    }

    /// What an object holds, when that is text.
    pub(super) fn text(&self, bucket: &str, object: &str) -> Option<String> {
        String::from_utf8(self.buckets.get(bucket)?.objects.get(object)?.bytes.clone()).ok()
    }

    /// Another service writes an object; the error is an operation's.
    pub(super) fn export(&mut self, bucket: &str, object: &str, text: &str, now: Timestamp) -> Result<(), Value> {
        let request = Request::new(Method::POST, "/", bytes::Bytes::new());
        let written = self.write(&request, now, bucket, &json!({"name": object}), text.as_bytes().to_vec());
        written.map(drop).map_err(|_| json!({"code": 5, "message": format!("gs://{bucket} was not found")}))
    }
}

impl Bucket {
    fn shown(&self) -> Value {
        let mut document = self.document.clone();
        if let Some(fields) = document.as_object_mut() {
            fields.remove("projectId");
        }
        document
    }

    fn object_call(&mut self, context: Context<'_>, name: &str, media: bool) -> Result<Reply, Problem> {
        let request = context.request;
        let missing = || Problem::not_found(&format!("o/{name}"));
        let present = self.objects.get(name).map(Object::generation);
        match request.method {
            Method::GET | Method::HEAD => {
                preconditions(request, present)?;
                let wanted = request.param("generation").and_then(|g| g.parse::<i64>().ok());
                let found = self.objects.get(name).filter(|o| wanted.is_none_or(|g| g == o.generation()));
                let found = found.ok_or_else(missing)?;
                Ok(if media { found.download(&request.range) } else { Reply::ok(found.document.clone()) })
            }
            Method::PATCH => {
                preconditions(request, present)?;
                let found = self.objects.get_mut(name).ok_or_else(missing)?;
                found.patch(&context.body()?, context.now);
                Ok(Reply::ok(found.document.clone()))
            }
            Method::DELETE => {
                preconditions(request, present)?;
                self.objects.remove(name).ok_or_else(missing)?;
                Ok(nothing())
            }
            _ => Err(Problem::unknown_path(&request.path)),
        }
    }
}

fn with_kind(kind: &str, mut document: Value) -> Value {
    document["kind"] = json!(kind);
    document
}

/// 204.
fn nothing() -> Reply {
    Reply::text(204, "")
}

/// `ifGenerationMatch` and its opposite, or the headers of the XML API; generation 0 means that there is no such object.
fn preconditions(request: &Request, present: Option<i64>) -> Result<(), Problem> {
    let unserved = ["ifMetagenerationMatch", "ifMetagenerationNotMatch"];
    if let Some(key) = unserved.iter().find(|key| request.param(key).is_some()) {
        return Err(Problem::unimplemented(key));
    }
    let asked = |key: &str, header: &str| match request.param(key).or(request.header(header)).map(str::parse::<i64>) {
        Some(Err(_)) => Err(Problem::invalid(format!("Invalid value for {key}: it is no generation"))),
        Some(Ok(generation)) => Ok(Some(generation)),
        None => Ok(None),
    };
    let present = present.unwrap_or(0);
    if asked("ifGenerationMatch", "x-goog-if-generation-match")?.is_some_and(|wanted| wanted != present) {
        return Err(Problem::changed());
    }
    let unwanted = asked("ifGenerationNotMatch", "x-goog-if-generation-not-match")?;
    match unwanted == Some(present) {
        true if request.method == Method::GET => Err(Problem::unchanged()),
        true => Err(Problem::changed()),
        false => Ok(()),
    }
}
