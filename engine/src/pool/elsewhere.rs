//! What other nodes have room for, as a node is told that has no worker for something that is due.

use super::Pool;
use crate::base::WANTED_MAX;
use crate::id::NodeId;
use crate::message::Capacity;
use crate::timer::HandlerName;

/// Free places are counted at no more nodes than this: a node that hands over is told again soon.
const COUNTED_MAX: usize = 16;

impl Pool {
    /// How many runs of each of these handlers others than `node` have free places for.
    pub(super) fn rooms_elsewhere(&self, node: &NodeId, wanted: &[HandlerName]) -> Capacity {
        if wanted.is_empty() {
            return Capacity::new();
        }
        let near = self.hierarchy.nearest(Some(node));
        let others = near.filter(|other| *other != node);
        let free: Vec<Capacity> = others
            .take(COUNTED_MAX)
            .map(|other| self.count_rooms(other))
            .collect();
        let wanted = wanted.iter().take(WANTED_MAX);
        let rooms = wanted.map(|handler| {
            let places = free.iter().filter_map(|rooms| rooms.get(handler));
            (handler.clone(), places.sum())
        });
        rooms.collect()
    }
}
