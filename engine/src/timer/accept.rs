//! How a timer begins: from what its user asked for.

use super::{Kept, Kind, NewTimer, Occurrence, Phase, Spec, Timer};
use crate::id::{NodeId, Scope, TimerName};
use crate::schedule::BadSchedule;
use crate::time::WallTime;
use std::sync::Arc;

/// What a new timer has in common with others, to be shared with them.
pub(crate) struct Common {
    pub(crate) kind: Arc<Kind>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) home: Option<NodeId>,
}

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
        let common = Common {
            kind: Arc::new(new.kind()),
            scope: Arc::new(new.scope(home.as_ref())),
            home,
        };
        Self::accept_with(new, common, now)
    }

    /// The same with parts that other timers have already.
    pub(crate) fn accept_with(
        new: &NewTimer,
        common: Common,
        now: WallTime,
    ) -> Result<Self, BadSchedule> {
        let schedule = new.when.accept(new.uid, now)?;
        let spec = Spec::new(schedule, new.payload.clone(), common.kind);
        let first = spec.first_after(now)?;
        let mut timer = Self {
            uid: new.uid,
            name: TimerName::within(common.scope, new.id.clone()),
            spec,
            home: common.home,
            request: new.request,
            created: now,
            phase: Phase::Waiting {
                occurrence: Occurrence::fresh(first),
                due: first,
            },
            aside: Kept::default(),
        };
        timer.phase = timer.waiting(Occurrence::fresh(first));
        if new.paused {
            timer.paused = true;
        }
        Ok(timer)
    }

    /// Whether this is what `new` asked for: the same request with the same body, as far as that can still be seen.
    #[must_use]
    pub fn answers(&self, new: &NewTimer) -> bool {
        let spec = &self.spec;
        let changed = self.generation > 1 || self.updated() != self.created;
        let same = || {
            new.is_of(spec)
                && spec.payload == new.payload
                && self.paused == new.paused
                && new.when.accept(self.uid, self.created).as_ref() == Ok(&spec.schedule)
        };
        self.request == new.request && self.name.timer == new.id && (changed || same())
    }
}
