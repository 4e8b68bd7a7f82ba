//! What is new in a release: what a failure is held against.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

use crate::names::{Fingerprint, TemplateHash};

/// How many changed inputs are remembered one by one.
const INPUTS_KEPT: usize = 40;

/// What is new in a release, against the revision that it replaces. The user's template if that changed; otherwise
/// what the environment changed: secret versions, defaults, addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum News {
    /// The Rollout's template.
    Template(TemplateHash),
    /// What the environment adds to it.
    Inputs(BTreeSet<Fingerprint>),
}

/// One fingerprint of all inputs together.
fn whole(inputs: &BTreeSet<Fingerprint>) -> Fingerprint {
    let all: Vec<&str> = inputs.iter().map(Fingerprint::as_str).collect();
    Fingerprint::of(&format!("all {}", all.join("+")))
}

impl News {
    /// What is new in a template with these inputs, against one with those. What nothing is known of counts as new.
    pub fn between(
        before: Option<(&TemplateHash, &BTreeSet<Fingerprint>)>,
        template: &TemplateHash,
        inputs: &BTreeSet<Fingerprint>,
    ) -> Self {
        match before {
            Some((same, known)) if same == template => {
                let new: BTreeSet<Fingerprint> = inputs.difference(known).take(INPUTS_KEPT).cloned().collect();
                // Where something was only taken away, what is left as a whole is new.
                if new.is_empty() { Self::Inputs(BTreeSet::from([whole(inputs)])) } else { Self::Inputs(new) }
            }
            _ => Self::Template(template.clone()),
        }
    }

    /// Whether all of it is in a template with these inputs.
    pub fn is_in(&self, template: &TemplateHash, inputs: &BTreeSet<Fingerprint>) -> bool {
        match self {
            Self::Template(failed) => failed == template,
            Self::Inputs(failed) => failed.iter().all(|one| inputs.contains(one) || *one == whole(inputs)),
        }
    }

    /// Reads `template:HASH` or `inputs:ONE+OTHER`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("template", hash) => TemplateHash::new(hash).ok().map(Self::Template),
            ("inputs", "") => Some(Self::Inputs(BTreeSet::new())),
            ("inputs", list) => {
                list.split('+').map(|one| Fingerprint::new(one).ok()).collect::<Option<_>>().map(Self::Inputs)
            }
            _ => None,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(hash) => write!(f, "template:{hash}"),
            Self::Inputs(inputs) => {
                let list: Vec<&str> = inputs.iter().map(Fingerprint::as_str).collect();
                write!(f, "inputs:{}", list.join("+"))
            }
        }
    }
}

impl From<News> for String {
    fn from(news: News) -> Self {
        news.to_string()
    }
}

impl TryFrom<String> for News {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is neither template:HASH nor inputs:ONE+OTHER"))
    }
}
