//! Reading of what is stored. A status may come from another version of the controller: a value that this one does not
//! know counts as lost, and the planner finds it again in Google Cloud. It must never make the object unreadable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A value, or none where it cannot be understood.
pub(crate) fn value<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let stored = Option::<Value>::deserialize(deserializer)?;
    Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()))
}

/// The items of a list that can be understood.
pub(crate) fn items<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let stored = Option::<Value>::deserialize(deserializer)?;
    let Some(Value::Array(items)) = stored else { return Ok(vec![]) };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}
