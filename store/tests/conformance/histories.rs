//! Random histories with restarts in between, against a plain map.
//!
//! After every step, also in the middle of a snapshot or of a truncation, the journal must hold exactly what the
//! map holds, and so must a start after the last one. Nothing is ever expected to be refused here.

use crate::subject::{InMemory, OnDisk, Subject};
use dormouse_store::{Entry, Folded, Group, Journal, Progress};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Vec<(u8, Option<u16>)>>),
    Snapshot { budget: usize },
    Truncate { position: u64, budget: usize },
    DamageNewestAndRestart,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let entry = (
        0..24_u8,
        prop::option::weighted(0.7, prop_oneof![0..60_u16, 6_000..18_000_u16]),
    );
    let append = vec(vec(entry, 0..5), 0..4).prop_map(Step::Append);
    prop_oneof![
        8 => append,
        6 => (1..2_000_usize).prop_map(|budget| Step::Snapshot { budget }),
        3 => (prop_oneof![0..40_u64, Just(u64::MAX)], 1..20_usize)
            .prop_map(|(position, budget)| Step::Truncate { position, budget }),
        2 => Just(Step::Restart),
        1 => Just(Step::DamageNewestAndRestart),
    ]
}

fn group(entries: &[(u8, Option<u16>)], salt: u64) -> Group {
    let entry = |(key, length): &(u8, Option<u16>)| match length {
        Some(length) => Entry::put(vec![*key], vec![salt as u8; usize::from(*length)]),
        None => Entry::delete(vec![*key]),
    };
    entries.iter().map(entry).collect()
}

fn apply(model: &mut Folded, group: &Group) {
    model.position += 1;
    for entry in group {
        match &entry.value {
            Some(value) => model.state.insert(entry.key.clone(), value.clone()),
            None => model.state.remove(&entry.key),
        };
    }
}

fn agrees_with_a_map<S: Subject>(mut subject: S, steps: &[Step]) {
    let mut model = Folded::default();
    // How many snapshots are published and whole is not visible through the seam: counted here.
    let mut snapshots = 0;
    let mut journal = Some(subject.up());
    for step in steps {
        let mut up = journal.take().expect("it is running");
        match step {
            Step::Append(groups) => {
                let groups: Vec<Group> = groups
                    .iter()
                    .zip(model.position..)
                    .map(|(g, salt)| group(g, salt))
                    .collect();
                groups.iter().for_each(|group| apply(&mut model, group));
                assert_eq!(up.append_all(&groups).unwrap(), model.position);
            }
            Step::Snapshot { budget } => {
                let before = up.size().log;
                // An odd budget leaves the rest to another thread, whatever comes next.
                while up.snapshot(*budget).unwrap() == Progress::Waiting && budget % 2 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                snapshots += usize::from(up.size().log < before);
            }
            Step::Truncate { position, budget } => drop(up.truncate(*position, *budget).unwrap()),
            Step::DamageNewestAndRestart if snapshots >= 2 => {
                drop(up);
                subject.damage_newest_snapshot();
                // The fallback may leave one only; it takes two more to damage the newest again.
                snapshots = 0;
                up = subject.up();
            }
            Step::Restart | Step::DamageNewestAndRestart => {
                drop(up);
                up = subject.up();
            }
        }
        assert_eq!(up.load().unwrap().collect().unwrap(), model);
        journal = Some(up);
    }
    drop(journal);
    assert_eq!(subject.up().load().unwrap().collect().unwrap(), model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_in_memory_agrees_with_a_map(steps in vec(step(), 1..80)) {
        agrees_with_a_map(InMemory::default(), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_on_disk_agrees_with_a_map(steps in vec(step(), 1..80)) {
        agrees_with_a_map(OnDisk::new(), &steps);
    }
}
