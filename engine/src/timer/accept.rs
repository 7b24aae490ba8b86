//! How a timer begins: from what its user asked for.

use super::{Kept, NewTimer, Occurrence, Phase, Spec, Timer};
use crate::id::{NodeId, TimerName};
use crate::schedule::BadSchedule;
use crate::time::WallTime;
use std::sync::Arc;

impl Timer {
    /// The timer that `new` asks for, accepted at `now` with `home` as its home.
    ///
    /// # Errors
    /// [`BadSchedule`] if it would never fire.
    pub fn accept(
        new: &NewTimer,
        home: Option<NodeId>,
        now: WallTime,
    ) -> Result<Self, BadSchedule> {
        let schedule = new.when.accept(new.uid, now)?;
        let spec = Spec::new(schedule, new.payload.clone(), Arc::new(new.kind()));
        let first = spec.first_after(now)?;
        let named_by = if new.durability == super::Durability::Replicated {
            None
        } else {
            home.clone()
        };
        let mut timer = Self {
            uid: new.uid,
            name: TimerName::new(new.pool.clone(), named_by, new.id.clone()),
            spec,
            home,
            generation: 1,
            revision: 0,
            request: new.request,
            created: now,
            updated: now,
            phase: Phase::Waiting {
                occurrence: Occurrence::fresh(first),
                due: first,
            },
            aside: Kept::default(),
        };
        timer.wait_for(Occurrence::fresh(first));
        if new.paused {
            timer.paused = true;
        }
        Ok(timer)
    }

    /// Whether this is what `new` asked for: the same request with the same body, as far as that can still be seen.
    #[must_use]
    pub fn answers(&self, new: &NewTimer) -> bool {
        let spec = &self.spec;
        let changed = self.generation > 1 || self.updated != self.created;
        let same = || {
            new.is_of(spec)
                && spec.payload == new.payload
                && self.paused == new.paused
                && new.when.accept(self.uid, self.created).as_ref() == Ok(&spec.schedule)
        };
        self.request == new.request && self.name.timer == new.id && (changed || same())
    }
}
