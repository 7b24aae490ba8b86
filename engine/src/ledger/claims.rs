//! Claims: the right of one node to run one occurrence, and what came of it.

use super::stands::{Queue, TOLD};
use super::{Entry, Held, Ledger};
use crate::id::{NodeId, Token, Uid};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use crate::timer::{Outcome, Phase, Run, Settled, Stale, Timer};
use std::collections::BTreeSet;

/// After every deadline.
pub(super) const NEVER: WallTime = WallTime(i64::MAX);

impl Ledger {
    /// Makes ready what is due of a timer: misfire, overlap and expiry are applied. Returns the nominal time of the
    /// occurrence that can be claimed; none if nothing of it is due any more.
    pub(crate) fn ready(&mut self, uid: Uid, now: WallTime) -> Option<WallTime> {
        let entry = self.entry(uid)?;
        if let Some(nominal) = entry.timer.ready_as_it_is(now) {
            return Some(nominal);
        }
        let mut timer = entry.timer.clone();
        let nominal = timer.ready(None, now);
        if timer.revision == entry.timer.revision {
            return nominal;
        }
        let running = entry.timer.lines().filter_map(Phase::running);
        let withdrawn = running.filter(|(token, _)| !timer.holds(*token));
        let withdrawn: Vec<_> = withdrawn.map(|(token, by)| (by.clone(), token)).collect();
        self.turn.withdrawn.extend(withdrawn);
        let at = self.stamp();
        self.change(uid, |entry| {
            entry.timer = timer;
            entry.changed = at;
        });
        nominal
    }

    /// Runs that lost their right in favour of a later one since the last call, with who has them.
    pub(crate) fn take_withdrawn(&mut self) -> Vec<(NodeId, Token)> {
        std::mem::take(&mut self.turn.withdrawn)
    }

    /// Gives `node` the right to run the occurrence of a timer that [`Ledger::ready`] has named.
    pub(crate) fn claim(
        &mut self,
        uid: Uid,
        nominal: WallTime,
        node: &NodeId,
        now: WallTime,
    ) -> Option<Run> {
        let at = self.stamp();
        let token = self.stamp_token();
        self.change(uid, |entry| {
            entry.changed = at;
            entry.backlogged = false;
            if entry.held == Some(Held::Handed) {
                entry.held = Some(Held::Claimed);
            }
            let token = token.max(Token(entry.timer.token.0.saturating_add(1)));
            entry.timer.begin(nominal, node, token, now)
        })?
    }

    /// The timers of which a node runs something, as claims or of its own.
    fn run_by(&self, node: &NodeId) -> Vec<Uid> {
        let claims = self.claims.get(node).into_iter().flatten();
        // A timer may run more than once at a node.
        let uids: BTreeSet<Uid> = claims.map(|(_, uid)| *uid).collect();
        uids.into_iter().collect()
    }

