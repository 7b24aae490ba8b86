//! What more than one rule needs to know: what was asked and answered, what ran, what broke.

use crate::clock::Moment;
use crate::fact::{Break, Fact};
use crate::plan::Plan;
use crate::process::Who;
use dormouse_engine::id::{NodeId, TimerName, Token, Uid};
use dormouse_engine::ledger::Stance;
use dormouse_engine::op::{Answer, Cancelled, Change, Op, Refusal};
use dormouse_engine::time::LogIndex;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{Durability, NewTimer, Outcome, Placement, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// One launch of a run.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) node: usize,
    pub(crate) at: Moment,
    pub(crate) uid: Uid,
    pub(crate) generation: u64,
    pub(crate) nominal: WallTime,
    pub(crate) token: Token,
    /// When and how it ended at its worker.
    pub(crate) ended: Option<(Moment, Outcome)>,
}

/// A timer, as far as its users know.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) new: NewTimer,
    /// As it was when its creation was acknowledged.
    pub(super) acknowledged: Option<Timer>,
    /// The newest generation that was acknowledged.
    pub(super) generation: u64,
    /// How often it may have been moved: a home that lost its disk may apply again what waited for it.
    pub(super) moves_max: u64,
    pub(super) cancel_asked: bool,
    pub(super) cancel_acknowledged: bool,
    /// The cancellation waits for the home, or has waited.
    pub(super) cancel_stored: bool,
    pub(super) creates_asked: u64,
    pub(super) creates_refused: u64,
    /// It, or a change of it, may be lost: its class does not survive what happened.
    pub(super) excused: bool,
}

pub(super) struct Request {
    pub(super) at: Who,
    pub(super) op: Op,
    pub(super) uid: Option<Uid>,
}

/// How the nodes stand in the ledger.
#[derive(Debug, Default)]
struct Standings(BTreeMap<NodeId, Stance>);

impl Standings {
    /// Whether a change of this timer reaches the coordinator in time: REPLICATED_ASYNC promises no more than
    /// that, and a home that has been taken for dead does not ship.
    fn is_replicating(&self, subject: &Subject) -> bool {
        let home = subject
            .acknowledged
            .as_ref()
            .and_then(|timer| timer.home.as_ref());
        let active = home.is_some_and(|home| self.0.get(home) == Some(&Stance::Active));
        subject.new.durability != Durability::ReplicatedAsync || active
    }
}

/// What more than one rule needs to know.
pub(super) struct Known {
    nodes: Vec<NodeId>,
    pub(super) lease: u64,
    pub(super) subjects: BTreeMap<Uid, Subject>,
    names: BTreeMap<TimerName, Uid>,
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) ledger: BTreeMap<Uid, Timer>,
    standings: Standings,
    pub(super) launches: BTreeMap<(Uid, Token), Launch>,
    pub(super) breaks: Vec<(Moment, usize)>,
    /// When a node was last taken for dead, and when it owned its timers again.
    pub(super) isolated: BTreeMap<usize, (Moment, Option<Moment>)>,
    pub(super) abandoned: BTreeSet<(Uid, Token)>,
    pub(super) quiet: Option<Moment>,
}

