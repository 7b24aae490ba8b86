//! The lane: one report at a time, repeated until it is answered; everything that must arrive is in it.

use super::{Base, Effect, Entry, Stance};
use crate::id::{Token, Uid};
use crate::message::{Act, Items, NodeMessage, Reply, Report, ReportAnswer};
use crate::op::Refusal;
use crate::page::{Room, Weigh};
use crate::planted::{self, Fault};
use crate::record::Key;
use crate::steps;
use crate::time::{BootTime, Millis, Now};
use crate::timer::{Outcome, RunRecord, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// A report that is not answered for this long is said again.
const REPEAT_AFTER: Millis = Millis(1_000);

/// The one outstanding report, and what waits for the next.
#[derive(Debug, Default)]
pub(super) struct Lane {
    seq: u64,
    sent: Option<Sent>,
    /// What is to be told beside timers.
    pub(super) items: Items,
    /// When the next report has to go out.
    ship_at: Option<BootTime>,
    /// Pinned timers that were told before the node owned its timers, and not believed: told again when it does.
    unbelieved: BTreeSet<Uid>,
    /// Ends of own runs that were told before the node owned its timers. The coordinator drops those of timers that it
    /// does not have, and these are settled here when the timers are the node's own again.
    pub(super) ended_apart: Vec<(Uid, Token, Outcome)>,
}

#[derive(Debug)]
struct Sent {
    report: Report,
    /// When it was said last.
    at: BootTime,
    /// When it was said first.
    first: BootTime,
}

impl Lane {
    /// Whether a report was not answered when its connection broke.
    pub(super) fn was_cut_off(&self) -> bool {
        self.sent.is_some()
    }

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
        self.is_free() && self.items.taken.is_empty() && self.items.resumed.is_none()
    }

    /// What has become of runs of which the coordinator may not have heard, in the order in which they ended.
    pub(super) fn untold(&self) -> impl Iterator<Item = &(Uid, RunRecord)> {
        let sent = self.sent.iter().flat_map(|sent| &sent.report.items.past);
        sent.chain(&self.items.past).inspect(|_| steps::visit())
    }

    /// Timers that were taken, which is to be told only in a later report.
    pub(super) fn untaken(&self) -> BTreeSet<Uid> {
        self.items.taken.iter().map(|(uid, _)| *uid).collect()
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
            self.items.append(newer);
        }
    }
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
            self.report(now, Act::Stay);
        }
    }

    /// Sends a report. It carries what the coordinator has to hear, as much as one message holds.
    pub(super) fn report(&mut self, now: Now, act: Act) {
        self.report_with(now, act, Vec::new());
    }

    /// The same, and `staged` timers of the lighter classes beside.
    pub(super) fn report_with(&mut self, now: Now, act: Act, staged: Vec<Timer>) {
        let mut items = std::mem::take(&mut self.lane.items);
        let mut room = self.handover.room();
        let most = self.config.message.items;
        // Answers have a message's room of their own: many of them must not keep back what is changed.
        self.lane.items = items.split_off_excess(&mut self.handover.room(), most);
        for timer in &staged {
            room.take(timer.weight());
        }
        self.note_staging(&staged);
        items.changed = self.timers_to_ship(&items.handed, room);
        self.keep_for_later(&mut items);
        self.note_offered(&items.changed);
        items.changed.extend(staged);
        if matches!(act, Act::Idle(_)) && planted::is(Fault::DropTheTail) {
            items.changed.clear();
        }
        items.gone = self.gone_to_tell().take(most).collect();
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
            first: now.boot,
        });
    }

    /// Marks durably what the coordinator is about to be told, before it is.
    fn note_offered(&mut self, timers: &[Timer]) {
        for timer in timers {
            self.desk.note_offered(timer.uid);
            if self.timers.get(timer.uid).is_some_and(|it| !it.offered) {
                self.change(timer.uid, |entry| entry.offered = true);
            }
        }
    }

    /// Timers that the coordinator does not have as they are, up to what there is room for; what is left goes in the
    /// next report.
    fn timers_to_ship(&self, handed: &[Uid], mut room: Room) -> Vec<Timer> {
        let untaken = self.lane.untaken();
        let known = self.known_to_ship(handed).map(|entry| &entry.timer);
        // Of what was given back the home is believed only after it has taken it, or in the same report.
        let known = known.filter(|timer| !untaken.contains(&timer.uid));
        let all = self.desk.proposed().chain(known);
        all.take_while(|timer| room.take(timer.weight()))
            .cloned()
            .collect()
    }

    fn known_to_ship(&self, handed: &[Uid]) -> impl Iterator<Item = &Entry> {
        // What the coordinator has an older state of is told before it gives the timers back.
        let apart = self.stance == Stance::Apart;
        let stale = self.queues.stale.iter().copied().filter(move |_| apart);
        let told = move |uid: &Uid| apart && self.queues.stale.contains(uid);
        let handed = handed.iter().copied().filter(move |uid| !told(uid));
        let others = stale.chain(handed).filter_map(|uid| self.timers.get(uid));
        let others = others.filter(|entry| !self.is_unshipped(entry));
        let unshipped = self
            .queues
            .unshipped
            .iter()
            .filter_map(|uid| self.timers.get(*uid));
        // What was never told and runs here is told as it was before its start, which is written down by its end. The
        // coordinator would let another node run it, as long as this one does not own it.
        let told = move |entry: &&Entry| !apart || entry.flying().is_none();
        unshipped.chain(others).filter(told)
    }

    /// Whether the next report tells everything that the coordinator does not have. It takes the room that this needs.
    pub(super) fn ships_all(&self, room: &mut Room) -> bool {
        let most = self.config.message.items;
        if self.lane.items.exceeds(&mut self.handover.room(), most) {
            return false;
        }
        let known = self
            .known_to_ship(&self.lane.items.handed)
            .map(|entry| &entry.timer);
        for timer in self.desk.proposed().chain(known) {
            if !room.take(timer.weight()) {
                return false;
            }
        }
        self.gone.len() <= most
    }

    /// Timers that are no more, and of whose runs everything was told: of what is gone no run is noted.
    fn gone_to_tell(&self) -> impl Iterator<Item = Uid> {
        let untold: BTreeSet<Uid> = self.lane.items.past.iter().map(|(uid, _)| *uid).collect();
        let gone = self.gone.iter().copied();
        gone.filter(move |uid| !untold.contains(uid))
    }

    /// A timer is handed over with its state or after it, and its runs are told likewise: what did not fit waits for
    /// the next report. Of a lighter timer the ledger keeps nothing that is not handed over in the same report.
    fn keep_for_later(&mut self, items: &mut Items) {
        let told: BTreeSet<Uid> = items.changed.iter().map(|timer| timer.uid).collect();
        let there = |uid: &Uid| {
            let entry = self.timers.get(*uid);
            entry.is_none_or(|entry| {
                let light = !entry.timer.spec.durability.is_replicated();
                !light && entry.shipped == entry.timer.revision
            })
        };
        // What was given back is handed over again only after it was taken, or in the same report.
        let untaken = self.lane.untaken();
        let ready = |uid: &Uid| !untaken.contains(uid) && (told.contains(uid) || there(uid));
        let handed: Vec<Uid> = items.handed.extract_if(.., |uid| !ready(uid)).collect();
        // The end of a run counts only when its beginning is known.
        let all_handed = handed.iter().chain(&self.lane.items.handed);
        let all_handed: BTreeSet<Uid> = all_handed.copied().collect();
        let begun = |uid: &Uid| {
            let untold = self.queues.unshipped.contains(uid) && !told.contains(uid);
            !untold && !all_handed.contains(uid)
        };
        let outcomes = items.outcomes.extract_if(.., |(uid, ..)| !begun(uid));
        let outcomes: Vec<_> = outcomes.collect();
        let known = |uid: &Uid| self.timers.get(*uid).is_none_or(|entry| entry.shipped > 0);
        let past = items
            .past
            .extract_if(.., |(uid, _)| !told.contains(uid) && !known(uid));
        let past: Vec<_> = past.collect();
        self.lane.items.handed.splice(..0, handed);
        self.lane.items.outcomes.splice(..0, outcomes);
        self.lane.items.past.splice(..0, past);
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
        if sent.at == sent.first {
            let took = now.boot.since(sent.first);
            self.handover.note_way(took, self.link.lease());
        }
        let applied = !matches!(answer.reply, Reply::NotOwner);
        if !applied || self.stance != Stance::Active {
            self.remember_ends(&sent.report.items.outcomes);
        }
        if applied {
            self.note_shipped(&sent.report, &answer.refused);
            if answer.reply == Reply::Noted && sent.report.act == Act::Stay {
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
        let handed: BTreeSet<Uid> = report.items.handed.iter().copied().collect();
        let stage = match &report.act {
            Act::Stage { attempt } => Some(*attempt),
            Act::Idle(idle) => Some(idle.attempt),
            Act::Goodbye(goodbye) => goodbye.attempt,
            Act::Stay | Act::Tail { .. } | Act::Active(_) => None,
        };
        let refused: BTreeMap<Uid, &Refusal> =
            refused.iter().rev().map(|(uid, why)| (*uid, why)).collect();
        for timer in &report.items.changed {
            let refusal = refused.get(&timer.uid).copied();
            // Nobody else runs a pinned timer, but the node may not have heard of a newer one yet.
            let unheard = matches!(refusal, Some(Refusal::Unavailable { .. }));
            let unbelieved = unheard && !timer.is_movable();
            if !self.proposal_answered(timer, refusal)
                && let Some(refusal) = refusal.filter(|_| !unbelieved)
            {
                self.change_refused(timer.uid, refusal);
            }
            let revision = timer.revision;
            let staged = timer.is_light() && !handed.contains(&timer.uid);
            match stage.filter(|_| staged) {
                Some(attempt) => self.note_staged(attempt, timer),
                None => {
                    let shipped = |entry: &mut Entry| entry.shipped = entry.shipped.max(revision);
                    self.adjust(timer.uid, shipped);
                    if unbelieved {
                        self.lane.unbelieved.insert(timer.uid);
                    } else {
                        self.change_answered(timer.uid, revision);
                    }
                }
            }
        }
        for uid in &report.items.gone {
            if self.gone.remove(uid) {
                self.dirty.insert(Key::Gone(*uid));
            }
            self.change_answered(*uid, u64::MAX);
        }
    }

    /// The node owns its timers: what was not believed before is news again.
    pub(super) fn tell_what_was_not_believed(&mut self) {
        for uid in std::mem::take(&mut self.lane.unbelieved) {
            self.change(uid, |entry| {
                entry.timer.revision = entry.timer.revision.saturating_add(1);
            });
        }
    }

    /// The light timers that an active node told of did not stay in the ledger.
    fn keep_light(&mut self, report: &Report) {
        let uids: Vec<Uid> = report.items.changed.iter().map(|timer| timer.uid).collect();
        self.own_what_left_the_ledger(&uids);
    }

    fn take_reply(&mut self, now: Now, answer: ReportAnswer, report: &Report) {
        let known = answer.known;
        match answer.reply {
            Reply::Noted => self.activity_reached(now),
            Reply::NotOwner => self.lost_ownership(),
            Reply::Resumed(resumed) => self.resumed(now, (known, report), resumed),
            Reply::Parked { epoch, cover } => self.parked(now, epoch, &cover),
            Reply::NotCovered {
                why,
                retry_after,
                ledger,
            } => self.not_covered(now, (why, ledger), retry_after),
            Reply::Page(page) => self.hear_page(now, report, page),
            Reply::Gone => self.left(),
        }
    }
}
