//! What a release has before it, in words: for screens and plans.

use jiff::SignedDuration;
use orchestra_crds::{Analysis, CourseStatus, Strategy};

use super::steps::{Step, Steps};

/// What a release has before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Its steps in a few words each, and 100 % at the end: `10 %`, `pause`, `100 %`.
    pub steps: Vec<String>,
    /// The same in full: `10 % for 5 min`.
    pub in_full: Vec<String>,
    /// How long it takes in all regions, if each step passes as soon as it may.
    pub takes: SignedDuration,
}

/// The outlook of a course.
pub fn outlook(course: &CourseStatus) -> Outlook {
    let steps = Steps::read(&course.steps);
    let once: SignedDuration = steps.iter().map(Step::takes).sum();
    let regions = i32::try_from(course.regions.len()).unwrap_or(i32::MAX);
    Outlook { steps: steps.told(Step::words), in_full: steps.told(Step::in_full), takes: once.saturating_mul(regions) }
}

/// For how many minutes a strategy plans a release in one region.
pub fn planned_minutes(strategy: &Strategy, analysis: &Analysis) -> u32 {
    let takes: SignedDuration = Steps::of(strategy, analysis).iter().map(Step::takes).sum();
    u32::try_from(takes.as_mins()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestra_crds::{Pause, Step as StepSpec};

    #[test]
    fn steps_are_told_with_their_defaults_and_all_regions_count() {
        let weight = StepSpec { weight: Some(10), ..StepSpec::default() };
        let pause = |duration_seconds| StepSpec { pause: Some(Pause { duration_seconds }), ..StepSpec::default() };
        let steps = vec![weight, pause(Some(60)), pause(None)];
        let course = CourseStatus { steps, regions: vec!["a".into(), "b".into()], ..CourseStatus::default() };
        let outlook = outlook(&course);
        assert_eq!(outlook.steps, ["10 %", "pause", "pause", "100 %"]);
        assert_eq!(outlook.in_full, ["10 % for 5 min", "a pause of 1 min", "a pause until somebody promotes", "100 %"]);
        assert_eq!(outlook.takes, SignedDuration::from_mins(12));
    }
}
