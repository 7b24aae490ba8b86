//! The lane: one report at a time, repeated until it is answered; everything that must arrive is in it.

use super::{Base, Effect, Entry, Stance};
use crate::id::Uid;
use crate::message::{Act, Items, NodeMessage, Reply, Report, ReportAnswer};
use crate::op::Refusal;
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::time::{BootTime, LogIndex, Millis, Now};
use crate::timer::Timer;
use std::collections::BTreeSet;

/// A report that is not answered for this long is said again.
const REPEAT_AFTER: Millis = Millis(1_000);
/// A report that moves no ownership carries at most about this many bytes of timers; the rest goes in the next.
const REPORT_BYTES_MAX: usize = 1 << 20;
/// What a timer takes in a report beside its payload, roughly.
const TIMER_BYTES: usize = 512;

/// The one outstanding report, and what waits for the next.
#[derive(Debug, Default)]
pub(super) struct Lane {
    seq: u64,
    sent: Option<Sent>,
    /// What is to be told beside timers.
    pub(super) items: Items,
    /// When the next report has to go out.
    ship_at: Option<BootTime>,
}

#[derive(Debug)]
struct Sent {
    report: Report,
    at: BootTime,
}

impl Lane {
    /// The next report has to go out by then.
    pub(super) fn ship_by(&mut self, at: BootTime) {
        self.ship_at = Some(self.ship_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn is_free(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether everything can be handed over in the next report: what was taken leaves the ledger, and must not
    /// leave it in the report that brings it back.
    pub(super) fn can_hand_over(&self) -> bool {
        self.is_free() && self.items.taken.is_empty()
    }

    /// When the lane has something to do by itself.
    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        match &self.sent {
            Some(sent) => Some(sent.at + REPEAT_AFTER),
            None => self.ship_at,
        }
    }

    /// What has come back was heard to be handed over, and is not to be heard so again.
    pub(super) fn forget_handed(&mut self, back: &BTreeSet<Uid>) {
        let sent = self.sent.iter_mut().map(|sent| &mut sent.report.items);
        for items in sent.chain([&mut self.items]) {
            items.handed.retain(|uid| !back.contains(uid));
        }
    }

    /// A new session numbers from 1; what was not answered is told again.
    pub(super) fn restart(&mut self) {
        self.seq = 0;
        if let Some(sent) = self.sent.take() {
            let newer = std::mem::replace(&mut self.items, sent.report.items);
            self.items.changed.clear();
            self.items.gone.clear();
            merge(&mut self.items, newer);
        }
    }
}

/// Puts what is told now behind what was told before and may not have been heard.
fn merge(items: &mut Items, newer: Items) {
    items.handed.extend(newer.handed);
    items.outcomes.extend(newer.outcomes);
    items.accepted.extend(newer.accepted);
    items.declined.extend(newer.declined);
    items.taken.extend(newer.taken);
    items.answers.extend(newer.answers);
    items.armed = newer.armed.or(items.armed);
    items.capacity = newer.capacity.or_else(|| items.capacity.take());
    items.eligible = newer.eligible.or(items.eligible);
    items.resumed = newer.resumed.or(items.resumed);
    items.past.extend(newer.past);
}

impl Base {
    /// Sends the next report if it is time, or the outstanding one again.
    pub(super) fn ship(&mut self, now: Now) {
        if !self.link.is_open() {
            return;
        }
        if let Some(sent) = &mut self.lane.sent {
            if sent.at + REPEAT_AFTER <= now.boot {
                sent.at = now.boot;
                self.effects
                    .push(Effect::Send(NodeMessage::Report(sent.report.clone())));
            }
            return;
        }
        let speaks = matches!(self.stance, Stance::Active | Stance::Parked);
        let wanted =
            !self.lane.items.is_empty() || self.lane.ship_at.is_some_and(|at| at <= now.boot);
        if speaks && wanted {
            self.report(now, Act::Stay, None);
        }
    }

    /// Sends a report. It carries everything that the coordinator has to hear, and `also` these timers.
    pub(super) fn report(&mut self, now: Now, act: Act, also: Option<fn(&Entry) -> bool>) {
        let mut items = std::mem::take(&mut self.lane.items);
        // What moves the ownership moves all of it; anything else may take its time.
        let bytes = match act {
            Act::Stay => REPORT_BYTES_MAX,
            Act::Active { .. } | Act::Idle { .. } | Act::Goodbye { .. } => usize::MAX,
        };
        items.changed = self.timers_to_ship(&items.handed, also, bytes);
        if matches!(act, Act::Idle { .. }) && planted::is(Fault::DropTheTail) {
            items.changed.clear();
        }
        self.lane.items.handed = self.keep_for_later(&mut items);
        self.note_offered(&act, &items.changed);
        items.gone = self.gone.iter().copied().collect();
        // What leaves the ledger must not leave it in the report that hands it over.
        self.lane.items.resumed = items.resumed.take_if(|_| act != Act::Stay);
        self.lane.ship_at = None;
        self.lane.seq += 1;
        let report = Report {
            session: self.link.session(),
            seq: self.lane.seq,
            epoch: self.meta.epoch,
            act,
            items,
        };
        self.effects
            .push(Effect::Send(NodeMessage::Report(report.clone())));
        self.lane.sent = Some(Sent {
            report,
            at: now.boot,
        });
    }

    /// Marks what the coordinator is about to be told, before it is: durably, but for light timers that are
    /// handed over, since that is durable by itself.
    fn note_offered(&mut self, act: &Act, timers: &[Timer]) {
        let hands_over = matches!(act, Act::Idle { .. } | Act::Goodbye { .. });
        for timer in timers {
            self.desk.note_offered(timer.uid);
            let news = self.timers.get(&timer.uid).is_some_and(|it| !it.offered);
            match hands_over && !timer.spec.durability.is_replicated() {
                _ if !news => {}
                true => drop(self.adjust(timer.uid, |entry| entry.offered = true)),
                false => drop(self.change(timer.uid, |entry| entry.offered = true)),
            }
        }
    }

    /// Timers that the coordinator does not have, up to `bytes_max`; what is left goes in the next report.
    fn timers_to_ship(
        &self,
        handed: &[Uid],
        also: Option<fn(&Entry) -> bool>,
        bytes_max: usize,
    ) -> Vec<Timer> {
        let others = also.map(|also| self.timers.values().filter(move |entry| also(entry)));
        let others = others.into_iter().flatten();
        let handed = handed.iter().filter_map(|uid| self.timers.get(uid));
        let others = others
            .chain(handed)
            .filter(|entry| !self.is_unshipped(entry));
        let unshipped = self
            .queues
            .unshipped
            .iter()
            .filter_map(|uid| self.timers.get(uid));
        let known = unshipped.chain(others).map(|entry| &entry.timer);
        let mut bytes = 0;
        self.desk
            .proposed()
            .chain(known)
            .take_while(|timer| {
                let fits = bytes < bytes_max;
                bytes += TIMER_BYTES + timer.spec.payload.0.len();
                fits
            })
            .cloned()
            .collect()
    }

    /// A timer is handed over with its state or after it: what did not fit waits for the next report.
    fn keep_for_later(&self, items: &mut Items) -> Vec<Uid> {
        let told = |uid: &Uid| {
            let entry = self.timers.get(uid);
            entry.is_none_or(|entry| entry.shipped == entry.timer.revision)
                || items.changed.iter().any(|timer| timer.uid == *uid)
        };
        let (now, later) = items.handed.iter().partition(|uid| told(uid));
        items.handed = now;
        later
    }

    fn is_unshipped(&self, entry: &Entry) -> bool {
        self.queues.unshipped.contains(&entry.timer.uid)
    }

    /// The answer to the outstanding report; any other answer is dropped.
    pub(super) fn answered(&mut self, now: Now, answer: ReportAnswer) {
        let awaited = self.lane.sent.as_ref().is_some_and(|sent| {
            sent.report.seq == answer.seq && sent.report.session == answer.session
        });
        if !awaited {
            return;
        }
        let Some(sent) = self.lane.sent.take() else {
            return;
        };
        let applied = !matches!(answer.reply, Reply::NotOwner);
        if applied {
            self.note_shipped(&sent.report, &answer.refused);
            if answer.reply == Reply::Noted {
                self.keep_light(&sent.report);
            }
        } else {
            self.lane.items.handed.extend(&sent.report.items.handed);
            self.lane
                .items
                .past
                .extend(sent.report.items.past.iter().cloned());
        }
        self.take_reply(now, answer, &sent.report);
        if !self.queues.unshipped.is_empty() || !self.gone.is_empty() {
            self.lane.ship_by(now.boot + self.config.replicate_after);
        }
        if self.desk.proposed().next().is_some() || self.desk.awaits_ship() {
            self.lane.ship_by(now.boot);
        }
    }

    /// What the report carried is now known to the coordinator.
    fn note_shipped(&mut self, report: &Report, refused: &[(Uid, Refusal)]) {
        match report.items.resumed {
            Some(_) => self.own_all_that_left_the_ledger(),
            None => {
                let taken = report.items.taken.iter().map(|(uid, _)| *uid);
                self.own_what_left_the_ledger(&taken.collect::<Vec<_>>());
            }
        }
        for timer in &report.items.changed {
            let refusal = refused
                .iter()
                .find(|(uid, _)| *uid == timer.uid)
                .map(|(_, why)| why);
            if !self.proposal_answered(timer, refusal)
                && let Some(refusal) = refusal
            {
                self.change_refused(timer.uid, refusal);
            }
            let revision = timer.revision;
            self.adjust(timer.uid, |entry| {
                entry.shipped = entry.shipped.max(revision)
            });
            self.change_answered(timer.uid, revision);
        }
        for uid in &report.items.gone {
            if self.gone.remove(uid) {
                self.dirty.insert(Key::Gone(*uid));
            }
            self.change_answered(*uid, u64::MAX);
        }
    }

    /// The light timers that an active node told of did not stay in the ledger.
    fn keep_light(&mut self, report: &Report) {
        let uids: Vec<Uid> = report.items.changed.iter().map(|timer| timer.uid).collect();
        self.own_what_left_the_ledger(&uids);
    }

    /// Whether the answer to this tells everything: the ownership had moved without the node's knowledge.
    pub(super) fn asks_everything(&self, report: &Report) -> bool {
        match report.act {
            Act::Active { known } => known == LogIndex(0) || report.epoch != self.link.epoch(),
            Act::Stay | Act::Idle { .. } | Act::Goodbye { .. } => false,
        }
    }

    fn take_reply(&mut self, now: Now, answer: ReportAnswer, report: &Report) {
        let known = answer.known;
        match answer.reply {
            Reply::Noted => self.activity_reached(now),
            Reply::NotOwner => self.lost_ownership(),
            Reply::Resumed(resumed) => self.resumed(now, (known, report), resumed),
            Reply::Parked { epoch, cover } => self.parked(now, epoch, &cover),
            Reply::NotCovered { why, retry_after } => self.not_covered(now, why, retry_after),
            Reply::Gone => self.left(),
        }
    }
}
