//! The shelf against a model of trees, and its order against what must not be seen in it.

use super::*;
use crate::id::{NodeId, PoolId, TimerId};
use crate::planted::{self, Fault};
use crate::steps;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An entry that waits in up to two lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    uid: Uid,
    name: TimerName,
    waits: [Option<(u8, WallTime)>; 2],
    stored: bool,
}

impl Shelved for Card {
    type Queue = u8;
    const WALKED: bool = true;

    fn uid(&self) -> Uid {
        self.uid
    }

    fn name(&self) -> &TimerName {
        &self.name
    }

    fn waits(&self, lane: usize) -> Option<(u8, WallTime)> {
        self.waits[lane]
    }

    fn is_stored(&self) -> bool {
        self.stored
    }

    fn group(queue: &u8) -> Option<usize> {
        (*queue > 0).then_some(3)
    }
}

/// The same with trees and without care for cost.
#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<Uid, Card>,
    names: BTreeMap<TimerName, Uid>,
    written: BTreeMap<Uid, Card>,
}

impl Model {
    fn insert(&mut self, card: Card) {
        self.remove(card.uid);
        self.names.insert(card.name.clone(), card.uid);
        self.entries.insert(card.uid, card);
    }

    fn remove(&mut self, uid: Uid) -> Option<Card> {
        let card = self.entries.remove(&uid)?;
        if self.names.get(&card.name) == Some(&uid) {
            self.names.remove(&card.name);
        }
        Some(card)
    }

    fn queue(&self, lane: usize, queue: u8) -> Vec<(WallTime, Uid)> {
        let cards = self.entries.values();
        let waiting = cards.filter_map(|card| Some((card.waits[lane]?, card.uid)));
        let own = waiting.filter(|((key, _), _)| *key == queue);
        let mut own: Vec<_> = own.map(|((_, due), uid)| (due, uid)).collect();
        own.sort_unstable();
        own
    }

    fn page(&self, after: Option<&TimerName>) -> Vec<Uid> {
        let later = |name: &TimerName| after.is_none_or(|after| name > after);
        let names = self.names.iter().filter(|(name, _)| later(name));
        names.map(|(_, uid)| *uid).collect()
    }
}

/// Names that share beginnings, end where others go on, and are of several nodes or of none.
fn name(number: u8) -> TimerName {
    const TIMERS: [&str; 8] = ["a", "a-b", "a.b", "ab", "a0", "b", "0", "a-b-c"];
    const NODES: [Option<&str>; 4] = [None, Some("n"), Some("n1"), Some("n-1")];
    let node = NODES[usize::from(number) / TIMERS.len() % NODES.len()];
    TimerName::new(
        PoolId::new("default").unwrap(),
        node.map(|node| NodeId::new(node).unwrap()),
        TimerId::new(TIMERS[usize::from(number) % TIMERS.len()]).unwrap(),
    )
}

/// Identities that differ in their highest bits, in their lowest, or in both.
fn uid(number: u8) -> Uid {
    Uid(u128::from(number % 4) << 126 | u128::from(number / 4))
}

#[derive(Debug, Clone)]
enum Step {
    Insert(Card),
    Restore(Card),
    Change(Uid, [Option<(u8, WallTime)>; 2]),
    Remove(Uid),
    Page(Option<u8>),
    Turn,
}

fn some_waits() -> impl Strategy<Value = [Option<(u8, WallTime)>; 2]> {
    let due = prop_oneof![
        -3..3_i64,
        Just(i64::MIN),
        Just(i64::MAX),
        Just(400_000_000_000)
    ];
    let wait = proptest::option::of((0..3_u8, due.prop_map(WallTime)));
    [wait.clone(), wait]
}

fn some_card() -> impl Strategy<Value = Card> {
    let parts = (0..24_u8, 0..32_u8, some_waits(), any::<bool>());
    parts.prop_map(|(number, named, waits, stored)| Card {
        uid: uid(number),
        name: name(named),
        waits,
        stored,
    })
}

fn some_step() -> impl Strategy<Value = Step> {
    let some_uid = || (0..24_u8).prop_map(uid);
    prop_oneof![
        8 => some_card().prop_map(Step::Insert),
        1 => some_card().prop_map(Step::Restore),
        4 => (some_uid(), some_waits()).prop_map(|(uid, waits)| Step::Change(uid, waits)),
        6 => some_uid().prop_map(Step::Remove),
        1 => proptest::option::of(0..32_u8).prop_map(Step::Page),
        1 => Just(Step::Turn),
    ]
}

