//! What a home hands over before it sleeps: its unreplicated timers, staged in pieces, made real by one record.
//!
//! ```text
//! home                                ledger
//!  | -- Stage{attempt}, piece 1 ------> |  open: in no list, head or queue of what is due
//!  | -- Stage{attempt}, piece n ------> |
//!  | -- Idle{attempt, sum} -----------> |  attached: all of it is the group's, by the node's record alone
//!  |          ...                       |
//!  | -- resumed ----------------------> |  void: none of it is there any more, erased later in pieces
//! ```
//! A timer carries the number of its attempt. Whether it is real is not written into it: it is if its home's stage
//! has that number and is attached. So a million timers become real, or void, in one step.

use super::sum::Sum;
use super::{Entry, Ledger};
use crate::id::{NodeId, TimerName, Uid};
use crate::planted::{self, Fault};
use crate::time::{LogIndex, WallTime};
use crate::timer::Timer;
use std::collections::{BTreeMap, BTreeSet};

/// Timers of a void stage that are erased in one turn, and timers of an attached one of which watchers hear.
const PER_TURN_MAX: usize = 1_000;

/// The timers of one home in one state, beside what is due of them when.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// All of them, in the order in which the ledger last had news of each for its home.
    pub(super) news: BTreeSet<(LogIndex, Uid)>,
    /// What home and ledger compare.
    pub(super) sum: Sum,
}

impl Holding {
    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }
}

/// The unreplicated timers of one attempt to sleep.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) attempt: u64,
    pub(super) attached: bool,
    pub(super) names: BTreeMap<TimerName, Uid>,
    pub(super) holding: Holding,
}

/// Every stage, by its home; and what is left of those that are over.
#[derive(Debug, Default)]
pub(super) struct Stages {
    pub(super) current: BTreeMap<NodeId, Stage>,
    /// Void, and erased piece by piece.
    void: Vec<(NodeId, Stage)>,
    /// Attached, and watchers hear of what comes after this name.
    unannounced: BTreeMap<NodeId, Option<TimerName>>,
}

impl Stages {
    /// The stage of `home` if it has this number.
    pub(super) fn of(&self, home: Option<&NodeId>, attempt: u64) -> Option<&Stage> {
        let stage = self.current.get(home?)?;
        (stage.attempt == attempt).then_some(stage)
    }

    pub(super) fn of_mut(&mut self, home: Option<&NodeId>, attempt: u64) -> Option<&mut Stage> {
        let stage = self.current.get_mut(home?)?;
        (stage.attempt == attempt).then_some(stage)
    }

    pub(super) fn attached(&self, home: &NodeId) -> Option<&Stage> {
        self.current.get(home).filter(|stage| stage.attached)
    }

    /// Timers that are in no list: they are not handed over yet, or not any more.
    pub(super) fn unreal(&self) -> usize {
        let open = self.current.values().filter(|stage| !stage.attached);
        let void = self.void.iter().map(|(_, stage)| stage);
        open.chain(void).map(|stage| stage.names.len()).sum()
    }

    fn open(&mut self, home: &NodeId, attempt: u64) -> &mut Stage {
        self.current.entry(home.clone()).or_insert_with(|| Stage {
            attempt,
            attached: false,
            names: BTreeMap::new(),
            holding: Holding::default(),
        })
    }
}

impl Ledger {
    /// The number of the attempt whose pieces are here, and whether it is closed.
    #[must_use]
    pub fn stage_of(&self, node: &NodeId) -> Option<(u64, bool)> {
        let stage = self.stages.current.get(node)?;
        Some((stage.attempt, stage.attached))
    }

    /// Whether a timer is a part of what the ledger has: not of a stage that is open or over.
    pub(super) fn is_real(&self, entry: &Entry) -> bool {
        let Some(attempt) = entry.stage() else {
            return true;
        };
        let stage = self.stages.of(entry.timer.home.as_ref(), attempt);
        let listed = planted::is(Fault::ListTheStaged);
        stage.is_some_and(|stage| stage.attached || listed)
    }

