//! Claims: the right of one node to run one occurrence, and what came of it.

use super::{Entry, Held, Ledger};
use crate::id::{Epoch, NodeId, Token, Uid};
use crate::planted::{self, Fault};
use crate::time::WallTime;
use crate::timer::{Outcome, Phase, Run, Settled, Stale, Timer};

impl Ledger {
    /// Makes ready what is due of a timer: misfire, overlap and expiry are applied. Returns the nominal time of the
    /// occurrence that can be claimed; none if nothing of it is due any more.
    pub(crate) fn ready(&mut self, uid: Uid, now: WallTime) -> Option<WallTime> {
        let entry = self.entry(uid)?;
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

    /// Gives `node` the right to run the due occurrence of a timer.
    ///
    /// Returns none if nothing of the timer is due.
    pub(crate) fn claim(&mut self, uid: Uid, node: &NodeId, now: WallTime) -> Option<Run> {
        let nominal = self.ready(uid, now)?;
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
        let uids = self.claims.get(node).into_iter().flatten();
        uids.copied().collect()
    }

    /// The claims of a node: not what it runs as the home that owns it.
    pub(crate) fn claimed<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = Run> + 'a {
        let uids = self.claims.get(node).into_iter().flatten();
        let entries = uids.filter_map(|uid| self.entry(*uid));
        let entries = entries.filter(move |entry| !self.is_owned_by(entry, node));
        entries.flat_map(move |entry| entry.timer.runs_of(node))
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
        let mut timer = self.entry(uid).ok_or(Stale)?.timer.clone();
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

    fn end_claim(&mut self, uid: Uid, change: impl FnOnce(&mut Entry)) {
        let at = self.stamp();
        self.change(uid, |entry| {
            change(entry);
            entry.changed = at;
            if entry.held == Some(Held::Claimed) && !entry.timer.is_running() {
                entry.held = Some(Held::Giving);
                // What of it still waits in the backlog is its home's to run.
                entry.backlogged = false;
            }
        });
    }

    /// Timers that are to be given back to `node`, as they are now.
    pub(crate) fn giving(&self, node: &NodeId) -> Vec<Timer> {
        let uids = self.giving.get(node).into_iter().flatten();
        uids.filter_map(|uid| self.entry(*uid))
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
