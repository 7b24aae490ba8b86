//! How much room things take while they wait, roughly, and whether a message may be dropped.
//!
//! What a user brings counts by its bytes, and everything else by a constant: a bound has to hold the order of
//! magnitude, and nothing is encoded to find it.

use super::outbox::Keep;
use dormouse_engine::Weigh;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::message::{CoordinatorMessage, Items, NodeMessage, Order, Reply};
use dormouse_engine::op::Op;
use dormouse_engine::timer::Run;

/// A message, an operation or a run without what its user brings.
const ITEM: usize = 512;
/// A name by number: a timer's, a run's, or both.
const NUMBER: usize = size_of::<(Uid, Token)>();

/// Bytes of an operation.
#[must_use]
pub fn op(op: &Op) -> usize {
    match op {
        Op::Create(new) => ITEM + new.payload.0.len(),
        _ => ITEM,
    }
}

/// Bytes of what a node says.
#[must_use]
pub fn from_node(message: &NodeMessage) -> usize {
    match message {
        NodeMessage::Report(report) => items(&report.items),
        NodeMessage::Forward { op: forwarded, .. } => op(forwarded),
        NodeMessage::Hello(_) | NodeMessage::Heartbeat(_) => ITEM,
    }
}

fn items(items: &Items) -> usize {
    let numbers = [
        items.gone.len(),
        items.handed.len(),
        items.outcomes.len(),
        items.accepted.len(),
        items.declined.len(),
        items.taken.len(),
    ];
    let numbers = numbers.iter().sum::<usize>() * NUMBER;
    let answers = all(items.answers.iter().map(|(_, answer)| answer));
    let past = all(items.past.iter().map(|(_, run)| run));
    ITEM + all(&items.changed) + numbers + answers + past
}

/// Bytes of what a coordinator says, and whether it may be dropped: the machine repeats its orders until they are
/// answered, and of the pulses the newest says everything.
#[must_use]
pub fn from_coordinator(message: &CoordinatorMessage) -> (Keep, usize) {
    match message {
        CoordinatorMessage::Order { order, .. } => (Keep::Repeated, of_order(order)),
        CoordinatorMessage::Pulse { .. } => (Keep::Newest, ITEM),
        CoordinatorMessage::Answer(answer) => (Keep::Once, ITEM + of_reply(&answer.reply)),
        CoordinatorMessage::Forwarded { answer, .. } => (Keep::Once, ITEM + answer.weight()),
        CoordinatorMessage::Welcome(_)
        | CoordinatorMessage::Rejected { .. }
        | CoordinatorMessage::Fenced { .. } => (Keep::Once, ITEM),
    }
}

fn of_reply(reply: &Reply) -> usize {
    match reply {
        Reply::Page(page) => all(&page.changed) + page.gone.len() * NUMBER,
        Reply::Resumed(resumed) => {
            let numbers = resumed.gone.len() + resumed.held.len();
            let pending: usize = resumed.pending.iter().map(|(_, change)| op(change)).sum();
            all(&resumed.changed) + numbers * NUMBER + pending
        }
        Reply::Noted
        | Reply::NotOwner
        | Reply::Parked { .. }
        | Reply::NotCovered { .. }
        | Reply::Gone => 0,
    }
}

fn of_order(order: &Order) -> usize {
    match order {
        Order::Due { runs } => ITEM + runs.iter().map(of_run).sum::<usize>(),
        Order::Give { timers, gone, .. } => ITEM + all(timers) + gone.len() * NUMBER,
        Order::Change { op: change, .. } => op(change),
        Order::Arm { .. } | Order::Release | Order::Wake | Order::Withdraw { .. } => ITEM,
    }
}

fn of_run(run: &Run) -> usize {
    ITEM + run.payload.0.len()
}

fn all<'a, T: Weigh + 'a>(items: impl IntoIterator<Item = &'a T>) -> usize {
    items.into_iter().map(Weigh::weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_engine::id::Session;
    use dormouse_engine::message::{Page, ReportAnswer};
    use dormouse_engine::time::{LogIndex, WallTime};

    fn answer(reply: Reply) -> CoordinatorMessage {
        CoordinatorMessage::Answer(ReportAnswer {
            session: Session(1),
            seq: 1,
            known: LogIndex::default(),
            clock: WallTime(0),
            reply,
            refused: Vec::new(),
        })
    }

    #[test]
    fn a_page_weighs_what_it_holds_and_is_said_once() {
        let (keep, empty) = from_coordinator(&answer(Reply::Page(Page::default())));
        let gone = vec![Uid::default(); 4_096];
        let page = Page {
            gone,
            ..Page::default()
        };
        let (_, full) = from_coordinator(&answer(Reply::Page(page)));
        assert_eq!(keep, Keep::Once);
        assert_eq!(full, empty + 4_096 * NUMBER);
    }

    #[test]
    fn a_report_weighs_what_it_holds() {
        let handed = vec![Uid::default(); 100];
        let accepted = vec![Token::default(); 10];
        let some = Items {
            handed,
            accepted,
            ..Items::default()
        };
        assert_eq!(items(&some), items(&Items::default()) + 110 * NUMBER);
    }
}
