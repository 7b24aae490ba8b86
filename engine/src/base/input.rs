//! What a base is told, what it wants done, and what it was configured with.

use crate::id::{NodeId, PoolId, RackId, Token, Uid};
use crate::message::{Capacity, CoordinatorMessage, MessageLimits, NodeMessage};
use crate::op::{Answer, Op};
use crate::time::{BootTime, Millis};
use crate::timer::{Outcome, Run};

/// What a base was configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The node's name.
    pub node: NodeId,
    /// Its pool.
    pub pool: PoolId,
    /// Its rack.
    pub rack: RackId,
    /// Another number for every start of the process.
    pub incarnation: u128,
    /// How long a REPLICATED_ASYNC change may wait before it is shipped.
    pub replicate_after: Millis,
    /// How much goes into one report.
    pub message: MessageLimits,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The link to the coordinator is open: nothing was said on it yet.
    Connected,
    /// The link is no more; the shell tries again by itself.
    Disconnected,
    /// The coordinator said something.
    Heard(CoordinatorMessage),
    /// An application called the agent's API.
    Asked {
        /// The answer carries it.
        ask: u64,
        /// What is to be done.
        op: Op,
    },
    /// The worker places of this node are now these: all of them, also those in use.
    Workers {
        /// Places by handler.
        places: Capacity,
    },
    /// A launched run has ended.
    Settled {
        /// Whose.
        uid: Uid,
        /// Which run.
        token: Token,
        /// What it came to.
        outcome: Outcome,
    },
    /// A run was not launched after all, because its time was over or no worker was there: it does not count.
    NotLaunched {
        /// Whose.
        uid: Uid,
        /// Which run.
        token: Token,
    },
    /// A deadline may have come.
    Tick,
    /// The process is to end: hand everything over, then [`Effect::Stopped`].
    Stop,
}

/// What is to be done, in order, once the records are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say something to the coordinator; if the link is gone, nothing is lost by not saying it.
    Send(NodeMessage),
    /// Answer a call of the agent's API.
    Answer {
        /// Which call.
        ask: u64,
        /// The answer.
        answer: Answer,
    },
    /// Start a run at a worker.
    Launch {
        /// What to run.
        run: Run,
        /// Not after this on CLOCK_BOOTTIME; then say [`Input::NotLaunched`] instead.
        until: BootTime,
        /// Not before this on CLOCK_BOOTTIME, which is when it is due.
        from: BootTime,
    },
    /// The right to this run is over: do not start it, and forget its outcome.
    Abandon {
        /// Which run.
        token: Token,
    },
    /// Close the link and open another one.
    Reconnect,
    /// Nothing is left to be done: the process may end.
    Stopped,
    /// Another process with this node's name keeps taking it: the process must end with exit code 78.
    Clashed,
}
