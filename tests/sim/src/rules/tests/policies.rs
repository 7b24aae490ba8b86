//! The same for the rules of policies, changes and requests.

use super::*;
use dormouse_engine::op::{Change, Setting};
use dormouse_engine::timer::{
    Bounds, Effort, Ending, Fate, Occurrence, Policy, Retry, RunRecord, Skip,
};

fn recurring() -> NewTimer {
    NewTimer {
        when: When::Every {
            interval: Millis(1_000),
            phase: Some(wall(0)),
        },
        ..new(Durability::Replicated)
    }
}

fn with(policy: Policy) -> NewTimer {
    NewTimer {
        policy,
        ..recurring()
    }
}

fn accepted(new: &NewTimer) -> Timer {
    Timer::accept(new, Some(name(HOME)), wall(0)).expect("a good time")
}

/// Of a timer like this that was acknowledged by its home.
fn tale_of(new: &NewTimer) -> Tale {
    let mut tale = Tale(Rules::new(&Plan::staged(2, 3_000)));
    let standing = Fact::Standing {
        node: name(HOME),
        stance: Some(Stance::Active),
    };
    tale.good(0, &standing);
    let timer = accepted(new);
    answer(&mut tale, 0, (1, Op::Create(Box::new(new.clone()))), timer);
    tale
}

fn answer(tale: &mut Tale, at: u64, (request, op): (u64, Op), timer: Timer) {
    ask(tale, at, (request, op));
    let answered = Fact::Answered {
        request,
        answer: Answer::Timer(Box::new(timer)),
        index: LogIndex(3),
    };
    tale.good(at + 5, &answered);
}

fn ask(tale: &mut Tale, at: u64, (request, op): (u64, Op)) {
    let asked = Fact::Asked {
        request,
        at: Who::Node(HOME),
        op,
    };
    tale.good(at, &asked);
}

fn change(request: u128, change: Change) -> Op {
    Op::Change {
        name: accepted(&recurring()).name,
        request,
        change,
    }
}

/// A launch of this occurrence of the first generation at home.
fn launch_of(nominal: i64, token: u64) -> Fact {
    let Fact::Launched {
        run,
        own,
        measured,
        offset,
        drifts,
        ..
    } = launched(HOME, token)
    else {
        unreachable!("it is a launch");
    };
    let run = Run {
        nominal: wall(nominal),
        due: wall(nominal),
        ..run
    };
    Fact::Launched {
        node: HOME,
        run,
        own,
        measured,
        offset,
        drifts,
    }
}

fn ended(token: u64, outcome: Outcome) -> Fact {
    Fact::Ended {
        uid: UID,
        token: Token(token),
        outcome,
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        retry_after: None,
        reason: "it failed".into(),
    }
}

fn once() -> NewTimer {
    with(Policy {
        effort: Effort::AtMostOnce,
        ..Policy::default()
    })
}

#[test]
fn what_may_begin_once_and_is_launched_twice_is_rejected() {
    let mut tale = tale_of(&once());
    tale.good(1_000, &launch_of(1_000, 1));
    let broke = Fact::Broke {
        node: HOME,
        why: Break::Crash,
    };
    tale.good(1_100, &broke);
    let rule = tale.bad(1_200, &launch_of(1_000, 2));
    assert_eq!(rule, "what may begin once begins once");
}

#[test]
fn what_may_begin_once_and_waits_to_begin_again_is_rejected() {
    let mut tale = tale_of(&once());
    let mut again = accepted(&once());
    again.phase = Phase::Waiting {
        occurrence: Occurrence {
            attempt: 1,
            ..*again.phase.occurrence().expect("it waits")
        },
        due: wall(1_000),
    };
    let ledger = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(again)),
    };
    assert_eq!(tale.bad(1_500, &ledger), "what may begin once begins once");
}

#[test]
fn one_attempt_too_many_is_rejected() {
    let mut tale = tale_of(&with(Policy {
        retry: Retry {
            attempts_max: 1,
            ..Retry::default()
        },
        ..Policy::default()
    }));
    tale.good(1_000, &launch_of(1_000, 1));
    tale.good(1_100, &ended(1, failed()));
    let rule = tale.bad(1_200, &launch_of(1_000, 2));
    assert_eq!(rule, "attempts are bounded");
}

#[test]
fn a_run_after_the_end_is_rejected() {
    let mut tale = tale_of(&with(Policy {
        bounds: Bounds {
            end: Some(wall(2_000)),
            ..Bounds::default()
        },
        ..Policy::default()
    }));
    tale.good(1_000, &launch_of(1_000, 1));
    let rule = tale.bad(2_000, &launch_of(2_000, 2));
    assert_eq!(rule, "nothing runs outside of its bounds");
}

