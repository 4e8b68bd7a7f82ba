//! What looks at each closed minute and says whether to take a candidate back: ours, and those of other tools as their
//! documentation and code have them.

use orchestra_crds::Analysis;
use orchestra_planner::cloud::Count;
use orchestra_planner::verdict::Pair;
use std::collections::VecDeque;

use crate::ours::Ours;
use crate::ranks;

/// Something that judges minutes.
pub trait Rule {
    /// Takes in a minute, the `number`-th from 1; whether the candidate is taken back now.
    fn add(&mut self, number: usize, pair: Pair) -> bool;
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Orchestra, with its defaults.
    Ours,
    /// Argo Rollouts: at least 95 % of the requests succeed; five looks a minute apart, and none may fail.
    ArgoFive,
    /// The same, as a background analysis that goes on.
    ArgoGoesOn,
    /// Flagger: at least 99 % succeed, five failed looks end it.
    Flagger,
    /// Cloud Run's release manager: at most 1 % of the last 30 minutes' requests fail.
    ReleaseManager,
    /// As Kayenta: ranks of the minutes so far, every five minutes from the tenth, at 98 %.
    Kayenta,
    /// PipeCD: ranks of the minutes so far, each minute from the fifth, at 95 %.
    PipeCd,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Ours,
        Self::ArgoFive,
        Self::ArgoGoesOn,
        Self::Flagger,
        Self::ReleaseManager,
        Self::Kayenta,
        Self::PipeCd,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "Orchestra",
            Self::ArgoFive => "Argo, 5 looks",
            Self::ArgoGoesOn => "Argo, background",
            Self::Flagger => "Flagger",
            Self::ReleaseManager => "Release manager",
            Self::Kayenta => "Kayenta-like",
            Self::PipeCd => "PipeCD",
        }
    }

    /// A rule that has seen stable's last hour.
    pub fn begin(self, before: &[Count], settings: &Analysis) -> Box<dyn Rule> {
        match self {
            Self::Ours => Box::new(OursByMinute(Ours::new(before, settings, 20))),
            Self::ArgoFive => Box::new(Argo { looks: 5 }),
            Self::ArgoGoesOn => Box::new(Argo { looks: usize::MAX }),
            Self::Flagger => Box::new(Flagger { failed: 0 }),
            Self::ReleaseManager => Box::new(ReleaseManager::default()),
            Self::Kayenta => Box::new(Ranks { first: 10, every: 5, certainty: 0.98, ..Ranks::default() }),
            Self::PipeCd => Box::new(Ranks { first: 5, every: 1, certainty: 0.95, ..Ranks::default() }),
        }
    }
}

struct OursByMinute(Ours);

impl Rule for OursByMinute {
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        self.0.add(pair);
        self.0.fails()
    }
}

struct Argo {
    looks: usize,
}

impl Rule for Argo {
    fn add(&mut self, number: usize, pair: Pair) -> bool {
        number <= self.looks && pair.candidate.total > 0 && pair.candidate.rate() > 0.05
    }
}

struct Flagger {
    failed: usize,
}

impl Rule for Flagger {
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        let ends = self.failed >= 5;
        self.failed += usize::from(pair.candidate.total == 0 || pair.candidate.rate() > 0.01);
        ends
    }
}

#[derive(Default)]
struct ReleaseManager {
    minutes: VecDeque<Count>,
}

impl Rule for ReleaseManager {
    fn add(&mut self, _: usize, pair: Pair) -> bool {
        self.minutes.push_back(pair.candidate);
        if self.minutes.len() > 30 {
            self.minutes.pop_front();
        }
        self.minutes.iter().copied().fold(Count::default(), Count::plus).rate() > 0.01
    }
}

#[derive(Default)]
struct Ranks {
    first: usize,
    every: usize,
    certainty: f64,
    candidate: Vec<f64>,
    stable: Vec<f64>,
}

impl Rule for Ranks {
    fn add(&mut self, number: usize, pair: Pair) -> bool {
        // A minute without requests has no rate.
        self.candidate.extend((pair.candidate.total > 0).then(|| pair.candidate.rate()));
        self.stable.extend((pair.stable.total > 0).then(|| pair.stable.rate()));
        let looks = number >= self.first && (number - self.first).is_multiple_of(self.every);
        looks && ranks::is_higher(&self.candidate, &self.stable, self.certainty)
    }
}
