//! What more than one rule needs to know: what was asked and answered, what ran, what broke.

mod subject;

pub(super) use subject::Subject;

use crate::clock::{Moment, wall_at};
use crate::fact::{Break, Fact};
use crate::plan::Plan;
use crate::process::Who;
use dormouse_engine::id::{NodeId, TimerId, TimerName, Token, Uid};
use dormouse_engine::ledger::Stance;
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::time::{LogIndex, WallTime};
use dormouse_engine::timer::{Durability, Outcome, Placement, Timer};
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

pub(super) struct Request {
    pub(super) at: Who,
    /// When it was asked.
    pub(super) asked: Moment,
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
    /// Each id is of one timer only.
    names: BTreeMap<TimerId, Uid>,
    pub(super) requests: BTreeMap<u64, Request>,
    /// The same by the timer that they are about.
    about: BTreeMap<Uid, Vec<u64>>,
    pub(super) ledger: BTreeMap<Uid, Timer>,
    standings: Standings,
    pub(super) launches: BTreeMap<(Uid, Token), Launch>,
    pub(super) breaks: Vec<(Moment, usize)>,
    /// When a node was last taken for dead, and when it owned its timers again.
    pub(super) isolated: BTreeMap<usize, (Moment, Option<Moment>)>,
    pub(super) abandoned: BTreeSet<(Uid, Token)>,
    pub(super) quiet: Option<Moment>,
    /// Little waits for a node to read it, also when all is quiet: what has no room is said again a second later.
    pub(super) reads_slowly: bool,
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
            about: BTreeMap::new(),
            ledger: BTreeMap::new(),
            standings: Standings::default(),
            launches: BTreeMap::new(),
            breaks: Vec::new(),
            isolated: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            quiet: None,
            reads_slowly: plan.outbox.is_some(),
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

    pub(super) fn requests_about(&self, uid: Uid) -> impl Iterator<Item = &Request> {
        let about = self.about.get(&uid).into_iter().flatten();
        about.filter_map(|request| self.requests.get(request))
    }

    pub(super) fn home_of(&self, subject: &Subject) -> Option<usize> {
        let home = subject.acknowledged.as_ref()?.home.as_ref()?;
        self.nodes.iter().position(|node| node == home)
    }

    /// The launches of one occurrence.
    pub(super) fn launches_of_occurrence(
        &self,
        uid: Uid,
        (generation, nominal): (u64, WallTime),
    ) -> Vec<&Launch> {
        let same = |it: &&Launch| it.generation == generation && it.nominal == nominal;
        self.launches_of(uid).filter(same).collect()
    }

    /// How often a right to run this timer has ended since some leases before the first of these launches, and how
    /// many nodes ran on without the coordinator: each may have launched once more.
    pub(super) fn rights_ended(&self, uid: Uid, launches: &[&Launch]) -> usize {
        let first = launches.iter().map(|launch| launch.at).min();
        let since = Moment(first.unwrap_or_default().0.saturating_sub(2 * self.lease));
        let home = self.subjects.get(&uid).and_then(|it| self.home_of(it));
        let involved =
            |node: usize| home == Some(node) || launches.iter().any(|it| it.node == node);
        let breaks = self.breaks.iter();
        let breaks = breaks.filter(|(at, node)| *at >= since && involved(*node));
        let isolated = self.isolated.iter().filter(|(node, (from, until))| {
            let over = until.is_some_and(|until| until < since);
            involved(**node) && !over && *from < since
        });
        breaks.count() + isolated.count()
    }

    /// Whether nothing has happened to the home of this timer, or to whoever launched it, that its class has to
    /// survive: what is told of it is complete then.
    pub(super) fn is_undisturbed(&self, uid: Uid) -> bool {
        let launches: Vec<&Launch> = self.launches_of(uid).collect();
        let home = self.subjects.get(&uid).and_then(|it| self.home_of(it));
        let involved =
            |node: usize| home == Some(node) || launches.iter().any(|it| it.node == node);
        !self.breaks.iter().any(|(_, node)| involved(*node))
    }

    /// Whether a node may have run on without the coordinator at some moment since.
    pub(super) fn is_isolated_since(&self, node: usize, since: Moment) -> bool {
        let isolated = self.isolated.get(&node);
        isolated.is_some_and(|(_, until)| until.is_none_or(|until| until >= since))
    }

    pub(super) fn learn(&mut self, at: Moment, fact: &Fact) {
        match fact {
            Fact::Asked {
                request,
                at: who,
                op,
            } => self.asked(at, (*request, *who), op),
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
            Fact::Kept {
                uid,
                timer: Some(timer),
            } => self.learn_spec(*uid, timer),
            Fact::Decided { .. } | Fact::Kept { .. } | Fact::Noted { .. } | Fact::Woke => {}
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

    fn learn_spec(&mut self, uid: Uid, timer: &Timer) {
        if let Some(subject) = self.subjects.get_mut(&uid) {
            subject.learn(timer);
        }
    }

    fn committed(&mut self, uid: Uid, timer: Option<&Timer>) {
        match timer {
            Some(timer) => {
                self.learn_spec(uid, timer);
                self.ledger.insert(uid, timer.clone());
            }
            None => drop(self.ledger.remove(&uid)),
        }
    }

    fn asked(&mut self, moment: Moment, (request, at): (u64, Who), op: &Op) {
        let uid = match op {
            Op::Create(new) => Some(new.uid),
            Op::Look { name } | Op::Change { name, .. } | Op::Runs { name, .. } => {
                self.names.get(&name.timer).copied()
            }
            Op::List { .. }
            | Op::Kept { .. }
            | Op::Dead { .. }
            | Op::News { .. }
            | Op::Activity { .. } => None,
        };
        if let Op::Create(new) = op {
            self.names.insert(new.id.clone(), new.uid);
            let subject = || Subject::new((**new).clone());
            self.subjects.entry(new.uid).or_insert_with(subject);
        }
        if let Some(subject) = uid.and_then(|uid| self.subjects.get_mut(&uid)) {
            subject.asked(wall_at(moment), op);
        }
        if let Some(uid) = uid {
            self.about.entry(uid).or_default().push(request);
        }
        self.requests.insert(
            request,
            Request {
                at,
                asked: moment,
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
        subject.answered(op, answer);
        let done = !matches!(answer, Answer::Refused(_) | Answer::Pending);
        if matches!(op, Op::Change { .. }) && done {
            subject.excused |= !self.standings.is_replicating(subject);
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
            let light = subject.new.durability == Durability::Ephemeral;
            let ended = matches!(why, Break::Crash | Break::Left);
            if why == Break::Wipe {
                subject.wiped += 1;
            }
            if why == Break::Wipe || light && ended {
                subject.forgotten();
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
