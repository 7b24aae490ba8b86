//! Leaving: what only this node has is handed over in pieces, then it says goodbye and takes out what is the pool's.

use super::handover::{Handover, Left};
use super::sleep::STOP_AFTER;
use super::{Base, Effect, Entry, Stance};
use crate::id::Uid;
use crate::message::{Act, Goodbye};
use crate::time::{Millis, Now};

/// How long a node that is told to end waits for its runs in flight.
const STOP_PATIENCE: Millis = Millis(3_000);
/// Timers that are taken out in one turn when the node has left.
const PARTED_MAX: usize = 4_096;

impl Base {
    /// The process is to end.
    pub(super) fn stop(&mut self, now: Now) {
        self.rest.stopping.get_or_insert(now.boot);
    }

    pub(super) fn keep_stopping(&mut self, now: Now) {
        let Some(since) = self.rest.stopping else {
            return;
        };
        if self.rest.parting {
            return self.part_some();
        }
        let late = since + STOP_AFTER <= now.boot;
        if self.link.is_down() || late {
            return self.effects.push(Effect::Stopped);
        }
        let free = self.link.is_open() && self.lane.can_hand_over();
        let free = free && self.stance != Stance::Leaving;
        // What only this node has goes along, if there is time; runs in flight may end meanwhile.
        let staging = free && self.stance == Stance::Active;
        if staging && self.stage_next(now) == Left::Pieces {
            return;
        }
        if free && !staging && !self.ships_all(&mut self.handover.room()) {
            // One that does not own its timers has still to tell what has become of them.
            let known = self.meta.known;
            return self.report(now, Act::Tail { known });
        }
        if free && !self.waits_for_runs(now, STOP_PATIENCE) {
            self.say_goodbye(now);
        }
    }

    pub(super) fn say_goodbye(&mut self, now: Now) {
        let interrupted = self.abandon_all(now);
        let again = self.stance == Stance::Leaving && self.handover.open().is_some();
        self.rest.left_asleep |= self.stance == Stance::Parked;
        let owns = self.stance == Stance::Active || again;
        self.stance = Stance::Leaving;
        let mut rest = Vec::new();
        let mut attempt = None;
        if owns {
            let (number, timers) = self.close_attempt();
            (attempt, rest) = (Some(number), timers);
        }
        self.change_meta(|meta| {
            meta.handed_over = true;
            meta.stage = attempt.unwrap_or(meta.stage);
        });
        let goodbye = Goodbye {
            attempt,
            interrupted,
        };
        self.report_with(now, Act::Goodbye(goodbye), rest);
    }

    /// The node has left: its movable timers are the pool's. They go in pieces, so that no turn writes all of them.
    pub(super) fn left(&mut self) {
        self.rest.parting = true;
        self.part_some();
    }

    fn part_some(&mut self) {
        let (handover, left_asleep) = (&self.handover, self.rest.left_asleep);
        let given = self.timers.walk(None);
        let given = given.filter(|entry| is_given_away(entry, handover, left_asleep));
        let given = given.map(|entry| entry.timer.uid).take(PARTED_MAX);
        let uids: Vec<Uid> = given.collect();
        for uid in &uids {
            self.remove(*uid);
        }
        if uids.len() < PARTED_MAX {
            self.rest.parting = false;
            self.effects.push(Effect::Stopped);
        }
    }
}

/// Whether the pool has it now that the node has left: what could not be staged in time stays its own.
fn is_given_away(entry: &Entry, handover: &Handover, left_asleep: bool) -> bool {
    let staged = entry.staged.filter(|_| handover.has(entry));
    let staged = staged.is_some_and(|staged| staged.revision == entry.timer.revision);
    // What is over is not staged: only its home remembers it.
    let staged = staged || left_asleep && !entry.timer.is_over();
    // What did not fit into the goodbye was never told.
    let there = entry.shipped > 0 || entry.held || staged;
    entry.timer.is_movable() && there
}
