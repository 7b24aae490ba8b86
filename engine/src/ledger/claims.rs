//! Claims: the right of one node to run one occurrence, and what came of it.

use super::{Entry, Held, Ledger};
use crate::id::{Epoch, NodeId, Token, Uid};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use crate::timer::{Outcome, Run, Settled, Stale, Timer};

/// What became of a due timer that was looked at before a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It can be claimed now.
    Now,
    /// Its missed occurrences were folded, and the next one is later.
    Later,
}

impl Ledger {
    /// Applies the misfire rule to a due timer.
    pub(crate) fn fold_missed(&mut self, uid: Uid, now: WallTime) -> Ready {
        let before = self.timers.get(&uid).map(|entry| entry.timer.revision);
        let folded = self.timers.get(&uid).map(|entry| {
            let mut timer = entry.timer.clone();
            timer.fold_missed(now);
            timer
        });
        if let Some(timer) = folded.filter(|timer| Some(timer.revision) != before) {
            let at = self.stamp();
            self.change(uid, |entry| {
                entry.timer = timer;
                entry.changed = at;
            });
        }
        let due = self.timers.get(&uid).and_then(|entry| entry.timer.due());
        if due.is_some_and(|due| due <= now) {
            Ready::Now
        } else {
            Ready::Later
        }
    }

    /// Gives `node` the right to run the due occurrence of a timer.
    ///
    /// Returns none if the timer is not waiting.
    pub(crate) fn claim(&mut self, uid: Uid, node: &NodeId, now: WallTime) -> Option<Run> {
        let at = self.stamp();
        let token = self.stamp_token();
        self.change(uid, |entry| {
            entry.changed = at;
            entry.backlogged = false;
            if entry.held == Some(Held::Handed) {
                entry.held = Some(Held::Claimed);
            }
            let token = token.max(Token(entry.timer.token.0.saturating_add(1)));
            entry.timer.start(node, token, now)
        })?
    }

    /// How many claims a node holds, and for which timers.
    pub(crate) fn claims_of(&self, node: &NodeId) -> Vec<Uid> {
        self.claims
            .get(node)
            .map(|uids| uids.iter().copied().collect())
            .unwrap_or_default()
    }

    /// The claimed timers of a node.
    pub(crate) fn claimed(&self, node: &NodeId) -> impl Iterator<Item = &Timer> {
        let uids = self.claims.get(node).into_iter().flatten();
        uids.filter_map(|uid| self.timers.get(uid))
            .map(|entry| &entry.timer)
    }

    /// Writes down what a pulled run came to.
    ///
    /// # Errors
    /// [`Stale`] if the token is not that of the timer's newest run, or there is no such timer.
    pub(crate) fn settle(
        &mut self,
        uid: Uid,
        token: Token,
        outcome: &Outcome,
        now: WallTime,
    ) -> Result<Settled, Stale> {
        let mut timer = self.timers.get(&uid).ok_or(Stale)?.timer.clone();
        let settled = timer.settle(token, outcome, now)?;
        if settled == Settled::Accepted {
            self.end_claim(uid, |entry| entry.timer = timer);
        }
        Ok(settled)
    }

    /// Takes back a claim that its node could not begin. Returns whether there was one.
    ///
    /// A timer whose home is active stays the group's until it has run: the home could be as busy.
    pub(crate) fn unclaim(&mut self, uid: Uid, token: Token) -> bool {
        let live = self
            .timers
            .get(&uid)
            .is_some_and(|entry| entry.timer.token == token && entry.timer.run().is_some());
        if live {
            self.end_claim(uid, |entry| entry.timer.unstart(token));
            self.change(uid, |entry| {
                entry.held = entry.held.map(|_| Held::Handed);
            });
        }
        live
    }

    /// Ends every claim of a node whose right to run is over.
    pub(crate) fn interrupt_claims(&mut self, node: &NodeId, died: bool, now: WallTime) {
        let dead = self.claims_of(node).into_iter();
        for uid in dead.filter(|_| !planted::is(Fault::KeepDeadClaims)) {
            self.end_claim(uid, |entry| {
                let token = entry.timer.token;
                let outcome = Outcome::Interrupted { died };
                entry
                    .timer
                    .settle(token, &outcome, now)
                    .map(drop)
                    .unwrap_or(());
            });
        }
    }

    fn end_claim(&mut self, uid: Uid, change: impl FnOnce(&mut Entry)) {
        let at = self.stamp();
        self.change(uid, |entry| {
            change(entry);
            entry.changed = at;
            if entry.held == Some(Held::Claimed) {
                entry.held = Some(Held::Giving);
            }
        });
    }

    /// Timers that are to be given back to `node`, as they are now.
    pub(crate) fn giving(&self, node: &NodeId) -> Vec<Timer> {
        let uids = self.giving.get(node).into_iter().flatten();
        uids.filter_map(|uid| self.timers.get(uid))
            .map(|entry| entry.timer.clone())
            .collect()
    }

    /// Every active node that has timers to be given back, with them and its epoch.
    pub(crate) fn to_give(&self) -> Vec<(NodeId, Vec<Timer>, Epoch)> {
        let waiting = self.giving.iter().filter(|(_, uids)| !uids.is_empty());
        let active = waiting.filter(|(node, _)| self.is_active(node));
        active
            .filter_map(|(node, _)| Some((node.clone(), self.giving(node), self.node(node)?.epoch)))
            .collect()
    }

    /// Every active node that has still to hear that timers of it are no more, with them and its epoch.
    pub(crate) fn to_end(&self) -> Vec<(NodeId, Vec<Uid>, Epoch)> {
        let ended = self.ended_elsewhere.iter();
        ended
            .filter_map(|(node, uids)| {
                let uids = uids.iter().copied().collect();
                Some((node.clone(), uids, self.node(node)?.epoch))
            })
            .collect()
    }

    /// A token below which no later run of a home may be.
    pub(crate) fn floor(&mut self) -> Token {
        self.stamp_token()
    }
}
