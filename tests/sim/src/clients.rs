//! The users: they create timers, change them at the moment of firing, look, and put nodes to sleep.
//!
//! A request that is not answered is *unknown*: it may or may not have been done. What is asked and answered is
//! told to the rules; what it means is judged there.

mod changes;
mod wishes;

use crate::clock::{Moment, ms};
use crate::fact::Fact;
use crate::process::Who;
use crate::world::{Event, World};
use dormouse_engine::id::{TimerName, Uid};
use dormouse_engine::op::{Activity, Answer, Op, Refusal};
use dormouse_engine::time::{LogIndex, WallTime};
use dormouse_engine::timer::NewTimer;
use dormouse_engine::{base, pool as coordinator};
use std::collections::BTreeMap;

/// What a user does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Register a timer.
    Create,
    /// Ask again for a timer whose registration was not answered.
    Again(Uid),
    /// Change or look up a timer.
    Touch(Uid),
    /// Ask the same once more.
    Repeat(Uid, Box<Op>),
    /// Let a paused timer go on.
    Resume(Uid),
    /// Tell a node what to do.
    Activity(usize, Activity),
    /// Put a machine to sleep whose base is parked.
    Sleep(usize),
}

/// Everything that was asked.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    subjects: BTreeMap<Uid, Subject>,
    waiting: BTreeMap<(Who, u64, u64), Waiting>,
    asked: u64,
    /// Requests that were made, so that each has an id of its own.
    requests: u128,
    /// The answers that a stage waits for.
    pub(crate) answers: BTreeMap<u64, Answer>,
}

/// A timer, as its user sees it.
#[derive(Debug)]
struct Subject {
    new: NewTimer,
    asked_at: Who,
    name: Option<TimerName>,
}

#[derive(Debug)]
struct Waiting {
    about: Option<Uid>,
    activity: Option<(usize, Activity)>,
}

impl World {
    /// When users create timers.
    pub(crate) fn schedule_clients(&mut self) {
        for _ in 0..self.plan.timers {
            let at = self.chance.between(ms(300), self.plan.busy.0 * 9 / 10);
            self.at(Moment(at), Event::Client(Step::Create));
        }
    }

    pub(crate) fn client(&mut self, step: Step) {
        let sleeps = matches!(step, Step::Activity(..) | Step::Sleep(_)) && self.is_sleepy();
        if self.is_quiet() && !sleeps && !matches!(step, Step::Activity(_, Activity::Active)) {
            return;
        }
        match step {
            Step::Create => self.create_some(),
            Step::Again(uid) => self.create_again(uid),
            Step::Touch(uid) => self.touch(uid),
            Step::Repeat(uid, op) => self.repeat(uid, *op),
            Step::Resume(uid) => self.resume_timer(uid),
            Step::Activity(index, activity) => self.set_activity(index, activity),
            Step::Sleep(index) => self.sleep_if_parked(index),
        }
    }

    fn some_node(&mut self) -> Who {
        Who::Node(self.chance.index(self.nodes.len()))
    }

    /// Puts a request on its way. Returns its number.
    pub(crate) fn ask(&mut self, who: Who, op: Op, about: Option<Uid>) -> u64 {
        self.clients.asked += 1;
        let request = self.clients.asked;
        let life = match who {
            Who::Coordinator => self.coordinator.life,
            Who::Node(index) => self.nodes[index].process.life,
        };
        let activity = match (&op, who) {
            (Op::Activity { node, activity }, _) => {
                let index = self.nodes.iter().position(|known| known.name == *node);
                index.map(|index| (index, *activity))
            }
            _ => None,
        };
        self.see(&Fact::Asked {
            request,
            at: who,
            op: op.clone(),
        });
        self.clients
            .waiting
            .insert((who, life, request), Waiting { about, activity });
        let after = self.chance.between(20, 2_000);
        self.later(after, Event::Ask(who, life, request, Box::new(op)));
        request
    }

    pub(crate) fn ask_arrives(&mut self, who: Who, life: u64, ask: u64, op: Op) {
        match who {
            Who::Coordinator if self.coordinator.alive(life).is_some() => {
                self.tell_coordinator(coordinator::Input::Asked { ask, op });
            }
            Who::Node(index) if self.nodes[index].process.alive(life).is_some() => {
                self.tell_node(index, base::Input::Asked { ask, op });
            }
            _ => {}
        }
    }

