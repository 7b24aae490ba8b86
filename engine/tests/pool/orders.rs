//! Orders are said under credit, many in a message, and again until they are answered.

use crate::stage::{Answered, Stage, capacity, different, node};
use dormouse_engine::message::Act;
use dormouse_engine::planted::{self, Fault};

/// What is in flight to one node at most.
const CREDIT: usize = 1_024;

/// A node with `places` and this many timers due.
fn busy(places: u32, timers: usize) -> Stage {
    let mut stage = Stage::new();
    stage.join("n", "h", places);
    stage.create("h", timers);
    stage.pass(1);
    stage.settle();
    stage
}

fn ordered(stage: &Stage) -> usize {
    stage.nodes[&node("n")].due.len()
}

#[test]
fn only_what_there_is_credit_for_is_in_flight_and_the_rest_follows_the_answers() {
    let mut stage = busy(5_000, 5_000);
    assert_eq!(ordered(&stage), CREDIT);
    let longest = stage.nodes[&node("n")].messages.iter().max();
    assert!(longest.is_some_and(|runs| *runs > 100), "many in a message");
    let mut done = 0;
    while done < 5_000 {
        let heard = stage.answer("n", |_| Answered::Done);
        assert!((1..=CREDIT).contains(&heard));
        done += heard;
        stage.settle();
    }
    assert_eq!(stage.nodes[&node("n")].due.len(), 0);
    assert!(stage.pool.ledger().entries().all(|it| it.timer.is_over()));
}

#[test]
fn without_credit_everything_is_said_at_once() {
    planted::with(Fault::OrderWithoutCredit, || {
        assert_eq!(ordered(&busy(5_000, 5_000)), 5_000);
    });
}

#[test]
fn what_is_not_answered_is_said_again_in_one_message_and_ever_later() {
    let mut stage = busy(10, 10);
    let mut again = Vec::new();
    for second in 1..=20 {
        let before = stage.nodes[&node("n")].messages.len();
        stage.pass(1_000);
        stage.beat("n");
        let said = stage.nodes[&node("n")].messages.len() - before;
        assert!(said <= 1, "all of it in one message");
        again.extend((said == 1).then_some(second));
    }
    assert_eq!(again, [1, 3, 7, 15]);
    assert_eq!(different(&stage.nodes[&node("n")].due), 10);
}

#[test]
fn what_a_node_has_accepted_is_not_said_again_on_its_link() {
    let mut stage = busy(10, 10);
    stage.answer("n", |_| Answered::Accepted);
    for _ in 0..20 {
        stage.pass(1_000);
        stage.beat("n");
    }
    assert_eq!(ordered(&stage), 0);
}

#[test]
fn a_node_that_comes_back_is_told_under_credit_what_it_has_not_answered() {
    let mut stage = busy(3_000, 3_000);
    stage.answer("n", |_| Answered::Accepted);
    stage.settle();
    stage.restart();
    stage.nodes.get_mut(&node("n")).unwrap().due.clear();
    stage.connect("n");
    stage.settle();
    let mut done = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let due = &stage.nodes[&node("n")].due;
        assert!(due.len() <= CREDIT);
        done.extend(due.iter().map(|run| run.uid));
        stage.answer("n", |_| Answered::Done);
        stage.settle();
    }
    assert_eq!(done.len(), 3_000);
    assert!(stage.pool.ledger().entries().all(|it| it.timer.is_over()));
}

#[test]
fn a_run_that_was_cancelled_before_there_was_credit_is_not_ordered() {
    use dormouse_engine::op::{Change, Op};
    use dormouse_engine::pool::Input;
    let mut stage = busy(2_000, 2_000);
    let names = stage
        .pool
        .ledger()
        .entries()
        .map(|it| it.timer.name.clone());
    let cancels = names
        .collect::<Vec<_>>()
        .into_iter()
        .map(|name| Input::Asked {
            ask: 0,
            op: Op::Change {
                name,
                request: 0,
                change: Change::Cancel,
            },
        });
    let cancels = cancels.collect();
    stage.turn(cancels);
    stage.answer("n", |_| Answered::Accepted);
    stage.settle();
    assert_eq!(ordered(&stage), 0);
}

#[test]
fn what_was_declined_goes_where_there_is_room() {
    let mut stage = busy(5, 5);
    stage.join("m", "h", 100);
    let tokens: Vec<_> = stage.nodes[&node("n")]
        .due
        .iter()
        .map(|run| run.token)
        .collect();
    let mut items = capacity("other", 1);
    items.capacity = None;
    items.declined = tokens;
    stage.report("n", Act::Stay, items);
    stage.settle();
    assert_eq!(stage.nodes[&node("m")].due.len(), 5);
}
