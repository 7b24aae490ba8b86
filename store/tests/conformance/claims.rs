//! What the seam promises, one function per claim, over any subject.
//!
//! `restart` is the claim behind most of them: what a start finds is exactly what was there before it. Each
//! function is listed in `main`, which makes a test of it for each journal.

use crate::subject::Subject;
use dormouse_store::{Entry, Group, Journal, Progress, State};

fn put(key: &str, value: &str) -> Entry {
    Entry::put(key.as_bytes(), value.as_bytes())
}

fn delete(key: &str) -> Entry {
    Entry::delete(key.as_bytes())
}

fn state(pairs: &[(&str, &str)]) -> State {
    pairs
        .iter()
        .map(|(k, v)| (k.as_bytes().into(), v.as_bytes().into()))
        .collect()
}

fn key(n: u32) -> Vec<u8> {
    format!("timer/{n:05}").into_bytes()
}

/// Appends `count` groups that put keys `begin..`, forty bytes each.
fn fill(journal: &mut impl Journal, begin: u32, count: u32) {
    let groups: Vec<Group> = (begin..begin + count)
        .map(|n| vec![Entry::put(key(n), vec![n as u8; 40])])
        .collect();
    journal.append_all(&groups).unwrap();
}

/// One step of a snapshot, and what another thread does of it.
fn step(journal: &mut impl Journal, budget: usize) -> Progress {
    loop {
        match journal.snapshot(budget).unwrap() {
            Progress::Waiting => std::thread::sleep(std::time::Duration::from_millis(1)),
            progress => return progress,
        }
    }
}

fn snapshot(journal: &mut impl Journal) {
    while step(journal, 512) == Progress::More {}
}

fn truncate(journal: &mut impl Journal, position: u64) {
    while journal.truncate(position, 3).unwrap() == Progress::More {}
}

/// Restarts and checks that the start finds exactly what was there before it.
fn restart<S: Subject>(subject: &mut S, journal: S::Journal) -> S::Journal {
    restart_damaged(subject, journal, 0)
}

/// The same, after the `count` newest snapshots were damaged.
fn restart_damaged<S: Subject>(
    subject: &mut S,
    mut journal: S::Journal,
    count: usize,
) -> S::Journal {
    let before = journal.load().unwrap().collect().unwrap();
    drop(journal);
    (0..count).for_each(|_| subject.damage_newest_snapshot());
    let mut journal = subject.up();
    assert_eq!(journal.load().unwrap().collect().unwrap(), before);
    journal
}

pub(crate) fn a_new_journal_is_empty(mut subject: impl Subject) {
    let mut journal = subject.up();
    let loaded = journal.load().unwrap().collect().unwrap();
    assert_eq!((loaded.position, loaded.state.len()), (0, 0));
    let journal = restart(&mut subject, journal);
    assert_eq!(journal.size(), dormouse_store::Size::default());
}

pub(crate) fn positions_grow_by_one_also_across_restarts(mut subject: impl Subject) {
    for start in 0..3 {
        let mut journal = subject.up();
        assert_eq!(
            journal.load().unwrap().collect().unwrap().position,
            2 * start
        );
        assert_eq!(journal.append(&vec![put("a", "1")]).unwrap(), 2 * start + 1);
        assert_eq!(journal.append(&vec![put("b", "1")]).unwrap(), 2 * start + 2);
    }
}

pub(crate) fn the_later_entry_of_a_key_holds(mut subject: impl Subject) {
    let mut journal = subject.up();
    journal
        .append(&vec![put("a", "1"), put("b", "1"), put("a", "2")])
        .unwrap();
    journal.append(&vec![put("b", "2")]).unwrap();
    journal
        .append(&vec![
            delete("c"),
            put("c", "3"),
            delete("d"),
            put("e", "1"),
            delete("e"),
        ])
        .unwrap();
    let mut journal = restart(&mut subject, journal);
    assert_eq!(
        journal.load().unwrap().collect().unwrap().state,
        state(&[("a", "2"), ("b", "2"), ("c", "3")])
    );
}

pub(crate) fn a_deleted_key_is_gone_and_deleting_nothing_is_fine(mut subject: impl Subject) {
    let mut journal = subject.up();
    journal.append(&vec![put("a", "1"), put("b", "1")]).unwrap();
    journal.append(&vec![delete("a"), delete("never")]).unwrap();
    let mut journal = restart(&mut subject, journal);
    assert_eq!(
        journal.load().unwrap().collect().unwrap().state,
        state(&[("b", "1")])
    );
}

pub(crate) fn applying_a_group_again_changes_nothing(mut subject: impl Subject) {
    let mut journal = subject.up();
    let group = vec![put("a", "1"), delete("b"), put("c", "")];
    journal.append(&group).unwrap();
    let once = journal.load().unwrap().collect().unwrap().state;
    journal.append(&group).unwrap();
    assert_eq!(journal.load().unwrap().collect().unwrap().state, once);
}

