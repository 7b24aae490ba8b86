//! Who owns what: the moves of ownership between a home and its group.
//!
//! ```text
//!           resume                 park
//! Greeted ----------> Active -------------> Parked
//!    ^                 |  ^                   |
//!    | hello           |  +---- resume -------+
//!  Lost <--- lose -----+
//! ```
//! Each move raises the node's epoch. A new process of the same name ends what the old one had; the same
//! process, coming back within its lease, goes on as it was.

use super::{Home, Ledger, Node, Stance};
use crate::id::{Epoch, NodeId, Session, Uid};
use crate::message::{Hello, Resumed};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{LogIndex, WallTime};
use crate::timer::{Awaits, Phase, Placement};
use std::collections::BTreeSet;

/// What a greeting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// The new session.
    pub session: Session,
    /// The node's epoch.
    pub epoch: Epoch,
    /// Whether the node is the same process as before.
    pub same: bool,
    /// Whether it still owns its timers.
    pub owns: bool,
}

impl Ledger {
    /// Gives a node a session. What another process of the same name had is taken from it first.
    pub(crate) fn greet(&mut self, hello: &Hello, now: WallTime) -> Greeting {
        self.catch_up(hello.epoch.0);
        let same = self
            .node(&hello.node)
            .is_some_and(|n| n.incarnation == hello.incarnation);
        if !same && self.node(&hello.node).is_some() {
            self.lose(&hello.node, now);
        }
        let session = Session(self.stamp().0);
        let epoch = Epoch(session.0);
        let node = self
            .nodes
            .entry(hello.node.clone())
            .or_insert_with(|| Node {
                rack: hello.rack.clone(),
                epoch,
                session,
                incarnation: hello.incarnation,
                stance: Stance::Greeted,
                since: now,
                handlers: BTreeSet::new(),
                self_wake: None,
            });
        node.session = session;
        node.incarnation = hello.incarnation;
        node.rack = hello.rack.clone();
        if matches!(node.stance, Stance::Lost | Stance::Left) {
            node.stance = Stance::Greeted;
            node.since = now;
        }
        let greeting = Greeting {
            session,
            epoch: node.epoch,
            same,
            owns: node.stance == Stance::Active,
        };
        self.turn.dirty.insert(Key::Node(hello.node.clone()));
        greeting
    }