    /// The tokens and timers of what a node runs, in the order in which they were claimed; not of what it runs as the
    /// home that owns it.
    pub(crate) fn claims_of<'a>(
        &'a self,
        node: &'a NodeId,
    ) -> impl Iterator<Item = (Token, Uid)> + 'a {
        let claims = self.claims.get(node).into_iter().flatten();
        let claims = claims.filter(|(_, uid)| {
            let entry = self.entry(**uid);
            entry.is_some_and(|entry| !self.is_owned_by(entry, node))
        });
        claims.map(|(token, uid)| (*token, *uid))
    }

    /// The timer that `node` has claimed under this token, and whose run is in flight.
    pub(crate) fn claimed_under(&self, node: &NodeId, token: Token) -> Option<Uid> {
        let uid = *self.claims.get(node)?.get(&token)?;
        let entry = self.entry(uid)?;
        (!self.is_owned_by(entry, node)).then_some(uid)
    }

    /// Whether a timer is the group's to run: its home has handed it over, or it has none.
    pub(crate) fn is_groups(&self, uid: Uid) -> bool {
        self.entry(uid).is_some_and(|entry| {
            let home = entry.timer.home.as_ref();
            entry.held.is_some() || home.is_none_or(|home| !self.is_active(home))
        })
    }

    fn is_owned_by(&self, entry: &Entry, node: &NodeId) -> bool {
        let own = entry.timer.home.as_ref() == Some(node) && entry.held.is_none();
        own && self.is_active(node)
    }

    /// Writes down what a pulled run came to.
    ///
    /// # Errors
    /// [`Stale`] if no run of the timer is in flight under this token, or there is no such timer.
    pub(crate) fn settle(
        &mut self,
        uid: Uid,
        token: Token,
        outcome: &Outcome,
        now: WallTime,
    ) -> Result<Settled, Stale> {
        let timer = &self.entry(uid).ok_or(Stale)?.timer;
        if timer.was_last(token) {
            return Ok(Settled::Again);
        }
        if !timer.holds(token) && !planted::is(Fault::IgnoreToken) {
            return Err(Stale);
        }
        let settled = self.end_claim(uid, |entry| entry.timer.settle(token, outcome, now));
        settled.unwrap_or(Err(Stale))
    }

    /// Takes back a claim that its node could not begin. Returns whether there was one.
    ///
    /// A timer whose home is active stays the group's until it has run: the home could be as busy.
    pub(crate) fn unclaim(&mut self, uid: Uid, token: Token) -> bool {
        let live = self
            .entry(uid)
            .is_some_and(|entry| entry.timer.holds(token));
        if live {
            self.end_claim(uid, |entry| entry.timer.unbegin(token));
            self.change(uid, |entry| {
                let others = entry.timer.is_running();
                let held = if others { Held::Claimed } else { Held::Handed };
                entry.held = entry.held.map(|_| held);
            });
        }
        live
    }

    /// Ends every claim of a node whose right to run is over.
    pub(crate) fn interrupt_claims(&mut self, node: &NodeId, died: bool, now: WallTime) {
        if planted::is(Fault::KeepDeadClaims) {
            return;
        }
        for uid in self.run_by(node) {
            self.end_claim(uid, |entry| entry.timer.interrupt_all(node, died, now));
        }
    }

    fn end_claim<R>(&mut self, uid: Uid, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let at = self.stamp();
        self.change(uid, |entry| {
            let result = change(entry);
            entry.changed = at;
            if entry.held == Some(Held::Claimed) && !entry.timer.is_running() {
                entry.held = Some(Held::Giving);
                // What of it still waits in the backlog is its home's to run.
                entry.backlogged = false;
            }
            result
        })
    }

    /// The run of `node` under this token, if it is still in flight.
    pub(crate) fn run_of(&self, node: &NodeId, uid: Uid, token: Token) -> Option<Run> {
        let mut runs = self.entry(uid)?.timer.runs_of(node);
        runs.find(|run| run.token == token)
    }

    /// The earliest deadline of what is on its way back to `node`.
    pub(crate) fn first_given(&self, node: &NodeId) -> Option<WallTime> {
        let (due, _) = self.timers.first(TOLD, &Queue::Giving(node.clone()))?;
        (due < NEVER).then_some(due)
    }

    /// A timer that is to be given back to `node`, as it is now.
    pub(crate) fn given(&self, node: &NodeId, uid: Uid) -> Option<&Timer> {
        let entry = self.entry(uid)?;
        let its = entry.timer.home.as_ref() == Some(node) && entry.held == Some(Held::Giving);
        (its && self.is_active(node)).then_some(&entry.timer)
    }

    /// Whether an active node has still to hear that a timer of it is no more.
    pub(crate) fn has_to_hear_of(&self, node: &NodeId, uid: Uid) -> bool {
        let ended = self.ended_elsewhere.get(node);
        ended.is_some_and(|ended| ended.contains(&uid))
    }

    /// Timers that homes have to be given back, or of whose end they have to hear, since the last call.
    pub(crate) fn take_given(&mut self) -> BTreeSet<(NodeId, Uid)> {
        let mut given = std::mem::take(&mut self.turn.given);
        given.retain(|(node, uid)| {
            self.given(node, *uid).is_some() || self.has_to_hear_of(node, *uid)
        });
        given
    }

    /// A home has answered what it was given: if that was an older state, it is given again.
    pub(crate) fn look_again(&mut self, node: &NodeId, uid: Uid) {
        self.turn.given.insert((node.clone(), uid));
    }

    /// A token below which no later run of a home may be.
    pub(crate) fn floor(&mut self) -> Token {
        self.stamp_token()
    }
}
