//! What its user's changes make of a timer.

use super::policies::fates;
use super::*;
use crate::op::{Answer, Change, NewTime, RearmMode, Refusal, Setting};
use crate::schedule::{Dst, Gap, Overlap as ClockOverlap, Schedule};

fn ask(timer: &mut Timer, request: u128, change: &Change, now: i64) -> Result<Answer, Refusal> {
    let asked = Asked {
        request,
        flying: None,
        now: WallTime(now),
    };
    timer.apply(asked, change)
}

#[test]
fn a_pause_is_not_a_miss() {
    let mut timer = every_second();
    ask(&mut timer, 0, &Change::Pause, 500).unwrap();
    assert_eq!((timer.due(), timer.next_times(1)), (None, vec![]));
    ask(&mut timer, 0, &Change::Resume, 10_500).unwrap();
    assert_eq!(timer.due(), Some(WallTime(11_000)));
    let paused = Fate::Skipped(Skip::Paused);
    assert_eq!(fates(&mut timer), vec![(paused, 10_000, 9)]);
}

#[test]
fn a_run_in_flight_goes_on_through_a_pause() {
    let mut timer = every_second();
    start(&mut timer, "n1", 1, 1_000);
    ask(&mut timer, 0, &Change::Pause, 1_100).unwrap();
    timer
        .settle(Token(1), &Outcome::Done, WallTime(5_500))
        .unwrap();
    assert_eq!(timer.due(), None);
    ask(&mut timer, 0, &Change::Resume, 9_500).unwrap();
    assert_eq!(timer.due(), Some(WallTime(10_000)));
}

#[test]
fn a_one_shot_that_fell_due_while_paused_is_skipped() {
    let mut timer = timer(When::At(WallTime(1_000)));
    ask(&mut timer, 0, &Change::Pause, 500).unwrap();
    ask(&mut timer, 0, &Change::Resume, 2_000).unwrap();
    let ending = Ending::Skipped(Skip::Paused);
    assert_eq!(
        timer.phase,
        Phase::Over {
            ending,
            at: WallTime(2_000)
        }
    );
}

#[test]
fn an_edit_begins_with_the_first_occurrence_after_it() {
    let mut timer = every_second();
    start(&mut timer, "n1", 1, 1_000);
    let settings = vec![
        Setting::Payload(Payload(vec![7].into())),
        Setting::When(When::Every {
            interval: Millis(5_000),
            phase: Some(WallTime(0)),
        }),
    ];
    let edit = Change::Update {
        settings,
        etag: None,
    };
    ask(&mut timer, 0, &edit, 7_300).unwrap();
    assert_eq!((timer.due(), timer.generation), (Some(WallTime(10_000)), 2));
    assert_eq!(
        timer.settle(Token(1), &Outcome::Done, WallTime(7_400)),
        Err(Stale)
    );
}

#[test]
fn an_edit_of_an_older_reading_is_refused() {
    let mut timer = every_second();
    let read = (timer.generation, timer.revision);
    let edit = |paused| Change::Update {
        settings: vec![Setting::Paused(paused)],
        etag: Some(read),
    };
    ask(&mut timer, 0, &edit(true), 10).unwrap();
    assert!(matches!(
        ask(&mut timer, 0, &edit(false), 20),
        Err(Refusal::Conflict { .. })
    ));
    assert!(timer.paused);
}

#[test]
fn an_edit_that_cannot_be_changes_nothing() {
    let mut timer = every_second();
    let before = timer.clone();
    let settings = vec![
        Setting::Payload(Payload(vec![7].into())),
        Setting::Jitter(Millis(1_000)),
    ];
    let edit = Change::Update {
        settings,
        etag: None,
    };
    assert!(matches!(
        ask(&mut timer, 0, &edit, 10),
        Err(Refusal::Invalid { .. })
    ));
    assert_eq!(timer, before);
}

#[test]
fn rearm_debounces_throttles_or_leaves_the_first() {
    let to = NewTime::After(Millis(5_000));
    let rearm = |mode| Change::Rearm {
        to,
        mode,
        payload: Some(Payload(vec![9].into())),
    };
    let mut debounced = timer(When::At(WallTime(1_000)));
    ask(&mut debounced, 0, &rearm(RearmMode::Replace), 900).unwrap();
    assert_eq!(debounced.due(), Some(WallTime(5_900)));
    let mut throttled = timer(When::At(WallTime(1_000)));
    ask(&mut throttled, 0, &rearm(RearmMode::KeepTime), 900).unwrap();
    assert_eq!(
        (throttled.due(), throttled.spec.payload.0[0]),
        (Some(WallTime(1_000)), 9)
    );
    let mut first = timer(When::At(WallTime(1_000)));
    ask(&mut first, 0, &rearm(RearmMode::Drop), 900).unwrap();
    assert_eq!(
        (first.due(), first.spec.payload.0.len()),
        (Some(WallTime(1_000)), 0)
    );
    run(&mut first, 1, 1_000, &Outcome::Done, 1_001);
    ask(&mut first, 0, &rearm(RearmMode::Drop), 2_000).unwrap();
    assert_eq!(
        first.due(),
        Some(WallTime(7_000)),
        "it was not armed any more"
    );
}