    /// Begins an attempt, or goes on with it. False if a newer one was begun: then the piece is of no use.
    pub(crate) fn open_stage(&mut self, node: &NodeId, attempt: u64) -> bool {
        match self.stage_of(node) {
            Some((current, _)) if current > attempt => return false,
            Some((current, attached)) if current == attempt => return !attached,
            Some(_) => self.void_stage(node),
            None => {}
        }
        self.stages.open(node, attempt);
        true
    }

    /// The node has given up what it began: it goes on owning all of it.
    pub(crate) fn abandon_stage(&mut self, node: &NodeId, attempt: u64) {
        let open = self.stage_of(node).filter(|(_, attached)| !attached);
        if open.is_some_and(|(current, _)| current <= attempt) {
            self.void_stage(node);
        }
    }

    /// The earliest deadline of a home if it closed now.
    pub(crate) fn first_if_attached(&self, node: &NodeId) -> Option<WallTime> {
        let staged = self.stages.current.get(node).map(|it| Some(it.attempt));
        let places = [Some(None), staged].into_iter().flatten();
        let firsts = places.filter_map(|stage| self.first_at((Some(node.clone()), stage)));
        firsts.min().map(|(due, _)| due)
    }

    /// Takes one timer of a piece; what it says replaces what an earlier piece said of it.
    pub(super) fn stage_one(&mut self, node: &NodeId, attempt: u64, timer: &Timer) {
        let created = self.stamp();
        let timer = Timer {
            home: Some(node.clone()),
            ..timer.clone()
        };
        let mut entry = Entry::new(timer, LogIndex(0), created);
        entry.set_stage((!planted::is(Fault::StageAsReal)).then_some(attempt));
        self.insert(entry);
    }

    /// Makes everything that was staged the group's. What makes it durable is the node's record.
    pub(super) fn attach_stage(&mut self, node: &NodeId, attempt: u64) {
        let stage = self.stages.open(node, attempt);
        stage.attached = stage.attempt == attempt;
        self.stages.unannounced.insert(node.clone(), None);
        self.touch((Some(node.clone()), None));
        self.look_at_leavers();
    }

    /// Nothing of the stage of `node` is there any more; it is erased later, in pieces.
    pub(crate) fn void_stage(&mut self, node: &NodeId) {
        if planted::is(Fault::KeepTheStage) {
            return;
        }
        if let Some(stage) = self.stages.current.remove(node) {
            self.stages.unannounced.remove(node);
            self.stages.void.push((node.clone(), stage));
            self.touch((Some(node.clone()), None));
            self.look_at_leavers();
        }
    }

    /// Erases a piece of what is void, and tells watchers of a piece of what was attached. Returns whether more is left.
    pub(crate) fn tidy_stages(&mut self) -> bool {
        let mut left = PER_TURN_MAX;
        while left > 0
            && let Some((node, stage)) = self.stages.void.last_mut()
        {
            let Some((name, uid)) = stage.names.pop_first() else {
                self.stages.void.pop();
                continue;
            };
            left -= 1;
            stage.holding.news.pop_first();
            let (node, attempt) = (node.clone(), stage.attempt);
            let was_real = stage.attached;
            let same = |entry: &Entry| {
                entry.stage() == Some(attempt) && entry.timer.home.as_ref() == Some(&node)
            };
            if self.timers.get(uid).is_some_and(same) {
                drop(self.delist_runs(uid));
                self.timers.remove(uid);
                if was_real {
                    self.feed_removed(name);
                }
            }
        }
        self.announce(left);
        !self.stages.void.is_empty() || !self.stages.unannounced.is_empty()
    }

    fn announce(&mut self, most: usize) {
        use std::ops::Bound::{Excluded, Unbounded};
        if most == 0 {
            return;
        }
        let Some((node, after)) = self.stages.unannounced.pop_first() else {
            return;
        };
        let Some(stage) = self.stages.current.get(&node) else {
            return;
        };
        let from = after.as_ref().map_or(Unbounded, Excluded);
        let mut last = None;
        for (name, uid) in stage.names.range((from, Unbounded)).take(most) {
            self.feed.changed(*uid);
            last = Some(name.clone());
        }
        if last.is_some() {
            self.stages.unannounced.insert(node, last);
        }
    }

