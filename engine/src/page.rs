//! Pages: how much of what is asked for goes into one answer.
//!
//! A page has at most [`ITEMS_MAX`] items and [`BYTES_MAX`] bytes, and at least one item if there is one, so that
//! paging always goes on. It is cut while the items are visited: nothing beyond the first item that does not fit is.

use crate::id::TimerName;
use crate::message::MessageLimits;
use crate::op::Answer;
use crate::steps;
use crate::timer::{RunRecord, Timer};
use std::cmp::Ordering;

/// The most items that one page of an answer has.
pub(crate) const ITEMS_MAX: u32 = 1_000;

/// The most bytes that the items of one page take, as far as [`Weigh`] can tell.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// What a timer takes on the wire beside what its user brings, at most.
const TIMER_BYTES: usize = 512;
/// What a run takes on the wire beside its reason, at most.
const RUN_BYTES: usize = 256;
/// What an identity takes on the wire, at most.
pub(crate) const UID_BYTES: usize = 20;
/// What a line of a timer takes on the wire, at most.
const LINE_BYTES: usize = 64;

/// How many items a page has at most, when this many are asked for.
pub(crate) fn limit(asked: u32) -> usize {
    usize::try_from(asked.clamp(1, ITEMS_MAX)).unwrap_or(1)
}

/// What takes room on a page, in a message and in a queue.
pub trait Weigh {
    /// Roughly its bytes on the wire, rather too many than too few.
    fn weight(&self) -> usize;
}

impl Weigh for Timer {
    fn weight(&self) -> usize {
        let spec = &self.spec;
        let labels = spec.labels.iter();
        let labels: usize = labels.map(|(key, value)| key.len() + value.len() + 8).sum();
        let lines = (self.beside.len() + self.requests.len()) * LINE_BYTES;
        let texts = spec.content_type.len() + spec.target.weight() + labels;
        TIMER_BYTES + spec.payload.0.len() + texts + lines
    }
}

impl Weigh for RunRecord {
    fn weight(&self) -> usize {
        RUN_BYTES + self.reason.len()
    }
}

impl Weigh for Answer {
    fn weight(&self) -> usize {
        match self {
            Self::Timer(timer) => timer.weight(),
            Self::List { timers, .. } => timers.iter().map(Weigh::weight).sum(),
            Self::Runs { runs, .. } => RUN_BYTES * runs.len(),
            Self::Dead { letters, .. } => RUN_BYTES * letters.len(),
            Self::News(news) => RUN_BYTES * news.events.len(),
            Self::Cancelled(_)
            | Self::Run(_)
            | Self::Done
            | Self::Pending
            | Self::Restored(_)
            | Self::Activity { .. }
            | Self::Refused(_) => RUN_BYTES,
        }
    }
}

impl<T: Weigh> Weigh for &T {
    fn weight(&self) -> usize {
        T::weight(self)
    }
}

impl<T: Weigh> Weigh for (&TimerName, T) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

impl<T: Weigh> Weigh for (TimerName, T) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

/// Whether another item fits on a page.
#[derive(Debug)]
pub(crate) struct Room {
    items: usize,
    bytes: usize,
    empty: bool,
}

impl Room {
    /// An empty page of at most `limit` items.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            items: limit.max(1),
            bytes: BYTES_MAX,
            empty: true,
        }
    }

    /// An empty message between a node and its coordinator.
    pub(crate) fn of_message(limits: MessageLimits) -> Self {
        Self {
            bytes: limits.bytes,
            ..Self::new(limits.items)
        }
    }

    /// Takes the room that an item needs. The first one always fits.
    pub(crate) fn take(&mut self, weight: usize) -> bool {
        let fits = self.items > 0 && weight <= self.bytes || self.empty;
        if fits {
            self.empty = false;
            self.items -= 1;
            self.bytes = self.bytes.saturating_sub(weight);
        }
        fits
    }
}

