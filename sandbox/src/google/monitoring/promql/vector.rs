//! Vectors of samples: aggregation, and arithmetic between them.

use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{AggregateExpr, BinModifier, LabelModifier, VectorMatchCardinality};
use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, its name as `__name__`.
pub(super) type Labels = BTreeMap<String, String>;
/// Samples of one time.
pub(super) type Vector = Vec<(Labels, f64)>;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Scalar(f64),
    Vector(Vector),
}

/// What an operator does with a vector loses its name.
pub(super) fn nameless(mut labels: Labels) -> Labels {
    labels.remove("__name__");
    labels
}

fn kept(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    let listed = |key: &str| modifier.is_some_and(|m| m.labels().labels.iter().any(|label| label == key));
    let keeps = |key: &str| match modifier {
        Some(LabelModifier::Include(_)) => listed(key),
        Some(LabelModifier::Exclude(_)) => !listed(key) && key != "__name__",
        None => false,
    };
    labels.iter().filter(|(key, _)| keeps(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(super) fn aggregate(expression: &AggregateExpr, samples: Vector) -> Result<Vector, String> {
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for (labels, number) in samples {
        groups.entry(kept(&labels, expression.modifier.as_ref())).or_default().push(number);
    }
    let fold: fn(&[f64]) -> f64 = match expression.op.id() {
        token::T_SUM => |all| all.iter().sum(),
        token::T_AVG => |all| all.iter().sum::<f64>() / all.len() as f64,
        token::T_MIN => |all| all.iter().copied().fold(f64::INFINITY, f64::min),
        token::T_MAX => |all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        token::T_COUNT => |all| all.len() as f64,
        _ => return Err(format!("the aggregation {} is not supported by the sandbox", expression.op)),
    };
    Ok(groups.into_iter().map(|(labels, all)| (labels, fold(&all))).collect())
}

/// What an operator makes of two numbers; none when a comparison leaves the sample out.
fn operate(op: TokenType, as_bool: bool, a: f64, b: f64) -> Result<Option<f64>, String> {
    let compared = |holds: bool| match (as_bool, holds) {
        (true, holds) => Some(f64::from(u8::from(holds))),
        (false, true) => Some(a),
        (false, false) => None,
    };
    Ok(match op.id() {
        token::T_ADD => Some(a + b),
        token::T_SUB => Some(a - b),
        token::T_MUL => Some(a * b),
        token::T_DIV => Some(a / b),
        token::T_MOD => Some(a % b),
        token::T_POW => Some(a.powf(b)),
        token::T_GTR => compared(a > b),
        token::T_LSS => compared(a < b),
        token::T_GTE => compared(a >= b),
        token::T_LTE => compared(a <= b),
        token::T_EQLC => compared(a == b),
        token::T_NEQ => compared(a != b),
        _ => return Err(format!("the operator {op} is not supported by the sandbox")),
    })
}

pub(super) fn binary(op: TokenType, modifier: Option<&BinModifier>, a: Found, b: Found) -> Result<Found, String> {
    let as_bool = modifier.is_some_and(|m| m.return_bool);
    let renamed = |labels: Labels| if op.is_comparison_operator() && !as_bool { labels } else { nameless(labels) };
    let each = |samples: Vector, with: &dyn Fn(f64) -> Result<Option<f64>, String>| -> Result<Found, String> {
        let found = samples.into_iter().map(|(labels, n)| Ok(with(n)?.map(|n| (renamed(labels), n))));
        found.filter_map(Result::transpose).collect::<Result<_, String>>().map(Found::Vector)
    };
    match (a, b) {
        (Found::Scalar(a), Found::Scalar(b)) => operate(op, true, a, b).map(|n| Found::Scalar(n.unwrap_or(f64::NAN))),
        (Found::Vector(all), Found::Scalar(b)) => each(all, &|a| operate(op, as_bool, a, b)),
        (Found::Scalar(a), Found::Vector(all)) => each(all, &|b| {
            let found = operate(op, as_bool, a, b)?;
            Ok(found.map(|n| if op.is_comparison_operator() && !as_bool { b } else { n }))
        }),
        (Found::Vector(a), Found::Vector(b)) => vectors(op, modifier, a, b).map(Found::Vector),
    }
}

/// Samples of both sides that go together: those whose matching labels are the same.
fn vectors(op: TokenType, modifier: Option<&BinModifier>, left: Vector, right: Vector) -> Result<Vector, String> {
    let matching = modifier.and_then(|m| m.matching.as_ref());
    let key = |labels: &Labels| match matching {
        Some(_) => kept(labels, matching),
        None => nameless(labels.clone()),
    };
    if modifier
        .is_some_and(|m| matches!(m.card, VectorMatchCardinality::ManyToOne(_) | VectorMatchCardinality::OneToMany(_)))
    {
        return Err("group_left and group_right are not supported by the sandbox".into());
    }
    let keys: BTreeMap<Labels, f64> = right.iter().map(|(labels, number)| (key(labels), *number)).collect();
    match op.id() {
        token::T_LAND => return Ok(left.into_iter().filter(|(labels, _)| keys.contains_key(&key(labels))).collect()),
        token::T_LUNLESS => {
            return Ok(left.into_iter().filter(|(labels, _)| !keys.contains_key(&key(labels))).collect());
        }
        token::T_LOR => {
            let present: Vec<Labels> = left.iter().map(|(labels, _)| key(labels)).collect();
            let more = right.into_iter().filter(|(labels, _)| !present.contains(&key(labels)));
            return Ok(left.into_iter().chain(more).collect());
        }
        _ => {}
    }
    if keys.len() != right.len() {
        return Err("many samples of the right side have the same labels: match with on() or ignoring()".into());
    }
    let lefts: BTreeSet<Labels> = left.iter().map(|(labels, _)| key(labels)).collect();
    if lefts.len() != left.len() {
        return Err("many samples of the left side have the same labels: match with on() or ignoring()".into());
    }
    let as_bool = modifier.is_some_and(|m| m.return_bool);
    let mut found = vec![];
    for (labels, a) in left {
        let together = key(&labels);
        let Some(b) = keys.get(&together) else { continue };
        if let Some(number) = operate(op, as_bool, a, *b)? {
            let shown = if matching.is_some() { together } else { nameless(labels) };
            found.push((shown, number));
        }
    }
    Ok(found)
}

/// The value that a share stays below, from cumulative buckets.
pub(super) fn histogram_quantile(share: f64, buckets: Vector) -> Vector {
    let mut groups: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (mut labels, count) in buckets {
        let bound = labels.remove("le").and_then(|le| if le == "+Inf" { Some(f64::INFINITY) } else { le.parse().ok() });
        if let Some(bound) = bound {
            groups.entry(nameless(labels)).or_default().push((bound, count));
        }
    }
    let quantile = |mut buckets: Vec<(f64, f64)>| {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = buckets.last().map_or(0.0, |(_, count)| *count);
        let wanted = share * total;
        let (mut below, mut under) = (0.0, 0.0);
        for (bound, count) in buckets {
            if total > 0.0 && count >= wanted {
                let within = if count > under { (bound - below) * (wanted - under) / (count - under) } else { 0.0 };
                return if bound.is_finite() { below + within } else { below };
            }
            (below, under) = (bound, count);
        }
        f64::NAN
    };
    groups.into_iter().map(|(labels, buckets)| (labels, quantile(buckets))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[(&str, &str)], number: f64) -> (Labels, f64) {
        (labels.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect(), number)
    }

    #[test]
    fn samples_with_the_same_labels_go_together() {
        let errors = vec![sample(&[("__name__", "errors"), ("revision", "a")], 1.0)];
        let all = vec![
            sample(&[("__name__", "all"), ("revision", "a")], 4.0),
            sample(&[("__name__", "all"), ("revision", "b")], 9.0),
        ];
        let divided = |a: &Vector, b: &Vector| {
            binary(TokenType::new(token::T_DIV), None, Found::Vector(a.clone()), Found::Vector(b.clone()))
        };
        assert_eq!(divided(&errors, &all), Ok(Found::Vector(vec![sample(&[("revision", "a")], 0.25)])));
        let twice = [all.clone(), all.clone()].concat();
        assert!(divided(&errors, &twice).is_err() && divided(&twice, &errors).is_err());
        let above = binary(TokenType::new(token::T_GTR), None, Found::Vector(all.clone()), Found::Scalar(5.0));
        assert_eq!(above, Ok(Found::Vector(all[1..].to_vec())), "a comparison keeps the names");
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let bucket = |bound: &str, count: f64| sample(&[("__name__", "latency_bucket"), ("le", bound)], count);
        let buckets = vec![bucket("10", 5.0), bucket("20", 10.0), bucket("+Inf", 10.0)];
        assert_eq!(histogram_quantile(0.5, buckets.clone()), [sample(&[], 10.0)]);
        assert_eq!(histogram_quantile(0.75, buckets), [sample(&[], 15.0)]);
    }
}
