//! The life of one timer, step by step.

mod changes;
mod policies;

use super::*;
use crate::id::{PoolId, TimerId, Token};
use crate::schedule::Cron;
use std::collections::BTreeMap;

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn new(when: When) -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new("t").unwrap(),
        uid: Uid(7),
        request: 1,
        when,
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Replicated,
        labels: BTreeMap::new(),
    }
}

fn timer(when: When) -> Timer {
    Timer::accept(&new(when), None, WallTime(0)).unwrap()
}

fn every_second() -> Timer {
    timer(When::Every {
        interval: Millis(1_000),
        phase: Some(WallTime(0)),
    })
}

fn failed() -> Outcome {
    Outcome::Failed {
        retry_after: None,
        reason: "no".into(),
    }
}

fn start(timer: &mut Timer, by: &str, token: u64, now: i64) -> Run {
    let now = WallTime(now);
    let nominal = timer.ready(None, now).expect("something is due");
    let run = timer.begin(nominal, &node(by), Token(token), now);
    run.expect("it waits")
}

fn run(timer: &mut Timer, token: u64, from: i64, outcome: &Outcome, until: i64) {
    start(timer, "n1", token, from);
    timer
        .settle(Token(token), outcome, WallTime(until))
        .expect("the token is the newest");
}

#[test]
fn a_one_shot_runs_once_and_is_over() {
    let mut timer = timer(When::After(Millis(500)));
    assert_eq!(timer.due(), Some(WallTime(500)));
    run(&mut timer, 1, 500, &Outcome::Done, 510);
    assert!(timer.is_over());
    assert_eq!(timer.due(), None);
    assert_eq!(timer.kept_until(), Some(WallTime(510) + ENDED_KEPT));
}

#[test]
fn a_recurring_timer_waits_for_its_next_time() {
    let mut timer = every_second();
    run(&mut timer, 1, 1_000, &Outcome::Done, 1_010);
    assert_eq!(timer.due(), Some(WallTime(2_000)));
    assert_eq!(timer.next_times(2), vec![WallTime(2_000), WallTime(3_000)]);
}

#[test]
fn what_falls_due_during_a_run_is_skipped() {
    let mut timer = every_second();
    run(&mut timer, 1, 1_000, &Outcome::Done, 3_500);
    assert_eq!(timer.due(), Some(WallTime(4_000)));
    assert_eq!(timer.skipped, 2);
}

#[test]
fn what_was_late_before_a_run_began_still_runs() {
    let mut timer = every_second();
    run(&mut timer, 1, 3_200, &Outcome::Done, 3_210);
    assert_eq!(timer.due(), Some(WallTime(2_000)));
    assert_eq!(timer.skipped, 0);
}

#[test]
fn after_an_outage_the_latest_occurrence_stands_for_the_missed_ones() {
    let mut timer = every_second();
    timer.ready(None, WallTime(100_500));
    assert_eq!(timer.due(), Some(WallTime(100_000)));
    let run = start(&mut timer, "n1", 1, 100_500);
    assert_eq!((run.nominal, run.missed), (WallTime(100_000), 99));
}

#[test]
fn an_occurrence_past_its_window_is_skipped() {
    let daily = Cron::parse("0 0 * * *", "UTC").unwrap();
    let mut timer = timer(When::Cron(daily));
    let day = 86_400_000;
    timer.ready(None, WallTime(day + 2 * 3_600_000));
    assert_eq!(timer.due(), Some(WallTime(2 * day)));
    assert_eq!(timer.skipped, 1);
}

#[test]
fn a_one_shot_fires_however_late() {
    let mut timer = timer(When::At(WallTime(1_000)));
    timer.ready(None, WallTime(86_400_000 * 3_650));
    assert_eq!(timer.due(), Some(WallTime(1_000)));
}

#[test]
fn a_failed_attempt_waits_longer_each_time_and_the_last_is_dead() {
    let mut timer = timer(When::At(WallTime(0)));
    let mut now = 0;
    for attempt in 1..=4 {
        run(&mut timer, attempt, now, &failed(), now);
        let due = timer.due().unwrap().0;
        let full = 1_000 << (attempt - 1);
        assert!(
            (full / 2..=full).contains(&(due - now)),
            "attempt {attempt} waits {}",
            due - now
        );
        now = due;
    }
    run(&mut timer, 5, now, &failed(), now);
    assert_eq!(
        timer.phase,
        Phase::Over {
            ending: Ending::Dead,
            at: WallTime(now)
        }
    );
}

