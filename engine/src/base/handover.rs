//! An attempt to sleep: what only this node has is staged in pieces, while it goes on as if nothing were.
//!
//! ```text
//! node, active in every respect                         ledger
//!   | -- Stage: a piece of the unreplicated timers -----> |  staged
//!   | -- Stage: what has changed meanwhile -------------> |
//!   |   ... until the rest fits into one message          |
//!   | -- Idle: the rest, count and sum -----------------> |  all of it is the group's, in one step
//! ```
//! Replicated timers need no piece: they are told as ever. What was staged stays staged if the node has to stay awake,
//! so that the next attempt to close carries only what differs.

use super::{Base, Entry, Stance};
use crate::id::{Epoch, Uid};
use crate::message::{Act, MessageLimits, Staged};
use crate::page::{Room, Weigh};
use crate::planted::{self, Fault};
use crate::time::{BootTime, Millis, Now};
use crate::timer::Timer;
use std::collections::BTreeSet;

/// A piece is not made smaller than this part of a message, however slow the way is.
const PIECE_PARTS_MAX: usize = 16;
/// Timers that are looked at for one piece, staged or not.
const LOOKED_AT_MAX: usize = 16_384;
/// A piece that takes longer than this part of the lease is followed by a smaller one: outcomes wait behind it.
const LEASE_PARTS: u64 = 10;
/// After this many rounds in which the rest did not shrink the node is not idle.
const ROUNDS_MAX: u32 = 3;
/// Attempts of one epoch that have numbers of their own.
const ATTEMPT_BITS: u32 = 16;

/// The attempt that is going on, if one is, and how large its pieces are.
#[derive(Debug)]
pub(super) struct Handover {
    attempt: Option<Attempt>,
    begun: u64,
    /// How much goes into a message at most, and into the next piece.
    limits: MessageLimits,
    piece_bytes: usize,
}

/// What is known of one attempt.
#[derive(Debug)]
struct Attempt {
    number: u64,
    /// Up to where the timers were gone through for the first time.
    looked_at: Progress,
    /// What was gone through and has to be told again, or was not acknowledged.
    rest: BTreeSet<Uid>,
    round: Round,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    UpTo(Option<Uid>),
    All,
}

/// How the rest shrinks: a round tells as much as there was when it began.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    began_with: usize,
    told: usize,
    in_vain: u32,
}

impl Handover {
    pub(super) fn new(limits: MessageLimits) -> Self {
        Self {
            attempt: None,
            begun: 0,
            limits,
            piece_bytes: limits.bytes,
        }
    }

    /// The number of the attempt that is going on; a new one if none is.
    fn number(&mut self, epoch: Epoch) -> u64 {
        let attempt = self.attempt.get_or_insert_with(|| {
            self.begun = self.begun.wrapping_add(1);
            let count = self.begun & ((1 << ATTEMPT_BITS) - 1);
            Attempt {
                number: (epoch.0 << ATTEMPT_BITS) | count,
                looked_at: Progress::UpTo(None),
                rest: BTreeSet::new(),
                round: Round::default(),
            }
        });
        attempt.number
    }

    /// The number of the attempt that is going on.
    pub(super) fn open(&self) -> Option<u64> {
        self.attempt.as_ref().map(|attempt| attempt.number)
    }

    /// What was staged is nobody's but the node's; returns the number of the attempt, if there was one.
    pub(super) fn give_up(&mut self) -> Option<u64> {
        self.attempt.take().map(|attempt| attempt.number)
    }

