//! A timer, as far as its users know: what they asked of it, and what they were told.

use dormouse_engine::op::{Answer, Cancelled, Change, Op, Refusal, Setting};
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{Durability, ENDED_KEPT, NewTimer, Policy, Spec, Timer};
use std::collections::{BTreeMap, BTreeSet};

/// So many of the requests that changed it a timer remembers.
const REMEMBERED: usize = 8;
/// A run that was asked for begins at latest so long after that: what waits longer was refused.
const ASKED_FOR_WITHIN: Millis = Millis(90_000);
/// How far the clocks of nodes are apart.
const SKEW: Millis = Millis(2_500);

/// A timer, as far as its users know.
#[derive(Debug)]
pub(in crate::rules) struct Subject {
    pub(in crate::rules) new: NewTimer,
    /// As it was when its creation was acknowledged.
    pub(in crate::rules) acknowledged: Option<Timer>,
    /// The newest generation that was acknowledged.
    pub(in crate::rules) generation: u64,
    /// When somebody asked for it first.
    created_after: Option<WallTime>,
    /// Requests that may have raised its generation, and when each was asked first.
    moves: BTreeMap<u128, WallTime>,
    /// How often a move may have been made again: it was not remembered any more, or by nobody.
    moves_again: u64,
    /// Requests that changed it, in the order in which they were asked first.
    changes: Vec<u128>,
    /// How often the disk of its home was lost: what waited for it may be applied again.
    pub(in crate::rules) wiped: u64,
    /// Somebody may have moved it to a time that its schedule does not name.
    pub(in crate::rules) rearmed: bool,
    /// Somebody may have given it other values.
    pub(in crate::rules) edited: bool,
    /// Somebody may have paused it.
    pub(in crate::rules) paused: bool,
    /// When somebody asked for a run of it, by request.
    pub(in crate::rules) runs_asked: BTreeMap<u128, Vec<WallTime>>,
    /// Those of these requests that were answered with their run: they do not wait for a home.
    runs_answered: BTreeSet<u128>,
    /// Requests that may have made a dead run of it begin again.
    pub(in crate::rules) requeues: BTreeSet<u128>,
    /// What it was to do, by generation; none if it was not the same for everybody.
    specs: BTreeMap<u64, Option<Spec>>,
    pub(in crate::rules) cancel_asked: bool,
    pub(in crate::rules) cancel_acknowledged: bool,
    /// The cancellation waits for the home, or has waited.
    pub(in crate::rules) cancel_stored: bool,
    pub(in crate::rules) creates_asked: u64,
    pub(in crate::rules) creates_refused: u64,
    /// Up to when it is remembered although it has ended.
    kept_until: Option<WallTime>,
    /// Its home may not know that it was there.
    forgotten: bool,
    /// It, or a change of it, may be lost: its class does not survive what happened.
    pub(in crate::rules) excused: bool,
}

impl Subject {
    pub(super) fn new(new: NewTimer) -> Self {
        Self {
            paused: new.paused,
            new,
            acknowledged: None,
            generation: 0,
            created_after: None,
            moves: BTreeMap::new(),
            moves_again: 0,
            changes: Vec::new(),
            wiped: 0,
            rearmed: false,
            edited: false,
            runs_asked: BTreeMap::new(),
            runs_answered: BTreeSet::new(),
            requeues: BTreeSet::new(),
            specs: BTreeMap::new(),
            cancel_asked: false,
            cancel_acknowledged: false,
            cancel_stored: false,
            creates_asked: 0,
            creates_refused: 0,
            kept_until: None,
            forgotten: false,
            excused: false,
        }
    }

    /// Whether it has ended long enough ago to be forgotten, or may have: of what is in no journal nobody tells.
    pub(in crate::rules) fn may_be_forgotten(&self, clock: WallTime) -> bool {
        let due = self.acknowledged.as_ref().and_then(Timer::due);
        let untold = !self.new.durability.is_journalled();
        let ended = due.filter(|_| untold).map(|due| due + ENDED_KEPT);
        let until = self.kept_until.or(ended);
        until.is_some_and(|until| until <= clock)
    }

    /// The highest generation that it may be of.
    pub(in crate::rules) fn generation_max(&self) -> u64 {
        let moves = self.moves.len() as u64 + self.moves_again;
        1 + (moves << self.wiped.min(8))
    }

    /// A time before which this generation cannot have begun: by then too few had asked for a change.
    pub(in crate::rules) fn begins_after(&self, generation: u64) -> Option<WallTime> {
        if self.moves_again > 0 || self.wiped > 0 {
            return None;
        }
        let moves = usize::try_from(generation.saturating_sub(1)).ok()?;
        let asked = match moves {
            0 => self.created_after?,
            _ => {
                let mut asked: Vec<WallTime> = self.moves.values().copied().collect();
                asked.sort_unstable();
                *asked.get(moves - 1)?
            }
        };
        Some(asked - SKEW)
    }

    /// Its policies while it is of this generation, as far as they are known.
    pub(in crate::rules) fn policy(&self, generation: u64) -> Option<&Policy> {
        match generation {
            1 => Some(&self.new.policy),
            _ => self.spec(generation).map(|spec| &spec.policy),
        }
    }

