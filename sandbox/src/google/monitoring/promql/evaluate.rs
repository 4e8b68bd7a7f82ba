//! What an expression comes to at one time.

use jiff::{SignedDuration, Timestamp};
use promql_parser::parser::{Call, Expr, Offset, VectorSelector};

use super::vector::{Found, Vector, aggregate, binary, histogram_quantile, nameless};
use crate::google::monitoring::Metrics;

/// How old the newest sample of a series may be.
const LOOKBACK: SignedDuration = SignedDuration::from_mins(5);

/// An expression is worked out at one time, from what is known now.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) project: &'a str,
    pub(super) now: Timestamp,
    pub(super) at: Timestamp,
}

fn signed(duration: std::time::Duration) -> Result<SignedDuration, String> {
    SignedDuration::try_from(duration).map_err(|e| e.to_string())
}

impl Evaluation<'_> {
    pub(super) fn of(self, expression: &Expr) -> Result<Found, String> {
        match expression {
            Expr::NumberLiteral(number) => Ok(Found::Scalar(number.val)),
            Expr::Paren(inner) => self.of(&inner.expr),
            Expr::Unary(inner) => Ok(match self.of(&inner.expr)? {
                Found::Scalar(number) => Found::Scalar(-number),
                Found::Vector(all) => Found::Vector(all.into_iter().map(|(l, n)| (nameless(l), -n)).collect()),
            }),
            Expr::Binary(both) => binary(both.op, both.modifier.as_ref(), self.of(&both.lhs)?, self.of(&both.rhs)?),
            Expr::Aggregate(all) => aggregate(all, self.vector(&all.expr)?).map(Found::Vector),
            Expr::VectorSelector(selector) => self.select(selector).map(Found::Vector),
            Expr::Call(call) => self.call(call),
            Expr::MatrixSelector(_) => Err("a range of samples needs a function: rate(…[5m])".into()),
            Expr::Subquery(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {
                Err(format!("{expression} is not supported by the sandbox"))
            }
        }
    }

    fn vector(self, expression: &Expr) -> Result<Vector, String> {
        match self.of(expression)? {
            Found::Vector(all) => Ok(all),
            Found::Scalar(_) => Err(format!("{expression} must be a vector")),
        }
    }

    /// The end of what a selector looks at.
    fn end(self, selector: &VectorSelector) -> Result<Timestamp, String> {
        if selector.at.is_some() {
            return Err("the modifier @ is not supported by the sandbox".into());
        }
        Ok(match selector.offset {
            Some(Offset::Pos(by)) => self.at.checked_sub(signed(by)?).map_err(|e| e.to_string())?,
            Some(Offset::Neg(by)) => self.at.checked_add(signed(by)?).map_err(|e| e.to_string())?,
            None => self.at,
        })
    }

    fn deltas(self, selector: &VectorSelector, span: (Timestamp, Timestamp)) -> Result<super::Deltas, String> {
        self.metrics.deltas(self.project, self.now, selector.name.as_deref(), &selector.matchers, span)
    }

    /// The counters, if they have a sample that is fresh enough.
    fn select(self, selector: &VectorSelector) -> Result<Vector, String> {
        let end = self.end(selector)?;
        let all = self.deltas(selector, (self.metrics.since(self.now), end))?;
        let fresh =
            all.into_iter().filter(|(_, points)| points.keys().next_back().is_some_and(|at| *at > end - LOOKBACK));
        Ok(fresh.map(|(labels, points)| (labels, points.values().sum())).collect())
    }

    fn call(self, call: &Call) -> Result<Found, String> {
        let argument = |index: usize| call.args.args.get(index).map(AsRef::as_ref).ok_or("an argument is missing");
        let number = |expression: &Expr| match self.of(expression)? {
            Found::Scalar(number) => Ok(number),
            Found::Vector(_) => Err(format!("{expression} must be a number")),
        };
        Ok(match call.func.name {
            name @ ("rate" | "increase") => {
                let Expr::MatrixSelector(range) = argument(0)? else { return Err(format!("{name} needs a range")) };
                let (end, span) = (self.end(&range.vs)?, signed(range.range)?);
                let per = if name == "rate" { span.as_secs_f64() } else { 1.0 };
                let from = end.checked_sub(span).map_err(|e| e.to_string())?;
                let all = self.deltas(&range.vs, (from.max(self.metrics.since(self.now)), end))?;
                let summed =
                    all.into_iter().map(|(labels, points)| (nameless(labels), points.values().sum::<f64>() / per));
                Found::Vector(summed.collect())
            }
            "histogram_quantile" => {
                Found::Vector(histogram_quantile(number(argument(0)?)?, self.vector(argument(1)?)?))
            }
            "vector" => Found::Vector(vec![(Default::default(), number(argument(0)?)?)]),
            "scalar" => Found::Scalar(match self.vector(argument(0)?)?.as_slice() {
                [(_, one)] => *one,
                _ => f64::NAN,
            }),
            "time" => Found::Scalar(self.at.as_second() as f64),
            name => return Err(format!("the function {name} is not supported by the sandbox")),
        })
    }
}
