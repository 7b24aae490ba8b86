//! Who reads a journal from its beginning: knows its pool, and decodes once what many of its timers share.
//!
//! Several may read pieces of one journal at the same time, each on a thread of its own.

use crate::id::PoolId;
use crate::intern::Interner;
use crate::timer::{Kind, Timer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The encodings of at most so many kinds are remembered.
const KINDS_MAX: usize = 1_024;

/// Reads the records of one journal.
#[derive(Debug)]
pub struct Reader {
    pool: PoolId,
    interner: Interner,
    kinds: BTreeMap<Box<[u8]>, Arc<Kind>>,
}

impl Reader {
    /// A reader of the journal of this pool, or of a node in it.
    #[must_use]
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            interner: Interner::default(),
            kinds: BTreeMap::new(),
        }
    }

    pub(crate) fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// The kind that these bytes are; none if they are not one.
    pub(crate) fn kind(&mut self, bytes: &[u8]) -> Option<Arc<Kind>> {
        if let Some(known) = self.kinds.get(bytes) {
            return Some(known.clone());
        }
        let kind = self.interner.kind(Kind::read(bytes)?);
        if self.kinds.len() >= KINDS_MAX {
            self.kinds.clear();
        }
        self.kinds.insert(bytes.into(), kind.clone());
        Some(kind)
    }

    /// Gives the timer what others have already.
    pub(crate) fn share(&mut self, timer: &mut Timer) {
        self.interner.share(timer);
    }
}
