//! A world in which nothing happens by itself, for scenarios that are told step by step.
//!
//! The nodes `n0`, `n1`, ... are of one rack, two to a group, with four places for every handler. All rules are
//! watched here too: a step that breaks one panics.

use crate::clock::{Moment, ms, wall_at};
use crate::fact::Break;
use crate::node::{handler, pool};
use crate::plan::Plan;
use crate::process::Who;
use crate::world::{Event, World};
use dormouse_engine::base::{self, Input};
use dormouse_engine::id::{TimerId, TimerName, Token, Uid};
use dormouse_engine::op::{Activity, Answer, Change, Op};
use dormouse_engine::pool::Pool;
use dormouse_engine::time::WallTime;
use dormouse_engine::timer::{
    Durability, NewTimer, Outcome, Payload, Placement, RunRecord, Timer, When,
};
use std::collections::BTreeMap;

/// A run, as seen where it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The number of the node.
    pub node: usize,
    /// The time of the schedule.
    pub nominal: WallTime,
    /// When it was launched, by the coordinator's clock.
    pub at: WallTime,
    /// Its token.
    pub token: Token,
    /// Whether its worker has finished it.
    pub done: bool,
}

/// A world in which nothing happens by itself.
pub struct Stage {
    world: World,
    made: u128,
    names: BTreeMap<Uid, TimerName>,
    requests: u128,
}

impl Stage {
    /// A coordinator and so many nodes, all connected and active.
    #[must_use]
    pub fn with_nodes(nodes: u64, lease_ms: u64) -> Self {
        let world = World::new(Plan::staged(nodes, lease_ms), true);
        let mut stage = Self {
            world,
            made: 0,
            names: BTreeMap::new(),
            requests: 0,
        };
        stage.pass(3_000);
        stage
    }

    /// Lets so many milliseconds pass.
    ///
    /// # Panics
    /// If a rule is broken meanwhile.
    pub fn pass(&mut self, millis: u64) {
        let until = self.world.now.plus(ms(millis));
        self.pass_until(until);
    }

    fn pass_until(&mut self, until: Moment) {
        self.world.run_until(until);
        if let Some(broken) = &self.world.broken {
            panic!("{broken:?}\n{}", self.world.trace.lines().join("\n"));
        }
        self.world.now = until;
    }

    /// Lets time pass until the coordinator's clock shows this.
    ///
    /// # Panics
    /// If a rule is broken meanwhile.
    pub fn pass_until_clock(&mut self, until: WallTime) {
        self.pass(until.since(self.clock()).0);
    }

    /// The coordinator's clock.
    #[must_use]
    pub fn clock(&self) -> WallTime {
        wall_at(self.world.now)
    }

    /// Asks, and waits for at most two seconds for the answer.
    pub fn ask(&mut self, who: Who, op: Op) -> Option<Answer> {
        let request = self.world.ask(who, op, None);
        for _ in 0..200 {
            if self.world.clients.answers.contains_key(&request) {
                break;
            }
            self.pass(10);
        }
        self.world.clients.answers.remove(&request)
    }

    /// Registers a REPLICATED timer.
    ///
    /// # Panics
    /// If it is not acknowledged.
    pub fn create(&mut self, who: Who, when: When) -> Uid {
        self.create_as(who, when, Durability::Replicated)
    }

    /// Registers a movable timer of this class.
    ///
    /// # Panics
    /// If it is not acknowledged.
    pub fn create_as(&mut self, who: Who, when: When, durability: Durability) -> Uid {
        self.create_like(who, when, |new| new.durability = durability)
    }

    /// Registers a REPLICATED movable timer, but for what `wish` makes of it.
    ///
    /// # Panics
    /// If it is not acknowledged.
    pub fn create_like(&mut self, who: Who, when: When, wish: impl FnOnce(&mut NewTimer)) -> Uid {
        self.made += 1;
        let uid = Uid(0x1000 + self.made);
        let mut new = NewTimer {
            pool: pool(),
            id: TimerId::new(&format!("t{:x}", uid.0)).expect("a good id"),
            uid,
            request: uid.0,
            when,
            placement: Placement::Movable,
            handler: handler("mail"),
            target: Default::default(),
            policy: Default::default(),
            paused: false,
            payload: Payload::default(),
            content_type: String::new(),
            durability: Durability::Replicated,
            labels: BTreeMap::new(),
        };
        wish(&mut new);
        match self.ask(who, Op::Create(Box::new(new))) {
            Some(Answer::Timer(timer)) => self.names.insert(uid, timer.name),
            answer => panic!("not acknowledged: {answer:?}"),
        };
        uid
    }

    /// Changes a timer by a request of its own, and waits for at most two seconds for the answer.
    pub fn change(&mut self, who: Who, uid: Uid, change: Change) -> Option<Answer> {
        self.requests += 1;
        self.change_again(who, uid, (self.requests, change))
    }

