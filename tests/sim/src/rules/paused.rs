//! What falls due between an acknowledged pause and the next request to resume never runs.

use super::{Rule, Violation, broken};
use crate::clock::{Moment, micros_before};
use crate::fact::Fact;
use crate::rules::known::{Known, Subject};
use dormouse_engine::id::Uid;
use dormouse_engine::op::{Answer, Change, Op, Setting};
use dormouse_engine::timer::Run;
use std::collections::BTreeMap;

/// A node that has heard the coordinator's clock is early by no more than this, in microseconds.
const DRIFT: i64 = 20_000;
/// It is behind by no more than this, or it serves nobody.
const LAG: i64 = 1_200_000;
/// One that has not, by this.
const SKEW: i64 = 2_500_000;

/// From when to when it was paused for certain.
#[derive(Debug)]
struct Pause {
    /// What belongs to a later generation was asked for in the pause.
    generation: u64,
    since: Moment,
    until: Option<Moment>,
}

#[derive(Debug, Default)]
pub(super) struct Paused {
    pauses: BTreeMap<Uid, Vec<Pause>>,
    /// Requests to resume that may still be done.
    open: BTreeMap<Uid, BTreeMap<u64, Moment>>,
    /// The newest revision that was shown not to be paused: an answer that was on its way for longer is older.
    running: BTreeMap<Uid, u64>,
}

impl Rule for Paused {
    fn see(&mut self, known: &Known, at: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Asked { request, op, .. } if may_resume(op) => {
                if let Some(uid) = known.requests.get(request).and_then(|it| it.uid) {
                    self.open.entry(uid).or_default().insert(*request, at);
                    self.end(uid, at);
                }
                Ok(())
            }
            Fact::Answered {
                request, answer, ..
            } => {
                self.answered(known, at, *request, answer);
                Ok(())
            }
            Fact::Launched {
                node,
                run,
                measured,
                ..
            } => self.launched(known, at, (*node, *measured), run),
            _ => Ok(()),
        }
    }
}

impl Paused {
    fn end(&mut self, uid: Uid, at: Moment) {
        for pause in self.pauses.entry(uid).or_default() {
            pause.until.get_or_insert(at);
        }
    }

    fn answered(&mut self, known: &Known, at: Moment, request: u64, answer: &Answer) {
        let Some(asked) = known.requests.get(&request) else {
            return;
        };
        let Some(uid) = asked.uid else { return };
        if may_resume(&asked.op) && matches!(answer, Answer::Timer(_)) {
            // It is done, and not done again; but by whom a pause was overtaken is not known.
            if let Some(open) = self.open.get_mut(&uid) {
                open.remove(&request);
            }
        }
        let overtaken = self.running.get(&uid).copied().unwrap_or(0);
        let generation = match answer {
            Answer::Timer(timer) if timer.paused && timer.revision >= overtaken => timer.generation,
            _ => 0,
        };
        if let Answer::Timer(timer) = answer
            && !timer.paused
        {
            self.running.insert(uid, overtaken.max(timer.revision));
        }
        let open = self.open.get(&uid).is_some_and(|open| !open.is_empty());
        let resumed_since = known
            .requests_about(uid)
            .any(|it| it.asked >= asked.asked && may_resume(&it.op));
        if pauses(&asked.op) && generation > 0 && !open && !resumed_since {
            let pause = Pause {
                generation,
                since: at,
                until: None,
            };
            self.pauses.entry(uid).or_default().push(pause);
        }
    }

    fn launched(
        &self,
        known: &Known,
        at: Moment,
        (node, measured): (usize, bool),
        run: &Run,
    ) -> Result<(), Violation> {
        let Some(subject) = known.subjects.get(&run.uid) else {
            return Ok(());
        };
        if run.attempt > 1 || subject.excused || subject.may_be_asked_for(run.nominal) {
            return Ok(());
        }
        let tolerance = if measured { DRIFT } else { SKEW };
        let pauses = self.pauses.get(&run.uid).into_iter().flatten();
        let mut pauses = pauses.filter(|it| !is_excused(known, subject, node, it));
        let within = |pause: &Pause| {
            let resumed = |until| micros_before(run.due, until) >= -LAG;
            run.generation <= pause.generation
                && at > pause.since
                && micros_before(run.due, pause.since) > tolerance
                && !pause.until.is_some_and(resumed)
        };
        match pauses.find(|pause| within(pause)) {
            Some(pause) => {
                let what = format!(
                    "n{node} launched the run of {} that fell due in the pause from {} on",
                    run.nominal, pause.since
                );
                Err(broken(
                    "nothing runs that fell due in a pause",
                    run.uid,
                    what,
                ))
            }
            None => Ok(()),
        }
    }
}

/// A home that runs on without the coordinator does not hear of a pause.
fn is_excused(known: &Known, subject: &Subject, node: usize, pause: &Pause) -> bool {
    let home = known.home_of(subject);
    let isolated = |node| known.is_isolated_since(node, pause.since);
    isolated(node) || home.is_some_and(isolated)
}

fn pauses(op: &Op) -> bool {
    let Op::Change { change, .. } = op else {
        return false;
    };
    match change {
        Change::Pause => true,
        Change::Update { settings, .. } => settings.contains(&Setting::Paused(true)),
        _ => false,
    }
}

fn may_resume(op: &Op) -> bool {
    let Op::Change { change, .. } = op else {
        return false;
    };
    match change {
        Change::Resume => true,
        Change::Update { settings, .. } => settings.contains(&Setting::Paused(false)),
        _ => false,
    }
}
