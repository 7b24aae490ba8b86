//! What must hold between ledger, sessions, hierarchy and the indexes over them, checked from the facts.

use super::Pool;
use super::session::Live;
use crate::hierarchy::NodeView;
use crate::id::NodeId;
use crate::ledger::{Home, Want};
use std::collections::BTreeSet;

/// Debug builds check a pool of at most this many nodes after every turn, a larger one now and then: the check walks
/// over all nodes.
#[cfg(debug_assertions)]
const WHOLE_MAX: usize = 64;
#[cfg(debug_assertions)]
const EVERY: u64 = 256;

impl Pool {
    /// In debug builds every turn ends with this.
    #[cfg(debug_assertions)]
    pub(super) fn examine(&mut self) {
        self.turns += 1;
        if self.live.len() <= WHOLE_MAX || self.turns.is_multiple_of(EVERY) {
            self.check()
                .expect("the invariants of the pool hold after every turn");
        }
    }

    /// Checks what must hold between ledger, sessions and hierarchy (A1 and E1 of its invariants), and the indexes.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        self.hierarchy.check()?;
        for node in self.hierarchy.nodes() {
            self.check_ownership(&node)?;
            self.check_indexes(&node.node)?;
        }
        Ok(())
    }

    fn check_ownership(&self, node: &NodeView) -> Result<(), String> {
        let home: Home = Some(node.node.clone());
        let owns = self.ledger.is_active(&node.node);
        if !owns && !node.active && node.first != self.ledger.first(&home) {
            return Err(format!(
                "E1: {} has its first deadline at {:?}, the hierarchy says {:?}",
                node.node,
                self.ledger.first(&home),
                node.first
            ));
        }
        if node.active && !owns {
            return Err(format!(
                "A1: {} is active but does not own its timers",
                node.node
            ));
        }
        Ok(())
    }

    fn check_indexes(&self, node: &NodeId) -> Result<(), String> {
        let live = self.live.get(node);
        let lease = live.filter(|_| self.holds_lease(node)).map(Live::look_at);
        if self.tenures.leases.time_of(node) != lease {
            return Err(format!("the lease of {node} is looked at in vain or never"));
        }
        let duty = self.hierarchy.serves(node);
        let handlers = live.into_iter().flat_map(|live| live.capacity.keys());
        let able: BTreeSet<Want> = handlers
            .filter(|handler| duty && self.has_place(node, handler))
            .map(Want::of)
            .collect();
        if self.rooms.free_at(node) != able {
            return Err(format!("the free places of {node} are miscounted"));
        }
        let claimed = self.ledger.claims_of(node).fold(0, |count, _| count + 1);
        let taken = self.ledger.places_taken_in_all(node);
        if self.ledger.is_active(node) && taken != claimed {
            return Err(format!("{node} runs {claimed}, and {taken} were counted"));
        }
        Ok(())
    }
}