    /// Whether this timer was staged in the attempt that is going on.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        entry
            .staged
            .is_some_and(|staged| Some(staged.attempt) == self.open())
    }

    /// Whether the ledger has to be told of it before the node can close.
    fn wants(&self, entry: &Entry) -> bool {
        if !entry.is_light() || entry.held {
            return false;
        }
        match entry
            .staged
            .filter(|staged| Some(staged.attempt) == self.open())
        {
            Some(staged) => staged.revision < entry.timer.revision,
            None => !entry.timer.is_over(),
        }
    }

    /// A timer is in its place again after a change.
    pub(super) fn enlist(&mut self, entry: &Entry) {
        let wants = self.attempt.is_some() && self.wants(entry);
        let again = self.has(entry);
        if let Some(attempt) = self.attempt.as_mut().filter(|_| wants) {
            let passed = match attempt.looked_at {
                Progress::All => true,
                Progress::UpTo(last) => last.is_some_and(|last| entry.timer.uid <= last),
            };
            if (passed || again) && !planted::is(Fault::ForgetTheRounds) {
                attempt.rest.insert(entry.timer.uid);
            }
        }
    }

    /// A timer is about to change.
    pub(super) fn delist(&mut self, uid: Uid) {
        if let Some(attempt) = &mut self.attempt {
            attempt.rest.remove(&uid);
        }
    }

    /// How much the next piece holds.
    pub(super) fn room(&self) -> Room {
        Room::of_message(MessageLimits {
            bytes: self.piece_bytes,
            ..self.limits
        })
    }

    /// A piece was answered: a slow way makes the next one smaller.
    pub(super) fn note_way(&mut self, took: Millis, lease: Millis) {
        self.piece_bytes = match took.0 > lease.0 / LEASE_PARTS {
            true => self.smaller(),
            false => (self.piece_bytes * 2).min(self.limits.bytes),
        };
    }

    /// A piece was not answered before the connection broke; it may have been too much for it.
    pub(super) fn note_broken(&mut self) {
        self.piece_bytes = self.smaller();
    }

    fn smaller(&self) -> usize {
        let least = self.limits.bytes / PIECE_PARTS_MAX;
        (self.piece_bytes / 2).max(least)
    }

    /// Notes that so many of the rest are told. False if the rest does not shrink: the node is not idle.
    fn note_round(&mut self, told: usize) -> bool {
        let Some(attempt) = self
            .attempt
            .as_mut()
            .filter(|it| it.looked_at == Progress::All)
        else {
            return true;
        };
        let (rest, round) = (attempt.rest.len(), &mut attempt.round);
        if round.told >= round.began_with {
            let shrinks = round.began_with == 0 || rest < round.began_with;
            round.in_vain = if shrinks { 0 } else { round.in_vain + 1 };
            round.began_with = rest;
            round.told = 0;
        }
        round.told += told;
        if round.in_vain < ROUNDS_MAX {
            return true;
        }
        *round = Round::default();
        false
    }
}

/// What is left to be handed over before the node may close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// No more than the closing report holds.
    OneMessage,
    /// A piece of it is on its way.
    Pieces,
    /// It does not become less.
    Busy,
}

impl Base {
    /// Sends the next piece, unless what is left fits into the report that closes.
    pub(super) fn stage_next(&mut self, now: Now) -> Left {
        let number = self.handover.number(self.meta.epoch);
        let mut room = self.handover.room();
        let fits = self.ships_all(&mut room);
        let before = self.handover.attempt.as_ref().map(|it| it.looked_at);
        let (told, all) = self.lights_to_stage(&mut room);
        if fits && all {
            // Nothing was sent: the closing report goes through the same timers.
            if let (Some(attempt), Some(before)) = (&mut self.handover.attempt, before) {
                attempt.looked_at = before;
            }
            return Left::OneMessage;
        }
        if !self.handover.note_round(told.len()) {
            return Left::Busy;
        }
        self.report_with(now, Act::Stage { attempt: number }, told);
        Left::Pieces
    }

    /// The attempt that is closed with the next report, and the rest that goes along.
    pub(super) fn close_attempt(&mut self) -> (u64, Vec<Timer>) {
        let number = self.handover.number(self.meta.epoch);
        let mut room = self.handover.room();
        self.ships_all(&mut room);
        let (rest, _) = self.lights_to_stage(&mut room);
        (number, rest)
    }

