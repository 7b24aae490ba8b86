//! The rules are tested themselves: one bad history for each must be rejected, and a good one accepted.

mod policies;

use super::*;
use crate::clock::{BEGIN, ms};
use crate::fact::Break;
use crate::node::{handler, pool};
use crate::process::Who;
use dormouse_engine::id::{NodeId, RunId, TimerId, Token};
use dormouse_engine::ledger::Stance;
use dormouse_engine::op::{Answer, Cancelled, NewTime, Op, Refusal};
use dormouse_engine::time::{LogIndex, Millis};
use dormouse_engine::timer::{Durability, NewTimer, Outcome, Payload, Phase, Placement, Run, When};

const UID: Uid = Uid(7);
const HOME: usize = 0;
const OTHER: usize = 1;

fn at(millis: u64) -> Moment {
    Moment(ms(millis))
}

fn wall(millis: i64) -> WallTime {
    WallTime(BEGIN + millis)
}

fn name(node: usize) -> NodeId {
    NodeId::new(&format!("n{node}")).expect("a good id")
}

fn new(durability: Durability) -> NewTimer {
    NewTimer {
        pool: pool(),
        id: TimerId::new("t7").expect("a good id"),
        uid: UID,
        request: 7,
        when: When::At(wall(1_000)),
        placement: Placement::Movable,
        handler: handler("mail"),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability,
        labels: BTreeMap::new(),
    }
}

fn timer(durability: Durability) -> Timer {
    Timer::accept(&new(durability), Some(name(HOME)), wall(0)).expect("a good time")
}

/// A history that is told fact by fact.
struct Tale(Rules);

impl Tale {
    /// Of a timer that was acknowledged by its home and is due at 1,000.
    fn of(durability: Durability) -> Self {
        let mut tale = Self(Rules::new(&Plan::staged(2, 3_000)));
        let op = Op::Create(Box::new(new(durability)));
        let answer = Answer::Timer(Box::new(timer(durability)));
        tale.good(
            0,
            &Fact::Standing {
                node: name(HOME),
                stance: Some(Stance::Active),
            },
        );
        tale.good(
            0,
            &Fact::Asked {
                request: 1,
                at: Who::Node(HOME),
                op,
            },
        );
        tale.good(
            5,
            &Fact::Answered {
                request: 1,
                answer,
                index: LogIndex(3),
            },
        );
        if durability.is_replicated() {
            tale.ledger(6, timer(durability));
        }
        tale
    }

    fn good(&mut self, millis: u64, fact: &Fact) {
        self.0
            .see(at(millis), fact)
            .expect("no rule is broken so far");
    }

    fn bad(&mut self, millis: u64, fact: &Fact) -> &'static str {
        self.0
            .see(at(millis), fact)
            .expect_err("a rule is broken")
            .rule
    }

    fn ledger(&mut self, millis: u64, timer: Timer) {
        self.good(
            millis,
            &Fact::Ledger {
                uid: UID,
                timer: Some(Box::new(timer)),
            },
        );
    }

    fn end(&mut self, owned: Option<Timer>) -> Result<(), &'static str> {
        self.end_without(None, owned)
    }

    /// The end of a history after which this node never came back.
    fn end_without(
        &mut self,
        dead: Option<NodeId>,
        owned: Option<Timer>,
    ) -> Result<(), &'static str> {
        let ending = Ending {
            clock: wall(100_000),
            dead,
            owned: owned.into_iter().map(|timer| (UID, timer)).collect(),
            ledger: BTreeMap::new(),
        };
        self.0.end(&ending).map_err(|violation| violation.rule)
    }
}

fn launched(node: usize, token: u64) -> Fact {
    Fact::Launched {
        node,
        run: Run {
            uid: UID,
            name: timer(Durability::Replicated).name,
            generation: 1,
            id: RunId(1),
            nominal: wall(1_000),
            due: wall(1_000),
            attempt: 1,
            missed: 0,
            token: Token(token),
            handler: handler("mail"),
            payload: Payload::default(),
            target: dormouse_engine::timer::Target::Handler,
            attempt_timeout: dormouse_engine::timer::ATTEMPT_TIMEOUT,
            content_type: String::new(),
        },
        own: node == HOME,
        measured: true,
        offset: 0,
        drifts: false,
    }
}