#[test]
fn a_run_that_is_asked_for_stands_beside_the_schedule() {
    let mut timer = every_second();
    let Ok(Answer::Run(asked)) = ask(&mut timer, 0, &Change::RunNow, 1_200) else {
        panic!("a run was asked for");
    };
    assert_eq!(
        (asked.fate, asked.nominal),
        (Fate::Waiting, WallTime(1_200))
    );
    timer.ready(None, WallTime(1_200));
    assert_eq!(
        timer.due(),
        Some(WallTime(1_000)),
        "what is due comes first"
    );
    run(&mut timer, 1, 1_200, &Outcome::Done, 1_210);
    run(&mut timer, 2, 1_210, &Outcome::Done, 1_220);
    assert_eq!((timer.due(), timer.begun), (Some(WallTime(2_000)), 1));
}

#[test]
fn a_run_that_is_asked_for_does_not_take_the_time_of_the_schedule() {
    for (at, nominal) in [(1_000, 1_001), (2_000, 2_001), (1_500, 1_500)] {
        let mut timer = every_second();
        let asked = ask(&mut timer, 0, &Change::RunNow, at);
        let Ok(Answer::Run(asked)) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(asked.nominal, WallTime(nominal));
    }
}

#[test]
fn an_ended_timer_can_be_run_once_more() {
    let mut timer = timer(When::At(WallTime(0)));
    run(&mut timer, 1, 0, &Outcome::Done, 5);
    ask(&mut timer, 0, &Change::RunNow, 1_000).unwrap();
    assert!(!timer.is_over());
    run(&mut timer, 2, 1_000, &Outcome::Done, 1_005);
    assert_eq!(timer.kept_until(), Some(WallTime(1_005) + ENDED_KEPT));
}

#[test]
fn a_request_that_is_repeated_is_done_once() {
    let mut timer = every_second();
    let rearm = Change::Rearm {
        to: NewTime::After(Millis(9_000)),
        mode: RearmMode::Replace,
        payload: None,
    };
    ask(&mut timer, 7, &rearm, 100).unwrap();
    let once = timer.clone();
    ask(&mut timer, 7, &rearm, 2_000).unwrap();
    assert_eq!(timer, once);
    let other = ask(&mut timer, 7, &Change::Pause, 2_000);
    assert!(matches!(other, Err(Refusal::Invalid { field, .. }) if field == "request_id"));
}

#[test]
fn a_dead_run_begins_again_as_if_it_were_new() {
    let mut timer = timer(When::At(WallTime(0)));
    timer.spec.policy.retry.attempts_max = 1;
    run(&mut timer, 1, 0, &failed(), 5);
    let dead = timer.noted.pop().expect("it was noted");
    assert_eq!(dead.fate, Fate::Dead);
    ask(&mut timer, 0, &Change::Revive(Box::new(dead)), 60_000).unwrap();
    let again = start(&mut timer, "n1", 2, 60_000);
    assert_eq!((again.nominal, again.attempt), (WallTime(0), 1));
}

#[test]
fn an_ended_timer_that_is_written_back_as_it_was_stays_ended() {
    let mut timer = timer(When::At(WallTime(1_000)));
    run(&mut timer, 1, 1_000, &Outcome::Done, 1_001);
    let settings = vec![
        Setting::When(When::At(WallTime(1_000))),
        Setting::ContentType("text/plain".into()),
    ];
    let edit = Change::Update {
        settings,
        etag: None,
    };
    ask(&mut timer, 0, &edit, 2_000).unwrap();
    assert!(timer.is_over());
    assert_eq!(timer.spec.content_type, "text/plain");
}

fn update(settings: Vec<Setting>) -> Change {
    Change::Update {
        settings,
        etag: None,
    }
}

#[test]
fn times_and_what_becomes_of_them_when_the_clocks_change_are_two_settings() {
    let cron = |text| Cron::parse(text, "Europe/Berlin").unwrap();
    let both = Dst {
        gap: Gap::Skip,
        overlap: ClockOverlap::Both,
    };
    let mut timer = timer(When::Cron(cron("30 2 * * *")));
    ask(&mut timer, 0, &update(vec![Setting::Dst(both)]), 10).unwrap();
    let expected = |text| Schedule::Cron(cron(text).with_dst(both));
    assert_eq!(timer.spec.schedule, expected("30 2 * * *"));
    let times = Setting::Times(When::Cron(cron("45 2 * * *")));
    ask(&mut timer, 0, &update(vec![times]), 20).unwrap();
    assert_eq!(timer.spec.schedule, expected("45 2 * * *"));
    let when = Setting::When(When::Cron(cron("45 2 * * *")));
    ask(&mut timer, 0, &update(vec![when]), 30).unwrap();
    assert_eq!(timer.spec.schedule, Schedule::Cron(cron("45 2 * * *")));
}

#[test]
fn a_handler_is_at_no_place_of_another_target() {
    let mut timer = every_second();
    let before = timer.clone();
    let place = Target::http_place();
    let edit = update(vec![Setting::Target(place, Target::Handler)]);
    let refused = ask(&mut timer, 0, &edit, 10).unwrap_err();
    let Refusal::Invalid { field, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(field, "timer.target.handler.name");
    assert_eq!(timer, before);
}
