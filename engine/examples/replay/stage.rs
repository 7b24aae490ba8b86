//! What the operations of `replay` do: a hierarchy, and the deadlines that the input announced.
//!
//! There is no ledger here, so a node that leaves or is lost keeps its slot until its deadlines have
//! been pulled, and gives it up then. A lost node is revived by its next report, one that left
//! by joining. `first` is the report of a parked node, like `idle`. The clock never goes
//! back: an earlier `now` counts as the latest that was given.

use super::op::{Active, Idle, Join, Op};
use super::state::State;
use dormouse_engine::hierarchy::{
    Cover, Freshness, Hierarchy, NodeView, Owner, Pass, Pull, Refused, Report, Seq,
};
use dormouse_engine::id::{NodeId, RackId};
use dormouse_engine::time::WallTime;
use std::collections::{BTreeMap, BTreeSet};

/// The capacity of a group unless the first line says otherwise.
const CAPACITY: u8 = 8;

/// A lost node that has given up its slot: where it comes back to, and what it was.
struct Absent {
    rack: RackId,
    eligible: bool,
    last: Option<Seq>,
}

/// The state between two lines.
pub(super) struct Stage {
    hierarchy: Hierarchy,
    /// The deadlines of each node after its first.
    further: BTreeMap<NodeId, BTreeSet<WallTime>>,
    /// Members that keep their slot only until they own nothing.
    lost: BTreeSet<NodeId>,
    leaving: BTreeSet<NodeId>,
    absent: BTreeMap<NodeId, Absent>,
    begun: bool,
}

/// What one operation brought.
#[derive(Default)]
struct Outcome {
    cover: Option<Cover>,
    pulls: Vec<Pull>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            hierarchy: Hierarchy::new(CAPACITY),
            further: BTreeMap::new(),
            lost: BTreeSet::new(),
            leaving: BTreeSet::new(),
            absent: BTreeMap::new(),
            begun: false,
        }
    }
}

impl Stage {
    /// Answers one line: the new state, or why nothing changed.
    pub(super) fn line(&mut self, line: &[u8]) -> String {
        let answer = match Op::parse(line).and_then(|op| self.apply(op)) {
            Ok(Outcome { cover, pulls }) => {
                self.begun = true;
                serde_json::to_string(&State::of(&self.hierarchy, cover.as_ref(), &pulls))
            }
            Err(error) => serde_json::to_string(&serde_json::json!({ "error": error })),
        };
        answer.expect("a state is plain data")
    }

    fn apply(&mut self, op: Op) -> Result<Outcome, String> {
        match op {
            Op::Config { capacity } => self.config(capacity),
            Op::Join(join) => self.join(join),
            Op::Active(active) => self.active(&active),
            Op::Idle(idle) | Op::First(idle) => self.idle(&idle),
            Op::Advance { now } => self.advance(now),
            Op::Lost { node, now } => self.lost(&node, now),
            Op::Leave { node, now } => self.leave(node, now),
            Op::Eligible { node, value, now } => self.eligible(&node, value, now),
        }
    }

    fn config(&mut self, capacity: u8) -> Result<Outcome, String> {
        if self.begun {
            return Err("config comes first or not at all".into());
        }
        self.hierarchy = Hierarchy::new(capacity);
        Ok(Outcome::default())
    }

    fn join(&mut self, join: Join) -> Result<Outcome, String> {
        let at = join.number()?;
        let node = join.node;
        if self
            .freshness(&node, at)
            .is_some_and(|fresh| fresh != Freshness::News)
        {
            return Ok(Outcome::default());
        }
        self.hierarchy
            .join(node.clone(), join.rack, join.now)
            .map_err(|bad| bad.to_string())?;
        self.leaving.remove(&node);
        self.absent.remove(&node);
        if let Some(at) = at {
            self.hierarchy.note(&node, at);
        }
        Ok(Outcome::default())
    }

    fn active(&mut self, active: &Active) -> Result<Outcome, String> {
        self.report(&active.node, active.number()?, Report::Active, active.now)
            .map(|(_, cover)| Outcome {
                cover,
                ..Outcome::default()
            })
    }

    fn idle(&mut self, idle: &Idle) -> Result<Outcome, String> {
        let report = Report::Idle { first: idle.first };
        let (fresh, cover) = self.report(&idle.node, idle.number()?, report, idle.now)?;
        if fresh == Freshness::News {
            let further = idle
                .then
                .iter()
                .copied()
                .filter(|then| Some(*then) != idle.first);
            self.further.insert(idle.node.clone(), further.collect());
        }
        Ok(Outcome {
            cover,
            ..Outcome::default()
        })
    }