struct Both {
    shelf: Shelf<Card, 2>,
    model: Model,
}

impl Both {
    fn take(&mut self, step: Step) {
        match step {
            Step::Insert(card) => {
                // Whether an entry is stored never changes, and what is gone counts until it is written.
                let card = self.as_before(card);
                self.model.insert(card.clone());
                self.shelf.insert(card);
            }
            Step::Restore(card) => {
                let card = self.as_before(card);
                if !self.model.entries.contains_key(&card.uid) {
                    self.model.written.insert(card.uid, card.clone());
                    self.model.insert(card.clone());
                    self.shelf.restore(card);
                }
            }
            Step::Change(uid, waits) => {
                let known = self.model.entries.get_mut(&uid);
                let known = known.map(|card| card.waits = waits);
                let changed = self.shelf.change(uid, |card| card.waits = waits);
                assert_eq!(changed, known);
            }
            Step::Remove(uid) => assert_eq!(self.shelf.remove(uid), self.model.remove(uid)),
            Step::Page(after) => {
                let after = after.map(name);
                let page = self.shelf.page(after.as_ref()).map(|card| card.uid);
                assert_eq!(page.collect::<Vec<_>>(), self.model.page(after.as_ref()));
            }
            Step::Turn => self.end_turn(),
        }
    }

    fn as_before(&self, card: Card) -> Card {
        let known = self.model.written.get(&card.uid);
        let known = known.or_else(|| self.model.entries.get(&card.uid));
        let stored = known.map_or(card.stored, |known| known.stored);
        Card { stored, ..card }
    }

    /// What is said to be changed is all that differs from what was written, and nothing came and went.
    fn end_turn(&mut self) {
        let changed = self.shelf.take_changed();
        assert!(changed.is_sorted_by(|a, b| a < b));
        for uid in changed {
            match self.shelf.get(uid) {
                Some(card) => self.model.written.insert(uid, card.clone()),
                None => {
                    let card = self.model.written.remove(&uid);
                    assert!(card.is_some(), "what was never written is not taken back");
                    card
                }
            };
        }
        let stored = self.model.entries.values().filter(|card| card.stored);
        let written = self.model.written.values().filter(|card| card.stored);
        assert!(stored.eq(written));
    }

    fn compare(&mut self) {
        let (shelf, model) = (&mut self.shelf, &self.model);
        assert_eq!(shelf.len(), model.entries.len());
        assert!(shelf.by_uid().into_iter().eq(model.entries.values()));
        for number in 0..32 {
            let held = shelf.named(&name(number)).map(|card| card.uid);
            assert_eq!(held, model.names.get(&name(number)).copied());
        }
        for (lane, queue) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let own = model.queue(lane, queue);
            let queued = shelf.queue(lane, &queue).map(|(due, card)| (due, card.uid));
            assert_eq!(queued.collect::<Vec<_>>(), own);
            let first = shelf.first(lane, &queue).map(|(due, card)| (due, card.uid));
            assert_eq!(first, own.first().copied());
            assert_eq!(shelf.queue_len(lane, &queue), own.len());
            assert_eq!(shelf.queues(lane).any(|it| *it == queue), !own.is_empty());
        }
        // The queues 1 and 2 are a group.
        for lane in [0, 1] {
            let first = |queue| Some((model.queue(lane, queue).first()?.0, queue));
            let mut heads: Vec<(WallTime, u8)> = [1, 2].into_iter().filter_map(first).collect();
            heads.sort_unstable();
            assert!(shelf.heads(lane, 3).copied().eq(heads));
            assert_eq!(shelf.heads(lane, 0).count(), 0);
        }
        let page = shelf.page(None).map(|card| card.uid);
        assert_eq!(page.collect::<Vec<_>>(), model.page(None));
        for after in [None, Some(uid(5)), Some(Uid(1 << 127))] {
            let later = |card: &&Card| after.is_none_or(|after| card.uid > after);
            assert!(shelf.walk(after).eq(model.entries.values().filter(later)));
        }
        let stored = model.entries.values().filter(|card| card.stored);
        let stored = stored.map(|card| card.uid).collect::<Vec<_>>();
        assert_eq!(shelf.uids_of(|card| card.stored), stored);
    }
}