fn ended(token: u64, outcome: Outcome) -> Fact {
    Fact::Ended {
        uid: UID,
        token: Token(token),
        outcome,
    }
}

fn done(token: u64) -> Timer {
    let mut timer = timer(Durability::Replicated);
    timer.begin(wall(1_000), &name(HOME), Token(token), wall(1_000));
    timer
        .settle(Token(token), &Outcome::Done, wall(1_100))
        .expect("it runs");
    timer
}

#[test]
fn a_good_history_is_accepted() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(1_100, &ended(50, Outcome::Done));
    tale.ledger(1_101, done(50));
    let run = done(50).noted.pop().expect("its end is noted");
    let run = Box::new(run);
    tale.good(1_102, &Fact::Noted { uid: UID, run });
    assert_eq!(tale.end(Some(done(50))), Ok(()));
}

#[test]
fn a_run_a_millisecond_early_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    assert_eq!(
        tale.bad(998, &launched(HOME, 50)),
        "nothing is launched early"
    );
}

#[test]
fn a_claim_before_its_time_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let mut early = timer(Durability::Replicated);
    early.begin(wall(1_000), &name(OTHER), Token(50), wall(999));
    let fact = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(early)),
    };
    assert_eq!(tale.bad(999, &fact), "nothing is pulled early");
}

#[test]
fn a_run_of_a_timer_that_nobody_asked_for_is_rejected() {
    let mut tale = Tale(Rules::new(&Plan::staged(2, 3_000)));
    assert_eq!(tale.bad(1_000, &launched(HOME, 50)), "no run is invented");
}

#[test]
fn a_run_of_a_timer_that_was_refused_is_rejected() {
    let mut tale = Tale(Rules::new(&Plan::staged(2, 3_000)));
    let op = Op::Create(Box::new(new(Durability::Replicated)));
    tale.good(
        0,
        &Fact::Asked {
            request: 1,
            at: Who::Coordinator,
            op,
        },
    );
    let why = "no".to_owned();
    let answer = Answer::Refused(Refusal::Precondition { why });
    tale.good(
        1,
        &Fact::Answered {
            request: 1,
            answer,
            index: LogIndex(1),
        },
    );
    assert_eq!(tale.bad(1_000, &launched(HOME, 50)), "no run is invented");
}

#[test]
fn tokens_that_fall_are_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(1_100, &ended(50, Outcome::Done));
    tale.ledger(1_101, done(50));
    let mut older = done(50);
    older.token = Token(49);
    let fact = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(older)),
    };
    assert_eq!(tale.bad(1_102, &fact), "tokens grow");
}

#[test]
fn what_was_lost_and_is_made_again_begins_without_a_token() {
    let mut tale = Tale::of(Durability::Ephemeral);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(1_100, &ended(50, Outcome::Done));
    tale.ledger(1_101, done(50));
    let again = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(timer(Durability::Ephemeral))),
    };
    let why = Break::Crash;
    tale.good(1_200, &Fact::Broke { node: HOME, why });
    tale.good(1_300, &again);
    tale.ledger(1_400, done(50));
    let mut older = done(50);
    older.token = Token(49);
    let older = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(older)),
    };
    assert_eq!(tale.bad(1_500, &older), "tokens grow");
}

#[test]
fn two_launches_with_one_token_are_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(1_500, &ended(50, Outcome::Interrupted { died: true }));
    assert_eq!(
        tale.bad(2_000, &launched(OTHER, 50)),
        "every launch has its own token"
    );
}

#[test]
fn an_outcome_that_no_worker_had_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    let fact = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(done(50))),
    };
    assert_eq!(tale.bad(1_050, &fact), "what is accepted was done");
}

#[test]
fn two_accepted_runs_of_one_occurrence_are_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(1_100, &ended(50, Outcome::Done));
    tale.ledger(1_101, done(50));
    tale.good(
        1_200,
        &Fact::Broke {
            node: HOME,
            why: Break::Lost,
        },
    );
    tale.good(1_300, &launched(OTHER, 60));
    tale.good(1_400, &ended(60, Outcome::Done));
    let fact = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(done(60))),
    };
    assert_eq!(
        tale.bad(1_401, &fact),
        "one run of an occurrence is accepted"
    );
}

