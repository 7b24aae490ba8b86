//! What a node reports of its timers, judged one by one; never refused as a batch.
//!
//! A home that owns its timers is believed. One that lost them is believed where nobody else has claimed or
//! changed the timer since it last knew the ledger; otherwise the ledger's word stands and the home learns it
//! when it resumes. A cancellation is final whoever made it.

use super::{Entry, Held, Ledger, Stance, past};
use crate::id::{NodeId, Token, Uid};
use crate::message::Items;
use crate::op::Refusal;
use crate::planted::{self, Fault};
use crate::time::{LogIndex, Millis, WallTime};
use crate::timer::{Awaits, Durability, Ending, Fate, Outcome, Timer};
use std::collections::BTreeSet;

/// What homes have heard of is forgotten at most at this many timers a turn.
const PER_TURN_MAX: usize = 1_000;
/// A node gives up on a proposal before it is this old.
const PROPOSAL_OLD: Millis = Millis(60_000);

/// Who reports, and how far it may be believed.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The node.
    pub node: NodeId,
    /// Whether it owned its timers when it said this.
    pub owns: bool,
    /// Up to where it knew the ledger.
    pub known: LogIndex,
    /// The attempt to sleep under which its unreplicated timers are staged; if none, they are told as they are.
    pub stage: Option<u64>,
}

impl Ledger {
    /// Applies what a node says of its own timers. Returns what was not applied, and why.
    pub(crate) fn judge(
        &mut self,
        tail: &Tail,
        items: &Items,
        now: WallTime,
    ) -> Vec<(Uid, Refusal)> {
        if let Some(index) = items.resumed {
            self.note_resumed(&tail.node, index);
        }
        for (uid, token) in &items.taken {
            self.note_taken(&tail.node, *uid, *token);
        }
        // What is gone makes room for another timer of its name.
        for uid in &items.gone {
            self.judge_gone(tail, *uid, now);
        }
        let mut refused = Vec::new();
        let handed: BTreeSet<Uid> = items.handed.iter().copied().collect();
        for timer in &items.changed {
            let light = timer.is_light() && !handed.contains(&timer.uid);
            let judged = match tail.stage {
                Some(attempt) if light => self.judge_staged(tail, attempt, timer),
                _ => self.judge_change(tail, timer, now),
            };
            match judged {
                Ok(()) if !tail.owns && timer.is_movable() => {
                    self.apply_stored(&tail.node, &timer.name, now);
                }
                Ok(()) => {}
                Err(refusal) => refused.push((timer.uid, refusal)),
            }
        }
        if !refused.is_empty() {
            self.hear_own_ends(&tail.node, items, &refused, now);
        }
        for uid in &items.handed {
            self.judge_handed(tail, *uid);
        }
        for (uid, run) in &items.past {
            self.note_run(*uid, run.clone());
        }
        refused
    }

    /// What an active home tells of its light timers is its own affair, if it goes on having them.
    pub(crate) fn keep_only_heavy(&mut self, node: &NodeId, items: &Items) {
        for timer in &items.changed {
            self.drop_if_light(node, timer.uid);
        }
    }

    fn drop_if_light(&mut self, node: &NodeId, uid: Uid) {
        let leaves = self.entry(uid).is_some_and(|entry| {
            let own = entry.timer.home.as_ref() == Some(node);
            own && entry.held.is_none() && !entry.timer.spec.durability.is_replicated()
        });
        if leaves && let Some(entry) = self.remove(uid) {
            self.feed_removed(entry.timer.name);
        }
    }

    /// A piece of what a home hands over: nothing of it is there before the home closes.
    fn judge_staged(&mut self, tail: &Tail, attempt: u64, timer: &Timer) -> Result<(), Refusal> {
        self.catch_up(timer.token.0 >> super::TOKEN_BITS);
        self.check_pool(timer)?;
        if !self.gone.contains_key(&timer.uid) {
            self.stage_one(&tail.node, attempt, timer);
        }
        Ok(())
    }