pub(crate) fn groups_that_are_appended_together_have_positions_of_their_own(
    mut subject: impl Subject,
) {
    let mut journal = subject.up();
    journal.append(&vec![put("a", "1")]).unwrap();
    let groups = [
        vec![put("b", "1")],
        vec![],
        vec![put("c", "1"), delete("a")],
    ];
    assert_eq!(journal.append_all(&groups).unwrap(), 4);
    let mut journal = restart(&mut subject, journal);
    assert_eq!(journal.append(&vec![put("d", "1")]).unwrap(), 5);
    assert_eq!(
        journal.load().unwrap().collect().unwrap().state,
        state(&[("b", "1"), ("c", "1"), ("d", "1")])
    );
}

pub(crate) fn an_empty_group_has_a_position_and_no_groups_have_none(mut subject: impl Subject) {
    let mut journal = subject.up();
    assert_eq!(journal.append_all(&[]).unwrap(), 0);
    assert_eq!(journal.append(&vec![]).unwrap(), 1);
    assert_eq!(journal.append_all(&[]).unwrap(), 1);
    let mut journal = restart(&mut subject, journal);
    assert_eq!(journal.append(&vec![]).unwrap(), 2);
}

pub(crate) fn empty_keys_and_values_are_kept(mut subject: impl Subject) {
    let mut journal = subject.up();
    journal
        .append(&vec![put("", "nameless"), put("blank", "")])
        .unwrap();
    snapshot(&mut journal);
    let mut journal = restart(&mut subject, journal);
    assert_eq!(
        journal.load().unwrap().collect().unwrap().state,
        state(&[("", "nameless"), ("blank", "")])
    );
}

pub(crate) fn a_group_of_a_mebibyte_survives(mut subject: impl Subject) {
    let mut journal = subject.up();
    let entry = |n: u8| {
        Entry::put(
            vec![n],
            (0..32 << 10)
                .map(|i: u32| (i >> 3) as u8 ^ n)
                .collect::<Vec<_>>(),
        )
    };
    journal.append(&(0..32).map(entry).collect()).unwrap();
    journal
        .append(&vec![Entry::put(vec![99], vec![7; 1 << 20])])
        .unwrap();
    let journal = restart(&mut subject, journal);
    assert!(journal.size().log > 2 << 20);
}

pub(crate) fn a_thousand_groups_survive_in_one_append(mut subject: impl Subject) {
    let mut journal = subject.up();
    fill(&mut journal, 0, 1_000);
    let mut journal = restart(&mut subject, journal);
    assert_eq!(journal.load().unwrap().collect().unwrap().position, 1_000);
}

pub(crate) fn a_loaded_state_is_not_changed_by_later_groups(mut subject: impl Subject) {
    let mut journal = subject.up();
    journal.append(&vec![put("a", "1")]).unwrap();
    let loaded = journal.load().unwrap().collect().unwrap();
    journal.append(&vec![put("a", "2")]).unwrap();
    assert_eq!(loaded.state, state(&[("a", "1")]));
}

pub(crate) fn a_snapshot_is_whole_whatever_is_appended_while_it_is_made(mut subject: impl Subject) {
    let mut journal = subject.up();
    for begin in 0..100 {
        fill(&mut journal, begin, 1);
    }
    snapshot(&mut journal);
    for begin in 50..150 {
        fill(&mut journal, begin, 1);
    }
    let mut steps = 0;
    // What is appended meanwhile changes keys of the older snapshot, of the log after it, and new ones.
    while step(&mut journal, 200) == Progress::More {
        steps += 1;
        let at = steps * 2;
        journal
            .append(&vec![
                Entry::put(key(0), vec![steps as u8]),
                Entry::delete(key(at)),
                Entry::put(key(at + 1), vec![1]),
                Entry::delete(key(149 - steps)),
                Entry::put(format!("timer/{at:05}a").into_bytes(), vec![2]),
            ])
            .unwrap();
    }
    assert!(steps > 10, "it was made in steps, not in {steps}");
    journal
        .append(&vec![Entry::put(key(50), b"after".to_vec())])
        .unwrap();
    let journal = restart(&mut subject, journal);
    restart_damaged(&mut subject, journal, 1);
}

pub(crate) fn a_snapshot_that_was_not_finished_is_forgotten(mut subject: impl Subject) {
    let mut journal = subject.up();
    for begin in 0..50 {
        fill(&mut journal, begin, 1);
    }
    assert_eq!(journal.snapshot(100).unwrap(), Progress::More);
    let log = journal.size().log;
    let mut journal = restart(&mut subject, journal);
    assert_eq!(journal.size().log, log, "nothing was published");
    snapshot(&mut journal);
    assert_eq!(journal.size().log, 0);
    restart(&mut subject, journal);
}

pub(crate) fn a_snapshot_of_nothing_new_is_done_at_once(mut subject: impl Subject) {
    let mut journal = subject.up();
    assert_eq!(journal.snapshot(100).unwrap(), Progress::Done);
    fill(&mut journal, 0, 50);
    snapshot(&mut journal);
    assert_eq!(journal.snapshot(100).unwrap(), Progress::Done);
    let mut journal = restart(&mut subject, journal);
    assert_eq!(journal.snapshot(100).unwrap(), Progress::Done);
}