#[test]
fn accepted_runs_that_overlap_are_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    let mut next = launched(OTHER, 60);
    if let Fact::Launched { run, .. } = &mut next {
        (run.nominal, run.due, run.generation) = (wall(1_050), wall(1_050), 2);
    }
    let op = Op::rearm(timer(Durability::Replicated).name, NewTime::At(wall(1_050)));
    tale.good(
        1_010,
        &Fact::Asked {
            request: 2,
            at: Who::Coordinator,
            op,
        },
    );
    tale.good(1_050, &next);
    tale.good(1_100, &ended(60, Outcome::Done));
    tale.good(1_900, &ended(50, Outcome::Done));
    tale.ledger(1_950, done(50));
    let mut later = done(60);
    later.generation = 2;
    let fact = Fact::Ledger {
        uid: UID,
        timer: Some(Box::new(later)),
    };
    assert_eq!(tale.bad(1_960, &fact), "accepted runs do not overlap");
}

#[test]
fn a_second_launch_without_a_reason_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    assert_eq!(
        tale.bad(1_300, &launched(OTHER, 60)),
        "a repeated launch has a reason"
    );
}

#[test]
fn a_second_launch_after_the_first_runner_died_is_accepted_and_a_third_is_not() {
    let mut tale = Tale::of(Durability::Replicated);
    tale.good(1_000, &launched(HOME, 50));
    tale.good(
        1_200,
        &Fact::Broke {
            node: HOME,
            why: Break::Crash,
        },
    );
    tale.good(1_300, &launched(OTHER, 60));
    assert_eq!(
        tale.bad(1_400, &launched(OTHER, 70)),
        "a repeated launch has a reason"
    );
}

#[test]
fn a_run_after_an_acknowledged_cancellation_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let op = Op::cancel(timer(Durability::Replicated).name);
    tale.good(
        500,
        &Fact::Asked {
            request: 2,
            at: Who::Coordinator,
            op,
        },
    );
    let answer = Answer::Cancelled(Cancelled::Cancelled);
    tale.good(
        501,
        &Fact::Answered {
            request: 2,
            answer,
            index: LogIndex(3),
        },
    );
    let token = 5 << dormouse_engine::ledger::TOKEN_BITS;
    assert_eq!(
        tale.bad(1_000, &launched(OTHER, token)),
        "an acknowledged change is final"
    );
}

#[test]
fn a_home_that_fires_what_it_has_cancelled_itself_is_rejected() {
    let mut tale = Tale::of(Durability::Local);
    let op = Op::cancel(timer(Durability::Local).name);
    tale.good(
        500,
        &Fact::Asked {
            request: 2,
            at: Who::Node(HOME),
            op,
        },
    );
    let answer = Answer::Cancelled(Cancelled::Cancelled);
    tale.good(
        501,
        &Fact::Answered {
            request: 2,
            answer,
            index: LogIndex(3),
        },
    );
    let fact = Fact::Decided {
        node: HOME,
        uid: UID,
        token: Token(1),
        stopped: false,
        own: true,
        offset: 0,
    };
    assert_eq!(tale.bad(1_000, &fact), "an acknowledged change is final");
}

#[test]
fn a_run_of_an_older_generation_after_a_rearm_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let to = NewTime::At(wall(9_000));
    let op = Op::rearm(timer(Durability::Replicated).name, to);
    tale.good(
        500,
        &Fact::Asked {
            request: 2,
            at: Who::Coordinator,
            op,
        },
    );
    let mut moved = timer(Durability::Replicated);
    moved.rearm(wall(9_000), wall(500));
    let answer = Answer::Timer(Box::new(moved));
    tale.good(
        501,
        &Fact::Answered {
            request: 2,
            answer,
            index: LogIndex(3),
        },
    );
    let token = 5 << dormouse_engine::ledger::TOKEN_BITS;
    assert_eq!(
        tale.bad(1_000, &launched(OTHER, token)),
        "an acknowledged change is final"
    );
}

#[test]
fn a_node_that_was_stopped_and_fires_before_it_has_resumed_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let fact = Fact::Decided {
        node: HOME,
        uid: UID,
        token: Token(1),
        stopped: true,
        own: true,
        offset: 0,
    };
    assert_eq!(tale.bad(1_000, &fact), "who was stopped resumes first");
}