    /// Unreplicated timers that the ledger does not have as they are, as many as there is room for; and whether these
    /// are all.
    fn lights_to_stage(&mut self, room: &mut Room) -> (Vec<Timer>, bool) {
        let Some(attempt) = &self.handover.attempt else {
            return (Vec::new(), true);
        };
        let mut timers = Vec::new();
        for uid in &attempt.rest {
            let Some(entry) = self.timers.get(*uid) else {
                continue;
            };
            if !room.take(entry.timer.weight()) {
                return (timers, false);
            }
            timers.push(entry.timer.clone());
        }
        let Progress::UpTo(mut last) = attempt.looked_at else {
            return (timers, true);
        };
        let mut new = self.timers.walk(last).take(LOOKED_AT_MAX + 1);
        let mut looked_at = 0;
        let progress = loop {
            let Some(entry) = new.next() else {
                break Progress::All;
            };
            let wanted = self.handover.wants(entry);
            let full = wanted && !room.take(entry.timer.weight());
            if full || looked_at == LOOKED_AT_MAX {
                break Progress::UpTo(last);
            }
            last = Some(entry.timer.uid);
            looked_at += 1;
            if wanted {
                timers.push(entry.timer.clone());
            }
        };
        if let Some(attempt) = &mut self.handover.attempt {
            attempt.looked_at = progress;
        }
        (timers, progress == Progress::All)
    }

    /// These timers are on their way into a stage: one that is cancelled now has to be taken out of it again.
    pub(super) fn note_staging(&mut self, timers: &[Timer]) {
        let Some(attempt) = self.handover.open() else {
            return;
        };
        for timer in timers.iter().filter(|timer| timer.is_light()) {
            self.adjust(timer.uid, |entry| {
                let before = entry.staged.filter(|staged| staged.attempt == attempt);
                let revision = before.map_or(0, |staged| staged.revision);
                entry.staged = Some(super::passing::Staged { attempt, revision });
            });
        }
    }

    /// The ledger has this timer in its stage, and nowhere else.
    pub(super) fn note_staged(&mut self, attempt: u64, timer: &Timer) {
        let revision = timer.revision;
        self.adjust(timer.uid, |entry| {
            entry.staged = Some(super::passing::Staged { attempt, revision });
            entry.shipped = 0;
            entry.offered = false;
        });
    }

    /// The node will not sleep after all: the ledger may forget what was staged.
    pub(super) fn abandon_attempt(&mut self) {
        if self.stance == Stance::Active
            && let Some(number) = self.handover.give_up()
        {
            self.lane.items.abandoned = Some(number);
        }
    }

    /// On a new session the attempt goes on if the ledger still has its pieces.
    pub(super) fn go_on_staging(&mut self, there: Option<Staged>) {
        let open = there
            .filter(|there| !there.closed)
            .map(|there| there.attempt);
        if self.handover.open() != open && !planted::is(Fault::TrustTheOldStage) {
            self.handover.give_up();
        }
    }

    /// Whether the ledger has closed the attempt of which the node has not heard the end.
    pub(super) fn was_closed(&self, there: Option<Staged>) -> bool {
        let closed = there.filter(|there| there.closed);
        closed.is_some_and(|there| Some(there.attempt) == self.handover.open())
    }

    /// Between asking to sleep and the end of that, or until the ledger has let go of them, timers of the lighter
    /// classes are in the ledger too.
    pub(super) fn is_there(&self, entry: &Entry) -> bool {
        entry.shipped > 0 || entry.offered || entry.is_light() && self.meta.stage != 0
    }
}

/// How long a node whose timers change too fast goes on before it tries to sleep again.
pub(super) const RETRY_BUSY: Millis = Millis(5_000);

/// When an attempt of so many failures is made again.
pub(super) fn back_off(now: BootTime, first: Millis, failures: u32) -> BootTime {
    /// No failure is waited for longer.
    const LONGEST: u64 = 300_000;
    let wait = first.0.saturating_mul(1 << failures.min(16)).min(LONGEST);
    now + Millis(wait)
}