    /// After a start: entries find their stages again; what belongs to none is void.
    pub(super) fn find_stages(&mut self) {
        let mut newest: BTreeMap<NodeId, u64> = BTreeMap::new();
        let staged: Vec<&Entry> = self.timers.by_uid();
        let staged: Vec<&Entry> = staged
            .into_iter()
            .filter(|it| it.stage().is_some())
            .collect();
        for entry in &staged {
            if let (Some(home), Some(attempt)) = (&entry.timer.home, entry.stage()) {
                let newest = newest.entry(home.clone()).or_default();
                *newest = (*newest).max(attempt);
            }
        }
        let staged: Vec<Uid> = staged.iter().map(|entry| entry.timer.uid).collect();
        for (name, node) in &self.nodes {
            // What is attached is; of the rest the newest may still be going on.
            let attempt = node.stage.or_else(|| newest.get(name).copied());
            if let Some(attempt) = attempt {
                self.stages.open(name, attempt).attached = node.stage == Some(attempt);
            }
        }
        for uid in staged {
            self.find_stage_of(uid);
        }
    }

    fn find_stage_of(&mut self, uid: Uid) {
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        let (Some(home), Some(attempt)) = (entry.timer.home.clone(), entry.stage()) else {
            return;
        };
        if self.stages.of(Some(&home), attempt).is_some() {
            // What does not depend on the stage was listed when the entry came in, and is counted once.
            drop(self.delist_runs(uid));
            return self.settle_in(uid);
        }
        let name = entry.timer.name.clone();
        let void = self.stages.void.iter_mut();
        let mut void = void.filter(|(node, stage)| *node == home && stage.attempt == attempt);
        match void.next() {
            Some((_, stage)) => drop(stage.names.insert(name, uid)),
            None => {
                let names = BTreeMap::from([(name, uid)]);
                let holding = Holding::default();
                let stage = Stage {
                    attempt,
                    attached: false,
                    names,
                    holding,
                };
                self.stages.void.push((home, stage));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ended::tests::new;
    use super::*;
    use crate::id::{Epoch, PoolId, RackId};
    use crate::message::Hello;
    use crate::op::Op;
    use crate::time::Millis;
    use crate::timer::Payload;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn ledger() -> Ledger {
        Ledger::new(PoolId::new("default").unwrap(), 1)
    }

    fn hello(node: &NodeId) -> Hello {
        Hello {
            node: node.clone(),
            pool: PoolId::new("default").unwrap(),
            rack: RackId::new("r").unwrap(),
            incarnation: 1,
            epoch: Epoch(0),
            known: LogIndex(0),
            ledger: 1,
            wall: NOW,
        }
    }

    #[test]
    fn what_runs_of_a_stage_takes_one_place_after_a_start_too() {
        let (home, runner) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
        let mut other = ledger();
        let payload = Payload(Vec::new().into());
        other.execute(&Op::Create(Box::new(new(1, &payload))), NOW);
        let timer = other.entry(Uid(1)).unwrap().timer.clone();

        let mut ledger = ledger();
        ledger.greet(&hello(&home), NOW);
        ledger.open_stage(&home, 1);
        ledger.stage_one(&home, 1, &timer);
        ledger.park(&home, (1, None), NOW);
        let later = NOW + Millis(60_000);
        let nominal = ledger.ready(Uid(1), later).unwrap();
        ledger.claim(Uid(1), nominal, &runner, later).unwrap();

        let records = ledger.take_records().into_iter();
        let facts = records.filter_map(|record| Some((record.key, record.value?)));
        let again = Ledger::recover(PoolId::new("default").unwrap(), 1, facts).unwrap();
        assert!(again.entry(Uid(1)).is_some_and(|it| it.stage() == Some(1)));
        let taken = |ledger: &Ledger| ledger.places_taken(&runner, &timer.spec.handler);
        assert_eq!((taken(&ledger), taken(&again)), (1, 1));
    }
}