proptest! {
    #[test]
    fn a_shelf_tells_what_trees_would(steps in proptest::collection::vec(some_step(), 1..200)) {
        let mut both = Both { shelf: Shelf::default(), model: Model::default() };
        for step in steps {
            both.take(step);
        }
        both.end_turn();
        both.compare();
    }
}

fn card(number: u32, due: i64) -> Card {
    let name = format!("pools/default/timers/t{number}");
    Card {
        uid: Uid(number.into()),
        name: TimerName::parse(&name).unwrap(),
        waits: [Some((0, WallTime(due))), None],
        stored: false,
    }
}

/// Takes everything out of the first queue, as it falls due.
fn drain(shelf: &mut Shelf<Card, 2>) -> Vec<(WallTime, Uid)> {
    let mut drained = Vec::new();
    while let Some((due, card)) = shelf.first(0, &0) {
        let uid = card.uid;
        drained.push((due, uid));
        shelf.remove(uid);
    }
    drained
}

/// Whether the order is the same, whichever way ten thousand went in.
fn order_is_that_of_time_and_uid() -> bool {
    // A hundred instants of a hundred timers, so that most comparisons are between equal times.
    let cards: Vec<Card> = (0..10_000_u32)
        .map(|it| card(it, (it % 100).into()))
        .collect();
    let mut expected: Vec<_> = cards
        .iter()
        .map(|card| (card.waits[0].unwrap().1, card.uid))
        .collect();
    expected.sort_unstable();
    let (mut forwards, mut backwards) = (Shelf::default(), Shelf::default());
    for number in 0..cards.len() {
        forwards.insert(cards[number].clone());
        backwards.insert(cards[cards.len() - 1 - number].clone());
    }
    drain(&mut forwards) == expected && drain(&mut backwards) == expected
}

#[test]
fn ten_thousand_come_in_the_same_order_however_they_went_in() {
    assert!(order_is_that_of_time_and_uid());
    let seen = planted::with(Fault::OrderByArrival, order_is_that_of_time_and_uid);
    assert!(!seen, "an order of arrival is noticed");
}

/// Whether a page has everything, when some entries are in the tree and some wait at the tail.
fn page_is_whole() -> bool {
    // More than wait at the tail, so that some are in the tree and some are not.
    let mut shelf: Shelf<Card, 2> = Shelf::default();
    for number in 0..5_000 {
        shelf.insert(card(number, 0));
    }
    for number in (0..5_000_u32).step_by(3) {
        shelf.remove(Uid(number.into()));
    }
    let mut expected: Vec<u32> = (0..5_000).filter(|number| number % 3 != 0).collect();
    expected.sort_unstable_by_key(ToString::to_string);
    let after = card(2_500, 0).name;
    let from = expected.partition_point(|number| number.to_string().as_str() <= "2500");
    let page = shelf.page(Some(&after)).map(|card| card.uid);
    let expected: Vec<Uid> = expected[from..]
        .iter()
        .map(|it| Uid((*it).into()))
        .collect();
    let whole = page.collect::<Vec<_>>() == expected;
    let own = shelf.page_from(&card(2_501, 0).name).next();
    whole && own.map(|card| card.uid) == Some(Uid(2_501))
}

#[test]
fn a_page_has_what_was_made_just_now_and_what_was_made_long_ago() {
    assert!(page_is_whole());
    let seen = planted::with(Fault::ForgetTheTail, page_is_whole);
    assert!(!seen, "a page without the newest is noticed");
}

#[test]
fn what_is_restored_is_in_order_as_what_was_put_in() {
    let mut restored: Shelf<Card, 2> = Shelf::default();
    let mut put_in: Shelf<Card, 2> = Shelf::default();
    for number in 0..3_000_u32 {
        let number = number.wrapping_mul(2_654_435_761);
        restored.restore(card(number, 0));
        put_in.insert(card(number, 0));
    }
    restored.order_names();
    let page = restored.page(None).map(|card| card.uid);
    let page: Vec<Uid> = page.collect();
    assert!(page.into_iter().eq(put_in.page(None).map(|card| card.uid)));
    assert!(restored.take_changed().is_empty());
}

