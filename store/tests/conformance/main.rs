//! The one suite that every journal passes: `Disk` and `Memory` run the same claims.
//!
//! `subject` knows how to make, restart and damage each of them; `claims` knows only the seam;
//! `histories` drives random ones against a map. What only the disk can suffer is in `tests/damage`.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod claims;
mod histories;
mod subject;

macro_rules! conformance {
    ($($claim:ident),* $(,)?) => {
        mod disk {
            $(#[test] fn $claim() { crate::claims::$claim(crate::subject::OnDisk::new()); })*
        }
        mod memory {
            $(#[test] fn $claim() { crate::claims::$claim(crate::subject::InMemory::default()); })*
        }
    };
}

conformance![
    a_new_journal_is_empty,
    positions_grow_by_one_also_across_restarts,
    the_later_entry_of_a_key_holds,
    a_deleted_key_is_gone_and_deleting_nothing_is_fine,
    applying_a_group_again_changes_nothing,
    groups_that_are_appended_together_have_positions_of_their_own,
    an_empty_group_has_a_position_and_no_groups_have_none,
    empty_keys_and_values_are_kept,
    a_group_of_a_mebibyte_survives,
    a_thousand_groups_survive_in_one_append,
    a_loaded_state_is_not_changed_by_later_groups,
    a_snapshot_is_whole_whatever_is_appended_while_it_is_made,
    a_snapshot_that_was_not_finished_is_forgotten,
    a_snapshot_of_nothing_new_is_done_at_once,
    a_snapshot_makes_the_log_short,
    truncation_keeps_what_the_older_snapshot_needs,
    truncation_stops_at_the_position_it_was_given,
    one_snapshot_alone_lets_nothing_be_dropped,
    truncation_goes_on_after_a_restart,
    two_damaged_snapshots_are_refused_when_the_log_is_truncated,
    the_size_of_a_snapshot_is_that_of_what_lives,
    a_stream_that_is_read_late_tells_what_was_when_it_was_loaded,
    decoded_records_are_the_state_in_key_order,
];
