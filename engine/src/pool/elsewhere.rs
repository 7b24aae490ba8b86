//! What other nodes have room for, as a node is told that has no worker for something that is due.

use super::Pool;
use crate::base::WANTED_MAX;
use crate::id::NodeId;
use crate::ledger::Want;
use crate::message::Capacity;
use crate::timer::HandlerName;

/// Free places of one handler are counted at no more nodes than this: a node that hands over is told again soon.
const COUNTED_MAX: usize = 16;

impl Pool {
    /// How many runs of each of these handlers others than `node` have free places for.
    pub(super) fn rooms_elsewhere(&self, node: &NodeId, wanted: &[HandlerName]) -> Capacity {
        let wanted = wanted.iter().take(WANTED_MAX);
        let rooms = wanted.map(|handler| {
            let free = self.rooms.free_for(&Want::of(handler));
            let others = free.into_iter().flatten().filter(|other| *other != node);
            let others = others.take(COUNTED_MAX);
            let places = others.map(|other| self.places_at(other, handler));
            (handler.clone(), places.sum())
        });
        rooms.collect()
    }
}
