//! Names, checked once where they enter.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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

name!(
    /// Hash of a template or a strategy: ten characters, letters and digits.
    TemplateHash,
    "hash",
    "ten of a to z and 2 to 7",
    |t| t.len() == 10 && t.bytes().all(is_base32)
);
name!(
    /// Fingerprint of one thing that the environment adds to a template.
    Fingerprint,
    "fingerprint",
    "eight of a to z and 2 to 7",
    |t| t.len() == 8 && t.bytes().all(is_base32)
);

fn is_base32(byte: u8) -> bool {
    byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)
}

/// The leading bytes of a text's SHA-256, each as a letter or digit.
fn digest(text: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(length).map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect()
}

impl TemplateHash {
    /// Hash of a form.
    pub(crate) fn of(form: &str) -> Self {
        Self(digest(form, 10))
    }
}

impl Fingerprint {
    /// Fingerprint of a line.
    pub(crate) fn of(line: &str) -> Self {
        Self(digest(line, 8))
    }
}

/// One attempt to bring a revision to its users. Numbers count up over the life of a Rollout, so the same revision
/// released twice is two releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId {
    /// What it brings.
    pub revision: RevisionName,
    /// Its number, counted from 1; 0 for one that was begun before releases had numbers.
    pub number: u32,
}

impl ReleaseId {
    /// Reads `{revision}.{number}`.
    pub fn parse(text: &str) -> Option<Self> {
        let (revision, number) = text.rsplit_once('.')?;
        Some(Self { revision: RevisionName::new(revision).ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.revision, self.number)
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

    /// Whether Orchestra gives such names to revisions of a service.
    pub fn is_made_for(&self, service: &ServiceName) -> bool {
        let rest = self.0.strip_prefix(service.as_str()).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
        let hash = rest.split('-').next().unwrap_or_default();
        TemplateHash::new(hash).is_ok_and(|hash| self.is_of(service, &hash))
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
