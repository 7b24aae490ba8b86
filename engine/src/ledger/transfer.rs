//! Facts of a ledger on their way out, and into another one.
//!
//! What leaves is what a restored coordinator must know: timers, changes that wait for sleeping nodes, and timers
//! that are no more but of which a home has not heard. Sessions, claims and who is active stay behind: nothing that
//! was in flight is claimed afterwards.
//!
//! Homes: a movable timer enters as the pool's own, whatever its home was; one that carries a node's name is that
//! node's again when it resumes. A pinned one keeps its home and waits for it.

#[cfg(test)]
mod tests;

use super::{Entry, Gone, Held, INDEX_MAX, Ledger, Stance, TOKEN_BITS};
use crate::id::{NodeId, PoolId, TimerName, Uid};
use crate::message::LedgerId;
use crate::op::Op;
use crate::page::Weigh;
use crate::record::Key;
use crate::steps;
use crate::time::{LogIndex, WallTime};
use crate::timer::{Awaits, Placement, Timer};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// The most facts that leave, or enter, a ledger at once.
pub const PIECE_FACTS_MAX: usize = 1_024;
/// Their bytes at most, but for the first.
pub const PIECE_BYTES_MAX: usize = 1 << 20;
/// What a change that waits takes, as the payload of a new time is small as a rule.
const PENDING_BYTES: usize = 1_024;
/// What a timer that is no more takes.
const GONE_BYTES: usize = 128;

/// One fact that leaves a ledger or enters one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A timer at rest.
    Timer(Box<Timer>),
    /// A change that waits for a sleeping node.
    Pending {
        /// Which node.
        node: NodeId,
        /// The change.
        op: Op,
    },
    /// A timer that is no more, and of which its home has not heard.
    Gone {
        /// Which timer.
        uid: Uid,
        /// Its home.
        home: NodeId,
    },
}

/// A place among the facts of a ledger: timers in the order of their names, then changes that wait, then what is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// After the timer of this name.
    Timer(TimerName),
    /// After the change of this number.
    Pending(u64),
    /// After this timer that is no more.
    Gone(Uid),
}

/// A piece of the facts of a ledger, as they are at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The pool.
    pub pool: PoolId,
    /// Which ledger it was.
    pub ledger: LedgerId,
    /// Everything up to here was decided; tokens of the timers are below it.
    pub index: LogIndex,
    /// At most 1,024 facts and, but for the first, 1 MiB.
    pub facts: Vec<Fact>,
    /// After where the next piece begins; none if this is the last.
    pub next: Option<Place>,
    /// How many facts there are in all.
    pub facts_total: u64,
}

/// Facts that are to enter a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The highest index of where they come from; this ledger goes on above it.
    pub index: LogIndex,
    /// The facts.
    pub facts: Vec<Fact>,
    /// Whether what can enter does, although something else cannot.
    pub partial: bool,
    /// Whether only to say what would be done.
    pub rehearse: bool,
}

/// What became of a [`Restore`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Restored {
    /// Timers that are there now because of it.
    pub created: u64,
    /// Timers that were there before, with the same identity; they are as they were.
    pub known: u64,
    /// Places in the facts, and names that other timers have. Unless in part, nothing was done if there are any.
    pub taken: Vec<(u64, TimerName)>,
}

impl Weigh for Fact {
    fn weight(&self) -> usize {
        match self {
            Self::Timer(timer) => timer.weight(),
            Self::Pending { .. } => PENDING_BYTES,
            Self::Gone { .. } => GONE_BYTES,
        }
    }
}

impl Ledger {
    /// The first piece after a place of everything that has to be kept, at rest. It visits its facts, one
    /// more, and what lies between their names.
    #[must_use]
    pub fn export(&self, after: Option<Place>, now: WallTime) -> Exported {
        let mut facts = Vec::new();
        let (mut last, mut next, mut bytes) = (after.clone(), None, 0);
        let after = after.as_ref();
        let timers = self.timers_after(after, now);
        let rest = self.pending_after(after).chain(self.gone_after(after));
        for (place, fact) in timers.chain(rest) {
            steps::visit();
            bytes += fact.weight();
            let full = facts.len() >= PIECE_FACTS_MAX || bytes > PIECE_BYTES_MAX;
            // One that is staged may have the name of one that is not: both are in the same piece.
            if full && !facts.is_empty() && last.as_ref() != Some(&place) {
                next = last;
                break;
            }
            last = Some(place);
            facts.push(fact);
        }
        let total = self.len() + self.pending.len() + self.gone.len();
        Exported {
            pool: self.pool.clone(),
            ledger: self.meta.ledger,
            index: self.meta.index,
            facts,
            next,
            facts_total: total as u64,
        }
    }