#[test]
fn a_recurring_timer_stops_retrying_at_its_next_occurrence() {
    let mut timer = every_second();
    run(&mut timer, 1, 1_000, &failed(), 1_900);
    assert_eq!(timer.due(), Some(WallTime(2_000)));
    assert_eq!(timer.last.as_ref().unwrap().ending, Ending::Failed);
}

#[test]
fn a_handler_that_asks_for_time_gets_it() {
    let mut timer = timer(When::At(WallTime(0)));
    let outcome = Outcome::Failed {
        retry_after: Some(Millis(60_000)),
        reason: String::new(),
    };
    run(&mut timer, 1, 0, &outcome, 10);
    assert_eq!(timer.due(), Some(WallTime(60_010)));
}

#[test]
fn a_run_that_nobody_could_begin_is_no_attempt() {
    let mut timer = timer(When::At(WallTime(0)));
    start(&mut timer, "n1", 1, 0);
    timer.unbegin(Token(1));
    let run = start(&mut timer, "n2", 2, 5);
    assert_eq!(run.attempt, 1);
}

#[test]
fn three_dead_runners_make_a_timer_dead() {
    let mut timer = timer(When::At(WallTime(0)));
    for token in 1..=3 {
        run(
            &mut timer,
            token,
            0,
            &Outcome::Interrupted { died: true },
            10,
        );
    }
    assert!(matches!(
        timer.phase,
        Phase::Over {
            ending: Ending::Dead,
            ..
        }
    ));
}

#[test]
fn giving_a_run_back_is_due_at_once_and_kills_nothing() {
    let mut timer = timer(When::At(WallTime(0)));
    for token in 1..=4 {
        run(
            &mut timer,
            token,
            0,
            &Outcome::Interrupted { died: false },
            10,
        );
        assert_eq!(timer.due(), Some(WallTime(0)));
    }
}

#[test]
fn only_the_newest_token_settles() {
    let mut timer = timer(When::At(WallTime(0)));
    start(&mut timer, "n1", 1, 0);
    timer
        .settle(Token(1), &Outcome::Interrupted { died: true }, WallTime(1))
        .unwrap();
    start(&mut timer, "n2", 2, 2);
    assert_eq!(
        timer.settle(Token(1), &Outcome::Done, WallTime(3)),
        Err(Stale)
    );
    assert_eq!(
        timer.settle(Token(2), &Outcome::Done, WallTime(3)),
        Ok(Settled::Accepted)
    );
    assert_eq!(
        timer.settle(Token(2), &Outcome::Done, WallTime(3)),
        Ok(Settled::Again)
    );
}

#[test]
fn a_rearmed_timer_drops_the_outcome_of_the_run_before() {
    let mut timer = timer(When::At(WallTime(0)));
    start(&mut timer, "n1", 1, 0);
    timer.rearm(WallTime(9_000), WallTime(1));
    assert_eq!(
        timer.settle(Token(1), &Outcome::Done, WallTime(2)),
        Err(Stale)
    );
    assert_eq!((timer.due(), timer.generation), (Some(WallTime(9_000)), 2));
}

#[test]
fn attempts_of_one_occurrence_share_one_run_id() {
    let mut timer = timer(When::At(WallTime(0)));
    let first = start(&mut timer, "n1", 1, 0);
    timer.settle(Token(1), &failed(), WallTime(1)).unwrap();
    let second = start(&mut timer, "n1", 2, 2_000);
    assert_eq!((first.id, first.attempt + 1), (second.id, second.attempt));
}

/// What a pending timer takes for itself, beside its payload and an id of more than fourteen characters: what few
/// have is in a box, what many have is shared. A field that makes it larger makes it larger a million times.
#[test]
fn a_timer_takes_at_most_208_bytes() {
    assert!(size_of::<Timer>() <= 208, "{}", size_of::<Timer>());
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    use crate::record::{decode, encode};
    let cron = Cron::parse("*/5 * * * *", "Europe/Berlin").unwrap();
    let mut timer = timer(When::Cron(cron));
    timer.spec.payload = Payload(vec![0, 255, 7].into());
    timer.uid = Uid(u128::MAX);
    let back: Timer = decode(b"t", &encode(&timer)).unwrap();
    assert_eq!(back, timer);
}

