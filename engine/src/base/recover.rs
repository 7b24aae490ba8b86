//! A base from its records, as they stand in the node's journal.

use super::clock::Clock;
use super::desk::Desk;
use super::handover::Handover;
use super::lane::Lane;
use super::link::Link;
use super::runs::Runs;
use super::sleep::Rest;
use super::tokens::Tokens;
use super::{Base, Config, Effect, Entry, Meta, Queues, Stance};
use crate::decision::Decision;
use crate::departed::{Departed, Farewell};
use crate::feed::Feed;
use crate::history::{History, Kept};
use crate::ledger::Sum;
use crate::record::{Key, Unreadable, decode};
use crate::time::Now;
use std::collections::{BTreeMap, BTreeSet};

impl Base {
    /// The base that the records describe; a new one if there are none.
    ///
    /// It owns nothing that the coordinator knows before it has resumed.
    ///
    /// # Errors
    /// [`Unreadable`] if a record does not decode: the start must stop.
    pub fn recover(
        config: Config,
        state: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        now: Now,
    ) -> Result<(Self, Decision<Effect>), Unreadable> {
        let mut base = Self::empty(config);
        for (key, value) in state {
            base.restore(&key, &value)?;
        }
        base.dirty.clear();
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
        let running = self
            .timers
            .values()
            .filter(|entry| entry.timer.is_running());
        let uids: Vec<_> = running.map(|entry| entry.timer.uid).collect();
        for uid in uids {
            self.change(uid, |entry| entry.timer.interrupt_all(&node, true, clock));
        }
    }

    fn empty(config: Config) -> Self {
        Self {
            meta: Meta::default(),
            timers: BTreeMap::new(),
            names: BTreeMap::new(),
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
            rest: Rest::default(),
            handover: Handover::new(config.message),
            returning: None,
            retelling: None,
            tokens: Tokens::default(),
            history: History::default(),
            departed: Departed::default(),
            feed: Feed::default(),
            last_turn: None,
            dirty: BTreeSet::new(),
            effects: Vec::new(),
            config,
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match Key::decode(key)? {
            Key::Meta => self.meta = decode::<Meta>(key, value)?,
            Key::Timer(_) => self.insert(decode::<Entry>(key, value)?),
            Key::Gone(uid) => drop(self.gone.insert(uid)),
            Key::Run(uid, _) => self.history.restore(uid, decode::<Kept>(key, value)?),
            Key::Farewell(uid) => self.departed.restore(uid, decode::<Farewell>(key, value)?),
            other @ (Key::Node(_) | Key::Pending(_)) => {
                return Err(Unreadable::Key(format!("{other:?}")));
            }
        }
        Ok(())
    }
}
