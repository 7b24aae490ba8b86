//! What the hierarchy costs at 64 to a million nodes: a join, a transition, a due pull, the nearest node on
//! duty, and the memory of a node.
//!
//! `cargo bench -p dormouse-benches --bench hierarchy`. All nodes are of one rack, which is the worst for joins. A
//! transition is one report, idle or active, of a node in random order, by name; `awake` has everybody else
//! awake, `half` every second one asleep with a deadline. The names themselves are the caller's and not counted.
//! Times are those on a core.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

mod busy;
mod counting;
mod quick;

use dormouse_engine::hierarchy::{Hierarchy, Owner, Report};
use dormouse_engine::id::{NodeId, RackId};
use dormouse_engine::time::WallTime;
use std::hint::black_box;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const SIZES: [usize; 4] = [64, 4_096, 100_000, 1_000_000];
/// How many of the sizes `--quick` goes through.
const SIZES_QUICK: usize = 2;
/// Transitions that are measured, in pairs of an idle and an active report.
const PAIRS: usize = 1_000_000;
const PULLS_MAX: usize = 200_000;
const NOW: WallTime = WallTime(1_000);

/// The numbers below `count` in an order that jumps about; the same in each run.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(
            at,
            usize::try_from(state % (at as u64 + 1)).expect("it is small"),
        );
    }
    order
}

fn report(hierarchy: &mut Hierarchy, node: &NodeId, report: Report) {
    let answer = hierarchy.report(node, None, report, NOW);
    black_box(answer).expect("every node is a member");
}

fn deadline(number: usize) -> WallTime {
    WallTime(10_000 + i64::try_from(number * 7_919 % 1_000_003).expect("it is small"))
}

fn line(size: usize, what: &str, count: usize, took: Duration) {
    let each = took.as_secs_f64() / count as f64;
    println!(
        "{size:>9} nodes  {what:<18} {:>9.0} ns each  {:>7.2} M/s",
        each * 1e9,
        1e-6 / each
    );
}

fn joined(names: &[NodeId]) -> Hierarchy {
    let size = names.len();
    let rack = RackId::new("r1").expect("an id");
    let before = counting::held();
    let mut hierarchy = Hierarchy::new(8);
    let (start, mut longest) = (busy::busy(), Duration::ZERO);
    for name in names {
        let one = busy::busy();
        hierarchy
            .join(name.clone(), rack.clone(), NOW)
            .expect("a new node");
        longest = longest.max(busy::busy() - one);
    }
    line(size, "join", size, busy::busy() - start);
    println!(
        "{size:>9} nodes  longest join       {:>9} ns",
        longest.as_nanos()
    );
    for name in names {
        report(&mut hierarchy, name, Report::Active);
    }
    let bytes = counting::held() - before;
    println!(
        "{size:>9} nodes  memory             {:>9} B a node",
        bytes / size
    );
    hierarchy
}

fn transitions(hierarchy: &mut Hierarchy, names: &[NodeId], order: &[usize], what: &str) {
    let start = busy::busy();
    for at in order.iter().cycle().take(PAIRS) {
        let first = Some(deadline(*at));
        report(hierarchy, &names[*at], Report::Idle { first });
        report(hierarchy, &names[*at], Report::Active);
    }
    line(names.len(), what, 2 * PAIRS, busy::busy() - start);
}

fn nearest(hierarchy: &Hierarchy, names: &[NodeId], order: &[usize]) {
    let start = busy::busy();
    for at in order.iter().cycle().take(PULLS_MAX) {
        black_box(hierarchy.nearest(Some(&names[*at])).next());
    }
    line(
        names.len(),
        "nearest, first",
        PULLS_MAX,
        busy::busy() - start,
    );
}

fn pulls(hierarchy: &mut Hierarchy) {
    let size = hierarchy.len();
    let (start, mut count) = (busy::busy(), 0);
    while let Some(pull) = hierarchy.due(WallTime(i64::MAX)) {
        let Owner::Node(owner) = &pull.owner else {
            break;
        };
        hierarchy.set_first(owner, None, WallTime(i64::MAX));
        count += 1;
        if count == PULLS_MAX {
            break;
        }
    }
    line(size, "due pull", count, busy::busy() - start);
}

fn main() {
    let sizes = if quick::is_asked() {
        SIZES_QUICK
    } else {
        SIZES.len()
    };
    for size in SIZES.into_iter().take(sizes) {
        let names: Vec<NodeId> = (0..size)
            .map(|n| NodeId::new(&format!("n{n}")).expect("an id"))
            .collect();
        let order = shuffled(size);
        let mut hierarchy = joined(&names);
        transitions(&mut hierarchy, &names, &order, "transition, awake");
        let (asleep, awake) = order.split_at(size / 2);
        for at in asleep {
            let first = Some(deadline(*at));
            report(&mut hierarchy, &names[*at], Report::Idle { first });
        }
        transitions(&mut hierarchy, &names, awake, "transition, half");
        nearest(&hierarchy, &names, asleep);
        pulls(&mut hierarchy);
    }
}