    fn report(
        &mut self,
        node: &NodeId,
        at: Option<Seq>,
        report: Report,
        now: WallTime,
    ) -> Result<(Freshness, Option<Cover>), String> {
        self.known(node)?;
        let fresh = self
            .freshness(node, at)
            .ok_or("a known node has a record")?;
        if fresh == Freshness::Stale || self.absent.contains_key(node) && fresh != Freshness::News {
            return Ok((fresh, None));
        }
        self.revive(node, now)?;
        let cover = self
            .hierarchy
            .report(node, at, report, now)
            .map_err(|bad| bad.to_string())?;
        if fresh == Freshness::News {
            self.lost.remove(node);
        }
        Ok((fresh, cover))
    }

    /// A lost node that gave up its slot gets one again.
    fn revive(&mut self, node: &NodeId, now: WallTime) -> Result<(), String> {
        let Some(absent) = self.absent.remove(node) else {
            return Ok(());
        };
        self.hierarchy
            .join(node.clone(), absent.rack, now)
            .map_err(|bad| bad.to_string())?;
        self.hierarchy.eligible(node, absent.eligible, now);
        Ok(())
    }

    fn advance(&mut self, now: WallTime) -> Result<Outcome, String> {
        let mut pulls = Vec::new();
        let mut pass = Pass::default();
        while let Some(pull) = self.hierarchy.due(now) {
            pass.step(&pull).map_err(|stuck| stuck.to_string())?;
            match &pull.owner {
                Owner::Node(node) => {
                    let further = self.further.get_mut(node);
                    let next = further.and_then(BTreeSet::pop_first);
                    self.hierarchy.set_first(node, next, now);
                }
                Owner::Pool => self.hierarchy.set_pool_first(None, now),
            }
            pulls.push(pull);
        }
        self.dismiss(now);
        Ok(Outcome { cover: None, pulls })
    }

    fn lost(&mut self, node: &NodeId, now: WallTime) -> Result<Outcome, String> {
        self.known(node)?;
        if !self.absent.contains_key(node) {
            self.hierarchy.lost(node, now);
            self.lost.insert(node.clone());
            self.dismiss(now);
        }
        Ok(Outcome::default())
    }

    fn leave(&mut self, node: NodeId, now: WallTime) -> Result<Outcome, String> {
        self.known(&node)?;
        if self.absent.remove(&node).is_none() {
            self.hierarchy.lost(&node, now);
            self.leaving.insert(node);
            self.dismiss(now);
        }
        Ok(Outcome::default())
    }

    fn eligible(&mut self, node: &NodeId, value: bool, now: WallTime) -> Result<Outcome, String> {
        self.known(node)?;
        match self.absent.get_mut(node) {
            Some(absent) => absent.eligible = value,
            None => self.hierarchy.eligible(node, value, now),
        }
        Ok(Outcome::default())
    }

    /// Removes the lost and the leaving that own nothing.
    fn dismiss(&mut self, now: WallTime) {
        let going: Vec<NodeId> = self.lost.union(&self.leaving).cloned().collect();
        for node in going {
            let Some(view) = self
                .hierarchy
                .node(&node)
                .filter(|view| view.first.is_none())
            else {
                continue;
            };
            self.hierarchy.leave(&node, now);
            self.further.remove(&node);
            self.lost.remove(&node);
            if !self.leaving.remove(&node) {
                let NodeView {
                    rack,
                    eligible,
                    last,
                    ..
                } = view;
                self.absent.insert(
                    node,
                    Absent {
                        rack,
                        eligible,
                        last,
                    },
                );
            }
        }
    }

    fn known(&self, node: &NodeId) -> Result<(), String> {
        let member = self.hierarchy.contains(node) && !self.leaving.contains(node);
        if member || self.absent.contains_key(node) {
            Ok(())
        } else {
            Err(Refused::Unknown(node.clone()).to_string())
        }
    }

    /// How a message relates to the last one of its node; none if there was none.
    fn freshness(&self, node: &NodeId, at: Option<Seq>) -> Option<Freshness> {
        match self.absent.get(node) {
            Some(absent) => Some(Freshness::of(at, absent.last)),
            None => self.hierarchy.freshness(node, at),
        }
    }
}
