//! What the policies of a timer make of its occurrences.

use super::*;

fn with(when: When, change: impl FnOnce(&mut Policy)) -> Timer {
    let mut new = new(when);
    change(&mut new.policy);
    Timer::accept(&new, None, WallTime(0)).unwrap()
}

fn each_second() -> When {
    When::Every {
        interval: Millis(1_000),
        phase: Some(WallTime(0)),
    }
}

fn nominals(timer: &Timer) -> Vec<i64> {
    timer
        .lines()
        .filter_map(|line| line.occurrence().map(|it| it.nominal.0))
        .collect()
}

pub(super) fn fates(timer: &mut Timer) -> Vec<(Fate, i64, u64)> {
    let noted = std::mem::take(&mut timer.noted);
    noted
        .into_iter()
        .map(|run| (run.fate, run.nominal.0, run.missed))
        .collect()
}

#[test]
fn with_misfire_skip_nothing_missed_runs_but_what_is_within_the_grace() {
    let mut timer = with(each_second(), |policy| {
        policy.misfire.mode = MisfireMode::Skip;
        policy.misfire.grace = Millis(2_000);
    });
    assert_eq!(timer.ready(None, WallTime(100_500)), Some(WallTime(99_000)));
    assert_eq!(timer.skipped, 98);
    let past = Fate::Skipped(Skip::PastWindow);
    assert_eq!(fates(&mut timer), vec![(past, 98_000, 97)]);
}

#[test]
fn with_misfire_all_the_latest_ones_run_one_after_the_other() {
    let mut timer = with(each_second(), |policy| {
        policy.misfire.mode = MisfireMode::All;
        policy.misfire.grace = Millis(0);
        policy.misfire.cap = 3;
        policy.misfire.window = Some(Millis(3_600_000));
    });
    let mut now = 100_500;
    let mut ran = Vec::new();
    for token in 1..=3 {
        assert_eq!(timer.ready(None, WallTime(now - 1)).is_none(), token > 1);
        let run = start(&mut timer, "n1", token, now);
        ran.push(run.nominal.0);
        timer
            .settle(Token(token), &Outcome::Done, WallTime(now))
            .unwrap();
        now += 100;
    }
    assert_eq!(ran, vec![98_000, 99_000, 100_000]);
    assert_eq!((timer.due(), timer.skipped), (Some(WallTime(101_000)), 97));
}

#[test]
fn with_misfire_all_what_is_older_than_the_window_does_not_run() {
    let mut timer = with(each_second(), |policy| {
        policy.misfire.mode = MisfireMode::All;
        policy.misfire.window = Some(Millis(70_000));
    });
    assert_eq!(timer.ready(None, WallTime(100_500)), Some(WallTime(31_000)));
    let past = Fate::Skipped(Skip::PastWindow);
    assert_eq!(fates(&mut timer), vec![(past, 30_000, 29)]);
}

#[test]
fn ten_years_of_absence_cost_no_more_than_one_miss() {
    for mode in [MisfireMode::Skip, MisfireMode::Once, MisfireMode::All] {
        let mut timer = with(each_second(), |policy| policy.misfire.mode = mode);
        let years = WallTime(315_360_000_500);
        let ready = timer
            .ready(None, years)
            .expect("a second's timer is never far");
        assert!(years.since(ready) <= Millis(100_500), "{mode:?}: {ready}");
    }
}

#[test]
fn with_overlap_allow_each_occurrence_has_its_own_line() {
    let mut timer = with(each_second(), |policy| policy.overlap = Overlap::Allow);
    start(&mut timer, "n1", 1, 1_000);
    start(&mut timer, "n2", 2, 2_000);
    assert_eq!(nominals(&timer), vec![2_000, 1_000]);
    assert_eq!(timer.due(), Some(WallTime(3_000)));
    timer
        .settle(Token(1), &Outcome::Done, WallTime(2_500))
        .unwrap();
    timer
        .settle(Token(2), &Outcome::Done, WallTime(2_600))
        .unwrap();
    assert_eq!((nominals(&timer), timer.skipped), (vec![3_000], 0));
}

#[test]
fn a_line_beside_is_tried_again_by_itself() {
    let mut timer = with(
        When::Every {
            interval: Millis(600_000),
            phase: Some(WallTime(0)),
        },
        |policy| policy.overlap = Overlap::Allow,
    );
    start(&mut timer, "n1", 1, 600_000);
    start(&mut timer, "n2", 2, 1_200_000);
    let died = Outcome::Interrupted { died: true };
    timer.settle(Token(1), &died, WallTime(1_300_000)).unwrap();
    let again = start(&mut timer, "n3", 3, 1_300_001);
    assert_eq!((again.nominal, again.attempt), (WallTime(600_000), 2));
    assert!(timer.holds(Token(2)));
}

#[test]
fn too_many_lines_beside_are_skipped() {
    let mut timer = with(each_second(), |policy| policy.overlap = Overlap::Allow);
    for second in 1..=101 {
        start(
            &mut timer,
            "n1",
            second,
            i64::try_from(second).unwrap() * 1_000,
        );
    }
    assert_eq!(timer.ready(None, WallTime(105_500)), None);
    assert_eq!((timer.due(), timer.skipped), (Some(WallTime(106_000)), 4));
}

