//! The ledger from its records, as they stand in the journal.

use super::stage::Stages;
use super::{Entry, Gone, Ledger, Meta, Node, Pending, Turn};
use crate::departed::{Departed, Farewell};
use crate::feed::Feed;
use crate::history::{History, Kept};
use crate::id::PoolId;
use crate::message::LedgerId;
use crate::planted::{self, Fault};
use crate::record::{Key, Unreadable, decode};
use crate::time::{LogIndex, Millis};
use crate::timer::Overlap;
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// A ledger without any facts.
    #[must_use]
    pub fn new(pool: PoolId, ledger: LedgerId) -> Self {
        let meta = Meta {
            pool: pool.clone(),
            ledger,
            index: LogIndex(0),
            lease_max: Millis(0),
        };
        Self {
            pool,
            meta,
            timers: BTreeMap::new(),
            names: BTreeMap::new(),
            homes: BTreeMap::new(),
            stages: Stages::default(),
            leaving: BTreeSet::new(),
            claims: BTreeMap::new(),
            apart: BTreeMap::new(),
            orphans: BTreeMap::new(),
            giving: BTreeMap::new(),
            unheard: BTreeMap::new(),
            nodes: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_of: BTreeMap::new(),
            heard: BTreeMap::new(),
            ended_elsewhere: BTreeMap::new(),
            pending: BTreeMap::new(),
            ended: BTreeSet::new(),
            history: History::default(),
            departed: Departed::default(),
            feed: Feed::default(),
            turn: Turn::default(),
        }
    }

    /// The ledger that the records describe; a new one if there are none.
    ///
    /// # Errors
    /// [`Unreadable`] if a record does not decode.
    pub fn recover(
        pool: PoolId,
        ledger: LedgerId,
        state: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, Unreadable> {
        let mut recovered = Self::new(pool, ledger);
        let mut empty = true;
        for (key, value) in state {
            empty = false;
            recovered.restore(&key, &value)?;
        }
        recovered.find_stages();
        recovered.find_leaving();
        recovered.find_ended_elsewhere();
        let turn = std::mem::take(&mut recovered.turn);
        recovered.turn.touched = turn.touched;
        if empty {
            recovered.turn.dirty.insert(Key::Meta);
        }
        Ok(recovered)
    }

    /// An active home has heard of everything that ended before it resumed.
    fn find_ended_elsewhere(&mut self) {
        for (uid, gone) in &self.gone {
            let since = self.nodes.get(&gone.home).map(|home| home.epoch.0);
            if self.is_active(&gone.home) && since.is_some_and(|since| gone.at.0 > since) {
                let ended = self.ended_elsewhere.entry(gone.home.clone());
                ended.or_default().insert(*uid);
            }
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match Key::decode(key)? {
            Key::Meta => self.meta = decode::<Meta>(key, value)?,
            Key::Node(node) => drop(self.nodes.insert(node, decode::<Node>(key, value)?)),
            Key::Timer(_) => {
                let mut entry = decode::<Entry>(key, value)?;
                if planted::is(Fault::ForgetClaimsAtRestart) {
                    let token = entry.timer.token;
                    entry.timer.unbegin(token);
                }
                if planted::is(Fault::ForgetOverlapAtRestart) {
                    entry.timer.spec.policy.overlap = Overlap::Allow;
                }
                self.insert(entry);
            }
            Key::Gone(uid) => self.remember_gone(uid, decode::<Gone>(key, value)?),
            Key::Pending(id) => drop(self.pending.insert(id, decode::<Pending>(key, value)?)),
            Key::Run(uid, _) => self.history.restore(uid, decode::<Kept>(key, value)?),
            Key::Farewell(uid) => self.departed.restore(uid, decode::<Farewell>(key, value)?),
        }
        Ok(())
    }
}
