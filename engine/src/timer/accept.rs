//! How a timer begins: from what its user asked for.

use super::{NewTimer, Occurrence, Phase, Spec, Timer};
use crate::id::{NodeId, TimerName, Token};
use crate::schedule::BadSchedule;
use crate::time::WallTime;

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
        let spec = Spec {
            schedule: new.when.accept(new.uid, now)?,
            placement: new.placement.clone(),
            handler: new.handler.clone(),
            target: new.target.clone(),
            payload: new.payload.clone(),
            content_type: new.content_type.clone(),
            policy: new.policy.clone(),
            durability: new.durability,
            labels: new.labels.clone(),
        };
        let first = spec.first_after(now)?;
        let named_by = if new.durability == super::Durability::Replicated {
            None
        } else {
            home.clone()
        };
        let mut timer = Self {
            uid: new.uid,
            name: TimerName {
                pool: new.pool.clone(),
                node: named_by,
                timer: new.id.clone(),
            },
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
            beside: Vec::new(),
            paused: new.paused,
            begun: 0,
            token: Token(0),
            last: None,
            skipped: 0,
            awaits: None,
            requests: Vec::new(),
            noted: Vec::new(),
        };
        timer.wait_for(Occurrence::fresh(first));
        Ok(timer)
    }

    /// Whether this is what `new` asked for: the same request with the same body, as far as that can still be seen.
    #[must_use]
    pub fn answers(&self, new: &NewTimer) -> bool {
        let spec = &self.spec;
        let changed = self.generation > 1 || self.updated != self.created;
        let same = || {
            spec.handler == new.handler
                && spec.target == new.target
                && spec.policy == new.policy
                && spec.payload == new.payload
                && spec.content_type == new.content_type
                && spec.placement == new.placement
                && spec.durability == new.durability
                && spec.labels == new.labels
                && self.paused == new.paused
                && new.when.accept(self.uid, self.created).as_ref() == Ok(&spec.schedule)
        };
        self.request == new.request && self.name.timer == new.id && (changed || same())
    }
}
