//! A small language for scenarios: nodes are numbers, `t.active(0)`, `t.idle(1, &[100])`.
//!
//! It keeps the deadlines of parked nodes as a ledger would: a pull takes the first, and the owner's
//! event becomes the next. Everything goes through the public face of the hierarchy.

use dormouse_engine::hierarchy::{
    Cover, GroupView, Hierarchy, Owner, Pass, Pull, Refused, Report, Seq, Stuck, WhyNot,
};
use dormouse_engine::id::{NodeId, RackId, Session};
use dormouse_engine::time::WallTime;
use std::collections::BTreeMap;

pub(crate) fn node(n: usize) -> NodeId {
    NodeId::new(&format!("n{n}")).unwrap()
}

pub(crate) fn rack(n: usize) -> RackId {
    RackId::new(&format!("r{n}")).unwrap()
}

pub(crate) fn number(node: &NodeId) -> usize {
    node.as_str()[1..].parse().unwrap()
}

pub(crate) fn covered_by(n: usize) -> Cover {
    Cover::Covered { by: Some(node(n)) }
}

pub(crate) const COVERED: Cover = Cover::Covered { by: None };

pub(crate) fn sentry(at: i64) -> Cover {
    Cover::Sentry { at: WallTime(at) }
}

pub(crate) const DUE: Cover = Cover::NotCovered { why: WhyNot::Due };

/// Says what differs instead of panicking, so that a planted fault shows as an error.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    is: T,
    want: T,
) -> Result<(), String> {
    if is == want {
        Ok(())
    } else {
        Err(format!("{what}: is {is:?}, want {want:?}"))
    }
}

/// Pulls until nothing that somebody on duty serves is due. `claim` takes what a pull names and answers the
/// owner's next deadline. An owner that makes no progress ends it.
pub(crate) fn pass(
    h: &mut Hierarchy,
    now: WallTime,
    mut claim: impl FnMut(&Pull) -> Option<WallTime>,
) -> Result<(), Stuck> {
    let mut pass = Pass::default();
    while let Some(pull) = h.due(now) {
        pass.step(&pull)?;
        let next = claim(&pull);
        match &pull.owner {
            Owner::Node(node) => h.set_first(node, next, now),
            Owner::Pool => h.set_pool_first(next, now),
        }
    }
    Ok(())
}

pub(crate) struct Tale {
    pub(crate) h: Hierarchy,
    pub(crate) now: i64,
    deadlines: BTreeMap<usize, Vec<i64>>,
    joined: usize,
}

impl Tale {
    pub(crate) fn empty(capacity: u8) -> Self {
        Self {
            h: Hierarchy::new(capacity),
            now: 0,
            deadlines: BTreeMap::new(),
            joined: 0,
        }
    }

    /// Racks of these sizes; nodes are numbered through.
    pub(crate) fn racks(capacity: u8, sizes: &[usize]) -> Self {
        let mut tale = Self::empty(capacity);
        for (r, size) in sizes.iter().enumerate() {
            for _ in 0..*size {
                tale.join(r);
            }
        }
        tale
    }

    /// One group of nodes 0 to 7.
    pub(crate) fn t1() -> Self {
        Self::racks(8, &[8])
    }

    /// Root 1:0 over 0:0 (nodes 0, 1) and 0:1 (nodes 2, 3).
    pub(crate) fn t2() -> Self {
        Self::racks(2, &[4])
    }

    /// Root 2:0 over 1:0 and 1:1, over 0:0 to 0:3 with two nodes each.
    pub(crate) fn t3() -> Self {
        Self::racks(2, &[8])
    }

    /// The nodes that are activated to begin with.
    pub(crate) fn awake(mut self, nodes: &[usize]) -> Self {
        nodes.iter().for_each(|&n| self.active(n));
        self
    }

    pub(crate) fn at(&mut self, now: i64) -> &mut Self {
        self.now = now;
        self
    }

    pub(crate) fn time(&self) -> WallTime {
        WallTime(self.now)
    }

    /// The next node joins; returns its number.
    pub(crate) fn join(&mut self, r: usize) -> usize {
        let n = self.joined;
        self.joined += 1;
        self.h.join(node(n), rack(r), self.time()).unwrap();
        n
    }

    pub(crate) fn active(&mut self, n: usize) {
        self.h
            .report(&node(n), None, Report::Active, self.time())
            .unwrap();
    }