#[test]
fn a_record_of_a_newer_version_is_refused_in_words() {
    use crate::record::{Unreadable, decode};
    let refused = decode::<Timer>(b"t", &[9, 1, 2]).unwrap_err();
    assert!(
        matches!(refused, Unreadable::Version { found: 9, .. }),
        "{refused}"
    );
}

fn change(timer: &mut Timer, change: &crate::op::Change, now: i64) {
    let asked = Asked {
        request: 0,
        flying: None,
        now: WallTime(now),
    };
    timer.apply(asked, change).expect("it is allowed");
}

#[test]
fn what_is_tried_again_after_a_pause_brings_nothing_of_the_pause_back() {
    use crate::op::Change;
    let mut timer = every_second();
    start(&mut timer, "n1", 1, 1_000);
    change(&mut timer, &Change::Pause, 1_500);
    let gave_up = Outcome::Interrupted { died: false };
    timer.settle(Token(1), &gave_up, WallTime(1_600)).unwrap();
    change(&mut timer, &Change::Resume, 5_500);
    run(&mut timer, 2, 5_500, &Outcome::Done, 5_600);
    assert_eq!(timer.due(), Some(WallTime(6_000)));
}

#[test]
fn an_edit_begins_nothing_when_no_occurrence_is_left() {
    use crate::op::{Change, Setting};
    let mut timer = every_second();
    timer.spec.policy.bounds.occurrences_max = Some(1);
    start(&mut timer, "n1", 1, 1_000);
    let update = Change::Update {
        settings: vec![Setting::ContentType("text/plain".into())],
        etag: None,
    };
    change(&mut timer, &update, 1_500);
    assert_eq!((timer.due(), timer.is_over()), (None, true));
}

#[test]
fn what_was_asked_for_is_not_delayed() {
    let mut timer = every_second();
    timer.spec.policy.jitter = Millis(900);
    change(&mut timer, &crate::op::Change::RunNow, 500);
    let run = start(&mut timer, "n1", 1, 500);
    assert_eq!((run.nominal, run.due), (WallTime(500), WallTime(500)));
}

#[test]
fn a_run_that_is_asked_for_does_not_take_the_time_of_one_that_has_just_ended() {
    let mut timer = every_second();
    change(&mut timer, &crate::op::Change::RunNow, 500);
    run(&mut timer, 1, 500, &Outcome::Done, 500);
    change(&mut timer, &crate::op::Change::RunNow, 500);
    let run = start(&mut timer, "n1", 2, 500);
    assert_eq!(run.nominal, WallTime(501));
}

#[test]
fn what_a_missed_occurrence_stands_for_is_skipped_with_it() {
    let mut timer = every_second();
    timer.spec.policy.misfire.grace = Millis(100);
    timer.spec.policy.misfire.window = Some(Millis(900));
    assert_eq!(timer.ready(None, WallTime(5_500)), Some(WallTime(5_000)));
    // Nobody could run it in time.
    assert_eq!(timer.ready(None, WallTime(6_950)), None);
    assert_eq!((timer.skipped, timer.due()), (6, Some(WallTime(7_000))));
}

#[test]
fn what_has_waited_for_a_run_expires_like_anything_else() {
    let mut timer = every_second();
    timer.spec.policy.overlap = Overlap::BufferOne;
    timer.spec.policy.bounds.expire = Some(WallTime(2_500));
    run(&mut timer, 1, 1_000, &Outcome::Done, 3_600);
    assert_eq!(timer.ready(None, WallTime(3_600)), None);
    assert!(timer.is_over());
    let noted = timer.noted.iter().map(|run| (run.nominal.0, run.fate));
    let skipped = [
        (1_000, Fate::Done),
        (3_000, Fate::Skipped(Skip::Overlap)),
        (2_000, Fate::Skipped(Skip::Expired)),
    ];
    assert_eq!(noted.collect::<Vec<_>>(), skipped);
}

#[test]
fn what_was_given_back_beside_another_run_expires_too() {
    let mut timer = every_second();
    timer.spec.policy.overlap = Overlap::Allow;
    timer.spec.policy.bounds.expire = Some(WallTime(2_500));
    start(&mut timer, "n1", 1, 1_000);
    start(&mut timer, "n1", 2, 2_000);
    timer.unbegin(Token(1));
    assert_eq!(timer.ready(None, WallTime(2_600)), None);
    assert!(!timer.has(WallTime(1_000)));
}
