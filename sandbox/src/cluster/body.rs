//! Bodies of requests: JSON or YAML, with fields that appear twice noticed.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

use super::kinds::Kind;
use super::protobuf;
use super::refusal::Refusal;
use crate::exchange::Request;

/// How much of a body is shown that can't be read.
const SHOWN: usize = 30;
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A decoded body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) value: Value,
    /// Fields that appear more than once; the last one counts.
    pub(super) duplicates: Vec<Duplicate>,
}

/// A field that appears more than once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    pub(super) path: String,
    pub(super) name: String,
}

impl Body {
    /// What to tell of fields that appear more than once.
    pub(super) fn mistakes(&self) -> Vec<String> {
        self.duplicates.iter().map(|twice| format!("duplicate field {:?}", twice.path)).collect()
    }
}

/// Reads an object.
pub(super) fn object(request: &Request, kind: &Kind) -> Result<Body, Refusal> {
    match content_type(request) {
        "" | "application/json" => json(&request.body)
            .map_err(|why| unrecognized(request, kind, &format!("couldn't get version/kind; json parse error: {why}"))),
        "application/yaml" => yaml(request, kind),
        PROTOBUF if !kind.is_custom() => {
            let value = protobuf::object(&request.body).map_err(Refusal::bad_request)?;
            Ok(Body { value, duplicates: vec![] })
        }
        _ => Err(Refusal::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// A body that is no object of the kind.
pub(super) fn unrecognized(request: &Request, kind: &Kind, why: &str) -> Refusal {
    let body = &request.body;
    let start = body.get(..SHOWN).unwrap_or(body);
    let more = if body.len() > SHOWN { " ..." } else { "" };
    let shown = match start.first() {
        None => "<empty>".to_string(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let kind = &kind.kind;
    Refusal::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown}{more})"))
}

/// Reads an object that may be YAML, as server-side apply sends it.
pub(super) fn yaml(request: &Request, kind: &Kind) -> Result<Body, Refusal> {
    let duplicates = RefCell::default();
    let node = Node { path: String::new(), duplicates: &duplicates };
    let value = node
        .deserialize(serde_yaml_ng::Deserializer::from_slice(&request.body))
        .map_err(|e| Refusal::bad_request(format!("error decoding YAML of {}: {e}", kind.kind)))?;
    Ok(Body { value, duplicates: duplicates.into_inner() })
}

/// Whole numbers below this are exact as floats.
pub(super) const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Go writes a whole number without a fraction, however it was read.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < MOST_EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Reads the options of a deletion, which may be left out.
pub(super) fn options(request: &Request) -> Result<Value, Refusal> {
    let read = match content_type(request) {
        _ if request.body.is_empty() => Ok(Value::Object(Map::new())),
        PROTOBUF => protobuf::object(&request.body),
        _ => json(&request.body).map(|body| body.value),
    };
    read.map_err(Refusal::bad_request)
}

/// The media type without its parameters.
pub(super) fn content_type(request: &Request) -> &str {
    request.content_type.split(';').next().unwrap_or_default().trim()
}

/// Reads JSON. The error is worded as the real server words it.
pub(super) fn json(bytes: &[u8]) -> Result<Body, String> {
    let duplicates = RefCell::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let node = Node { path: String::new(), duplicates: &duplicates };
    let read = node.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match read {
        Ok(value) => Ok(Body { value, duplicates: duplicates.into_inner() }),
        Err(error) => Err(in_its_words(bytes, &error)),
    }
}

/// What encoding/json of Go says where serde_json fails.
fn in_its_words(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line_start: usize =
        bytes.split(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(|l| l.len() + 1).sum();
    let at = (line_start + error.column()).saturating_sub(1);
    let found = bytes.get(at).copied().unwrap_or_default();
    let text = error.to_string();
    let place = [
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("trailing characters", "after top-level value"),
    ];
    let place =
        place.iter().find(|(theirs, _)| text.contains(theirs)).map_or("looking for beginning of value", |(_, p)| p);
    format!("invalid character '{}' {place}", char::from(found))
}

struct Node<'a> {
    path: String,
    duplicates: &'a RefCell<Vec<Duplicate>>,
}

impl Node<'_> {
    fn below(&self, path: String) -> Self {
        Self { path, duplicates: self.duplicates }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element_seed(self.below(format!("{}[{}]", self.path, list.len())))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            let value = entries.next_value_seed(self.below(path.clone()))?;
            if fields.insert(name.clone(), value).is_some() {
                self.duplicates.borrow_mut().push(Duplicate { path, name });
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_appear_twice_are_noticed() {
        let body = json(br#"{"a": [{"b": 1, "b": 2}], "c": 1, "c": 2}"#).unwrap();
        assert_eq!(body.mistakes(), ["duplicate field \"a[0].b\"", "duplicate field \"c\""]);
        assert_eq!(body.value, serde_json::json!({"a": [{"b": 2}], "c": 2}));
    }

    #[test]
    fn fields_that_appear_twice_are_noticed_in_yaml_too() {
        let text = "a: {b: 1, b: 2.0}\nc: x\nc: y\n";
        let request = Request::new(http::Method::PATCH, "/", text.into());
        let kind = super::super::kinds::Kinds::built_in().find("", "v1", "configmaps").unwrap();
        let body = yaml(&request, &kind).unwrap();
        assert_eq!(body.mistakes(), ["duplicate field \"a.b\"", "duplicate field \"c\""]);
        assert_eq!(body.value.to_string(), r#"{"a":{"b":2},"c":"y"}"#);
    }

    #[test]
    fn broken_json_is_told_as_the_real_server_tells_it() {
        for (text, error) in [
            ("{nope", "invalid character 'n' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{}x", "invalid character 'x' after top-level value"),
            ("{", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
        ] {
            assert_eq!(json(text.as_bytes()).unwrap_err(), error, "{text}");
        }
    }
}
