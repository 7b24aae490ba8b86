//! What users change of a timer, decided in the same way by its home and by the ledger.

use super::Timer;
use crate::ledger::new_time;
use crate::op::{Answer, Change, Refusal};
use crate::time::WallTime;

impl Timer {
    /// Makes a change. A request that is known to have been made already is answered, not made again.
    ///
    /// # Errors
    /// Why it was not made; the timer is as before then.
    pub(crate) fn apply(
        &mut self,
        _request: u128,
        change: &Change,
        now: WallTime,
    ) -> Result<Answer, Refusal> {
        match change {
            Change::Rearm { to, .. } => self.rearm(new_time(*to, now)?, now),
            _ => {
                return Err(Refusal::Precondition {
                    why: "is not there yet".into(),
                });
            }
        }
        Ok(Answer::Timer(Box::new(self.clone())))
    }
}