#[test]
fn with_overlap_replace_the_later_occurrence_takes_the_right() {
    let mut timer = with(each_second(), |policy| policy.overlap = Overlap::Replace);
    start(&mut timer, "n1", 1, 1_000);
    start(&mut timer, "n2", 2, 2_000);
    assert_eq!(
        timer.settle(Token(1), &Outcome::Done, WallTime(2_100)),
        Err(Stale)
    );
    timer
        .settle(Token(2), &Outcome::Done, WallTime(2_200))
        .unwrap();
    let superseded = Fate::Skipped(Skip::Superseded);
    assert_eq!(
        fates(&mut timer),
        vec![(superseded, 1_000, 0), (Fate::Done, 2_000, 0)]
    );
}

#[test]
fn with_overlap_buffer_one_the_first_waits_and_the_others_are_skipped() {
    let mut timer = with(each_second(), |policy| policy.overlap = Overlap::BufferOne);
    start(&mut timer, "n1", 1, 1_000);
    assert_eq!(timer.due(), None, "it waits for the run");
    timer
        .settle(Token(1), &Outcome::Done, WallTime(5_500))
        .unwrap();
    assert_eq!((timer.due(), timer.skipped), (Some(WallTime(2_000)), 3));
    run(&mut timer, 2, 5_500, &Outcome::Done, 5_600);
    assert_eq!(timer.due(), Some(WallTime(6_000)));
}

#[test]
fn what_was_buffered_is_not_missed_however_long_it_waited() {
    let mut timer = with(each_second(), |policy| {
        policy.overlap = Overlap::BufferOne;
        policy.misfire.mode = MisfireMode::Skip;
    });
    start(&mut timer, "n1", 1, 1_000);
    timer
        .settle(Token(1), &Outcome::Done, WallTime(900_500))
        .unwrap();
    assert_eq!(timer.ready(None, WallTime(900_500)), Some(WallTime(2_000)));
}

#[test]
fn at_most_once_is_never_tried_again() {
    let once = |policy: &mut Policy| policy.effort = Effort::AtMostOnce;
    let mut lost = with(When::At(WallTime(0)), once);
    run(&mut lost, 1, 0, &Outcome::Interrupted { died: true }, 5);
    assert!(matches!(
        lost.phase,
        Phase::Over {
            ending: Ending::Lost,
            ..
        }
    ));
    let mut failed_once = with(When::At(WallTime(0)), once);
    run(&mut failed_once, 1, 0, &failed(), 5);
    assert!(matches!(
        failed_once.phase,
        Phase::Over {
            ending: Ending::Failed,
            ..
        }
    ));
    let mut given_back = with(When::At(WallTime(0)), once);
    start(&mut given_back, "n1", 1, 0);
    given_back.unbegin(Token(1));
    assert_eq!(given_back.due(), Some(WallTime(0)), "it was not begun");
}

#[test]
fn a_timer_is_over_after_its_last_occurrence() {
    let mut timer = with(each_second(), |policy| {
        policy.bounds.occurrences_max = Some(2)
    });
    assert_eq!(timer.next_times(5).len(), 2);
    run(&mut timer, 1, 1_000, &Outcome::Done, 1_001);
    run(&mut timer, 2, 2_000, &Outcome::Done, 2_001);
    assert!(timer.is_over());
    assert_eq!(timer.begun, 2);
}

#[test]
fn bounds_hold_the_schedule() {
    let mut timer = with(each_second(), |policy| {
        policy.bounds.start = Some(WallTime(5_000));
        policy.bounds.end = Some(WallTime(7_000));
    });
    assert_eq!(timer.next_times(5), vec![WallTime(5_000), WallTime(6_000)]);
    run(&mut timer, 1, 5_000, &Outcome::Done, 5_001);
    run(&mut timer, 2, 6_000, &Outcome::Done, 6_001);
    assert!(timer.is_over());
}

#[test]
fn what_has_not_begun_when_the_timer_expires_is_skipped() {
    let mut timer = with(When::At(WallTime(1_000)), |policy| {
        policy.bounds.expire = Some(WallTime(5_000));
    });
    assert_eq!(timer.ready(None, WallTime(4_999)), Some(WallTime(1_000)));
    assert_eq!(timer.ready(None, WallTime(5_000)), None);
    let expired = Fate::Skipped(Skip::Expired);
    assert_eq!(fates(&mut timer), vec![(expired, 1_000, 0)]);
    assert!(timer.is_over());
}

#[test]
fn jitter_delays_every_occurrence_by_the_same_time() {
    let mut timer = with(each_second(), |policy| policy.jitter = Millis(900));
    let delay = timer.due().unwrap().since(WallTime(1_000));
    assert!(delay <= Millis(900));
    let run = start(&mut timer, "n1", 1, 1_000 + i64::try_from(delay.0).unwrap());
    assert_eq!(
        (run.nominal, run.due),
        (WallTime(1_000), WallTime(1_000) + delay)
    );
    timer
        .settle(Token(1), &Outcome::Done, WallTime(1_950))
        .unwrap();
    assert_eq!(timer.due(), Some(WallTime(2_000) + delay));
}

#[test]
fn retries_follow_the_policy() {
    let mut timer = with(When::At(WallTime(0)), |policy| {
        policy.retry = Retry {
            attempts_max: 2,
            backoff_first: Millis(10),
            backoff_max: Millis(10),
            factor_permille: 1_000,
            attempt_timeout: Millis(7_000),
        };
    });
    assert_eq!(start(&mut timer, "n1", 1, 0).attempt_timeout, Millis(7_000));
    timer.settle(Token(1), &failed(), WallTime(0)).unwrap();
    let due = timer.due().unwrap();
    assert!((5..=10).contains(&due.0), "{due}");
    run(&mut timer, 2, due.0, &failed(), due.0);
    assert!(matches!(
        timer.phase,
        Phase::Over {
            ending: Ending::Dead,
            ..
        }
    ));
}