    /// A process answers.
    pub(crate) fn client_answered(&mut self, who: Who, ask: u64, answer: Answer) {
        let life = match who {
            Who::Coordinator => self.coordinator.life,
            Who::Node(index) => self.nodes[index].process.life,
        };
        let Some(waiting) = self.clients.waiting.remove(&(who, life, ask)) else {
            return;
        };
        self.counts.answers += 1;
        self.counts.refusals += u64::from(matches!(answer, Answer::Refused(_)));
        self.counts.cancels += u64::from(matches!(answer, Answer::Cancelled(_)));
        self.counts.pendings += u64::from(matches!(answer, Answer::Pending));
        self.counts.asked_runs += u64::from(matches!(answer, Answer::Run(_)));
        let index = self
            .coordinator
            .running
            .as_ref()
            .map(|it| it.machine().ledger().index());
        let index = index.unwrap_or(LogIndex(0));
        self.see(&Fact::Answered {
            request: ask,
            answer: answer.clone(),
            index,
        });
        if self.plan_is_staged() {
            self.clients.answers.insert(ask, answer.clone());
        }
        if let Some(uid) = waiting.about {
            self.think(uid, &answer);
        }
        if let Some((index, activity)) = waiting.activity {
            self.think_of_node(index, activity, &answer);
        }
    }

    /// What a user does with an answer about a timer.
    fn think(&mut self, uid: Uid, answer: &Answer) {
        let Some(subject) = self.clients.subjects.get_mut(&uid) else {
            return;
        };
        match answer {
            Answer::Timer(timer) => {
                let news = subject.name.is_none();
                subject.name = Some(timer.name.clone());
                let due = timer.due();
                self.edit_as_read(uid, timer);
                if news || self.chance.percent(50) {
                    self.plan_touch(uid, due);
                }
            }
            Answer::Dead { letters, .. } => self.treat_dead(uid, letters),
            Answer::Refused(Refusal::Unavailable { .. }) if subject.name.is_none() => {
                let after = ms(self.chance.between(300, 3_000));
                self.later(after, Event::Client(Step::Again(uid)));
            }
            _ => {}
        }
    }

    /// A change comes at the moment of firing, or at any other.
    fn plan_touch(&mut self, uid: Uid, due: Option<WallTime>) {
        if !self.chance.percent(45) {
            return;
        }
        let at_firing = due.map(|due| crate::clock::micros_before(due, self.now));
        let at_firing = at_firing
            .and_then(|wait| u64::try_from(wait).ok())
            .filter(|_| self.chance.percent(70));
        let after = match at_firing {
            Some(wait) => (wait + self.chance.below(ms(20))).saturating_sub(ms(10)),
            None => ms(self.chance.between(1, 20_000)),
        };
        self.later(after, Event::Client(Step::Touch(uid)));
    }

    fn create_some(&mut self) {
        let uid = Uid(0x1000 + self.clients.subjects.len() as u128);
        let asked_at = if self.chance.percent(25) {
            Who::Coordinator
        } else {
            self.some_node()
        };
        let new = self.some_timer(uid, asked_at);
        let op = Op::Create(Box::new(new.clone()));
        self.clients.subjects.insert(
            uid,
            Subject {
                new,
                asked_at,
                name: None,
            },
        );
        self.repeat_at_times(uid, &op);
        self.ask(asked_at, op, Some(uid));
        let after = ms(self.chance.between(9_000, 12_000));
        self.later(after, Event::Client(Step::Again(uid)));
    }

    /// A user who was not answered asks again, at the same place with the same request.
    fn create_again(&mut self, uid: Uid) {
        let Some(subject) = self.clients.subjects.get(&uid) else {
            return;
        };
        if subject.name.is_none() {
            let (at, op) = (subject.asked_at, Op::Create(Box::new(subject.new.clone())));
            self.ask(at, op, Some(uid));
        }
    }

    /// Somebody tells a node what to do, after so many microseconds.
    pub(crate) fn ask_activity(&mut self, index: usize, activity: Activity, after: u64) {
        self.later(after, Event::Client(Step::Activity(index, activity)));
    }

    fn set_activity(&mut self, index: usize, activity: Activity) {
        let awake = self.nodes[index].asleep.is_none();
        if !awake && activity == Activity::Active {
            let number = self.nodes[index].sleeps;
            self.later(0, Event::Resume(index, number));
        }
        let at = if self.chance.percent(70) || !awake {
            Who::Node(index)
        } else {
            Who::Coordinator
        };
        self.nodes[index].drained |= activity == Activity::Drain;
        let node = self.nodes[index].name.clone();
        self.ask(at, Op::Activity { node, activity }, None);
    }

    /// A node that was allowed to sleep is put to sleep in some cases.
    fn think_of_node(&mut self, index: usize, activity: Activity, answer: &Answer) {
        let parked = matches!(answer, Answer::Activity { cover: Some(_), .. });
        if activity == Activity::Idle && parked {
            self.counts.parks += 1;
            if !self.plan_is_staged() && self.chance.percent(60) {
                let after = ms(self.chance.below(2_000));
                self.later(after, Event::Client(Step::Sleep(index)));
            }
        }
    }

    fn sleep_if_parked(&mut self, index: usize) {
        let view = self.nodes[index].view(self.now);
        if view.is_some_and(|view| view.state == base::State::Idle) {
            let works = !self.chance.percent(self.plan.weather.alarm_fails);
            self.suspend(index, None, works);
        }
    }
}
