//! A timer that is in nobody's hands: as it enters a ledger from elsewhere.

use super::{Outcome, Phase, Timer};
use crate::id::Token;
use crate::time::WallTime;

impl Timer {
    /// The same timer with nothing in flight: what ran waits again, under a later token when it runs, and what may
    /// begin only once is lost, since whether it has ended is not known here.
    #[must_use]
    pub fn at_rest(&self, now: WallTime) -> Self {
        let mut timer = self.clone();
        timer.set_awaits(None);
        let running = self.lines().filter_map(Phase::running);
        let tokens: Vec<Token> = running.map(|(token, _)| token).collect();
        for token in tokens {
            let settled = timer.settle(token, &Outcome::Interrupted { died: false }, now);
            debug_assert!(settled.is_ok(), "a run under this token was just seen");
        }
        drop(timer.take_noted());
        timer
    }
}
