//! An answer as Prometheus writes it. A query without `sum` may give as many series as there are pods and paths: of what nobody
//! reads nothing is kept, and of series beyond the most none.

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

use super::{MOST_SERIES, Unusable};

/// An answer to a range query.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    #[serde(default)]
    error: Option<String>,
    /// Some stores answer with a part of what they should have, and say so here.
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    result_type: Option<String>,
    #[serde(default, deserialize_with = "up_to_one_too_many")]
    result: Vec<Series>,
}

/// What one series says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Series {
    #[serde(default)]
    pub(super) metric: Labels,
    #[serde(default)]
    pub(super) values: Vec<Point>,
    /// Of native histograms.
    #[serde(default)]
    pub(super) histograms: Vec<IgnoredAny>,
}

/// The labels that mean something here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Labels {
    /// Of a bucket its bound.
    #[serde(default)]
    pub(super) le: Option<String>,
}

/// A value at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) at: f64,
    /// None: it is no number.
    pub(super) value: Option<f64>,
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, text) = <(f64, std::borrow::Cow<'de, str>)>::deserialize(deserializer)?;
        Ok(Self { at, value: text.parse::<f64>().ok().filter(|value| !value.is_nan()) })
    }
}

/// Of a list as many as there may be, and one more that tells that there were too many.
fn up_to_one_too_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of series")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut kept = vec![];
            while kept.len() <= MOST_SERIES {
                match list.next_element()? {
                    Some(series) => kept.push(series),
                    None => return Ok(kept),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }

        // A scalar, or nothing.
        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(vec![])
        }
    }

    deserializer.deserialize_any(Bounded(std::marker::PhantomData))
}

/// What PromQL itself remarks, of the query and not of the answer, begins with that.
const REMARK: &str = "PromQL ";

impl Answer {
    pub(super) fn series(&self) -> Result<&[Series], Unusable> {
        if let Some(error) = &self.error {
            return Err(Unusable::Error(error.clone()));
        }
        if let Some(warning) = self.warnings.iter().find(|warning| !warning.starts_with(REMARK)) {
            return Err(Unusable::Partial(warning.clone()));
        }
        let Some(data) = &self.data else { return Ok(&[]) };
        match &data.result_type {
            Some(other) if other != "matrix" => Err(Unusable::NoRange(other.clone())),
            _ => Ok(&data.result),
        }
    }
}
