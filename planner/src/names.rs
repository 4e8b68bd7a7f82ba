//! Names, checked once where they enter.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {kind}: {rule}")]
pub struct BadName {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks the name.
            ///
            /// # Errors
            /// When the text breaks the rule of this kind of name.
            pub fn new(value: impl Into<String>) -> Result<Self, BadName> {
                let value = value.into();
                let check: fn(&str) -> bool = $check;
                if check(&value) { Ok(Self(value)) } else { Err(BadName { kind: $kind, value, rule: $rule }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A DNS label of at most `max` characters that starts with a letter.
fn label(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

name!(
    /// A Google Cloud project ID.
    ProjectId,
    "project ID",
    "6 to 30 lowercase letters, digits and hyphens, starting with a letter",
    |t| (6..=30).contains(&t.len()) && label(t, 30)
);
name!(
    /// A Cloud Run region.
    Region,
    "region",
    "lowercase letters, digits and hyphens, such as us-central1",
    |t| label(t, 40)
);
name!(
    /// Name of a Cloud Run service. Google allows fewer than 50 characters.
    ServiceName,
    "service name",
    "at most 49 lowercase letters, digits and hyphens, starting with a letter",
    |t| label(t, 49)
);
name!(
    /// Name of a Cloud Run revision, without the service's path. The same in every region.
    RevisionName,
    "revision name",
    "at most 63 lowercase letters, digits and hyphens, starting with a letter",
    |t| label(t, 63)
);

/// Hash of an effective template: ten characters, letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateHash(String);

impl TemplateHash {
    /// Takes the leading bytes of a digest.
    pub(crate) fn from_digest(digest: &[u8]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        Self(digest.iter().take(10).map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect())
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RevisionName {
    /// `{service}-{hash}`, and for another attempt at the same template `{service}-{hash}-{attempt}`. The first
    /// attempt is number 1.
    pub fn for_template(service: &ServiceName, hash: &TemplateHash, attempt: u32) -> Self {
        match attempt {
            0 | 1 => Self(format!("{service}-{}", hash.0)),
            n => Self(format!("{service}-{}-{n}", hash.0)),
        }
    }

    /// Whether this is an attempt at the template with that hash.
    pub fn is_of(&self, service: &ServiceName, hash: &TemplateHash) -> bool {
        let Some(rest) = self.0.strip_prefix(Self::for_template(service, hash, 1).as_str()) else {
            return false;
        };
        rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok())
    }
}

/// A share of requests, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(100);

    /// Takes a number, cut to 0 to 100.
    pub fn clamped(value: i32) -> Self {
        Self(u8::try_from(value.clamp(0, 100)).unwrap_or(100))
    }

    /// As a number.
    pub fn get(self) -> i32 {
        i32::from(self.0)
    }

    /// What is left to 100.
    pub fn rest(self) -> Self {
        Self(100 - self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Version tag of a resource, as a read gave it; a write that carries it fails when the resource has changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Etag(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(ServiceName::new("api").is_ok());
        assert!(ServiceName::new("a".repeat(50)).is_err());
        assert!(RevisionName::new("9lives").is_err());
        assert!(Region::new("us-central1").is_ok());
    }

    #[test]
    fn an_attempt_belongs_to_its_template_only() -> Result<(), BadName> {
        let service = ServiceName::new("api")?;
        let (one, two) = (TemplateHash("aaaaaaaaaa".into()), TemplateHash("bbbbbbbbbb".into()));
        for attempt in [1, 2, 10] {
            let name = RevisionName::for_template(&service, &one, attempt);
            assert!(name.is_of(&service, &one));
            assert!(!name.is_of(&service, &two));
        }
        assert!(!RevisionName::new("api-aaaaaaaaaa-x")?.is_of(&service, &one));
        Ok(())
    }
}
