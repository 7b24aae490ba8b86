//! How long this thread has been on a core: what can be compared where others use the machine too.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Since the thread began.
pub(crate) fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).expect("below a second");
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}