/// Steps of each operation with this many entries.
fn steps_with(entries: u32) -> [u64; 5] {
    let mut shelf: Shelf<Card, 2> = Shelf::default();
    for number in 0..entries {
        // Half of them are due at one instant.
        shelf.insert(card(number, i64::from(number % 2 * number)));
    }
    shelf.order_names();
    let of = |run: &mut dyn FnMut()| steps::counted(run).1;
    let middle = Uid(u128::from(entries / 2));
    let create_and_cancel = of(&mut || {
        shelf.insert(card(entries, 5));
        shelf.remove(Uid(entries.into()));
    });
    let rearm = of(&mut || {
        shelf.change(middle, |card| card.waits[0] = Some((0, WallTime(-1))));
    });
    let first = of(&mut || {
        let uid = shelf.first(0, &0).map(|(_, card)| card.uid);
        shelf.remove(uid.unwrap());
    });
    let queue = of(&mut || assert_eq!(shelf.queue(0, &0).take(10).count(), 10));
    let page = of(&mut || {
        let after = card(entries / 3, 0).name;
        assert_eq!(shelf.page(Some(&after)).take(10).count(), 10);
    });
    [create_and_cancel, rearm, first, queue, page]
}

#[test]
fn no_operation_visits_more_entries_than_a_logarithm() {
    let (few, many) = (steps_with(100), steps_with(100_000));
    for (few, many) in few.into_iter().zip(many) {
        assert!(many <= 4 * few + 60, "{many} of 100,000, {few} of 100");
    }
}

#[test]
fn what_comes_and_goes_in_a_turn_leaves_no_trace() {
    let stored = |number| Card {
        stored: true,
        ..card(number, 0)
    };
    let mut shelf: Shelf<Card, 2> = Shelf::default();
    shelf.insert(stored(1));
    shelf.insert(stored(2));
    shelf.remove(Uid(1));
    assert_eq!(shelf.take_changed(), vec![Uid(2)]);
    shelf.remove(Uid(2));
    shelf.insert(stored(2));
    shelf.remove(Uid(2));
    assert_eq!(shelf.take_changed(), vec![Uid(2)], "it is in the journal");
    assert!(shelf.take_changed().is_empty());
}

#[test]
fn what_is_known_of_a_slot_beside_its_entry_is_no_larger_than_it_was() {
    assert!(size_of::<Mark>() <= 12, "{}", size_of::<Mark>());
}

/// An entry that is found by its name or not.
#[derive(Debug)]
struct Tag(Card, bool);

impl Shelved for Tag {
    type Queue = u8;

    fn uid(&self) -> Uid {
        self.0.uid
    }

    fn name(&self) -> &TimerName {
        &self.0.name
    }

    fn waits(&self, lane: usize) -> Option<(u8, WallTime)> {
        self.0.waits[lane]
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn is_named(&self) -> bool {
        self.1
    }
}

#[test]
fn what_has_no_name_for_now_is_in_no_page_and_takes_nobody_the_name() {
    let of = |uid, named| {
        Tag(
            Card {
                uid: Uid(uid),
                ..card(7, 0)
            },
            named,
        )
    };
    let listed = |shelf: &Shelf<Tag>| shelf.ordered(None).map(Tag::uid).collect::<Vec<_>>();
    let mut shelf: Shelf<Tag> = Shelf::default();
    shelf.insert(of(1, true));
    shelf.insert(of(2, false));
    shelf.order_names();
    let name = card(7, 0).name;
    assert_eq!(shelf.named(&name).map(Tag::uid), Some(Uid(1)));
    assert_eq!((shelf.len(), listed(&shelf)), (2, vec![Uid(1)]));
    shelf.change(Uid(2), |tag| tag.1 = true);
    shelf.order_names();
    assert_eq!(listed(&shelf), [Uid(2)], "it came last");
    shelf.change(Uid(2), |tag| tag.1 = false);
    assert!(shelf.named(&name).is_none() && listed(&shelf).is_empty());
    assert!(shelf.is_unwritten(Uid(2)));
    shelf.take_changed();
    assert!(!shelf.is_unwritten(Uid(2)));
}
