//! What really happened, taken where it happened: the evidence by which the rules judge.

use crate::process::Who;
use dormouse_engine::id::{NodeId, Token, Uid};
use dormouse_engine::ledger::Stance;
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::time::LogIndex;
use dormouse_engine::timer::{Outcome, Run, RunRecord, Timer};

/// Why a node's right to its runs ended, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Its process died.
    Crash,
    /// Its process died and its disk is lost.
    Wipe,
    /// It left in order.
    Left,
    /// The coordinator took it for dead, or for replaced.
    Lost,
    /// It was put to sleep while it had runs in flight.
    Forced,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// A client asked for something.
    Asked { request: u64, at: Who, op: Op },
    /// A client was answered. The coordinator's log had come as far as `index`.
    Answered {
        request: u64,
        answer: Answer,
        index: LogIndex,
    },
    /// A base decided to launch a run. `stopped`: the node has not run for longer than its lease, and has not
    /// resumed since.
    Decided {
        node: usize,
        uid: Uid,
        token: Token,
        stopped: bool,
        own: bool,
        /// How far its UTC clock was ahead, in microseconds.
        offset: i64,
    },
    /// A worker began a run.
    Launched {
        node: usize,
        run: Run,
        /// Of a timer that the node owned, rather than one that it was ordered to run.
        own: bool,
        /// The node had heard the coordinator's clock.
        measured: bool,
        /// How far its UTC clock was ahead, in microseconds.
        offset: i64,
        /// Its CLOCK_BOOTTIME runs too fast or too slow.
        drifts: bool,
    },
    /// A worker came to the end of a run.
    Ended {
        uid: Uid,
        token: Token,
        outcome: Outcome,
    },
    /// A base gave up a run.
    Abandoned { uid: Uid, token: Token },
    /// The coordinator has committed a timer as this; none if it is gone.
    Ledger { uid: Uid, timer: Option<Box<Timer>> },
    /// The coordinator has committed how a node stands.
    Standing {
        node: NodeId,
        stance: Option<Stance>,
    },
    /// A node has committed a timer as this; none if it is gone.
    Kept { uid: Uid, timer: Option<Box<Timer>> },
    /// Ledger or home has committed what has become of an attempt or an occurrence.
    Noted { uid: Uid, run: Box<RunRecord> },
    /// A node's right to its runs ended, or may have.
    Broke { node: usize, why: Break },
    /// A machine goes on.
    Woke,
    /// All faults end here.
    Quiet,
}
