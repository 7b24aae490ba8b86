//! A base from its records, as they stand in the node's journal.

use super::clock::Clock;
use super::desk::Desk;
use super::handover::Handover;
use super::lane::Lane;
use super::link::Link;
use super::others::Others;
use super::queues::{Queues, Timers};
use super::runs::Runs;
use super::sleep::Rest;
use super::tokens::Tokens;
use super::{Base, Config, Effect, Entry, Known, Meta, Stance};
use crate::decision::Decision;
use crate::departed::{Departed, Farewell};
use crate::feed::Feed;
use crate::history::{History, Kept};
use crate::id::Uid;
use crate::intern::Interner;
use crate::ledger::Sum;
use crate::record::{Key, Reader, Unreadable, decode, decode_timer};
use crate::time::Now;
use crate::timer::{RunRecord, Timer};
use std::collections::BTreeSet;

impl Base {
    /// The base that the records describe; a new one if there are none.
    ///
    /// It owns nothing that the coordinator knows before it has resumed.
    ///
    /// # Errors
    /// [`Unreadable`] if a record does not decode: the start must stop.
    pub fn recover(
        config: Config,
        state: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
        now: Now,
    ) -> Result<(Self, Decision<Effect>), Unreadable> {
        let mut reader = Reader::new(config.pool.clone());
        let state = state.into_iter();
        let facts =
            state.map(|(key, value)| Stored::decode(key.as_ref(), value.as_ref(), &mut reader));
        Self::from_facts(config, facts, now)
    }

    /// The same from facts that were decoded elsewhere: others may decode them while this takes them in.
    ///
    /// # Errors
    /// The first error among the facts: the start must stop.
    pub fn from_facts(
        config: Config,
        facts: impl IntoIterator<Item = Result<Stored, Unreadable>>,
        now: Now,
    ) -> Result<(Self, Decision<Effect>), Unreadable> {
        let mut base = Self::empty(config);
        for fact in facts {
            base.restore(fact?.0);
        }
        base.timers.order_names();
        base.feed = Feed::starting(now.wall);
        base.tokens = Tokens::recover(base.meta.token_ceiling);
        base.end_written_runs(now);
        let decision = base.handle(now, Vec::new());
        Ok((base, decision))
    }

    /// What this node was running when it died has died with it.
    fn end_written_runs(&mut self, now: Now) {
        let clock = self.clock.read(now);
        let node = self.config.node.clone();
        for uid in self.timers.uids_of(|entry| entry.timer.is_running()) {
            self.change(uid, |entry| entry.timer.interrupt_all(&node, true, clock));
        }
    }

    fn empty(config: Config) -> Self {
        Self {
            meta: Meta::default(),
            timers: Timers::default(),
            queues: Queues::default(),
            gone: BTreeSet::new(),
            sum: Sum::default(),
            awaited: BTreeSet::new(),
            stance: Stance::Apart,
            clock: Clock::default(),
            link: Link::default(),
            lane: Lane::default(),
            desk: Desk::default(),
            runs: Runs::default(),
            others: Others::default(),
            rest: Rest::default(),
            handover: Handover::new(config.message),
            returning: None,
            retelling: None,
            tokens: Tokens::default(),
            history: History::default(),
            departed: Departed::default(),
            feed: Feed::default(),
            interner: Interner::default(),
            last_turn: None,
            dirty: BTreeSet::new(),
            effects: Vec::new(),
            config,
            more: false,
        }
    }

    fn restore(&mut self, fact: Fact) {
        match fact {
            Fact::Meta(meta) => self.meta = meta,
            Fact::Timer(entry) => self.restore_timer(*entry),
            Fact::Gone(uid) => {
                self.gone.insert(uid);
            }
            Fact::Run(uid, kept) => self.history.restore(uid, *kept),
            Fact::Farewell(uid, farewell) => self.departed.restore(uid, farewell),
        }
    }
}

/// A fact of a base as its journal has it, decoded.
#[derive(Debug)]
pub struct Stored(Fact);

#[derive(Debug)]
enum Fact {
    Meta(Meta),
    Timer(Box<Entry>),
    Gone(Uid),
    Run(Uid, Box<Kept>),
    Farewell(Uid, Farewell),
}

impl Stored {
    /// Decodes a record of the journal that `reader` reads.
    ///
    /// # Errors
    /// [`Unreadable`] if it does not decode, or is none of a base.
    pub fn decode(key: &[u8], value: &[u8], reader: &mut Reader) -> Result<Self, Unreadable> {
        let fact = match Key::decode(key)? {
            Key::Meta => Fact::Meta(decode(key, value)?),
            Key::Timer(uid) => {
                let (timer, known) = decode_timer::<Known>((key, uid), value, reader)?;
                Fact::Timer(Box::new(Entry {
                    offered: known.offered,
                    held: known.held,
                    ..Entry::new(timer, known.shipped)
                }))
            }
            Key::Gone(uid) => Fact::Gone(uid),
            Key::Run(uid, _) => Fact::Run(uid, Box::new(decode(key, value)?)),
            Key::Farewell(uid) => Fact::Farewell(uid, decode(key, value)?),
            other @ (Key::Node(_) | Key::Pending(_)) => {
                return Err(Unreadable::Key(format!("{other:?}")));
            }
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
