//! Update masks: which fields of what is sent are meant.

use serde_json::{Value, json};

use super::problem::Problem;

/// A list of paths, in camel case whichever way they were sent.
#[derive(Clone, Debug)]
pub(super) struct Mask(Vec<String>);

impl Mask {
    /// Reads `a.b,c_d`.
    pub(super) fn parse(text: &str) -> Self {
        let path = |path: &str| match path.trim().split_once('.') {
            // What is below is the user's own.
            Some((map @ ("labels" | "annotations"), key)) => format!("{map}.{key}"),
            _ => camel(path),
        };
        Self(text.split(',').map(path).filter(|path| !path.is_empty()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths, in the order they were sent.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The first path whose field is not one of these.
    pub(super) fn outside(&self, fields: &[&str]) -> Option<&str> {
        self.paths().find(|path| !fields.contains(&path.split('.').next().unwrap_or_default()))
    }

    /// Writes what the mask names from one document into another; what was not sent is removed.
    ///
    /// # Errors
    /// When a path leads into a list: a mask can only name a list as a whole.
    pub(super) fn apply(&self, from: &Value, onto: &mut Value) -> Result<(), Problem> {
        for path in self.paths() {
            let parts: Vec<&str> = path.split('.').collect();
            let parents = (1..parts.len()).map(|length| format!("/{}", parts[..length].join("/")));
            if parents
                .into_iter()
                .any(|parent| [&*onto, from].iter().any(|d| d.pointer(&parent).is_some_and(Value::is_array)))
            {
                return Err(Problem::field("update_mask", format!("'{path}' leads into a repeated field")));
            }
            put(onto, &parts, from.pointer(&format!("/{}", parts.join("/"))).cloned());
        }
        Ok(())
    }
}

/// `memory_size_gb` and `memorySizeGb` are the same field.
fn camel(path: &str) -> String {
    let mut camel = String::new();
    let mut up = false;
    for c in path.trim().chars() {
        match c {
            '_' => up = true,
            c if up => {
                camel.push(c.to_ascii_uppercase());
                up = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

/// Sets or removes a field by its path.
fn put(document: &mut Value, path: &[&str], value: Option<Value>) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = document;
    for parent in parents {
        if !place[*parent].is_object() {
            place[*parent] = json!({});
        }
        place = &mut place[*parent];
    }
    match (value, place.as_object_mut()) {
        (Some(value), Some(fields)) if !value.is_null() => drop(fields.insert((*last).to_string(), value)),
        (_, Some(fields)) => drop(fields.remove(*last)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_writes_what_it_names_and_removes_what_was_not_sent() {
        let mut document = json!({"scaling": {"minInstanceCount": 1, "maxInstanceCount": 4}, "description": "old"});
        let mask = Mask::parse("scaling.min_instance_count,description");
        mask.apply(&json!({"scaling": {"minInstanceCount": 2, "maxInstanceCount": 9}}), &mut document).unwrap();
        assert_eq!(document, json!({"scaling": {"minInstanceCount": 2, "maxInstanceCount": 4}}));
        assert_eq!(mask.outside(&["scaling"]), Some("description"));
        let mut list = json!({"traffic": [{"percent": 100}]});
        assert!(Mask::parse("traffic.percent").apply(&json!({}), &mut list).is_err());
        assert_eq!(list["traffic"][0]["percent"], 100);
    }
}
