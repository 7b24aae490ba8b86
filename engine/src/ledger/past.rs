//! What the ledger remembers of what is over: runs, and timers that are no more; and what it tells those who watch.

use super::{Ledger, Routed};
use crate::departed::gone_since;
use crate::feed::Feed;
use crate::history::Kept;
use crate::id::{RunId, TimerName, Uid};
use crate::op::{Answer, Cancelled, Change, Op, Refusal};
use crate::page;
use crate::time::WallTime;
use crate::timer::RunRecord;

/// How much was forgotten early since the start, because there was too much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Records of runs that were not dead.
    pub runs: u64,
    /// Dead runs.
    pub dead: u64,
    /// Ended timers.
    pub ended: u64,
}

impl Ledger {
    /// Numbers what changes from here on.
    pub(crate) fn begin_feed(&mut self, now: WallTime) {
        self.feed = Feed::starting(now);
    }

    /// The number of the newest change.
    #[must_use]
    pub fn newest_change(&self) -> u64 {
        self.feed.newest()
    }

    /// What was forgotten early, because there was too much of it.
    #[must_use]
    pub fn forgotten(&self) -> Forgotten {
        let (runs, dead) = self.history.evicted();
        let ended = self.ended_early();
        Forgotten { runs, dead, ended }
    }

    /// Takes in what has become of a run of a timer that is known here.
    pub(crate) fn note_run(&mut self, uid: Uid, run: RunRecord) {
        let Some(timer) = self.entry(uid).map(|entry| entry.timer.name.clone()) else {
            return;
        };
        let kept = Kept { timer, run };
        if self.history.note(uid, kept.clone()) {
            self.feed.ran(kept.timer, kept.run);
        }
    }

    /// A timer is no more, for its user too.
    pub(super) fn note_removed(&mut self, uid: Uid, name: TimerName) {
        self.history.forget(uid);
        self.feed.removed(name);
    }

    /// A timer is its home's affair alone: who watches the ledger sees it no more.
    pub(super) fn feed_removed(&mut self, name: TimerName) {
        self.feed.removed(name);
    }

    /// Remembers how a timer went, as long as a request about it may be repeated.
    pub(super) fn note_farewell(
        &mut self,
        uid: Uid,
        cancel: Option<(u128, Cancelled)>,
        now: WallTime,
    ) {
        let Some(entry) = self.timers.get(uid) else {
            return;
        };
        // What was never written does not come back.
        let durable = !self.timers.is_unwritten(uid);
        self.departed.bid(&entry.timer, cancel, now, durable);
    }

    /// Whether a timer of this identity was here, and is no more.
    pub(super) fn has_departed(&self, uid: Uid) -> bool {
        self.departed.get(uid).is_some() || self.gone.contains_key(&uid)
    }

    /// The answer to a request about a timer that is no more, if it was done before.
    pub(super) fn answered_before(&self, op: &Op) -> Option<Answer> {
        let answer = self.departed.answer(op)?;
        if let (Answer::Cancelled(_), Op::Change { request, .. }) = (&answer, op)
            && let Some(uid) = self.departed.cancelled_by(*request)
            && self.unheard_cancels.contains(&uid)
        {
            return Some(Answer::Pending);
        }
        Some(answer)
    }

    pub(super) fn read_past(&self, op: &Op) -> Routed {
        match op {
            Op::Runs {
                name,
                before,
                limit,
            } => {
                let here = self.named(name).is_some();
                if !here && let Some(home) = self.awake_home_of(name) {
                    return Routed::to(&home, op);
                }
                if !here && !self.history.knows(name) {
                    return Routed::Done(super::not_found(name));
                }
                let (runs, more) = self.history.runs(name, *before, page::limit(*limit));
                Routed::Done(Answer::Runs { runs, more })
            }
            Op::Dead { after, limit } => {
                let (letters, more) = self.history.dead(after.as_ref(), page::limit(*limit));
                Routed::Done(Answer::Dead { letters, more })
            }
            Op::News { after, limit } => {
                let look = |uid| self.entry(uid).map(|entry| &entry.timer);
                Routed::Done(Answer::News(self.feed.read(
                    *after,
                    page::limit(*limit),
                    look,
                )))
            }
            Op::Create(_)
            | Op::Look { .. }
            | Op::List { .. }
            | Op::Kept { .. }
            | Op::Change { .. }
            | Op::Activity { .. } => Routed::Done(Answer::Refused(Refusal::Precondition {
                why: "is not a question about the past".into(),
            })),
        }
    }

    /// What the ledger itself knows of a timer's runs, for a home that asks about its own.
    pub(crate) fn runs_known(&self, op: &Op) -> Answer {
        let Op::Runs {
            name,
            before,
            limit,
        } = op
        else {
            return gone_since();
        };
        let (runs, more) = self.history.runs(name, *before, page::limit(*limit));
        Answer::Runs { runs, more }
    }

    /// A dead run that is to begin again goes with the change to whoever owns the timer.
    pub(super) fn with_dead_run(&self, op: &Op) -> Option<Op> {
        let Op::Change {
            name,
            request,
            change: Change::Requeue(id),
        } = op
        else {
            return None;
        };
        let dead = self.history.find_dead(self.uid_of(name)?, *id)?;
        Some(Op::Change {
            name: name.clone(),
            request: *request,
            change: Change::Revive(Box::new(dead)),
        })
    }

    /// A dead run is forgotten where it is remembered. Returns whether it was here.
    pub(super) fn purge(&mut self, name: &TimerName, change: &Change) -> bool {
        let Change::Purge(id) = change else {
            return false;
        };
        let uid = self.uid_of(name);
        let dead = uid.and_then(|uid| Some((uid, self.history.find_dead(uid, *id)?)));
        if let Some((uid, dead)) = &dead {
            self.history.remove(*uid, dead.key());
        }
        dead.is_some()
    }

    /// A dead run that has begun again is not dead any more.
    pub(super) fn forget_revived(&mut self, op: &Op) {
        if let Op::Change {
            name,
            change: Change::Revive(dead),
            ..
        } = op
            && let Some(uid) = self.uid_of(name)
        {
            self.history.remove(uid, dead.key());
        }
    }

    /// The home did not let a dead run begin again: it is dead still.
    pub(crate) fn keep_dead(&mut self, timer: TimerName, run: RunRecord) {
        if let Some(uid) = self.uid_of(&timer) {
            self.history.note(uid, Kept { timer, run });
        }
    }

    fn uid_of(&self, name: &TimerName) -> Option<Uid> {
        let known = self.named(name).map(|entry| entry.timer.uid);
        known.or_else(|| self.history.uid_of(name))
    }

    pub(super) fn prune_past(&mut self, now: WallTime) {
        self.history.prune(now);
        self.departed.prune(now);
    }
}

pub(super) fn already_gone() -> Refusal {
    Refusal::Precondition {
        why:
            "this request was done, and its timer is no more; use a fresh request id for a new one"
                .into(),
    }
}

pub(crate) fn no_dead_run(id: RunId) -> Refusal {
    Refusal::NotFound {
        what: format!("dead run {id}"),
    }
}