    /// The same by a request of this id.
    ///
    /// # Panics
    /// If this stage has not made the timer.
    pub fn change_again(
        &mut self,
        who: Who,
        uid: Uid,
        (request, change): (u128, Change),
    ) -> Option<Answer> {
        let name = self.names[&uid].clone();
        let op = Op::Change {
            name,
            request,
            change,
        };
        self.ask(who, op)
    }

    /// What the asked one knows of the runs of a timer, the oldest first.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn history(&mut self, who: Who, uid: Uid) -> Vec<RunRecord> {
        let op = Op::Runs {
            name: self.names[&uid].clone(),
            before: None,
            limit: 100,
        };
        match self.ask(who, op) {
            Some(Answer::Runs { mut runs, .. }) => {
                runs.reverse();
                runs
            }
            answer => panic!("no history: {answer:?}"),
        }
    }

    /// A timer as the asked one knows it.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn look(&mut self, who: Who, uid: Uid) -> Timer {
        let name = self.names[&uid].clone();
        match self.ask(who, Op::Look { name }) {
            Some(Answer::Timer(timer)) => *timer,
            answer => panic!("no timer: {answer:?}"),
        }
    }

    /// Tells a node to serve itself only.
    pub fn drain(&mut self, node: usize) -> Option<Answer> {
        self.set(node, Activity::Drain)
    }

    /// Whether runs fail from now on.
    pub fn runs_fail(&mut self, fail: bool) {
        self.world.runs_fail = fail;
    }

    /// Tells a node to idle.
    pub fn idle(&mut self, node: usize) -> Option<Answer> {
        self.set(node, Activity::Idle)
    }

    /// Asks a node to idle at the coordinator, and waits for at most two seconds for the answer.
    pub fn ask_idle(&mut self, node: usize) -> Option<Answer> {
        let name = self.world.nodes[node].name.clone();
        let activity = Activity::Idle;
        self.ask(
            Who::Coordinator,
            Op::Activity {
                node: name,
                activity,
            },
        )
    }

    /// Tells a node to be active.
    pub fn activate(&mut self, node: usize) -> Option<Answer> {
        self.set(node, Activity::Active)
    }

    fn set(&mut self, node: usize, activity: Activity) -> Option<Answer> {
        let name = self.world.nodes[node].name.clone();
        self.ask(
            Who::Node(node),
            Op::Activity {
                node: name,
                activity,
            },
        )
    }

    /// Kills a process.
    pub fn kill(&mut self, who: Who) {
        match who {
            Who::Coordinator => self.world.crash_coordinator(),
            Who::Node(index) => self.world.crash_node(index, Break::Crash),
        }
    }

    /// Starts a process again.
    pub fn start(&mut self, who: Who) {
        self.world.later(0, Event::Start(who));
    }

    /// Tells a node's process to end in order.
    pub fn stop(&mut self, node: usize) {
        self.world.tell_node(node, Input::Stop);
    }

    /// Puts a node's machine to sleep. It wakes by its own alarm, or never.
    pub fn sleep(&mut self, node: usize, alarm_works: bool) {
        self.world.suspend(node, None, alarm_works);
    }

    /// Wakes a node's machine.
    pub fn wake(&mut self, node: usize) {
        let number = self.world.nodes[node].sleeps;
        self.world.later(0, Event::Resume(node, number));
    }

    /// Loses every message of a node from now on: those it says, and those it is told.
    pub fn cut_off(&mut self, node: usize, up: bool, down: bool) {
        self.world.nodes[node].blocked = (up, down);
    }

    /// Doubles and shuffles every message from now on.
    pub fn double_everything(&mut self) {
        let weather = &mut self.world.plan.weather;
        (weather.double, weather.shuffle, weather.delay) = (100, true, (100, 40_000));
    }

    /// How long a run takes, in milliseconds, from now on.
    pub fn runs_take(&mut self, millis: u64) {
        self.world.run_length = Some(ms(millis));
    }

    /// Every launch of a timer, in the order of tokens.
    #[must_use]
    pub fn runs(&self, uid: Uid) -> Vec<Seen> {
        let launches = self.world.rules.launches(uid).into_iter();
        launches
            .map(|launch| Seen {
                node: launch.node,
                nominal: launch.nominal,
                at: wall_at(launch.at),
                token: launch.token,
                done: matches!(launch.ended, Some((_, Outcome::Done))),
            })
            .collect()
    }

    /// The coordinator's machine.
    ///
    /// # Panics
    /// If the coordinator is down.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        let running = self.world.coordinator.running.as_ref();
        running.expect("the coordinator is up").machine()
    }

    /// What a node's base does.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn state(&self, node: usize) -> base::State {
        let view = self.world.nodes[node].view(self.world.now);
        view.expect("the node is up").state
    }
}