impl Known {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            nodes: plan
                .nodes
                .iter()
                .map(|node| NodeId::new(&node.name).expect("a good id"))
                .collect(),
            lease: crate::clock::ms(plan.lease_ms),
            subjects: BTreeMap::new(),
            names: BTreeMap::new(),
            requests: BTreeMap::new(),
            ledger: BTreeMap::new(),
            standings: Standings::default(),
            launches: BTreeMap::new(),
            breaks: Vec::new(),
            isolated: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            quiet: None,
        }
    }

    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (Uid, &TimerName, &Timer)> {
        let acknowledged =
            |(uid, subject): (&Uid, &'_ Subject)| (*uid, subject.acknowledged.is_some());
        let uids: BTreeMap<Uid, bool> = self.subjects.iter().map(acknowledged).collect();
        self.subjects.iter().filter_map(move |(uid, subject)| {
            let timer = subject.acknowledged.as_ref()?;
            uids.get(uid).map(|_| (*uid, &timer.name, timer))
        })
    }

    pub(super) fn launches_of(&self, uid: Uid) -> impl Iterator<Item = &Launch> {
        self.launches
            .range((uid, Token(0))..=(uid, Token(u64::MAX)))
            .map(|(_, launch)| launch)
    }

    pub(super) fn home_of(&self, subject: &Subject) -> Option<usize> {
        let home = subject.acknowledged.as_ref()?.home.as_ref()?;
        self.nodes.iter().position(|node| node == home)
    }

    pub(super) fn learn(&mut self, at: Moment, fact: &Fact) {
        match fact {
            Fact::Asked { request, at, op } => self.asked(*request, *at, op),
            Fact::Answered {
                request, answer, ..
            } => self.answered(*request, answer),
            Fact::Launched { node, run, .. } => {
                let launch = Launch {
                    node: *node,
                    at,
                    uid: run.uid,
                    generation: run.generation,
                    nominal: run.nominal,
                    token: run.token,
                    ended: None,
                };
                self.launches.entry((run.uid, run.token)).or_insert(launch);
            }
            Fact::Ended {
                uid,
                token,
                outcome,
                ..
            } => {
                if let Some(launch) = self.launches.get_mut(&(*uid, *token)) {
                    launch.ended.get_or_insert((at, outcome.clone()));
                }
            }
            Fact::Abandoned { uid, token, .. } => drop(self.abandoned.insert((*uid, *token))),
            Fact::Ledger { uid, timer } => self.committed(*uid, timer.as_deref()),
            Fact::Standing {
                node,
                stance: Some(stance),
            } => {
                let before = self.standings.0.insert(node.clone(), *stance);
                if *stance == Stance::Active {
                    self.rejoined(at, node);
                } else if before == Some(Stance::Active) && *stance == Stance::Parked {
                    self.interrupted(node);
                } else if before == Some(Stance::Active) && *stance != Stance::Parked {
                    self.was_lost(at, node);
                }
            }
            Fact::Standing { node, stance: None } => drop(self.standings.0.remove(node)),
            Fact::Broke { node, why } => self.broke(at, *node, *why),
            Fact::Quiet => self.quiet = Some(at),
            Fact::Decided { .. } | Fact::Kept { .. } | Fact::Woke => {}
        }
    }

    /// The ledger has it that a node does not own its timers any more, without having handed them over.
    fn was_lost(&mut self, at: Moment, name: &NodeId) {
        let index = self.nodes.iter().position(|node| node == name);
        if let Some(index) = index {
            self.breaks.push((at, index));
            self.isolated.insert(index, (at, None));
        }
    }

    /// The right to a movable run ends when its node is parked, whether or not that hears of it.
    fn interrupted(&mut self, name: &NodeId) {
        let index = self.nodes.iter().position(|node| node == name);
        let subjects = &self.subjects;
        let movable = |uid| {
            let subject: Option<&Subject> = subjects.get(uid);
            subject.is_some_and(|subject| subject.new.placement == Placement::Movable)
        };
        let launches = self.launches.values();
        let flying = launches.filter(|it| Some(it.node) == index && it.ended.is_none());
        let ended = flying.filter(|launch| movable(&launch.uid));
        self.abandoned
            .extend(ended.map(|launch| (launch.uid, launch.token)));
    }

    /// A node that was taken for dead owns its timers again.
    fn rejoined(&mut self, at: Moment, name: &NodeId) {
        let index = self.nodes.iter().position(|node| node == name);
        if let Some((_, until)) = index.and_then(|index| self.isolated.get_mut(&index)) {
            until.get_or_insert(at);
        }
    }

    fn committed(&mut self, uid: Uid, timer: Option<&Timer>) {
        match timer {
            Some(timer) => drop(self.ledger.insert(uid, timer.clone())),
            None => drop(self.ledger.remove(&uid)),
        }
    }

    fn asked(&mut self, request: u64, at: Who, op: &Op) {
        let uid = match op {
            Op::Create(new) => Some(new.uid),
            Op::Look { name } | Op::Change { name, .. } | Op::Runs { name, .. } => {
                self.names.get(name).copied()
            }
            Op::List { .. } | Op::Dead { .. } | Op::News { .. } | Op::Activity { .. } => None,
        };
        if let Op::Create(new) = op {
            self.subjects.entry(new.uid).or_insert_with(|| Subject {
                new: (**new).clone(),
                acknowledged: None,
                generation: 0,
                moves_max: 0,
                cancel_asked: false,
                cancel_acknowledged: false,
                cancel_stored: false,
                creates_asked: 0,
                creates_refused: 0,
                excused: false,
            });
        }
        if let Some(subject) = uid.and_then(|uid| self.subjects.get_mut(&uid)) {
            subject.creates_asked += u64::from(matches!(op, Op::Create(_)));
            subject.moves_max += u64::from(matches!(
                op,
                Op::Change {
                    change: Change::Rearm { .. },
                    ..
                }
            ));
            subject.cancel_asked |= matches!(
                op,
                Op::Change {
                    change: Change::Cancel,
                    ..
                }
            );
        }
        self.requests.insert(
            request,
            Request {
                at,
                op: op.clone(),
                uid,
            },
        );
    }

    fn answered(&mut self, request: u64, answer: &Answer) {
        let Some(Request {
            op, uid: Some(uid), ..
        }) = self.requests.get(&request)
        else {
            return;
        };
        let Some(subject) = self.subjects.get_mut(uid) else {
            return;
        };
        match (op, answer) {
            (Op::Create(_), Answer::Timer(timer)) => {
                self.names.insert(timer.name.clone(), *uid);
                subject
                    .acknowledged
                    .get_or_insert_with(|| (**timer).clone());
                subject.generation = subject.generation.max(timer.generation);
            }
            (
                Op::Change {
                    change: Change::Rearm { .. },
                    ..
                },
                Answer::Timer(timer),
            ) => {
                subject.generation = subject.generation.max(timer.generation);
                subject.excused |= !self.standings.is_replicating(subject);
            }
            (
                Op::Change {
                    change: Change::Cancel,
                    ..
                },
                Answer::Cancelled(outcome),
            ) => {
                subject.cancel_acknowledged |= *outcome != Cancelled::AlreadyFired;
                subject.excused |= !self.standings.is_replicating(subject);
            }
            (
                Op::Change {
                    change: Change::Cancel,
                    ..
                },
                Answer::Pending,
            ) => {
                subject.cancel_acknowledged = true;
                subject.cancel_stored = true;
            }
            (Op::Create(_), Answer::Refused(refusal)) => {
                let final_word = !matches!(refusal, Refusal::Unavailable { .. });
                subject.creates_refused += u64::from(final_word);
            }
            _ => {}
        }
    }

    /// Marks what the class of a timer does not save from this.
    fn broke(&mut self, at: Moment, node: usize, why: Break) {
        self.breaks.push((at, node));
        if why == Break::Lost {
            self.isolated.insert(node, (at, None));
        }
        let name = &self.nodes[node];
        let away = matches!(
            self.standings.0.get(name),
            Some(Stance::Parked | Stance::Lost | Stance::Left)
        );
        for (uid, subject) in &mut self.subjects {
            let home = subject
                .acknowledged
                .as_ref()
                .and_then(|timer| timer.home.as_ref());
            if home.is_some_and(|home| home != name) {
                continue;
            }
            if why == Break::Wipe {
                subject.moves_max *= 2;
            }
            let known = self.ledger.get(uid);
            let kept = known.is_some_and(|_| away);
            let current = known.is_some_and(|timer| timer.generation >= subject.generation)
                && !subject.cancel_acknowledged;
            subject.excused |= match (subject.new.durability, why) {
                (Durability::Replicated, _) => false,
                (Durability::ReplicatedAsync, Break::Wipe | Break::Crash | Break::Lost) => !current,
                (Durability::Local, Break::Wipe)
                | (Durability::Ephemeral, Break::Wipe | Break::Crash | Break::Left) => !kept,
                _ => false,
            };
        }
    }
}

/// No token that was given before this answer is above this one.
pub(super) fn floor_at(index: LogIndex) -> Token {
    Token(((index.0 + 1) << dormouse_engine::ledger::TOKEN_BITS) - 1)
}
