//! What users change, and what they ask again: the answer was lost, or they are impatient.

use super::wishes::{some_overlap, some_retry, some_time};
use super::{Step, World};
use crate::clock::{ms, wall_at};
use crate::process::Who;
use crate::world::Event;
use dormouse_engine::id::{TimerName, Uid};
use dormouse_engine::op::{Change, NewTime, Op, RearmMode, Setting};
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{Durability, Effort, Isolation, Payload, RunRecord, Timer};

/// How many runs one look at the past shows.
const PAGE: u32 = 50;
/// Ids of requests that change something begin here; those that create have the timer's uid.
const REQUESTS_FROM: u128 = 1 << 64;

impl World {
    pub(super) fn touch(&mut self, uid: Uid) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let op = match self.chance.below(20) {
            0..=3 => self.request(name, Change::Cancel),
            4..=7 => self.rearm(name),
            8..=9 => self.pause(uid, name),
            10 => self.request(name, Change::Resume),
            11..=13 => {
                let change = self.some_update(None);
                self.request(name, change)
            }
            14..=16 => self.request(name, Change::RunNow),
            17 => Op::Dead {
                after: None,
                limit: PAGE,
            },
            18 => Op::Runs {
                name,
                before: None,
                limit: PAGE,
            },
            _ => Op::Look { name },
        };
        let at = self.some_place(uid);
        self.repeat_at_times(uid, &op);
        self.ask(at, op, Some(uid));
    }

    fn name_of(&self, uid: Uid) -> Option<TimerName> {
        self.clients.subjects.get(&uid)?.name.clone()
    }

    fn some_place(&mut self, uid: Uid) -> Who {
        match self.chance.below(10) {
            0..=3 => Who::Coordinator,
            4..=6 => self
                .clients
                .subjects
                .get(&uid)
                .map_or(Who::Coordinator, |subject| subject.asked_at),
            _ => self.some_node(),
        }
    }

    /// A request with an id of its own.
    fn request(&mut self, name: TimerName, change: Change) -> Op {
        self.clients.requests += 1;
        Op::Change {
            name,
            request: REQUESTS_FROM + self.clients.requests,
            change,
        }
    }

    fn rearm(&mut self, name: TimerName) -> Op {
        let to = if self.chance.percent(50) {
            NewTime::After(Millis(self.chance.between(1, 15_000)))
        } else {
            NewTime::At(wall_at(self.now) + Millis(self.chance.between(1, 8_000)))
        };
        let mode = *self.chance.pick(&[
            RearmMode::Replace,
            RearmMode::Replace,
            RearmMode::KeepTime,
            RearmMode::Drop,
        ]);
        let payload = self.chance.percent(20).then(Payload::default);
        self.request(name, Change::Rearm { to, mode, payload })
    }

    /// Most of what is paused is resumed after some time.
    fn pause(&mut self, uid: Uid, name: TimerName) -> Op {
        if self.chance.percent(80) {
            let after = ms(self.chance.between(500, 12_000));
            self.later(after, Event::Client(Step::Resume(uid)));
        }
        if self.chance.percent(20) {
            let change = Change::Update {
                settings: vec![Setting::Paused(true)],
                etag: None,
            };
            return self.request(name, change);
        }
        self.request(name, Change::Pause)
    }

    pub(super) fn resume_timer(&mut self, uid: Uid) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let (at, op) = (self.some_place(uid), self.request(name, Change::Resume));
        self.repeat_at_times(uid, &op);
        self.ask(at, op, Some(uid));
    }

    fn some_update(&mut self, etag: Option<(u64, u64)>) -> Change {
        let now = wall_at(self.now);
        let chance = &mut self.chance;
        let mut settings = Vec::new();
        for _ in 0..chance.between(1, 3) {
            settings.push(match chance.below(10) {
                0 | 1 => Setting::When(some_time(chance, now)),
                2 => Setting::Payload(Payload::default()),
                3 => Setting::ContentType("text/plain".into()),
                4 => Setting::Overlap(some_overlap(chance)),
                5 => Setting::Retry(some_retry(chance)),
                6 => Setting::Isolation(Isolation::Hold),
                7 => Setting::Effort(*chance.pick(&[Effort::AtLeastOnce, Effort::AtMostOnce])),
                8 => Setting::OccurrencesMax(Some(chance.between(1, 8))),
                _ => Setting::Expire(Some(now + Millis(chance.between(2_000, 30_000)))),
            });
        }
        Change::Update { settings, etag }
    }

    /// Who has just read a timer may change it on the condition that nobody else has.
    pub(super) fn edit_as_read(&mut self, uid: Uid, timer: &Timer) {
        if !self.chance.percent(8) {
            return;
        }
        let change = self.some_update(Some((timer.generation, timer.revision)));
        let (at, op) = (
            self.some_place(uid),
            self.request(timer.name.clone(), change),
        );
        self.repeat_at_times(uid, &op);
        self.ask(at, op, Some(uid));
    }

    /// Dead runs of a timer are looked at: one is run again, or thrown away.
    pub(super) fn treat_dead(&mut self, uid: Uid, letters: &[(TimerName, RunRecord)]) {
        let Some(name) = self.name_of(uid) else {
            return;
        };
        let own = letters.iter().find(|(timer, _)| *timer == name);
        let Some((name, run)) = own.or(letters.first()) else {
            return;
        };
        let change = if self.chance.percent(70) {
            Change::Requeue(run.id)
        } else {
            Change::Purge(run.id)
        };
        let (at, op) = (self.some_place(uid), self.request(name.clone(), change));
        self.repeat_at_times(uid, &op);
        self.ask(at, op, None);
    }

    /// A third of all requests are asked again, at once or much later, often at another place.
    pub(super) fn repeat_at_times(&mut self, uid: Uid, op: &Op) {
        if !matches!(op, Op::Change { .. } | Op::Create(_)) || !self.chance.percent(33) {
            return;
        }
        for _ in 0..self.chance.between(1, 3) {
            let after = if self.chance.percent(60) {
                self.chance.between(10, ms(600))
            } else {
                ms(self.chance.between(600, 25_000))
            };
            self.later(
                after,
                Event::Client(Step::Repeat(uid, Box::new(op.clone()))),
            );
        }
    }

    pub(super) fn repeat(&mut self, uid: Uid, op: Op) {
        let Some(subject) = self.clients.subjects.get(&uid) else {
            return;
        };
        // The lighter classes are the business of the node that is asked: elsewhere it is another timer.
        let same_place = matches!(op, Op::Create(_))
            && subject.new.durability != Durability::Replicated
            || self.chance.percent(40);
        let at = match same_place {
            true => self.clients.subjects[&uid].asked_at,
            false => self.some_place(uid),
        };
        self.counts.repeats += 1;
        self.ask(at, op, Some(uid));
    }
}