    fn judge_change(&mut self, tail: &Tail, timer: &Timer, now: WallTime) -> Result<(), Refusal> {
        self.catch_up(timer.token.0 >> super::TOKEN_BITS);
        match self.entry(timer.uid) {
            None => self.judge_create(tail, timer, now),
            Some(entry) if entry.timer == *timer => Ok(()),
            Some(entry) if entry.timer.name != timer.name => Err(Refusal::Invalid {
                field: "timer.name".into(),
                why: format!(
                    "is {} already, and a timer keeps its name",
                    entry.timer.name
                ),
            }),
            Some(entry) if believes(tail, entry, timer) => {
                self.change(timer.uid, |entry| {
                    // What waited in the backlog was the home's to run since it is back.
                    entry.backlogged = false;
                    entry.timer = Timer {
                        home: Some(tail.node.clone()),
                        ..timer.clone()
                    };
                });
                Ok(())
            }
            Some(entry) if entry.timer.home.as_ref() != Some(&tail.node) => Err(Refusal::Exists {
                name: timer.name.clone(),
            }),
            Some(_) => Err(changed_elsewhere()),
        }
    }

    /// A home whose word on a timer does not count any more has still to be heard of the runs that it had told of and
    /// has ended since: they would be in flight for ever.
    fn hear_own_ends(
        &mut self,
        home: &NodeId,
        items: &Items,
        refused: &[(Uid, Refusal)],
        now: WallTime,
    ) {
        let refused: BTreeSet<Uid> = refused.iter().map(|(uid, _)| *uid).collect();
        let past = items.past.iter().filter(|(_, run)| run.fate == Fate::Done);
        let done: BTreeSet<(Uid, Token)> = past.map(|(uid, run)| (*uid, run.token)).collect();
        for told in items.changed.iter().filter(|it| refused.contains(&it.uid)) {
            let last = told.last.as_ref().filter(|it| it.ending == Ending::Done);
            for token in self.ended_at(home, told) {
                let was_done = last.is_some_and(|last| last.token == token);
                let outcome = match was_done || done.contains(&(told.uid, token)) {
                    true => Outcome::Done,
                    false => Outcome::Interrupted { died: false },
                };
                // It is in flight: the entry said so.
                let _settled = self.settle(told.uid, token, &outcome, now);
            }
        }
    }

    /// Runs that are in flight at this home here, and not as it tells.
    fn ended_at(&self, home: &NodeId, told: &Timer) -> Vec<Token> {
        let Some(entry) = self.entry(told.uid) else {
            return Vec::new();
        };
        // A run that the home was ordered to make is not one of those, and has a newer token.
        let over = |token: &Token| *token <= told.token && !told.holds(*token);
        let runs = entry.timer.runs_of(home).map(|run| run.token);
        runs.filter(over).collect()
    }

    fn judge_create(&mut self, tail: &Tail, timer: &Timer, now: WallTime) -> Result<(), Refusal> {
        // Who asks again for a timer that is no more may ask another node.
        let heavy = timer.spec.durability == Durability::Replicated;
        if heavy && self.has_departed(timer.uid) {
            return Err(past::already_gone());
        }
        if self.gone.contains_key(&timer.uid) {
            return Ok(());
        }
        self.check_pool(timer)?;
        // A light timer that its home has acknowledged keeps its name, whatever has it here.
        let proposed = self
            .node(&tail.node)
            .is_some_and(|n| n.stance == Stance::Parked);
        if proposed || heavy {
            self.free_name(timer, now)?;
        }
        // What its home has acknowledged is not refused: a proposal is a few seconds old.
        if timer.token == Token(0) && now.since(timer.created) < PROPOSAL_OLD {
            self.check_allowed(timer)?;
        }
        let timer = Timer {
            home: Some(tail.node.clone()),
            ..timer.clone()
        };
        let created = self.stamp();
        self.insert(Entry::new(timer, LogIndex(0), created));
        Ok(())
    }

    fn check_pool(&self, timer: &Timer) -> Result<(), Refusal> {
        if timer.name.pool == self.pool {
            return Ok(());
        }
        let why = format!(
            "is of pool {}, but this node is of pool {}",
            timer.name.pool, self.pool
        );
        Err(Refusal::Invalid {
            field: "timer.name".into(),
            why,
        })
    }

    /// Makes room for a name: an ended timer gives its name up, a living one does not.
    pub(super) fn free_name(&mut self, timer: &Timer, now: WallTime) -> Result<(), Refusal> {
        let Some(holder) = self.named(&timer.name) else {
            return Ok(());
        };
        if !holder.timer.is_over() {
            return Err(Refusal::Exists {
                name: timer.name.clone(),
            });
        }
        let uid = holder.timer.uid;
        self.note_farewell(uid, None, now);
        let at = self.stamp();
        self.bury(uid, at);
        Ok(())
    }

