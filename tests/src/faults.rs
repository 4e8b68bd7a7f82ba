//! What can go wrong with a call, and where it does.

use orchestra_sandbox::google::Mishap;
use orchestra_sandbox::journal::Api;
use std::fmt;

/// What goes wrong with a call of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The controller dies before the call takes effect.
    CrashBefore,
    /// The controller dies after the call took effect, before the answer comes.
    CrashAfter,
    /// The call takes effect, and the answer is lost.
    LostResponse,
    /// Nothing happens, and no answer comes.
    Hang,
    /// 409: somebody else was faster.
    Conflict,
    /// 429, with the time after which to try again.
    TooMany,
    /// 503.
    Unavailable,
    /// The answer is so many versions old.
    Stale(usize),
    /// The operation that the call starts goes wrong.
    Operation(Mishap),
    /// The controller dies and starts again where the clock is so many hours off.
    ClockJump(i32),
    /// Another controller takes over while the call is under way; it arrives when that one has begun to write.
    Handover,
}

impl Fault {
    /// What can go wrong with a write.
    pub const OF_WRITES: [Self; 10] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostResponse,
        Self::Hang,
        Self::Conflict,
        Self::TooMany,
        Self::Unavailable,
        Self::ClockJump(1),
        Self::ClockJump(-1),
        Self::Handover,
    ];
    /// What can go wrong with a write that starts an operation, besides.
    pub const OF_OPERATIONS: [Self; 3] =
        [Self::Operation(Mishap::Fails), Self::Operation(Mishap::Never), Self::Operation(Mishap::Forgotten)];
    /// What can go wrong with a read.
    pub const OF_READS: [Self; 5] = [Self::Stale(1), Self::Stale(3), Self::Hang, Self::TooMany, Self::Unavailable];

    /// Whether it can strike such a call.
    pub fn fits(self, api: Api, write: bool) -> bool {
        match self {
            Self::Hang | Self::TooMany | Self::Unavailable => true,
            Self::Stale(_) => !write,
            Self::Operation(_) => write && api == Api::Google,
            _ => write,
        }
    }

    /// Whether the call never takes effect, now or later.
    pub fn prevents(self) -> bool {
        matches!(
            self,
            Self::CrashBefore | Self::ClockJump(_) | Self::Hang | Self::Conflict | Self::TooMany | Self::Unavailable
        )
    }

    /// Whether the controller dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::CrashBefore | Self::CrashAfter | Self::ClockJump(_) | Self::Handover)
    }
}

/// One fault at one call, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub call: usize,
    pub fault: Fault,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.call, self.fault)
    }
}

/// A call that the controller made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub second: i64,
    pub api: Api,
    pub method: String,
    pub target: String,
    pub status: u16,
    /// The call starts an operation.
    pub starts_operation: bool,
    /// How many different answers the same read had before.
    pub older: usize,
    /// What a write asks for or tells, in short.
    pub tells: String,
}

impl Call {
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// What can go wrong with it.
    pub fn faults(&self) -> Vec<Fault> {
        let has_older = |fault: &Fault| !matches!(fault, Fault::Stale(versions) if *versions >= self.older);
        match (self.is_write(), self.starts_operation) {
            (false, _) => Fault::OF_READS.into_iter().filter(has_older).collect(),
            (true, false) => Fault::OF_WRITES.to_vec(),
            (true, true) => Fault::OF_WRITES.iter().chain(&Fault::OF_OPERATIONS).copied().collect(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {}", self.second, self.method, self.target, self.status, self.tells)
    }
}
