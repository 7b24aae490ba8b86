//! The ledger from its records, as they stand in the journal.

use super::backlog::{Backlog, Places};
use super::ended::Ended;
use super::pending::PendingChanges;
use super::stage::Stages;
use super::{Entry, Gone, Known, Ledger, Meta, Node, Pending, Turn};
use crate::agenda::Agenda;
use crate::departed::{Departed, Farewell};
use crate::feed::Feed;
use crate::history::{History, Kept};
use crate::id::{NodeId, PoolId, Uid};
use crate::intern::Interner;
use crate::message::LedgerId;
use crate::planted::{self, Fault};
use crate::record::{Key, Reader, Unreadable, decode, decode_timer};
use crate::shelf::Shelf;
use crate::time::{LogIndex, Millis};
use crate::timer::{Overlap, RunRecord, Timer};
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
            timers: Shelf::default(),
            homes: BTreeMap::new(),
            stages: Stages::default(),
            leaving: BTreeMap::new(),
            leavers: Agenda::default(),
            claims: BTreeMap::new(),
            apart: BTreeMap::new(),
            orphans: BTreeMap::new(),
            nodes: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_of: BTreeMap::new(),
            unheard_cancels: BTreeSet::new(),
            heard: BTreeMap::new(),
            ended_elsewhere: BTreeMap::new(),
            backlog: Backlog::default(),
            places: Places::default(),
            pending: PendingChanges::default(),
            ended: Ended::default(),
            history: History::default(),
            departed: Departed::default(),
            feed: Feed::default(),
            interner: Interner::default(),
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
        state: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
    ) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(pool.clone());
        let state = state.into_iter();
        let facts =
            state.map(|(key, value)| Stored::decode(key.as_ref(), value.as_ref(), &mut reader));
        Self::from_facts(pool, ledger, facts)
    }

    /// The same from facts that were decoded elsewhere: others may decode them while this takes them in.
    ///
    /// # Errors
    /// The first error among the facts.
    pub fn from_facts(
        pool: PoolId,
        ledger: LedgerId,
        facts: impl IntoIterator<Item = Result<Stored, Unreadable>>,
    ) -> Result<Self, Unreadable> {
        let mut recovered = Self::new(pool, ledger);
        let mut empty = true;
        for fact in facts {
            empty = false;
            recovered.restore(fact?.0);
        }
        recovered.timers.order_names();
        recovered.find_stages();
        recovered.find_leaving();
        recovered.find_ended_elsewhere();
        let turn = std::mem::take(&mut recovered.turn);
        recovered.turn.touched = turn.touched;
        recovered.turn.given = turn.given;
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
                self.turn.given.insert((gone.home.clone(), *uid));
            }
        }
    }

    fn restore(&mut self, fact: Fact) {
        match fact {
            Fact::Meta(meta) => self.meta = meta,
            Fact::Node(id, node) => {
                self.nodes.insert(id, *node);
            }
            Fact::Timer(mut entry) => {
                if planted::is(Fault::ForgetClaimsAtRestart) {
                    let token = entry.timer.token;
                    entry.timer.unbegin(token);
                }
                if planted::is(Fault::ForgetOverlapAtRestart) {
                    entry.timer.spec.policy.overlap = Overlap::Allow;
                }
                self.insert_recovered(*entry);
            }
            Fact::Gone(uid, gone) => self.remember_gone(uid, gone),
            Fact::Pending(number, pending) => self.pending.insert(number, *pending),
            Fact::Run(uid, kept) => self.history.restore(uid, *kept),
            Fact::Farewell(uid, farewell) => self.departed.restore(uid, farewell),
        }
    }
}

/// A fact of a ledger as its journal has it, decoded.
#[derive(Debug)]
pub struct Stored(Fact);

#[derive(Debug)]
enum Fact {
    Meta(Meta),
    Node(NodeId, Box<Node>),
    Timer(Box<Entry>),
    Gone(Uid, Gone),
    Pending(u64, Box<Pending>),
    Run(Uid, Box<Kept>),
    Farewell(Uid, Farewell),
}

impl Stored {
    /// Decodes a record of the journal that `reader` reads.
    ///
    /// # Errors
    /// [`Unreadable`] if it does not decode.
    pub fn decode(key: &[u8], value: &[u8], reader: &mut Reader) -> Result<Self, Unreadable> {
        let fact = match Key::decode(key)? {
            Key::Meta => Fact::Meta(decode(key, value)?),
            Key::Node(node) => Fact::Node(node, Box::new(decode(key, value)?)),
            Key::Timer(uid) => {
                let (timer, known) = decode_timer::<Known>((key, uid), value, reader)?;
                Fact::Timer(Box::new(Entry::recovered(timer, known)))
            }
            Key::Gone(uid) => Fact::Gone(uid, decode(key, value)?),
            Key::Pending(number) => Fact::Pending(number, Box::new(decode(key, value)?)),
            Key::Run(uid, _) => Fact::Run(uid, Box::new(decode(key, value)?)),
            Key::Farewell(uid) => Fact::Farewell(uid, decode(key, value)?),
        };
        Ok(Self(fact))
    }

    /// The timer, if it is one.
    #[must_use]
    pub fn timer(&self) -> Option<&Timer> {
        if let Fact::Timer(entry) = &self.0 {
            Some(&entry.timer)
        } else {
            None
        }
    }

    /// The node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        if let Fact::Node(_, node) = &self.0 {
            Some(node)
        } else {
            None
        }
    }

    /// The run, if it is what became of one.
    #[must_use]
    pub fn run(&self) -> Option<&RunRecord> {
        if let Fact::Run(_, kept) = &self.0 {
            Some(&kept.run)
        } else {
            None
        }
    }
}
