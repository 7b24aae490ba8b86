//! The rule that looks at the coordinator itself: at every step somebody or something is armed.
//!
//! It asks what the ledger has and when the pool wants to be called, not what the pool says of its watch.

use crate::world::World;
use dormouse_engine::ledger::{Entry, Held};
use dormouse_engine::time::Millis;

/// Of so few nodes and timers everything is looked at after every turn.
const FEW: u64 = 48;

impl World {
    /// Whether everything that the coordinator has is looked at after this turn. Of very many it is so seldom that a
    /// turn costs about the same.
    pub(crate) fn is_to_be_checked(&mut self) -> bool {
        self.turns += 1;
        let nodes = u64::try_from(self.nodes.len()).expect("they are few");
        let many = nodes * 4 + self.plan.timers;
        self.turns.is_multiple_of(many.div_ceil(FEW).max(1))
    }

    /// Somebody or something is always armed for the first deadline that no active home fires by itself.
    pub(crate) fn check_watch(&mut self) {
        let Some(running) = &self.coordinator.running else {
            return;
        };
        let pool = running.machine();
        let waits = |entry: &&Entry| {
            let home = entry.timer.home.as_ref();
            let fires_itself = home.is_some_and(|home| pool.ledger().is_active(home));
            let handed = entry.held == Some(Held::Handed);
            entry.timer.is_movable() && !entry.backlogged && (handed || !fires_itself)
        };
        let first = pool.ledger().entries().filter(waits);
        let first = first
            .filter_map(|entry| Some((entry.timer.due()?, entry.timer.uid)))
            .min();
        let Some((due, uid)) = first else { return };
        let grace = Millis(self.plan.wake_grace_ms);
        let on_duty = pool.hierarchy().on_duty();
        let latest = if on_duty { due } else { due + grace };
        let deadlines = pool.next_deadline();
        let armed = deadlines.wall.is_some_and(|wall| wall <= latest);
        let ladder = !on_duty && deadlines.boot.is_some();
        if !armed && !ladder {
            let what =
                format!("{due} is the first deadline, and the coordinator waits for {deadlines:?}");
            self.accuse("every deadline is watched", Some(uid), what);
        }
    }
}