#[test]
fn an_acknowledged_timer_that_nobody_knows_at_the_end_is_rejected() {
    for durability in [
        Durability::Local,
        Durability::ReplicatedAsync,
        Durability::Replicated,
    ] {
        let mut tale = Tale::of(durability);
        assert_eq!(
            tale.end(None),
            Err("what was acknowledged survives"),
            "{durability:?}"
        );
    }
}

#[test]
fn what_a_class_does_not_save_may_be_lost() {
    for (durability, why) in [
        (Durability::Ephemeral, Break::Crash),
        (Durability::Local, Break::Wipe),
    ] {
        let mut tale = Tale::of(durability);
        tale.good(100, &Fact::Broke { node: HOME, why });
        assert_eq!(tale.end(None), Ok(()), "{durability:?}");
    }
    let mut tale = Tale::of(Durability::Local);
    tale.good(
        100,
        &Fact::Broke {
            node: HOME,
            why: Break::Crash,
        },
    );
    assert_eq!(tale.end(None), Err("what was acknowledged survives"));
}

#[test]
fn a_cancelled_timer_that_lives_at_the_end_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let op = Op::cancel(timer(Durability::Replicated).name);
    tale.good(
        500,
        &Fact::Asked {
            request: 2,
            at: Who::Coordinator,
            op,
        },
    );
    let answer = Answer::Cancelled(Cancelled::Cancelled);
    tale.good(
        501,
        &Fact::Answered {
            request: 2,
            answer,
            index: LogIndex(3),
        },
    );
    let end = tale.end(Some(timer(Durability::Replicated)));
    assert_eq!(end, Err("what was cancelled is gone"));
}

#[test]
fn a_stored_cancellation_waits_for_its_home_and_for_nobody_else() {
    let mut tale = Tale::of(Durability::Replicated);
    let mut pinned = timer(Durability::Replicated);
    pinned.spec.placement = Placement::Pinned(name(HOME));
    let op = Op::cancel(pinned.name.clone());
    let at = Who::Coordinator;
    tale.good(500, &Fact::Asked { request: 2, at, op });
    tale.good(
        501,
        &Fact::Answered {
            request: 2,
            answer: Answer::Pending,
            index: LogIndex(3),
        },
    );
    let dead = Some(name(HOME));
    assert_eq!(tale.end_without(dead, Some(pinned.clone())), Ok(()));
    let back = tale.end_without(Some(name(OTHER)), Some(pinned));
    assert_eq!(back, Err("what was cancelled is gone"));
}

#[test]
fn a_timer_that_is_overdue_at_the_end_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    assert_eq!(
        tale.end(Some(timer(Durability::Replicated))),
        Err("nothing stays overdue")
    );
}

#[test]
fn a_run_that_never_ends_is_rejected() {
    let mut tale = Tale::of(Durability::Replicated);
    let mut running = timer(Durability::Replicated);
    running.begin(wall(1_000), &name(OTHER), Token(50), wall(1_000));
    assert_eq!(tale.end(Some(running)), Err("nothing runs for ever"));
}

#[test]
fn an_occurrence_that_was_not_launched_in_the_quiet_is_rejected() {
    let mut tale = Tale(Rules::new(&Plan::staged(2, 3_000)));
    let mut new = new(Durability::Replicated);
    new.when = When::Every {
        interval: Millis(1_000),
        phase: Some(wall(0)),
    };
    let mut timer = Timer::accept(&new, Some(name(HOME)), wall(0)).expect("a good interval");
    if let Phase::Waiting { occurrence, due } = &mut timer.phase {
        (occurrence.nominal, *due) = (wall(150_000), wall(150_000));
    }
    tale.good(
        0,
        &Fact::Asked {
            request: 1,
            at: Who::Node(HOME),
            op: Op::Create(Box::new(new)),
        },
    );
    let answer = Answer::Timer(Box::new(timer.clone()));
    tale.good(
        5,
        &Fact::Answered {
            request: 1,
            answer,
            index: LogIndex(3),
        },
    );
    tale.good(10_000, &Fact::Quiet);
    let ending = Ending {
        dead: None,
        clock: wall(10_000 + i64::try_from(crate::plan::QUIET_MS).expect("small")),
        owned: BTreeMap::from([(UID, timer)]),
        ledger: BTreeMap::new(),
    };
    let broken = tale.0.end(&ending).expect_err("nothing was launched");
    assert_eq!(broken.rule, "what recurs has recurred");
}
