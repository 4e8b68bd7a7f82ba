//! Looks at the world: answers the planner's questions until none is open. Reads of a pass are made together and have a
//! budget; a pass that users wait for, because they may be meeting a bad revision, waits for no read that hangs.

mod environment;
mod patience;
mod prometheus;
mod rollout;

use orchestra_cloud::CloudError;
use orchestra_planner::cloud::Reading;

use crate::health::Source;
use crate::shell::Shell;
use patience::{Patience, gather};

impl Shell {
    /// What a read gave, with its fault told.
    pub(crate) fn noted<T>(&self, source: Source, read: Result<T, CloudError>) -> Reading<T> {
        let reading = read.map_err(orchestra_planner::cloud::Fault::from);
        self.health.note_google(source, reading.as_ref().err());
        reading
    }
}