    fn timers_after<'a>(
        &'a self,
        after: Option<&'a Place>,
        now: WallTime,
    ) -> impl Iterator<Item = (Place, Fact)> + 'a {
        let name = match after {
            None => Some(None),
            Some(Place::Timer(name)) => Some(Some(name)),
            Some(Place::Pending(_) | Place::Gone(_)) => None,
        };
        let entries = name.into_iter().flat_map(|name| self.by_name(name));
        entries.map(move |entry| {
            let timer = entry.timer.at_rest(now);
            (
                Place::Timer(timer.name.clone()),
                Fact::Timer(Box::new(timer)),
            )
        })
    }

    fn pending_after(&self, after: Option<&Place>) -> impl Iterator<Item = (Place, Fact)> {
        let from = match after {
            None | Some(Place::Timer(_)) => Some(Unbounded),
            Some(Place::Pending(number)) => Some(Excluded(*number)),
            Some(Place::Gone(_)) => None,
        };
        let range = from.map(|from| self.pending.range_from(from));
        range.into_iter().flatten().map(|(number, pending)| {
            let (node, op) = (pending.node.clone(), pending.op.clone());
            (Place::Pending(number), Fact::Pending { node, op })
        })
    }

    fn gone_after(&self, after: Option<&Place>) -> impl Iterator<Item = (Place, Fact)> {
        let from = match after {
            None | Some(Place::Timer(_) | Place::Pending(_)) => Unbounded,
            Some(Place::Gone(uid)) => Excluded(*uid),
        };
        self.gone.range((from, Unbounded)).map(|(uid, gone)| {
            let (uid, home) = (*uid, gone.home.clone());
            (Place::Gone(uid), Fact::Gone { uid, home })
        })
    }

    /// Takes facts over that this ledger does not have.
    pub(crate) fn restore_facts(&mut self, restore: &Restore, now: WallTime) -> Restored {
        let restored = self.judge_facts(&restore.facts);
        let refused = !restored.taken.is_empty() && !restore.partial;
        if refused || restore.rehearse {
            return restored;
        }
        let timers = restore.facts.iter().filter_map(|fact| match fact {
            Fact::Timer(timer) => Some(timer.token.0 >> TOKEN_BITS),
            Fact::Pending { .. } | Fact::Gone { .. } => None,
        });
        // Every later token is above those that were handed out elsewhere.
        let floor = timers.max().unwrap_or(0).max(restore.index.0);
        self.catch_up(floor.min(INDEX_MAX));
        let taken: BTreeSet<u64> = restored.taken.iter().map(|(at, _)| *at).collect();
        for (at, fact) in (0..).zip(&restore.facts) {
            if !taken.contains(&at) {
                self.take_in(fact, now);
            }
        }
        restored
    }

    /// What would become of the facts: names are taken by timers here, and by those before in the facts themselves.
    fn judge_facts(&self, facts: &[Fact]) -> Restored {
        let mut restored = Restored::default();
        let mut new: BTreeMap<&TimerName, Uid> = BTreeMap::new();
        for (at, fact) in (0..).zip(facts) {
            let Fact::Timer(timer) = fact else { continue };
            // An ended timer gives its name up.
            let here = self.named(&timer.name);
            let here = here.is_some_and(|entry| !entry.timer.is_over());
            let before = new.get(&timer.name).copied();
            if self.entry(timer.uid).is_some() || before == Some(timer.uid) {
                restored.known += 1;
            } else if here || before.is_some() {
                restored.taken.push((at, timer.name.clone()));
            } else {
                new.insert(&timer.name, timer.uid);
                restored.created += 1;
            }
        }
        restored
    }

    fn take_in(&mut self, fact: &Fact, now: WallTime) {
        match fact {
            Fact::Timer(timer) if self.entry(timer.uid).is_none() => {
                if self.free_name(timer, now).is_ok() {
                    let at = self.stamp();
                    let entry = self.arriving(timer.at_rest(now), at);
                    self.insert(entry);
                }
            }
            Fact::Pending { node, op } => {
                let stored = self.pending.of(node).any(|(_, waits)| waits == op);
                if !stored {
                    self.store(node.clone(), op.clone());
                }
            }
            Fact::Gone { uid, home } => {
                if !self.gone.contains_key(uid) && self.entry(*uid).is_none() {
                    let (home, at) = (home.clone(), self.stamp());
                    self.remember_gone(*uid, Gone { home, at });
                    self.turn.dirty.insert(Key::Gone(*uid));
                }
            }
            Fact::Timer(_) => {}
        }
    }

    /// The entry of a timer that comes from elsewhere.
    fn arriving(&self, mut timer: Timer, at: LogIndex) -> Entry {
        let node = match &timer.spec.placement {
            Placement::Movable => None,
            Placement::Pinned(node) => Some(node.clone()),
        };
        let stance = node.as_ref().and_then(|node| self.node(node));
        let stance = stance.map(|node| node.stance);
        timer.home = node;
        timer.set_awaits(match stance {
            _ if timer.home.is_none() => None,
            Some(Stance::Active) => None,
            Some(Stance::Greeted | Stance::Parked | Stance::Lost) => Some(Awaits::Home),
            Some(Stance::Left) | None => Some(Awaits::Return),
        });
        let mut entry = Entry::new(timer, at, at);
        // An active home is told, as it is of one that comes back.
        let told = entry.timer.home.is_some() && stance == Some(Stance::Active);
        entry.held = told.then_some(Held::Giving);
        entry
    }
}
