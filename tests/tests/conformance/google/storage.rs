use http::Method;
use orchestra_sandbox::exchange::{Content, Reply};
use serde_json::{Value, json};

use super::{Cloud, document, request};

const UPLOAD: &str = "/upload/storage/v1/b/state/o";
const LOCK: &str = "/storage/v1/b/state/o/env%2Flock";

fn cloud() -> Cloud {
    let cloud = Cloud::new();
    cloud.call(Method::POST, "/storage/v1/b?project=shop", &json!({"name": "state"}));
    cloud
}

fn put(cloud: &Cloud, name: &str, more: &str, text: &str) -> Reply {
    let mut request = request(Method::POST, &format!("{UPLOAD}?uploadType=media&name={name}{more}"), &Value::Null);
    request.body = text.as_bytes().to_vec().into();
    request.content_type = "text/plain".into();
    cloud.0.handle(&request)
}

fn generation(reply: &Reply) -> i64 {
    document(reply)["generation"].as_str().unwrap().parse().unwrap()
}

fn bytes(reply: Reply) -> Vec<u8> {
    match reply.content {
        Content::Bytes { bytes, .. } => bytes,
        other => panic!("no bytes: {other:?}"),
    }
}

#[tokio::test]
async fn a_generation_says_whether_nobody_else_wrote() {
    let cloud = cloud();
    let first = put(&cloud, "env%2Flock", "&ifGenerationMatch=0", "a");
    assert_eq!(first.status, 200);
    assert_eq!(put(&cloud, "env%2Flock", "&ifGenerationMatch=0", "b").status, 412);
    let second = put(&cloud, "env%2Flock", &format!("&ifGenerationMatch={}", generation(&first)), "123456789");
    assert!(generation(&second) > generation(&first));
    let old = format!("{LOCK}?ifGenerationMatch={}", generation(&first));
    assert_eq!(cloud.refusal(Method::DELETE, &old, &Value::Null).0, 412);
    assert_eq!(bytes(cloud.send(Method::GET, &format!("{LOCK}?alt=media"), &Value::Null)), b"123456789");
    let read = cloud.get(LOCK);
    // The check value of CRC-32C: 0xe3069283.
    assert_eq!(
        (&read["size"], &read["contentType"], &read["crc32c"]),
        (&json!("9"), &json!("text/plain"), &json!("4waSgw=="))
    );
    assert_eq!(cloud.send(Method::DELETE, LOCK, &Value::Null).status, 204);
    assert_eq!(cloud.refusal(Method::GET, LOCK, &Value::Null).0, 404);
    assert_eq!(put(&cloud, "x", "&ifGenerationMatch=none", "a").status, 400);
}

