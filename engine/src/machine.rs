//! What every machine of the engine is to the shell that drives it: two verbs, and what goes in and comes out.
//!
//! `recover` is each machine's own, because each is configured differently. How a shell drives a machine (gather,
//! decide, make durable, perform) is not told here but in the edge, once for all of them.

use crate::base::{self, Base};
use crate::decision::Decision;
use crate::pool::{self, Pool};
use crate::time::{Deadlines, Now};

/// A machine: it is told what happened and what time it is, and answers with a decision.
pub trait Machine {
    /// What it is told.
    type Input;
    /// What it wants done.
    type Effect;

    /// Decides one turn. Without inputs, it does what has fallen due and what an earlier turn has left over.
    ///
    /// A turn is bounded: what is more than a turn's work stays for the next, and
    /// [`Decision::more`](crate::decision::Decision::more) says so.
    fn handle(&mut self, now: Now, inputs: Vec<Self::Input>) -> Decision<Self::Effect>;

    /// When it wants to be called if nothing happens before. Only a turn changes that.
    fn next_deadline(&self) -> Deadlines;
}

impl Machine for Pool {
    type Input = pool::Input;
    type Effect = pool::Effect;

    fn handle(&mut self, now: Now, inputs: Vec<pool::Input>) -> Decision<pool::Effect> {
        Pool::handle(self, now, inputs)
    }

    fn next_deadline(&self) -> Deadlines {
        Pool::next_deadline(self)
    }
}

impl Machine for Base {
    type Input = base::Input;
    type Effect = base::Effect;

    fn handle(&mut self, now: Now, inputs: Vec<base::Input>) -> Decision<base::Effect> {
        Base::handle(self, now, inputs)
    }

    fn next_deadline(&self) -> Deadlines {
        Base::next_deadline(self)
    }
}
