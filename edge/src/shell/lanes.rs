//! Lanes: what waits for a machine, in order of how much others depend on it.
//!
//! Leases and session control come first, all of them: no lease may end in a turn that left its renewal unread, and
//! there is at most one of each session. The rest shares at least half of a turn by weight, so that no lane is left with
//! nothing. Within a lane the order of arrival holds. A lane has a bound: what finds it full, or finds that those
//! before it wait too long already, is refused at once. There is no clock and no lock here; who waits for what is
//! the program's affair.

use dormouse_engine::op::{Change, Op};
use dormouse_engine::time::{BootTime, Millis};
use std::collections::VecDeque;

/// Which lane something waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Leases, and sessions that begin and end: without these a node stops firing.
    Lease,
    /// What nodes report: outcomes, parks, what they took.
    Report,
    /// What ends timers: it makes room.
    Cancel,
    /// What makes or changes timers.
    Create,
    /// What only looks.
    Read,
}

/// How the lanes behind the first share a turn, in sixteenths.
const SHARES: [(Lane, usize); 4] = [
    (Lane::Report, 8),
    (Lane::Cancel, 4),
    (Lane::Create, 3),
    (Lane::Read, 1),
];
const LANES: usize = 1 + SHARES.len();

/// What one item costs besides its bytes.
const ITEM_COST: usize = 256;
/// What a lane with one sixteenth may cost in one round.
const ROUND: usize = 1024;

/// The most that one turn is told. A single item may be larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Items.
    pub items: usize,
    /// Bytes, with 256 for each item.
    pub cost: usize,
}

/// A turn of a few milliseconds.
pub const TURN: Budget = Budget {
    items: 1_024,
    cost: 1 << 20,
};

/// The most that waits in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Items.
    pub items: usize,
    /// Bytes, with 256 for each item.
    pub cost: usize,
}

/// Those before it wait longer than this,
const DELAY_MAX: Millis = Millis(50);
/// and have for this long: then what comes is refused.
const DELAY_FOR: Millis = Millis(100);
/// For this long after a refusal the next one follows without that patience: else every time that a queue has drained
/// a whole burst would get in.
const WARY_FOR: Millis = Millis(1_000);

/// There is no room; nothing was done with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// What waits, by lane.
#[derive(Debug)]
pub struct Lanes<T> {
    queues: [Queue<T>; LANES],
    bounds: Bounds,
    /// Whose round it is among the shared lanes.
    turn_of: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    cost: usize,
    /// What it may still cost in this round.
    credit: usize,
    /// Since when its first waits too long.
    slow_since: Option<BootTime>,
    /// When something was refused last because of that.
    refused: Option<BootTime>,
}

#[derive(Debug)]
struct Waiting<T> {
    since: BootTime,
    cost: usize,
    item: T,
}

impl Lane {
    /// The lane of an operation.
    #[must_use]
    pub const fn of(op: &Op) -> Self {
        match op {
            Op::Activity { .. } => Self::Report,
            Op::Change {
                change: Change::Cancel,
                ..
            } => Self::Cancel,
            Op::Create(_) | Op::Change { .. } => Self::Create,
            Op::Look { .. }
            | Op::List { .. }
            | Op::Kept { .. }
            | Op::Runs { .. }
            | Op::Dead { .. }
            | Op::News { .. } => Self::Read,
        }
    }

    /// Whether those who ask in it are refused when it is slow: they can ask again, and nobody else waits for them.
    const fn is_refused_when_slow(self) -> bool {
        matches!(self, Self::Create | Self::Read)
    }
}