    /// Gives a node its timers back, all but those with a run in flight elsewhere.
    pub(crate) fn resume(&mut self, node: &NodeId, known: LogIndex, now: WallTime) -> Resumed {
        let index = self.stamp();
        let mut resumed = Resumed {
            epoch: Epoch(index.0),
            floor: self.stamp_token(),
            ..Resumed::default()
        };
        self.set_stance(node, Stance::Active, Epoch(index.0), now);
        self.bring_home(node, index);
        for uid in self.of_home(&Some(node.clone())) {
            self.give_back(uid, known, &mut resumed);
        }
        let gone = self
            .gone
            .iter()
            .filter(|(_, gone)| gone.home == *node && gone.at > known);
        resumed.gone = gone.map(|(uid, _)| *uid).collect();
        let pending = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.node == *node);
        resumed.pending = pending
            .map(|(id, pending)| (*id, pending.op.clone()))
            .collect();
        resumed
    }

    /// What carries the node's name and was left to the pool is its own again.
    fn bring_home(&mut self, node: &NodeId, at: LogIndex) {
        for uid in self.named_after(node) {
            if self
                .timers
                .get(&uid)
                .is_some_and(|entry| entry.timer.home.is_none())
            {
                self.change(uid, |entry| {
                    entry.timer.home = Some(node.clone());
                    entry.changed = at;
                });
            }
        }
    }

    fn give_back(&mut self, uid: Uid, known: LogIndex, resumed: &mut Resumed) {
        self.set_backlogged(uid, false);
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        if entry.timer.awaits.is_some() {
            self.change(uid, |entry| entry.timer.awaits = None);
        }
        let Some(entry) = self.timers.get(&uid) else {
            return;
        };
        let home = entry.timer.home.as_ref();
        let by_others = |line: &Phase| line.running().is_some_and(|(_, by)| Some(by) != home);
        let elsewhere = entry.held.is_some() || entry.timer.lines().any(by_others);
        let waits = elsewhere && entry.timer.is_running();
        if waits && !planted::is(Fault::GiveWithoutWaiting) {
            resumed.held.push(uid);
            self.change(uid, |entry| entry.held = Some(super::Held::Claimed));
            return;
        }
        let news = entry.changed > known || entry.created > known;
        let news = news && !planted::is(Fault::TellNoChanges);
        if news || entry.held.is_some() {
            resumed.changed.push(entry.timer.clone());
        }
        if entry.held.is_some() {
            self.change(uid, |entry| entry.held = None);
        }
    }

    /// The group takes over the timers of a node that hands them over.
    pub(crate) fn park(
        &mut self,
        node: &NodeId,
        self_wake: Option<WallTime>,
        now: WallTime,
    ) -> Epoch {
        let epoch = self.take_over(node, Stance::Parked, now);
        if planted::is(Fault::ForgetThePause) {
            for uid in self.of_home(&Some(node.clone())) {
                self.change(uid, |entry| entry.timer.paused = false);
            }
        }
        self.change_node(node, |n| n.self_wake = self_wake);
        epoch
    }

    /// The group takes over the timers of a node whose lease ran out or whose process was replaced.
    pub(crate) fn lose(&mut self, node: &NodeId, now: WallTime) {
        self.interrupt_claims(node, true, now);
        if self.node(node).is_some_and(|n| n.stance != Stance::Left) {
            self.take_over(node, Stance::Lost, now);
        }
    }

    /// The pool takes over the movable timers of a node that leaves; pinned ones stay and wait for it.
    pub(crate) fn leave(&mut self, node: &NodeId, now: WallTime) {
        self.interrupt_claims(node, false, now);
        self.take_over(node, Stance::Left, now);
        for uid in self.of_home(&Some(node.clone())) {
            let at = self.stamp();
            self.change(uid, |entry| match entry.timer.spec.placement {
                Placement::Movable => entry.former = entry.timer.home.take(),
                Placement::Pinned(_) => {
                    entry.timer.awaits = Some(Awaits::Return);
                    entry.changed = at;
                }
            });
        }
        self.forget_if_empty(node);
    }

    fn take_over(&mut self, node: &NodeId, stance: Stance, now: WallTime) -> Epoch {
        let epoch = Epoch(self.stamp().0);
        self.set_stance(node, stance, epoch, now);
        for uid in self.of_home(&Some(node.clone())) {
            if self
                .timers
                .get(&uid)
                .is_some_and(|entry| entry.held.is_some())
            {
                self.change(uid, |entry| {
                    entry.held = None;
                    entry.changed = LogIndex(epoch.0);
                });
            }
        }
        epoch
    }

    fn set_stance(&mut self, node: &NodeId, stance: Stance, epoch: Epoch, now: WallTime) {
        // It hears of all that is gone when it resumes.
        self.ended_elsewhere.remove(node);
        self.change_node(node, |n| {
            n.epoch = epoch;
            if n.stance != stance {
                n.stance = stance;
                n.since = now;
            }
            if stance != Stance::Parked {
                n.self_wake = None;
            }
        });
        self.turn.touched.insert(Some(node.clone()));
    }

    /// A node that has left is remembered only while a timer, or somebody's change of one, waits for it.
    fn forget_if_empty(&mut self, node: &NodeId) {
        let home: Home = Some(node.clone());
        let waits = self.pending.values().any(|pending| pending.node == *node);
        if !self.homes.contains_key(&home) && !waits {
            self.nodes.remove(node);
            self.turn.dirty.insert(Key::Node(node.clone()));
            let unheard: Vec<Uid> = self
                .gone
                .extract_if(.., |_, gone| gone.home == *node)
                .map(|(uid, _)| uid)
                .collect();
            self.turn.dirty.extend(unheard.into_iter().map(Key::Gone));
        }
    }

    /// Remembers which handlers a node's workers have.
    pub(crate) fn set_handlers(
        &mut self,
        node: &NodeId,
        handlers: BTreeSet<crate::timer::HandlerName>,
    ) {
        if self.node(node).is_some_and(|n| n.handlers != handlers) {
            self.change_node(node, |n| n.handlers = handlers);
        }
    }
}
