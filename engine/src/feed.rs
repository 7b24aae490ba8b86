//! What has changed, in order, for those who watch: soft state, bounded.
//!
//! An event says that a timer has changed, and is told with the timer as it is when it is read: who is slow misses
//! no state, only steps between. Who asks for more than is kept has to begin anew.

use crate::id::{TimerName, Uid};
use crate::op::{Event, News};
use crate::page::{Room, Weigh};
use crate::time::WallTime;
use crate::timer::{RunRecord, Timer};
use std::collections::{BTreeSet, VecDeque};

/// So many events are kept.
const KEPT_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// The number of the newest event.
    newest: u64,
    kept: VecDeque<Item>,
}

#[derive(Debug)]
enum Item {
    Timer(Uid),
    Removed(TimerName),
    Run(TimerName, Box<RunRecord>),
}

impl Feed {
    /// Numbers that no earlier life of this machine has used.
    pub(crate) fn starting(now: WallTime) -> Self {
        Self {
            newest: now.0.unsigned_abs() << 16,
            kept: VecDeque::new(),
        }
    }

    pub(crate) fn changed(&mut self, uid: Uid) {
        self.push(Item::Timer(uid));
    }

    pub(crate) fn removed(&mut self, name: TimerName) {
        self.push(Item::Removed(name));
    }

    pub(crate) fn ran(&mut self, name: TimerName, run: RunRecord) {
        self.push(Item::Run(name, Box::new(run)));
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    fn push(&mut self, item: Item) {
        self.newest += 1;
        self.kept.push_back(item);
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
    }

    /// What has changed after `after`; if that is not known any more, only where to begin.
    pub(crate) fn read<'a>(
        &self,
        after: Option<u64>,
        limit: usize,
        look: impl Fn(Uid) -> Option<&'a Timer>,
    ) -> News {
        let oldest = self.newest - self.kept.len() as u64;
        let Some(after) = after.filter(|after| (oldest..=self.newest).contains(after)) else {
            return News {
                reset: true,
                events: Vec::new(),
                upto: self.newest,
                more: false,
            };
        };
        let skipped = usize::try_from(after - oldest).unwrap_or(usize::MAX);
        let kept = self.kept.iter().skip(skipped);
        let items = fitting(kept, limit, &look);
        let upto = after + items.len() as u64;
        // Of several changes of a timer only the last is told: they would look the same.
        let mut seen = BTreeSet::new();
        let numbered = (after + 1..).zip(items).collect::<Vec<_>>();
        let numbered = numbered.into_iter().rev();
        let mut events: Vec<(u64, Event)> = numbered
            .filter_map(|(number, item)| {
                let event = match item {
                    Item::Timer(uid) if seen.insert(*uid) => {
                        Event::Timer(Box::new(look(*uid)?.clone()))
                    }
                    Item::Timer(_) => return None,
                    Item::Removed(name) => Event::Removed(name.clone()),
                    Item::Run(name, run) => Event::Run(name.clone(), run.clone()),
                };
                Some((number, event))
            })
            .collect();
        events.reverse();
        News {
            reset: false,
            events,
            upto,
            more: upto < self.newest,
        }
    }
}

/// The events that fit on one page; a timer counts once.
fn fitting<'a, 'b>(
    events: impl Iterator<Item = &'b Item>,
    limit: usize,
    look: impl Fn(Uid) -> Option<&'a Timer>,
) -> Vec<&'b Item> {
    let mut room = Room::new(limit);
    let mut counted = BTreeSet::new();
    let fits = |item: &&Item| {
        room.take(match item {
            Item::Timer(uid) if counted.insert(*uid) => look(*uid).map_or(0, Weigh::weight),
            Item::Timer(_) | Item::Removed(_) => 0,
            Item::Run(_, run) => run.weight(),
        })
    };
    events.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> TimerName {
        TimerName::parse(&format!("pools/default/timers/t{number}")).unwrap()
    }

    fn numbers(news: &News) -> Vec<u64> {
        news.events.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn who_begins_is_told_where() {
        let feed = Feed::starting(WallTime(5));
        let news = feed.read(None, 10, |_| None);
        assert_eq!((news.reset, news.upto), (true, 5 << 16));
        assert!(feed.read(Some(4 << 16), 10, |_| None).reset);
    }

    #[test]
    fn pages_go_on_where_they_ended() {
        let mut feed = Feed::default();
        for number in 1..=5 {
            feed.removed(name(number));
        }
        let first = feed.read(Some(0), 3, |_| None);
        assert_eq!((numbers(&first), first.more), (vec![1, 2, 3], true));
        let second = feed.read(Some(first.upto), 3, |_| None);
        assert_eq!((numbers(&second), second.more), (vec![4, 5], false));
        assert!(numbers(&feed.read(Some(5), 3, |_| None)).is_empty());
    }

    #[test]
    fn who_is_too_slow_begins_anew() {
        let mut feed = Feed::default();
        for number in 0..=KEPT_MAX as u64 {
            feed.removed(name(number));
        }
        assert!(feed.read(Some(0), 3, |_| None).reset);
        assert!(!feed.read(Some(1), 3, |_| None).reset);
    }
}