    /// D(n, first of the deadlines); also what a parked node says that adds or cancels a timer.
    pub(crate) fn idle(&mut self, n: usize, deadlines: &[i64]) -> Cover {
        self.deadlines.insert(n, deadlines.to_vec());
        let report = Report::Idle {
            first: self.first(n),
        };
        self.h
            .report(&node(n), None, report, self.time())
            .unwrap()
            .unwrap()
    }

    pub(crate) fn said(
        &mut self,
        n: usize,
        seq: u64,
        said: Said,
    ) -> Result<Option<Cover>, Refused> {
        let report = match said {
            Said::Active => Report::Active,
            Said::Idle(first) => Report::Idle {
                first: first.map(WallTime),
            },
        };
        let at = Seq {
            session: Session(1),
            number: seq,
        };
        let answer = self.h.report(&node(n), Some(at), report, self.time());
        if let (Ok(_), Said::Idle(first)) = (&answer, said) {
            self.deadlines.insert(n, first.into_iter().collect());
        }
        answer
    }

    pub(crate) fn lost(&mut self, n: usize) {
        self.h.lost(&node(n), self.time());
    }

    pub(crate) fn leave(&mut self, n: usize) {
        self.h.leave(&node(n), self.time());
    }

    pub(crate) fn eligible(&mut self, n: usize, value: bool) {
        self.h.eligible(&node(n), value, self.time());
    }

    /// What the ledger says of a node's deadlines without the node's having reported.
    pub(crate) fn ledger(&mut self, n: usize, deadlines: &[i64]) {
        self.deadlines.insert(n, deadlines.to_vec());
        self.h.set_first(&node(n), self.first(n), self.time());
    }

    pub(crate) fn first(&self, n: usize) -> Option<WallTime> {
        self.deadlines.get(&n)?.iter().min().copied().map(WallTime)
    }

    /// One pass at `now`: (owner, server, deadline) of each pull.
    pub(crate) fn pulls(&mut self, now: i64) -> Vec<(usize, usize, i64)> {
        self.try_pulls(now).unwrap()
    }

    /// The same, but a pass that does not end is an error.
    pub(crate) fn try_pulls(&mut self, now: i64) -> Result<Vec<(usize, usize, i64)>, String> {
        self.now = now;
        let mut done = Vec::new();
        let mut pass = Pass::default();
        while let Some(pull) = self.h.due(self.time()) {
            pass.step(&pull).map_err(|stuck| stuck.to_string())?;
            done.push(self.claim(&pull));
            if done.len() > 1000 {
                return Err("the pass does not end".into());
            }
        }
        Ok(done)
    }

    fn claim(&mut self, pull: &Pull) -> (usize, usize, i64) {
        let Owner::Node(owner) = &pull.owner else {
            panic!("no pool timers in tales")
        };
        let n = number(owner);
        let left = self.deadlines.entry(n).or_default();
        left.retain(|deadline| *deadline > pull.deadline.0);
        self.h.set_first(owner, self.first(n), self.time());
        (n, number(&pull.server), pull.deadline.0)
    }

    pub(crate) fn view(&self, id: &str) -> GroupView {
        self.h
            .groups()
            .into_iter()
            .find(|group| group.id == id)
            .unwrap()
    }

    /// `active/migrator/head` of a group, as `0x28/0x8/N`.
    pub(crate) fn masks(&self, id: &str) -> String {
        let view = self.view(id);
        let hex = |mask: u8| {
            if mask == 0 {
                "0".into()
            } else {
                format!("{mask:#x}")
            }
        };
        let migrator = if view.migrator == 0 {
            "N".into()
        } else {
            hex(view.migrator)
        };
        let head = view.head.map_or("N".into(), |head| head.0.to_string());
        format!("{}/{migrator}/{head}", hex(view.active))
    }

    pub(crate) fn head_node(&self, id: &str) -> Option<usize> {
        self.view(id).head_node.as_ref().map(number)
    }

    pub(crate) fn sentry(&self) -> Option<(usize, i64)> {
        self.h
            .sentry()
            .map(|sentry| (number(&sentry.node), sentry.at.0))
    }

    /// The invariants, and the state of some groups.
    pub(crate) fn shows(&self, groups: &[(&str, &str)]) -> Result<(), String> {
        self.h.check()?;
        groups
            .iter()
            .try_for_each(|(id, want)| same(id, self.masks(id), (*want).to_owned()))
    }

    /// How many groups each level has.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let mut shape = Vec::new();
        for group in self.h.groups() {
            let level = group.level as usize;
            shape.resize(shape.len().max(level + 1), 0);
            shape[level] += 1;
        }
        shape
    }
}

/// A report with a number.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    Active,
    Idle(Option<i64>),
}
