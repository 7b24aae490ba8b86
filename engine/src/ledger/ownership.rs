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

use super::{Entry, Ledger, Node, Stance};
use crate::id::{Epoch, NodeId, Session, Uid};
use crate::message::{Hello, MessageLimits, Page, Resumed};
use crate::page::{Room, UID_BYTES, Weigh};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{LogIndex, WallTime};
use crate::timer::Phase;
use std::collections::BTreeSet;

/// Timers of one node that move in one turn, beside those that are told.
pub(super) const PER_PAGE_MAX: usize = 1_000;

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
        self.stay(&hello.node);
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
                stage: None,
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
        self.note_node(&hello.node);
        greeting
    }

    /// What changed for `node` after `after`, as much as one message holds; `all` if it knows nothing of its timers.
    ///
    /// When it is the last of it ownership moves with it: see [`Ledger::resume`].
    pub(crate) fn page(&mut self, node: &NodeId, after: LogIndex, limits: MessageLimits) -> Page {
        let waits = self.bring_some_home(node) | self.free_what_is_apart(node);
        let mut page = Page {
            upto: after,
            more: false,
            changed: Vec::new(),
            gone: Vec::new(),
        };
        let mut room = Room::of_message(limits);
        for (index, uid) in self.news_after(node, after) {
            let entry = self.timers.get(uid);
            let entry = entry.filter(|_| !self.gone.contains_key(&uid));
            if !room.take(entry.map_or(UID_BYTES, |entry| entry.timer.weight())) {
                page.more = true;
                return page;
            }
            page.upto = index;
            match entry {
                None => page.gone.push(uid),
                Some(entry) if waits_elsewhere(entry) => {}
                Some(entry) => {
                    // With this its home has heard of it.
                    let mut timer = entry.timer.clone();
                    timer.set_awaits(None);
                    page.changed.push(timer);
                }
            }
        }
        page.more = waits;
        page
    }

    /// What there is to tell `node` after `after`, in the order in which it came about.
    fn news_after(&self, node: &NodeId, after: LogIndex) -> impl Iterator<Item = (LogIndex, Uid)> {
        let from = (LogIndex(after.0.saturating_add(1)), Uid(0))..;
        let own = self.homes.get(node).map(|it| &it.news);
        let staged = self.stages.attached(node).map(|it| &it.holding.news);
        let gone = self.gone_of.get(node);
        let told = !planted::is(Fault::TellNoChanges);
        let own = own.filter(|_| told);
        let all = [own, staged.filter(|_| told), gone];
        let mut heads = all.map(|set| {
            set.into_iter()
                .flat_map({
                    let from = from.clone();
                    move |set| set.range(from.clone()).copied()
                })
                .peekable()
        });
        std::iter::from_fn(move || {
            let first = (0..heads.len())
                .filter_map(|at| Some((*heads[at].peek()?, at)))
                .min()?;
            heads[first.1].next()
        })
    }

    /// Gives a node its timers back, all but those with a run in flight elsewhere: the last page of what it has to
    /// hear.
    pub(crate) fn resume(&mut self, node: &NodeId, page: Page, now: WallTime) -> Resumed {
        let index = self.stamp();
        let mut resumed = Resumed {
            epoch: Epoch(index.0),
            floor: self.stamp_token(),
            changed: page.changed,
            gone: page.gone,
            ..Resumed::default()
        };
        self.set_stance(node, Stance::Active, Epoch(index.0), now);
        for uid in self.apart_of(node) {
            self.give_back(uid, &mut resumed);
        }
        let pending = self.pending.of(node);
        resumed.pending = pending.map(|(id, op)| (id, op.clone())).collect();
        resumed
    }

    /// What carries the node's name and was left to the pool is its own again: some of it. Returns whether there is
    /// more.
    fn bring_some_home(&mut self, node: &NodeId) -> bool {
        let orphans = self.orphans.get(node).into_iter().flatten();
        let uids: Vec<Uid> = orphans.copied().take(PER_PAGE_MAX).collect();
        for uid in uids {
            let at = self.stamp();
            self.change(uid, |entry| {
                entry.timer.home = Some(node.clone());
                entry.changed = at;
            });
        }
        self.orphans.contains_key(node)
    }

    /// What was handed to the group, or was on its way back, and is not being run, goes back with the rest.
    fn free_what_is_apart(&mut self, node: &NodeId) -> bool {
        let apart = self.apart_of(node).into_iter();
        let freed = apart.filter(|uid| {
            let entry = self.timers.get(*uid);
            entry.is_some_and(|entry| entry.held.is_some() && !waits_elsewhere(entry))
        });
        let mut freed: Vec<Uid> = freed.collect();
        let more = freed.len() > PER_PAGE_MAX;
        freed.truncate(PER_PAGE_MAX);
        for uid in freed {
            let at = self.stamp();
            self.change(uid, |entry| {
                entry.held = None;
                entry.changed = at;
            });
        }
        more
    }

    fn apart_of(&self, node: &NodeId) -> Vec<Uid> {
        self.apart
            .get(node)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    fn give_back(&mut self, uid: Uid, resumed: &mut Resumed) {
        let Some(entry) = self.entry(uid) else {
            return;
        };
        if waits_elsewhere(entry) {
            resumed.held.push(uid);
            self.change(uid, |entry| {
                entry.timer.set_awaits(None);
                entry.held = Some(super::Held::Claimed);
                // It stays when the home has taken the rest.
                entry.set_stage(None);
            });
        } else if entry.timer.awaits.is_some() {
            self.change(uid, |entry| entry.timer.set_awaits(None));
        }
    }

    /// The group takes over the timers of a node that hands them over: with the node's record, whatever their number.
    pub(crate) fn park(
        &mut self,
        node: &NodeId,
        (attempt, self_wake): (u64, Option<WallTime>),
        now: WallTime,
    ) -> Epoch {
        self.attach_stage(node, attempt);
        let epoch = self.take_over(node, Stance::Parked, now);
        if planted::is(Fault::ForgetThePause) {
            let all: Vec<Uid> = self
                .news_after(node, LogIndex(0))
                .map(|(_, uid)| uid)
                .collect();
            for uid in all {
                self.change(uid, |entry| entry.timer.paused = false);
            }
        }
        self.change_node(node, |n| {
            n.self_wake = self_wake;
            n.stage = Some(attempt);
        });
        epoch
    }

    /// The group takes over the timers of a node whose lease ran out or whose process was replaced.
    pub(crate) fn lose(&mut self, node: &NodeId, now: WallTime) {
        self.interrupt_claims(node, true, now);
        if self.node(node).is_some_and(|n| n.stance != Stance::Left) {
            self.take_over(node, Stance::Lost, now);
        }
    }

    pub(super) fn take_over(&mut self, node: &NodeId, stance: Stance, now: WallTime) -> Epoch {
        let epoch = Epoch(self.stamp().0);
        self.tell_again_what_ended(node);
        self.set_stance(node, stance, epoch, now);
        // What was handed over without the word that ends it is the node's own still.
        if self.stage_of(node).is_some_and(|(_, attached)| !attached) {
            self.void_stage(node);
        }
        for uid in self.apart_of(node) {
            if self
                .timers
                .get(uid)
                .is_some_and(|entry| entry.held.is_some())
            {
                let at = self.stamp();
                self.change(uid, |entry| {
                    entry.held = None;
                    entry.changed = at;
                });
            }
        }
        epoch
    }

    /// What ended while the node was active, and of which it has not said that it heard, comes after all that it knows.
    fn tell_again_what_ended(&mut self, node: &NodeId) {
        for uid in self.ended_elsewhere.remove(node).into_iter().flatten() {
            if let Some(mut gone) = self.gone.get(&uid).cloned() {
                gone.at = self.stamp();
                self.remember_gone(uid, gone);
                self.turn.dirty.insert(Key::Gone(uid));
            }
        }
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

/// Whether its home has to wait for the end of a run that others have of it.
fn waits_elsewhere(entry: &Entry) -> bool {
    let home = entry.timer.home.as_ref();
    let by_others = |line: &Phase| line.running().is_some_and(|(_, by)| Some(by) != home);
    let elsewhere = entry.held.is_some() || entry.timer.lines().any(by_others);
    elsewhere && entry.timer.is_running() && !planted::is(Fault::GiveWithoutWaiting)
}
