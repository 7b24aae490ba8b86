//! The coordinator: the shell around a pool, as the server is one.

use crate::clock::ms;
use crate::fact::{Break, Fact};
use crate::network::Wire;
use crate::node::pool;
use crate::process::Who;
use crate::world::{Event, World};
use dormouse_engine::message::{CoordinatorMessage, Reply};
use dormouse_engine::planted::{self, Fault};
use dormouse_engine::pool::{Config, Effect, Input, Note, Pool};
use dormouse_engine::record::Record;
use dormouse_engine::time::Millis;

impl World {
    /// The coordinator's process begins.
    pub(crate) fn start_coordinator(&mut self) {
        if self.coordinator.is_up() {
            return;
        }
        let config = Config {
            pool: pool(),
            ledger: 0xdead_beef,
            lease: Millis(self.plan.lease_ms),
            wake_grace: Millis(self.plan.wake_grace_ms),
            group_capacity: self.plan.capacity,
            message: self.plan.message,
        };
        let clocks = self.coordinator.clock.now(self.now);
        let recovered = Pool::recover(config, self.coordinator.disk.load(), clocks);
        let (pool, first) = recovered.expect("what a pool has written it can read");
        let alarm = pool.next_deadline();
        self.coordinator.begin(pool, self.plan.ahead);
        let life = self.coordinator.life;
        self.note(|| format!("the coordinator starts its life {life}"));
        let is_empty = first.effects.is_empty();
        let running = self.coordinator.alive(life);
        let group = running.and_then(|it| it.shell.submit(first, None));
        self.write_coordinator(group, is_empty);
        self.set_alarm(Who::Coordinator, alarm);
    }

    /// Something happened to the pool; a turn follows.
    pub(crate) fn tell_coordinator(&mut self, input: Input) {
        let after = self.chance.between(5, 200);
        let life = self.coordinator.life;
        let Some(running) = &mut self.coordinator.running else {
            return;
        };
        running.inbox.push_back(input);
        if !std::mem::replace(&mut running.roused, true) {
            self.later(after, Event::Turn(Who::Coordinator, life));
        }
    }

    /// Everything that waits for the pool, as one turn.
    pub(crate) fn coordinator_turn(&mut self, life: u64) {
        let clocks = self.coordinator.clock.now(self.now);
        let Some(running) = self.coordinator.alive(life) else {
            return;
        };
        if !running.may_begin() {
            return;
        }
        let inputs: Vec<Input> = running.inbox.drain(..).collect();
        if self.trace.is_on() {
            for input in &inputs {
                self.trace.note(self.now, || format!("co <- {input:?}"));
            }
        }
        let is_checked = self.is_to_be_checked();
        let Some(running) = self.coordinator.alive(life) else {
            return;
        };
        let (mut group, mut is_silent) = (None, true);
        if !inputs.is_empty() || running.shell.is_due(clocks) {
            group = running.shell.decide(clocks, inputs, |_, effects| {
                is_silent = effects.is_empty();
                None
            });
        }
        let checked = match is_checked {
            true => running.machine().check(),
            false => Ok(()),
        };
        let alarm = running.shell.next_deadline();
        if let Err(broken) = checked {
            self.accuse("the invariants of the pool hold", None, broken);
        }
        self.write_coordinator(group, is_silent);
        if is_checked {
            self.check_watch();
        }
        self.set_alarm(Who::Coordinator, alarm);
        self.go_on(Who::Coordinator);
    }

    /// The group of a turn goes to the disk, and its effects wait for it.
    fn write_coordinator(&mut self, group: Option<Vec<Record>>, is_silent: bool) {
        if group.is_none() && is_silent {
            return;
        }
        let (sync, now, life) = (self.draw_sync(), self.now, self.coordinator.life);
        let speaks = group.is_none() || planted::is(Fault::SpeakBeforeDurable);
        let running = self.coordinator.alive(life);
        if let Some((running, group)) = running.zip(group) {
            let at = running.write(group, now, sync);
            self.at(at, Event::Durable(Who::Coordinator, life));
        }
        if speaks {
            self.perform_coordinator(life);
        }
    }

    pub(crate) fn perform_coordinator(&mut self, life: u64) {
        let mut left = self.take_doom(Who::Coordinator);
        while let Some((effect, _)) = self.coordinator.alive(life).and_then(|it| it.next_effect()) {
            if left == Some(0) {
                return self.crash_coordinator();
            }
            left = left.map(|left| left - 1);
            self.do_coordinator(effect);
        }
        if left.is_some() {
            self.crash_coordinator();
        }
    }

    fn do_coordinator(&mut self, effect: Effect) {
        self.trace.note(self.now, || format!("co -> {effect:?}"));
        match effect {
            Effect::Send { link, message } => {
                self.notice_forced_sleep(Wire(link.0), &message);
                self.say_down(Wire(link.0), &message);
            }
            Effect::Close { link } => self.close(Wire(link.0)),
            Effect::Answer { ask, answer } => self.client_answered(Who::Coordinator, ask, answer),
            Effect::Note(note) => self.noted(&note),
        }
    }

    /// Whoever is allowed to sleep while it runs something loses the right to that.
    fn notice_forced_sleep(&mut self, wire: Wire, message: &CoordinatorMessage) {
        let parked = matches!(message, CoordinatorMessage::Answer(answer) if matches!(answer.reply, Reply::Parked { .. }));
        let node = self.node_of(wire).filter(|_| parked);
        let forced = node.filter(|index| std::mem::take(&mut self.nodes[*index].interrupts));
        if let Some(node) = forced {
            self.see(&Fact::Broke {
                node,
                why: Break::Forced,
            });
        }
    }

    fn noted(&mut self, note: &Note) {
        match note {
            Note::Lost(name) => {
                self.counts.lost += 1;
                self.break_named(name, Break::Lost);
            }
            Note::Replaced(name) => self.break_named(name, Break::Lost),
            Note::SentrySilent(_) => self.counts.silent_sentries += 1,
            Note::StaleOutcome(_) => self.counts.stale_outcomes += 1,
            Note::NoProgress(owner) => {
                self.accuse(
                    "every pass makes progress",
                    None,
                    format!("not that over {owner:?}"),
                );
            }
            Note::Joined(_) | Note::Left(_) | Note::Skewed(..) => {}
        }
    }

    fn break_named(&mut self, name: &dormouse_engine::id::NodeId, why: Break) {
        if let Some(index) = self.nodes.iter().position(|node| node.name == *name) {
            self.see(&Fact::Broke { node: index, why });
        }
    }

    /// The coordinator's process ends at once.
    pub(crate) fn crash_coordinator(&mut self) {
        if !self.coordinator.is_up() {
            return;
        }
        self.coordinator.running = None;
        self.coordinator.doom = None;
        self.counts.coordinator_crashes += 1;
        self.note(|| "the coordinator crashes".into());
        self.hang_up_all(Who::Coordinator);
        if self.chance.percent(50) {
            self.coordinator.clock.reboot(self.now);
        }
        if !self.plan_is_staged() {
            let after = ms(if self.chance.percent(80) {
                self.chance.between(20, 2_000)
            } else {
                self.chance.between(2_000, 20_000)
            });
            self.later(after, Event::Start(Who::Coordinator));
        }
    }
}
