//! What follows from a schedule if nothing is said.

use dormouse_engine::time::Millis;
use dormouse_engine::timer::{CATCHUP_MAX, MISFIRE_GRACE};

/// How long ago an occurrence of this interval may have been due and still be run: the rule of the engine.
pub(crate) fn window(interval: Millis) -> Millis {
    interval.clamp(MISFIRE_GRACE, CATCHUP_MAX)
}
