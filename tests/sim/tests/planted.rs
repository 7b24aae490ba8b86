//! Faults that are planted on purpose: the simulator has to find each within a stated number of seeds.
//!
//! The number is several times what was needed when it was written, so that a change of what a seed means does
//! not hide a fault, and a simulator that has gone blind does not pass.

use dormouse_engine::planted::{self, Fault};
use dormouse_sim::{Kind, Plan, run};

/// The seeds from 0 on whose histories are small and of one of these kinds.
fn seeds(kinds: &[Kind]) -> impl Iterator<Item = u64> {
    (0..).filter(move |seed| {
        let plan = Plan::of(*seed);
        plan.is_small() && kinds.contains(&plan.kind)
    })
}

/// Plays histories with the fault until one breaks a rule.
#[track_caller]
fn is_found(fault: Fault, kinds: &[Kind], within: usize) {
    let found = planted::with(fault, || {
        seeds(kinds).take(within).find_map(|seed| run(seed).err())
    });
    assert!(
        found.is_some(),
        "{fault:?} is not found within {within} seeds"
    );
}

#[test]
fn a_ledger_that_ignores_tokens_is_found() {
    is_found(
        Fault::IgnoreToken,
        &[Kind::Network, Kind::Sleepers, Kind::Everything],
        100,
    );
}

#[test]
fn claims_of_the_dead_that_never_end_are_found() {
    is_found(
        Fault::KeepDeadClaims,
        &[Kind::Crashes, Kind::Everything],
        40,
    );
}

#[test]
fn a_coordinator_that_forgets_who_runs_what_is_found() {
    is_found(Fault::ForgetClaimsAtRestart, &[Kind::Crashes], 60);
}

#[test]
fn leases_that_never_run_out_are_found() {
    is_found(
        Fault::LoseTheTakeover,
        &[Kind::Crashes, Kind::Everything],
        60,
    );
}

#[test]
fn a_coordinator_that_tells_no_changes_is_found() {
    is_found(Fault::TellNoChanges, &[Kind::Calm], 20);
}

#[test]
fn a_ledger_that_forgets_what_was_cancelled_is_found() {
    is_found(Fault::ForgetGone, &[Kind::Calm], 60);
}

#[test]
fn a_timer_given_back_in_mid_run_is_found() {
    is_found(Fault::GiveWithoutWaiting, &[Kind::Calm], 40);
}

#[test]
fn a_timer_served_for_a_node_that_fires_itself_is_found() {
    is_found(Fault::ServeTheUnheard, &[Kind::Crashes], 40);
}

#[test]
fn a_clock_that_is_ten_milliseconds_ahead_is_found() {
    is_found(Fault::FireEarly, &[Kind::Calm], 10);
}

#[test]
fn a_hand_over_without_its_tail_is_found() {
    is_found(Fault::DropTheTail, &[Kind::Calm], 60);
}

#[test]
fn a_node_that_fires_what_it_does_not_own_is_found() {
    is_found(Fault::FireWithoutOwning, &[Kind::Calm], 20);
}

#[test]
fn a_node_that_overlooks_that_it_was_stopped_is_found() {
    is_found(Fault::OverlookTheGap, &[Kind::Sleepers], 40);
}

#[test]
fn a_home_that_fires_what_another_runs_is_found() {
    is_found(Fault::ForgetHeld, &[Kind::Calm], 60);
}

#[test]
fn a_node_that_acknowledges_before_the_coordinator_has_it_is_found() {
    is_found(
        Fault::AnswerBeforeCommit,
        &[Kind::Crashes, Kind::Everything],
        60,
    );
}

#[test]
fn a_sentry_that_sleeps_through_is_found() {
    is_found(Fault::SleepThrough, &[Kind::Calm, Kind::Sleepers], 40);
}

#[test]
fn a_coordinator_that_forgets_which_runs_may_overlap_is_found() {
    is_found(
        Fault::ForgetOverlapAtRestart,
        &[Kind::Crashes, Kind::Everything],
        200,
    );
}

#[test]
fn what_may_begin_once_and_is_tried_again_is_found() {
    is_found(Fault::RetryAtMostOnce, &[Kind::Calm, Kind::Crashes], 60);
}

#[test]
fn a_pause_that_a_hand_over_forgets_is_found() {
    is_found(Fault::ForgetThePause, &[Kind::Calm], 100);
}

#[test]
fn an_edit_that_goes_back_in_time_is_found() {
    is_found(Fault::RunBeforeTheEdit, &[Kind::Calm], 100);
}

#[test]
fn a_request_that_is_done_each_time_it_is_asked_is_found() {
    is_found(Fault::ForgetTheRequest, &[Kind::Calm], 100);
}

#[test]
fn what_begins_after_it_has_expired_is_found() {
    is_found(Fault::IgnoreExpiry, &[Kind::Calm], 60);
}

#[test]
fn occurrences_that_are_not_counted_are_found() {
    is_found(Fault::MiscountOccurrences, &[Kind::Calm], 60);
}

#[test]
fn a_replaced_run_that_keeps_its_right_is_found() {
    is_found(Fault::KeepTheReplaced, &[Kind::Calm, Kind::Crashes], 100);
}

#[test]
fn a_shell_that_speaks_before_it_has_written_is_found() {
    is_found(
        Fault::SpeakBeforeDurable,
        &[Kind::Crashes, Kind::Everything],
        100,
    );
}

#[test]
fn a_piece_that_counts_before_the_close_is_found() {
    is_found(Fault::StageAsReal, &[Kind::Calm], 200);
}

#[test]
fn a_stage_that_outlives_its_attempt_is_found() {
    is_found(Fault::KeepTheStage, &[Kind::Calm], 200);
}

#[test]
fn ownership_that_moves_with_the_first_page_is_found() {
    is_found(Fault::ResumeWithTheFirstPage, &[Kind::Calm], 200);
}
