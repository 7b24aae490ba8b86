//! A timer that is in nobody's hands: as it enters a ledger from elsewhere.

use super::{Outcome, Phase, Timer};
use crate::id::Token;
use crate::time::WallTime;

impl Timer {
    /// The same timer with nothing in flight: what ran waits again with its attempts, under a later token when it
    /// runs, and what may begin only once is lost, since whether it has ended is not known here.
    #[must_use]
    pub fn at_rest(&self, now: WallTime) -> Self {
        let mut timer = self.clone();
        timer.awaits = None;
        let running = self.lines().filter_map(Phase::running);
        let tokens: Vec<Token> = running.map(|(token, _)| token).collect();
        let given_back = Outcome::Interrupted { died: false };
        for token in tokens {
            let settled = timer.settle(token, &given_back, now);
            debug_assert!(settled.is_ok(), "a run under this token was just seen");
        }
        // Whoever has the history writes down what became of it.
        timer.noted.clear();
        timer
    }
}
