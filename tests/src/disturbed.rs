//! What may be wrong with what Cloud Monitoring answers.

use jiff::{SignedDuration, Timestamp};
use orchestra_sandbox::exchange::Reply;
use serde_json::{Value, json};

/// What is wrong with each answer, while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing is there.
    Lost,
    /// Points come so many minutes late.
    Late(i64),
    /// Each third minute is missing.
    Missing,
    /// In each third minute one of the values is no number.
    NotANumber,
    /// What was told some minutes ago is told with other counts now.
    Revised,
    /// Each series and each point comes twice.
    Twice,
    /// It refuses or fails with that HTTP status.
    Refused(u16),
}

/// How old a point is that was told before.
const TOLD: SignedDuration = SignedDuration::from_mins(6);

impl Disturbance {
    /// Changes an answer.
    pub(crate) fn on(self, reply: Reply, now: Timestamp) -> Reply {
        if let Self::Refused(status) = self {
            let message = "simulated: Monitoring does not answer";
            let code = if status == 403 { "PERMISSION_DENIED" } else { "UNAVAILABLE" };
            return Reply::json(status, json!({"error": {"code": status, "status": code, "message": message}}));
        }
        let Some(mut body) = reply.document().map(|body| body.into_owned()) else { return reply };
        if self == Self::Lost {
            return Reply::ok(json!({}));
        }
        let Some(series) = body["timeSeries"].as_array_mut() else { return reply };
        for one in series.iter_mut() {
            let points = one["points"].take();
            let points = points.as_array().into_iter().flatten().flat_map(|point| self.point(point, now));
            one["points"] = points.collect();
        }
        if self == Self::Twice {
            let again = series.clone();
            series.extend(again);
        }
        Reply::ok(body)
    }

    fn point(self, point: &Value, now: Timestamp) -> Vec<Value> {
        let end: Option<Timestamp> = point["interval"]["endTime"].as_str().and_then(|end| end.parse().ok());
        let Some(end) = end else { return vec![point.clone()] };
        let is_third = (end.as_second() / 60).rem_euclid(3) == 0;
        match self {
            Self::Late(minutes) if now.duration_since(end) < SignedDuration::from_mins(minutes) => vec![],
            Self::Missing if is_third => vec![],
            Self::NotANumber if is_third && !point["value"]["int64Value"].is_null() => {
                let mut point = point.clone();
                point["value"] = json!({"doubleValue": "NaN"});
                vec![point]
            }
            Self::Revised if now.duration_since(end) > TOLD => vec![revised(point)],
            Self::Twice => vec![point.clone(), point.clone()],
            _ => vec![point.clone()],
        }
    }
}

/// Three times as many.
fn revised(point: &Value) -> Value {
    let mut point = point.clone();
    let count = point["value"]["int64Value"].as_str().and_then(|count| count.parse::<i64>().ok());
    if let Some(count) = count {
        point["value"]["int64Value"] = json!((count * 3).to_string());
    }
    point
}
