//! An object as far as it can be read. One that was stored under another schema, or by another version, must not take
//! from people what needs nothing of the part that can't be read: a way back above all.

use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};
use std::borrow::Cow;
use std::fmt;

/// Most fields that are left out; an object with more can't be read.
const MOST_UNREAD: usize = 32;

/// A field that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Where it is, for example `spec.redis.memorySizeGb`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// An object as far as it can be read, and what is left out.
#[derive(Clone, Debug)]
pub struct Lenient<T> {
    /// The object without the fields that can't be read.
    pub object: T,
    /// Fields that were left out; none: all of it was read.
    pub unread: Vec<Unread>,
    /// The spec as it is stored, for it to stay so when the object is written; none: all of it was read.
    stored_spec: Option<Value>,
}

impl<T: DeserializeOwned> Lenient<T> {
    /// Reads an object from JSON.
    ///
    /// # Errors
    /// When the text is no JSON, or so much of it can't be read that no object is left.
    pub fn read(text: &str) -> Result<Self, Unread> {
        if let Ok(object) = serde_json::from_str(text) {
            return Ok(Self { object, unread: vec![], stored_spec: None });
        }
        let stored: Value =
            serde_json::from_str(text).map_err(|e| Unread { field: "the object".into(), why: e.to_string() })?;
        let stored_spec = stored.get("spec").cloned();
        let (mut rest, mut unread) = (stored, vec![]);
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(&rest) {
                Ok(object) => return Ok(Self { object, unread, stored_spec }),
                Err(error) => error,
            };
            let left_out = Unread { field: error.path().to_string(), why: error.inner().to_string() };
            if unread.len() == MOST_UNREAD || !leave_out(&mut rest, error.path()) {
                return Err(unread.into_iter().next().unwrap_or(left_out));
            }
            unread.push(left_out);
        }
    }
}

/// Takes what is at a path out, or as much around it as the path tells. Whether there was anything.
fn leave_out(value: &mut Value, path: &Path) -> bool {
    let keys: Vec<Cow<'_, str>> = path.iter().filter_map(key).collect();
    let Some((last, before)) = keys.split_last() else { return false };
    let mut parent = value;
    for key in before {
        let next = match parent {
            Value::Object(fields) => fields.get_mut(key.as_ref()),
            Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return false };
        parent = next;
    }
    match parent {
        Value::Object(fields) => fields.remove(last.as_ref()).is_some(),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn key(segment: &Segment) -> Option<Cow<'_, str>> {
    match segment {
        Segment::Seq { index } => Some(index.to_string().into()),
        Segment::Map { key } => Some(key.as_str().into()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(text.get()).map_err(D::Error::custom)
    }
}

impl<T: Serialize> Serialize for Lenient<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(spec) = &self.stored_spec else { return self.object.serialize(serializer) };
        let mut whole = serde_json::to_value(&self.object).map_err(S::Error::custom)?;
        if let Value::Object(fields) = &mut whole {
            fields.insert("spec".into(), spec.clone());
        }
        whole.serialize(serializer)
    }
}

impl<T: Resource> Resource for Lenient<T> {
    type DynamicType = T::DynamicType;
    type Scope = T::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        T::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        T::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        T::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        T::plural(dynamic)
    }

    fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        self.object.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OrchestraEnvironment, Rollout};
    use serde_json::json;

    fn environment(spec: Value) -> String {
        json!({
            "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment",
            "metadata": {"name": "env", "namespace": "t"}, "spec": spec,
        })
        .to_string()
    }

    fn fields<T>(read: &Lenient<T>) -> Vec<&str> {
        read.unread.iter().map(|unread| unread.field.as_str()).collect()
    }

    #[test]
    fn what_can_be_read_is_and_the_rest_is_named() {
        let text = environment(json!({
            "project": "p", "stage": "Development", "regions": ["us-central1", 7],
            "redis": {"tier": "Basic", "memorySizeGb": "ten"}, "deletionPolicy": "Perhaps",
        }));
        let read = Lenient::<OrchestraEnvironment>::read(&text).unwrap();
        let mut named = fields(&read);
        named.sort_unstable();
        // Redis can't be without its size: all of it is left out then.
        assert_eq!(named, ["spec.deletionPolicy", "spec.redis", "spec.redis.memorySizeGb", "spec.regions[1]"]);
        assert_eq!((read.object.spec.project.as_str(), read.object.spec.regions.len()), ("p", 1));
        let written: Value = serde_json::to_value(&read).unwrap();
        assert_eq!(written["spec"]["redis"]["memorySizeGb"], "ten", "what is stored stays");
    }

    #[test]
    fn an_object_that_can_be_read_is_read_as_ever() {
        let text = environment(json!({"project": "p", "stage": "Development", "regions": ["us-central1"]}));
        let read = Lenient::<OrchestraEnvironment>::read(&text).unwrap();
        assert!(read.unread.is_empty() && read.stored_spec.is_none());
    }

    #[test]
    fn one_of_which_nothing_is_left_names_its_first_field() {
        let text = json!({"metadata": {"name": "web"}, "spec": {"serviceName": 3}}).to_string();
        let unread = Lenient::<Rollout>::read(&text).unwrap_err();
        assert_eq!(unread.field, "spec.serviceName", "{unread}");
    }
}
