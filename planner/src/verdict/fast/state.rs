//! The memory of a lane as one text with a version: `1;WINDOWS…;MINUTE:WINDOWS:CANDIDATE:STABLE …;CLIENTS;CLIENTS`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Failed, Leads};
use crate::verdict::restarts::Restarts;
use crate::verdict::spread::Spread;
use crate::verdict::state::{Reader, Writer, kept, shortened};
use crate::verdict::trial::ALTERNATIVES;

const VERSION: &str = "1";

/// Failed requests as logs and as metrics have them, of the same minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) logged: Failed,
    pub(super) told: Failed,
}

/// Everything that is remembered of a lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Windows that were counted.
    pub(super) windows: u32,
    /// Those in which anything failed.
    pub(super) informative: u32,
    /// For a failure.
    pub(super) worse: Restarts<ALTERNATIVES>,
    /// For the candidate's own rate being above what matters.
    pub(super) matters: Restarts<ALTERNATIVES>,
    /// Since when which alternative leads.
    pub(super) leads: [Leads; ALTERNATIVES],
    pub(super) stable: Spread,
    pub(super) candidate: Spread,
    /// What was logged in minutes that the metrics don't tell of yet, and in how many windows.
    pub(super) logged: BTreeMap<i64, (u32, Failed)>,
    pub(super) check: Check,
    /// Logs and metrics were compared.
    pub(super) checked: bool,
    /// Until when the lane is off, in seconds since 1970.
    pub(super) off_until: Option<i64>,
    /// Entries of no revision of the release, among all.
    pub(super) strange: (i64, i64),
    /// Some of those who met the candidate's failures, and stable's.
    pub(super) clients: [BTreeSet<u32>; 2],
}

impl Memory {
    /// As it is kept: what goes on after a restart is what would have gone on without.
    pub(super) fn round(&mut self) {
        for logs in [&mut self.worse, &mut self.matters] {
            logs.0.iter_mut().for_each(|log| *log = kept(*log));
        }
        self.leads.iter_mut().for_each(|leads| leads.said = kept(leads.said).max(0.0));
        for spread in [&mut self.stable, &mut self.candidate] {
            (spread.excess, spread.weight) = (shortened(spread.excess), shortened(spread.weight));
            spread.noise = shortened(spread.noise);
        }
    }

    /// Reads it; none where another version wrote it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(';').collect();
        let [VERSION, test, logged, candidate, stable] = parts.as_slice() else { return None };
        let mut memory = Self::read_test(Reader::of(test))?;
        let minute = |text: &str| {
            let numbers: Vec<i64> = text.split(':').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            let [minute, windows, candidate, stable] = numbers.as_slice() else { return None };
            let failed = Failed { candidate: *candidate, stable: *stable };
            Some((*minute, (u32::try_from(*windows).ok()?, failed)))
        };
        memory.logged = logged.split(' ').filter(|text| !text.is_empty()).map(minute).collect::<Option<_>>()?;
        let clients = |text: &str| {
            let numbers = text.split(' ').filter(|number| !number.is_empty()).map(|number| number.parse().ok());
            numbers.collect::<Option<BTreeSet<u32>>>()
        };
        memory.clients = [clients(candidate)?, clients(stable)?];
        Some(memory)
    }

    fn read_test(mut reader: Reader<'_>) -> Option<Self> {
        let mut memory = Self { windows: reader.number()?, informative: reader.number()?, ..Self::default() };
        (memory.worse, memory.matters) = (reader.restarts()?, reader.restarts()?);
        for leads in &mut memory.leads {
            let said = reader.log()?;
            let failed = Failed { candidate: reader.number()?, stable: reader.number()? };
            *leads = Leads { said, failed, windows: reader.number()? };
        }
        (memory.stable, memory.candidate) = (reader.spread()?, reader.spread()?);
        memory.check.logged = Failed { candidate: reader.number()?, stable: reader.number()? };
        memory.check.told = Failed { candidate: reader.number()?, stable: reader.number()? };
        memory.checked = reader.number::<i64>()? == 1;
        memory.off_until = reader.optional()?;
        memory.strange = (reader.number()?, reader.number()?);
        reader.is_at_end().then_some(memory)
    }

    /// Writes it.
    pub(super) fn write(&self) -> String {
        let mut writer = Writer::default();
        [self.windows, self.informative].into_iter().for_each(|number| writer.int(number.into()));
        [&self.worse, &self.matters].into_iter().flat_map(|logs| logs.0).for_each(|log| writer.log(log));
        for leads in &self.leads {
            writer.log(leads.said);
            [leads.failed.candidate, leads.failed.stable, leads.windows].into_iter().for_each(|n| writer.int(n));
        }
        [&self.stable, &self.candidate].into_iter().for_each(|spread| writer.spread(spread));
        for failed in [self.check.logged, self.check.told] {
            [failed.candidate, failed.stable].into_iter().for_each(|n| writer.int(n));
        }
        writer.int(self.checked.into());
        writer.optional(self.off_until);
        [self.strange.0, self.strange.1].into_iter().for_each(|n| writer.int(n));
        let minute = |(minute, (windows, failed)): (&i64, &(u32, Failed))| {
            format!("{minute}:{windows}:{}:{}", failed.candidate, failed.stable)
        };
        let logged: Vec<String> = self.logged.iter().map(minute).collect();
        let clients = |known: &BTreeSet<u32>| known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let [candidate, stable] = &self.clients;
        [VERSION.to_string(), writer.text_so_far(), logged.join(" "), clients(candidate), clients(stable)].join(";")
    }
}