    /// What it is to do while it is of this generation, as far as that is known.
    pub(in crate::rules) fn spec(&self, generation: u64) -> Option<&Spec> {
        self.specs.get(&generation)?.as_ref()
    }

    /// Whether the schedule of this generation names this time; yes if that is not known.
    pub(in crate::rules) fn names(&self, generation: u64, nominal: WallTime) -> bool {
        let before = nominal - Millis(1);
        let spec = self.spec(generation);
        spec.is_none_or(|spec| spec.schedule.next_after(before) == Some(nominal))
    }

    /// Whether a run of this time may be one that somebody asked for, rather than the schedule.
    pub(in crate::rules) fn may_be_asked_for(&self, nominal: WallTime) -> bool {
        let asked = self.runs_asked.iter();
        let mut asked =
            asked.flat_map(|(request, times)| times.iter().map(move |time| (request, *time)));
        // What is stored for a home waits as long as that sleeps.
        let may_be = |(request, asked): (&u128, WallTime)| {
            let stored = !self.runs_answered.contains(request);
            asked <= nominal + SKEW && (stored || nominal <= asked + ASKED_FOR_WITHIN)
        };
        !self.requeues.is_empty() || asked.any(may_be)
    }

    pub(super) fn asked(&mut self, now: WallTime, op: &Op) {
        let (request, change) = match op {
            Op::Create(_) => {
                self.creates_asked += 1;
                self.created_after.get_or_insert(now);
                self.excuse_if_made_again();
                return;
            }
            Op::Change {
                request, change, ..
            } => (*request, change),
            _ => return,
        };
        let again = self.count(request);
        match change {
            Change::Rearm { .. } => {
                self.moved(now, request, again);
                self.rearmed = true;
            }
            Change::Update { settings, .. } => {
                self.moved(now, request, again);
                self.edited = true;
                self.paused |= settings
                    .iter()
                    .any(|setting| matches!(setting, Setting::Paused(true)));
            }
            Change::Pause => self.paused = true,
            Change::RunNow => self.runs_asked.entry(request).or_default().push(now),
            Change::Requeue(_) | Change::Revive(_) => drop(self.requeues.insert(request)),
            Change::Cancel => self.cancel_asked = true,
            Change::Resume | Change::Purge(_) => {}
        }
    }

    /// The memory of its home was lost, of what its class does not keep.
    pub(super) fn forgotten(&mut self) {
        self.forgotten = true;
        self.excuse_if_made_again();
    }

    /// Who asks again for a light timer whose home has forgotten it gets another one.
    fn excuse_if_made_again(&mut self) {
        let light = self.new.durability != Durability::Replicated;
        self.excused |= light && self.forgotten && self.creates_asked > 1;
    }

    /// Whether a request is so old that nobody has to know it any more.
    fn count(&mut self, request: u128) -> bool {
        let at = self.changes.iter().position(|known| *known == request);
        if at.is_none() {
            self.changes.push(request);
        }
        at.is_some_and(|at| request == 0 || self.changes.len() - at > REMEMBERED)
    }

    fn moved(&mut self, now: WallTime, request: u128, again: bool) {
        self.moves.entry(request).or_insert(now);
        self.moves_again += u64::from(again);
    }

    pub(super) fn answered(&mut self, op: &Op, answer: &Answer) {
        if let Answer::Timer(timer) = answer
            && !matches!(op, Op::Look { .. })
        {
            // A creation that is asked again is answered with the timer as it is, acknowledged or not.
            let again = matches!(op, Op::Create(_)) && self.acknowledged.is_some();
            if matches!(op, Op::Create(_)) {
                self.acknowledged.get_or_insert_with(|| (**timer).clone());
            }
            if !again {
                self.generation = self.generation.max(timer.generation);
            }
            self.learn(timer);
        }
        match (op, answer) {
            (Op::Create(_), Answer::Refused(refusal)) => {
                let final_word = !matches!(refusal, Refusal::Unavailable { .. });
                self.creates_refused += u64::from(final_word);
            }
            (
                Op::Change {
                    change, request, ..
                },
                answer,
            ) => {
                if matches!(answer, Answer::Run(_)) {
                    self.runs_answered.insert(*request);
                }
                self.changed(change, answer);
            }
            _ => {}
        }
    }

    fn changed(&mut self, change: &Change, answer: &Answer) {
        match (change, answer) {
            (Change::Cancel, Answer::Cancelled(outcome)) => {
                self.cancel_acknowledged |= *outcome != Cancelled::AlreadyFired;
            }
            (Change::Cancel, Answer::Pending) => {
                self.cancel_acknowledged = true;
                self.cancel_stored = true;
            }
            // What was stored may have found it ended, which leaves it; who changes it then has it back.
            (change, Answer::Timer(_) | Answer::Run(_))
                if self.cancel_stored && *change != Change::Cancel =>
            {
                self.cancel_acknowledged = false;
            }
            _ => {}
        }
    }

    /// Takes in what a timer of this generation is to do.
    pub(super) fn learn(&mut self, timer: &Timer) {
        self.kept_until = timer.kept_until();
        let spec = self.specs.entry(timer.generation);
        let known = spec.or_insert_with(|| Some(timer.spec.clone()));
        if known.as_ref().is_some_and(|known| *known != timer.spec) {
            *known = None;
        }
    }
}