impl<T> Lanes<T> {
    /// Empty lanes, each with these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            queues: std::array::from_fn(|_| Queue {
                waiting: VecDeque::new(),
                cost: 0,
                credit: 0,
                slow_since: None,
                refused: None,
            }),
            bounds,
            turn_of: 0,
        }
    }

    /// Puts an item of so many bytes at the end of a lane.
    ///
    /// # Errors
    /// [`Full`] gives it back.
    pub fn push(
        &mut self,
        now: BootTime,
        lane: Lane,
        bytes: usize,
        item: T,
    ) -> Result<(), Full<T>> {
        let cost = bytes + ITEM_COST;
        let bounds = self.bounds;
        let queue = &mut self.queues[lane as usize];
        let has_room =
            queue.waiting.len() < bounds.items && queue.cost.saturating_add(cost) <= bounds.cost;
        let is_slow = lane.is_refused_when_slow() && queue.is_slow(now);
        if !has_room || is_slow {
            return Err(Full(item));
        }
        queue.push(now, cost, item);
        Ok(())
    }

    /// Puts an item at the end of a lane whose bound is kept by others, such as one message of each session.
    pub fn push_always(&mut self, now: BootTime, lane: Lane, item: T) {
        self.queues[lane as usize].push(now, ITEM_COST, item);
    }

    /// How many wait in a lane.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> usize {
        self.queues[lane as usize].waiting.len()
    }

    /// Whether nothing waits but what is in `held`.
    #[must_use]
    pub fn is_empty_but(&self, held: Option<Lane>) -> bool {
        let mut lanes = self.queues.iter().enumerate();
        lanes.all(|(lane, queue)| {
            queue.waiting.is_empty() || held.is_some_and(|it| it as usize == lane)
        })
    }

    /// Takes what one turn may be told: all leases, then the shares; nothing from the lane that is held.
    pub fn take(&mut self, now: BootTime, budget: Budget, held: Option<Lane>) -> Vec<T> {
        let leases = &mut self.queues[Lane::Lease as usize];
        leases.cost = 0;
        let items: Vec<T> = leases.waiting.drain(..).map(|it| it.item).collect();
        let left = Budget {
            items: budget.items.saturating_sub(items.len()),
            ..budget
        };
        let mut taken = Taken {
            left: Budget {
                items: left.items.max(budget.items.div_ceil(2)),
                ..left
            },
            items,
        };
        self.take_shares(&mut taken, held);
        for queue in &mut self.queues {
            queue.note_delay(now);
        }
        taken.items
    }

    /// Deficit round robin: each round a lane gets credit by its share, and what it does not use while it has
    /// something waiting is kept for the next.
    fn take_shares(&mut self, taken: &mut Taken<T>, held: Option<Lane>) {
        let mut idle = 0;
        while taken.has_room() && idle < SHARES.len() {
            let (lane, share) = SHARES[self.turn_of];
            let queue = &mut self.queues[lane as usize];
            if queue.waiting.is_empty() || held == Some(lane) {
                queue.credit = 0;
                idle += 1;
            } else {
                idle = 0;
                queue.credit += share * ROUND;
                while taken.has_room() && queue.first_costs().is_some_and(|it| it <= queue.credit) {
                    queue.credit -= queue.first_costs().unwrap_or_default();
                    taken.pop(queue);
                }
            }
            self.turn_of = (self.turn_of + 1) % SHARES.len();
        }
    }
}

impl<T> Queue<T> {
    fn push(&mut self, now: BootTime, cost: usize, item: T) {
        self.cost += cost;
        self.waiting.push_back(Waiting {
            since: now,
            cost,
            item,
        });
    }

    fn first_costs(&self) -> Option<usize> {
        self.waiting.front().map(|first| first.cost)
    }

    /// Notes since when the first waits too long.
    fn note_delay(&mut self, now: BootTime) {
        match self.is_late(now) {
            true => drop(self.slow_since.get_or_insert(now)),
            false => self.slow_since = None,
        }
    }

    fn is_late(&self, now: BootTime) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|first| now.since(first.since) > DELAY_MAX)
    }

    /// Whether what comes now is refused because those before it wait too long.
    fn is_slow(&mut self, now: BootTime) -> bool {
        self.note_delay(now);
        let Some(since) = self.slow_since else {
            return false;
        };
        let is_wary = self.refused.is_some_and(|it| now.since(it) < WARY_FOR);
        let is_slow = is_wary || now.since(since) > DELAY_FOR;
        if is_slow {
            self.refused = Some(now);
        }
        is_slow
    }
}

/// What a turn takes, and what it may still take.
struct Taken<T> {
    items: Vec<T>,
    left: Budget,
}

impl<T> Taken<T> {
    const fn has_room(&self) -> bool {
        self.left.items > 0 && self.left.cost > 0
    }

    /// Takes the first of a queue, if there is one.
    fn pop(&mut self, queue: &mut Queue<T>) {
        let Some(first) = queue.waiting.pop_front() else {
            return;
        };
        queue.cost -= first.cost;
        self.left.items -= 1;
        self.left.cost = self.left.cost.saturating_sub(first.cost);
        self.items.push(first.item);
    }
}

#[cfg(test)]
mod tests;