#[tokio::test]
async fn folders_are_what_comes_before_a_delimiter() {
    let cloud = cloud();
    for name in ["env%2Fa", "env%2Fdeep%2Fb", "env%2Fdeep%2Fc", "other"] {
        put(&cloud, name, "", "x");
    }
    let listed = cloud.get("/storage/v1/b/state/o?prefix=env/&delimiter=/");
    assert_eq!((&listed["items"][0]["name"], &listed["prefixes"]), (&json!("env/a"), &json!(["env/deep/"])));
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let page = cloud.get("/storage/v1/b/state/o?maxResults=3");
    assert!(page["items"].as_array().is_some_and(|items| items.len() == 3) && page["nextPageToken"].is_string());
    let first = cloud.get("/storage/v1/b/state/o?prefix=env/&delimiter=/&maxResults=1");
    assert_eq!((&first["items"][0]["name"], &first["prefixes"]), (&json!("env/a"), &Value::Null));
    let token = first["nextPageToken"].as_str().unwrap();
    let rest = cloud.get(&format!("/storage/v1/b/state/o?prefix=env/&delimiter=/&maxResults=1&pageToken={token}"));
    assert_eq!((&rest["items"], &rest["prefixes"]), (&Value::Null, &json!(["env/deep/"])));
    assert_eq!(cloud.get("/storage/v1/b/state/o?startOffset=other")["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_object_is_read_by_path_in_parts_and_unless_it_is_known() {
    let cloud = cloud();
    let written = put(&cloud, "env%2Flock", "", "abcdef");
    let read = |range: &str| {
        let mut request = request(Method::GET, "/state/env/lock", &Value::Null);
        request.range = range.into();
        cloud.0.handle(&request)
    };
    assert_eq!(bytes(read("")), b"abcdef");
    let end = read("bytes=-2");
    assert_eq!((end.status, bytes(end)), (206, b"ef".to_vec()));
    assert_eq!(read("bytes=6-").status, 416);
    assert_eq!(read("bytes=5-2").status, 200, "a range that ends before it begins is none");
    put(&cloud, "empty", "", "");
    let mut last_of_nothing = request(Method::GET, "/state/empty", &Value::Null);
    last_of_nothing.range = "bytes=-2".into();
    assert_eq!(cloud.0.handle(&last_of_nothing).status, 416);
    assert_eq!(cloud.send(Method::GET, "/state/none", &Value::Null).status, 404);
    let known = format!("{LOCK}?alt=media&ifGenerationNotMatch={}", generation(&written));
    assert_eq!(cloud.send(Method::GET, &known, &Value::Null).status, 304);
    let mut other = request(Method::GET, "/state/env/lock", &Value::Null);
    other.extra = vec![("x-goog-if-generation-match".into(), "1".into())];
    assert_eq!(cloud.0.handle(&other).status, 412);
}

#[tokio::test]
async fn what_is_said_of_an_object_is_kept_and_its_checksum_checked() {
    let cloud = cloud();
    put(&cloud, "x", "", "abc");
    let path = "/storage/v1/b/state/o/x";
    let before = cloud.get(path);
    let after = cloud.call(Method::PATCH, path, &json!({"contentLanguage": "de"}));
    assert_eq!((&after["contentLanguage"], &after["metageneration"]), (&json!("de"), &json!("2")));
    assert_ne!(before["etag"], after["etag"]);
    let begun =
        cloud.send(Method::POST, &format!("{UPLOAD}?uploadType=resumable&name=y"), &json!({"crc32c": "AAAAAA=="}));
    let location = begun.headers.iter().find(|(name, _)| *name == "location").unwrap().1.clone();
    let mut content = request(Method::PUT, &location, &Value::Null);
    content.body = b"abc".to_vec().into();
    assert_eq!(cloud.0.handle(&content).status, 400);
}

#[tokio::test]
async fn a_large_object_comes_in_pieces() {
    let cloud = cloud();
    let begun = cloud.send(Method::POST, &format!("{UPLOAD}?uploadType=resumable&name=big"), &json!({}));
    let location = begun.headers.iter().find(|(name, _)| *name == "location").unwrap().1.clone();
    let piece = |method: Method, range: &str, content: &[u8]| {
        let mut request = request(method.clone(), &location, &Value::Null);
        if method == Method::POST {
            // As the Go client does it.
            request.extra = vec![("x-guploader-no-308".into(), "yes".into())];
        }
        request.content_range = range.into();
        request.body = content.to_vec().into();
        cloud.0.handle(&request)
    };
    assert_eq!(piece(Method::PUT, "bytes 0-1/*", b"ab").status, 308);
    let more = piece(Method::POST, "bytes 2-3/*", b"cd");
    let status = more.headers.iter().find(|(name, _)| *name == "x-http-status-code-override");
    assert_eq!((more.status, status.map(|(_, value)| value.as_str())), (200, Some("308")));
    assert_eq!(cloud.refusal(Method::GET, "/storage/v1/b/state/o/big", &Value::Null).0, 404);
    assert_eq!(piece(Method::PUT, "bytes 4-5/6", b"ef").status, 200);
    let mut part = request(Method::GET, "/storage/v1/b/state/o/big?alt=media", &Value::Null);
    part.range = "bytes=2-4".into();
    let part = cloud.0.handle(&part);
    assert_eq!(part.status, 206);
    assert_eq!(bytes(part), b"cde");
}

#[tokio::test]
async fn a_bucket_with_objects_stays() {
    let cloud = cloud();
    put(&cloud, "x", "", "x");
    assert_eq!(cloud.refusal(Method::DELETE, "/storage/v1/b/state", &Value::Null).0, 409);
    assert_eq!(cloud.refusal(Method::POST, "/storage/v1/b?project=shop", &json!({"name": "state"})).0, 409);
    assert_eq!(cloud.refusal(Method::POST, "/storage/v1/b?project=shop", &json!({"name": "Up"})).0, 400);
    cloud.send(Method::DELETE, "/storage/v1/b/state/o/x", &Value::Null);
    assert_eq!(cloud.send(Method::DELETE, "/storage/v1/b/state", &Value::Null).status, 204);
}