    fn judge_gone(&mut self, tail: &Tail, uid: Uid, now: WallTime) {
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        if entry.timer.home.as_ref() != Some(&tail.node) {
            return;
        }
        if !self.is_real(entry) {
            // Nobody but its home has seen it.
            if !planted::is(Fault::KeepTheStagedTombstone) {
                self.remove(uid);
            }
            return;
        }
        self.note_farewell(uid, None, now);
        if let Some(entry) = self.remove(uid) {
            self.note_removed(uid, entry.timer.name);
        }
    }

    fn judge_handed(&mut self, tail: &Tail, uid: Uid) {
        let own = self.entry(uid).is_some_and(|entry| {
            entry.held.is_none() && entry.timer.home.as_ref() == Some(&tail.node)
        });
        if tail.owns && own {
            let at = self.stamp();
            self.change(uid, |entry| {
                entry.held = Some(Held::Handed);
                entry.changed = at;
            });
        }
    }

    /// The home has a timer that was given back. What is on its way again since has a newer token.
    fn note_taken(&mut self, node: &NodeId, uid: Uid, token: Token) {
        let Some(entry) = self.entry(uid) else {
            return self.note_end_heard(node, uid);
        };
        let own = entry.held == Some(Held::Giving) && entry.timer.home.as_ref() == Some(node);
        if !own || entry.timer.token != token {
            return;
        }
        if entry.timer.spec.durability.is_replicated() {
            self.change(uid, |entry| {
                entry.held = None;
                // The home has it as it is now.
                entry.changed = LogIndex(0);
            });
        } else if let Some(entry) = self.remove(uid) {
            self.feed_removed(entry.timer.name);
        }
    }

    /// The home has heard that a timer of it is no more.
    fn note_end_heard(&mut self, node: &NodeId, uid: Uid) {
        let ended = self.ended_elsewhere.get_mut(node);
        if ended.is_some_and(|ended| ended.remove(&uid)) {
            self.forget_gone(uid);
        }
    }

    /// The home has made durable what it was told when it resumed: timers that are its own affair leave.
    fn note_resumed(&mut self, node: &NodeId, index: LogIndex) {
        let current = self.nodes.get(node).is_some_and(|n| n.epoch.0 <= index.0);
        if !self.is_active(node) || !current {
            return;
        }
        // What the node has begun to hand over since is not a part of what it has taken.
        if self.stages.attached(node).is_some() {
            self.void_stage(node);
        }
        self.change_node(node, |node| node.stage = None);
        let apart = self.apart.get(node).into_iter().flatten();
        let apart: Vec<Uid> = apart.copied().collect();
        for uid in apart {
            self.drop_if_light(node, uid);
        }
        self.heard.insert(node.clone(), index);
    }

    /// Forgets some of what was remembered only until its home has heard of it. Returns whether there is more.
    pub(crate) fn forget_what_was_heard(&mut self) -> bool {
        let mut left = PER_TURN_MAX;
        while left > 0
            && let Some((node, index)) = self.heard.first_key_value()
        {
            let gone = self.gone_of.get(node).and_then(|gone| gone.first());
            match gone.copied().filter(|(at, _)| at <= index) {
                Some((_, uid)) => self.forget_gone(uid),
                None => drop(self.heard.pop_first()),
            }
            left -= 1;
        }
        !self.heard.is_empty()
    }
}

/// What a home told of a timer does not count, since others have had it.
pub(crate) fn changed_elsewhere() -> Refusal {
    Refusal::Unavailable {
        why: "it was run or changed elsewhere meanwhile; look at it and ask again".into(),
        retry_after: Millis(0),
    }
}

fn believes(tail: &Tail, entry: &Entry, timer: &Timer) -> bool {
    let home = entry.timer.home.as_ref() == Some(&tail.node);
    let owned = tail.owns && entry.held.is_none();
    // Nobody but its home ever runs a pinned timer: what was noted here while it was lost does not count.
    // Of one that was made here it has not heard yet; what it tells is another answer to the same request.
    let heard = entry.timer.awaits != Some(Awaits::Home);
    let pinned = !timer.is_movable() && heard && timer.generation >= entry.timer.generation;
    // Occurrences that were missed are passed over by whoever looks first, and the home is not told: it does the same
    // later, and so may count as many steps to another state.
    let newer = match owned {
        true => timer.revision >= entry.timer.revision,
        false => timer.revision > entry.timer.revision,
    };
    let newer = newer || pinned;
    let news = newer && timer.token >= entry.timer.token;
    home && news && (owned || pinned || entry.changed <= tail.known)
}
