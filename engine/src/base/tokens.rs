//! Tokens of the node's own runs: above everything the coordinator had given out when the node resumed.
//!
//! They are reserved in blocks, so that a restarted process never gives one out again and still writes one
//! record per block.

use crate::id::Token;

/// Tokens per durable reservation.
const BLOCK: u64 = 4_096;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    last: u64,
}

impl Tokens {
    /// Nothing below the reservation of an earlier process is given out again.
    pub(super) fn recover(ceiling: u64) -> Self {
        Self { last: ceiling }
    }

    /// Tokens are above this one from now on.
    pub(super) fn raise(&mut self, floor: Token) {
        self.last = self.last.max(floor.0);
    }

    /// A token above all earlier ones of this node and above `floor`.
    pub(super) fn next(&mut self, floor: Token) -> Token {
        self.last = self.last.max(floor.0).saturating_add(1);
        Token(self.last)
    }

    /// The reservation that has to be durable now, if the current one is used up.
    pub(super) fn reserve(&self, ceiling: u64) -> Option<u64> {
        (self.last >= ceiling).then(|| self.last.saturating_add(BLOCK))
    }
}