/// The first page of these items, and whether there are more. Visits the items of the page and one more.
pub(crate) fn cut<T: Weigh>(limit: usize, items: impl Iterator<Item = T>) -> (Vec<T>, bool) {
    let mut room = Room::new(limit);
    let mut page = Vec::new();
    for item in items {
        steps::visit();
        if !room.take(item.weight()) {
            return (page, true);
        }
        page.push(item);
    }
    (page, false)
}

/// Two sequences, each in ascending order, as one; of two equal items only the first sequence's.
pub(crate) fn merge<T>(
    first: impl Iterator<Item = T>,
    second: impl Iterator<Item = T>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> impl Iterator<Item = T> {
    let mut first = first.peekable();
    let mut second = second.peekable();
    std::iter::from_fn(move || {
        while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
            match compare(a, b) {
                Ordering::Less => return first.next(),
                Ordering::Greater => return second.next(),
                Ordering::Equal => drop(second.next()),
            }
        }
        first.next().or_else(|| second.next())
    })
}

/// Items in ascending order, and whether there are more behind them.
pub(crate) type Page<T> = (Vec<T>, bool);

/// Two pages of one question as one; of two equal items only the first page's.
///
/// A page may have been cut by bytes, so that it ends early: what the other has beyond that end waits for the next
/// page, since something between may be missing here.
pub(crate) fn join<T: Weigh + Clone>(
    limit: usize,
    first: Page<T>,
    second: Page<T>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Page<T> {
    let more = first.1 || second.1;
    let end = |page: &Page<T>| page.0.last().filter(|_| page.1).cloned();
    let ends = [end(&first), end(&second)];
    let known = |item: &T| {
        let mut ends = ends.iter().flatten();
        ends.all(|end| compare(item, end) != Ordering::Greater)
    };
    let all = merge(first.0.into_iter(), second.0.into_iter(), &compare);
    let (page, left) = cut(limit, all.take_while(known));
    (page, more || left)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn a_page_is_cut_by_items_and_by_bytes_and_holds_one_at_least() {
        let half = BYTES_MAX / 2;
        assert_eq!(cut(2, [1, 1, 1].into_iter()), (vec![1, 1], true));
        assert_eq!(cut(3, [1, 1, 1].into_iter()), (vec![1, 1, 1], false));
        let halves = cut(9, [half, half, 1].into_iter());
        assert_eq!(halves, (vec![half, half], true));
        let large = 2 * BYTES_MAX;
        assert_eq!(cut(9, [large, 1].into_iter()), (vec![large], true));
        assert_eq!(cut(9, [1, large].into_iter()), (vec![1], true));
        assert_eq!(cut::<usize>(9, std::iter::empty()), (vec![], false));
    }

    #[test]
    fn a_page_visits_its_items_and_one_more() {
        let mut visited = 0;
        let items = (0..1_000_000_usize).inspect(|_| visited += 1).map(|_| 1);
        assert_eq!(cut(10, items).0.len(), 10);
        assert_eq!(visited, 11);
    }

    #[test]
    fn two_sequences_are_one_and_the_first_counts() {
        let merged = merge(
            [(1, 'a'), (3, 'a'), (4, 'a')].into_iter(),
            [(1, 'b'), (2, 'b'), (5, 'b')].into_iter(),
            |(a, _), (b, _)| a.cmp(b),
        );
        let merged: Vec<_> = merged.collect();
        assert_eq!(
            merged,
            vec![(1, 'a'), (2, 'b'), (3, 'a'), (4, 'a'), (5, 'b')]
        );
    }

    #[test]
    fn what_a_page_that_was_cut_may_lack_waits_for_the_next() {
        let joined = |first, second| join(9, first, second, usize::cmp);
        let whole = joined((vec![1, 4], false), (vec![2, 3], false));
        assert_eq!(whole, (vec![1, 2, 3, 4], false));
        let early = joined((vec![1, 2], true), (vec![3, 4], false));
        assert_eq!(early, (vec![1, 2], true));
        let both = joined((vec![1, 4], true), (vec![2, 3], true));
        assert_eq!(both, (vec![1, 2, 3], true));
    }
}