pub(crate) fn a_snapshot_makes_the_log_short(mut subject: impl Subject) {
    let mut journal = subject.up();
    for begin in 0..50 {
        fill(&mut journal, begin, 1);
    }
    let before = journal.size();
    assert!(before.log >= 50 * 40 && before.snapshot == 0, "{before:?}");
    assert_eq!(journal.snapshot(100).unwrap(), Progress::More);
    fill(&mut journal, 50, 1);
    snapshot(&mut journal);
    let after = journal.size();
    assert!(
        after.log > 0 && after.log < 100,
        "only what was appended meanwhile is left: {after:?}"
    );
    assert!(after.snapshot >= 50 * 40, "{after:?}");
    let journal = restart(&mut subject, journal);
    assert_eq!(journal.size(), after);
}

/// Two snapshots, at 50 and 100 groups, then ten groups more.
fn with_two_snapshots(journal: &mut impl Journal) {
    for begin in [0, 50] {
        fill(journal, begin, 25);
        fill(journal, begin + 25, 25);
        snapshot(journal);
    }
    fill(journal, 100, 10);
}

pub(crate) fn truncation_keeps_what_the_older_snapshot_needs(mut subject: impl Subject) {
    let mut journal = subject.up();
    with_two_snapshots(&mut journal);
    truncate(&mut journal, u64::MAX);
    let journal = restart(&mut subject, journal);
    let mut journal = restart_damaged(&mut subject, journal, 1);
    // It goes on as if nothing had been: the next two snapshots replace the damaged one.
    fill(&mut journal, 110, 5);
    snapshot(&mut journal);
    truncate(&mut journal, u64::MAX);
    restart(&mut subject, journal);
}

pub(crate) fn truncation_stops_at_the_position_it_was_given(mut subject: impl Subject) {
    let mut journal = subject.up();
    with_two_snapshots(&mut journal);
    truncate(&mut journal, 0);
    restart_damaged(&mut subject, journal, 2);
}

pub(crate) fn one_snapshot_alone_lets_nothing_be_dropped(mut subject: impl Subject) {
    let mut journal = subject.up();
    fill(&mut journal, 0, 50);
    snapshot(&mut journal);
    truncate(&mut journal, u64::MAX);
    restart_damaged(&mut subject, journal, 1);
}

pub(crate) fn truncation_goes_on_after_a_restart(mut subject: impl Subject) {
    let mut journal = subject.up();
    for begin in 0..50 {
        fill(&mut journal, begin, 1);
    }
    snapshot(&mut journal);
    fill(&mut journal, 50, 50);
    snapshot(&mut journal);
    assert_eq!(journal.truncate(u64::MAX, 7).unwrap(), Progress::More);
    let mut journal = restart(&mut subject, journal);
    truncate(&mut journal, u64::MAX);
    restart(&mut subject, journal);
}

pub(crate) fn two_damaged_snapshots_are_refused_when_the_log_is_truncated(
    mut subject: impl Subject,
) {
    let mut journal = subject.up();
    with_two_snapshots(&mut journal);
    truncate(&mut journal, u64::MAX);
    drop(journal);
    subject.damage_newest_snapshot();
    subject.damage_newest_snapshot();
    for _ in 0..2 {
        let error = subject
            .start()
            .map(|_| ())
            .expect_err("groups 1 to 50 are nowhere");
        assert!(error.is_config(), "{error}");
    }
}

pub(crate) fn the_size_of_a_snapshot_is_that_of_what_lives(mut subject: impl Subject) {
    let mut journal = subject.up();
    fill(&mut journal, 0, 10);
    snapshot(&mut journal);
    let ten = journal.size().snapshot;
    fill(&mut journal, 0, 10);
    snapshot(&mut journal);
    assert_eq!(journal.size().snapshot, ten);
    journal
        .append(&(0..10).map(|n| Entry::delete(key(n))).collect())
        .unwrap();
    assert!(journal.size().log > 0);
    snapshot(&mut journal);
    assert_eq!(journal.size(), dormouse_store::Size::default());
}

pub(crate) fn a_stream_that_is_read_late_tells_what_was_when_it_was_loaded(
    mut subject: impl Subject,
) {
    let mut journal = subject.up();
    with_two_snapshots(&mut journal);
    let before = journal.load().unwrap().collect().unwrap();
    let loaded = journal.load().unwrap();
    fill(&mut journal, 0, 200);
    snapshot(&mut journal);
    snapshot(&mut journal);
    truncate(&mut journal, u64::MAX);
    assert_eq!(loaded.collect().unwrap(), before);
}

pub(crate) fn decoded_records_are_the_state_in_key_order(mut subject: impl Subject) {
    let mut journal = subject.up();
    with_two_snapshots(&mut journal);
    let state = journal.load().unwrap().collect().unwrap().state;
    let records = journal.load().unwrap().records;
    let mut decoded = records.decode(|| |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec()));
    let expected = state.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec()));
    assert!(decoded.by_ref().eq(expected));
    decoded.finish().unwrap();
}