#[test]
fn one_occurrence_too_many_is_rejected() {
    let mut tale = tale_of(&with(Policy {
        bounds: Bounds {
            occurrences_max: Some(1),
            ..Bounds::default()
        },
        ..Policy::default()
    }));
    tale.good(1_000, &launch_of(1_000, 1));
    let rule = tale.bad(2_000, &launch_of(2_000, 2));
    assert_eq!(rule, "no more run than may");
}

fn note(nominal: i64, started: i64) -> Fact {
    Fact::Noted {
        uid: UID,
        run: Box::new(RunRecord {
            id: RunId(1),
            generation: 1,
            nominal: wall(nominal),
            attempt: 1,
            token: Token(1),
            by: Some(name(HOME)),
            started: Some(wall(started)),
            finished: wall(started + 10),
            fate: Fate::Done,
            reason: String::new(),
            missed: 0,
        }),
    }
}

#[test]
fn what_begins_after_it_has_expired_is_rejected() {
    let mut tale = tale_of(&with(Policy {
        bounds: Bounds {
            expire: Some(wall(1_500)),
            ..Bounds::default()
        },
        ..Policy::default()
    }));
    tale.good(1_000, &note(1_000, 1_499));
    let rule = tale.bad(1_600, &note(1_000, 1_500));
    assert_eq!(rule, "what has expired does not begin");
}

#[test]
fn an_edit_that_goes_back_in_time_is_rejected() {
    let mut tale = tale_of(&recurring());
    let settings = vec![Setting::ContentType("text/plain".into())];
    let update = Change::Update {
        settings,
        etag: None,
    };
    let mut edited = accepted(&recurring());
    edited.generation = 2;
    answer(&mut tale, 10_000, (2, change(9, update)), edited);
    let Fact::Launched { mut run, .. } = launch_of(3_000, 1) else {
        unreachable!("it is a launch");
    };
    run.generation = 2;
    let old = Fact::Launched {
        node: HOME,
        run,
        own: true,
        measured: true,
        offset: 0,
        drifts: false,
    };
    assert_eq!(tale.bad(10_100, &old), "no change is retroactive");
}

fn paused() -> Timer {
    let mut timer = accepted(&recurring());
    timer.paused = true;
    timer
}

#[test]
fn a_run_of_what_fell_due_in_a_pause_is_rejected() {
    let mut tale = tale_of(&recurring());
    answer(&mut tale, 500, (2, change(9, Change::Pause)), paused());
    let rule = tale.bad(1_000, &launch_of(1_000, 1));
    assert_eq!(rule, "nothing runs that fell due in a pause");
}

#[test]
fn a_run_after_a_pause_is_accepted() {
    let mut tale = tale_of(&recurring());
    answer(&mut tale, 500, (2, change(9, Change::Pause)), paused());
    ask(&mut tale, 1_500, (3, change(10, Change::Resume)));
    tale.good(2_000, &launch_of(2_000, 1));
}

#[test]
fn a_repeated_request_that_is_taken_for_another_is_rejected() {
    let mut tale = tale_of(&recurring());
    ask(&mut tale, 500, (2, change(9, Change::RunNow)));
    let refusal = Refusal::Invalid {
        field: "request_id".into(),
        why: "was used before".into(),
    };
    let answered = Fact::Answered {
        request: 2,
        answer: Answer::Refused(refusal),
        index: LogIndex(3),
    };
    assert_eq!(
        tale.bad(600, &answered),
        "a repeated request is known to be the same"
    );
}

#[test]
fn a_second_run_for_one_request_is_rejected() {
    let mut tale = tale_of(&recurring());
    ask(&mut tale, 1_200, (2, change(9, Change::RunNow)));
    tale.good(1_234, &launch_of(1_234, 1));
    ask(&mut tale, 1_250, (3, change(9, Change::RunNow)));
    let rule = tale.bad(1_300, &launch_of(1_300, 2));
    assert_eq!(rule, "a repeated request is done once");
}

#[test]
fn a_launch_that_nobody_has_noted_is_rejected() {
    let mut tale = tale_of(&new(Durability::Replicated));
    tale.good(1_000, &launch_of(1_000, 1));
    tale.good(1_100, &ended(1, Outcome::Done));
    let mut over = accepted(&new(Durability::Replicated));
    over.phase = Phase::Over {
        ending: Ending::Done,
        at: wall(1_100),
    };
    let end = tale.end(Some(over.clone()));
    assert_eq!(end, Err("every occurrence ends in a visible state"));
    tale.good(1_200, &note(1_000, 1_000));
    assert_eq!(tale.end(Some(over)), Ok(()));
}

#[test]
fn what_fell_due_and_was_neither_run_nor_skipped_is_rejected() {
    let mut tale = tale_of(&new(Durability::Replicated));
    let mut over = accepted(&new(Durability::Replicated));
    let ending = Ending::Skipped(Skip::Expired);
    over.phase = Phase::Over {
        ending,
        at: wall(1_100),
    };
    let end = tale.end(Some(over));
    assert_eq!(end, Err("every occurrence ends in a visible state"));
}
