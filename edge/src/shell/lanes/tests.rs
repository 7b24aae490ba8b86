//! What lanes promise: order within a lane, a share for each, a bound, and refusals when those before wait too long.

use super::*;
use proptest::prelude::*;

const WIDE: Bounds = Bounds {
    items: usize::MAX,
    cost: usize::MAX,
};
const ALL: [Lane; LANES] = [
    Lane::Lease,
    Lane::Report,
    Lane::Cancel,
    Lane::Create,
    Lane::Read,
];

fn at(millis: u64) -> BootTime {
    BootTime(millis)
}

fn small(items: usize) -> Budget {
    Budget {
        items,
        cost: 1 << 20,
    }
}

#[test]
fn leases_come_first_but_not_alone() {
    let mut lanes = Lanes::new(WIDE);
    for number in 0..100 {
        lanes.push(at(0), Lane::Read, 0, ("read", number)).unwrap();
        lanes.push_always(at(0), Lane::Lease, ("lease", number));
    }
    let taken = lanes.take(at(0), small(10), None);
    let leases = taken.iter().filter(|(lane, _)| *lane == "lease");
    assert_eq!(leases.count(), 100, "no renewal is left unread");
    assert_eq!(taken[0], ("lease", 0));
    assert_eq!(taken.len(), 105, "half of the turn is for the others");
}

#[test]
fn a_lane_that_is_held_keeps_what_it_has() {
    let mut lanes = Lanes::new(WIDE);
    lanes.push(at(0), Lane::Read, 0, 1).unwrap();
    assert!(lanes.is_empty_but(Some(Lane::Read)));
    assert!(lanes.take(at(0), TURN, Some(Lane::Read)).is_empty());
    assert_eq!(lanes.take(at(0), TURN, None), [1]);
}

#[test]
fn what_finds_its_lane_full_is_refused_and_other_lanes_are_open() {
    let mut lanes = Lanes::new(Bounds {
        items: 2,
        cost: 10_000,
    });
    assert!(lanes.push(at(0), Lane::Create, 0, 1).is_ok());
    assert!(lanes.push(at(0), Lane::Create, 0, 2).is_ok());
    assert_eq!(lanes.push(at(0), Lane::Create, 0, 3), Err(Full(3)));
    assert!(lanes.push(at(0), Lane::Cancel, 0, 4).is_ok());
    assert_eq!(
        lanes.push(at(0), Lane::Cancel, 9_900, 5),
        Err(Full(5)),
        "by bytes"
    );
}

#[test]
fn creates_are_refused_while_those_before_wait_too_long_and_cancels_are_not() {
    let mut lanes = Lanes::new(WIDE);
    lanes.push(at(0), Lane::Create, 0, 0).unwrap();
    lanes.push(at(0), Lane::Cancel, 0, 0).unwrap();
    assert!(lanes.push(at(51), Lane::Create, 0, 1).is_ok(), "a moment");
    assert!(lanes.push(at(140), Lane::Create, 0, 2).is_ok(), "a moment");
    assert_eq!(lanes.push(at(160), Lane::Create, 0, 3), Err(Full(3)));
    assert!(lanes.push(at(160), Lane::Cancel, 0, 1).is_ok());
    assert_eq!(lanes.take(at(160), TURN, None).len(), 5);
    assert!(lanes.push(at(161), Lane::Create, 0, 3).is_ok());
}

/// A queue that is served a little slower than it is asked: what stands in it stays near the target.
#[test]
fn the_delay_of_a_lane_under_three_times_its_capacity_stays_bounded() {
    let mut lanes = Lanes::new(WIDE);
    let (mut served, mut worst) = (0_u64, 0);
    for now in 0..5_000 {
        for _ in 0..30 {
            let _ = lanes.push(at(now), Lane::Create, 0, now);
        }
        for since in lanes.take(at(now), small(10), None) {
            served += 1;
            if now > 1_000 {
                worst = worst.max(now - since);
            }
        }
    }
    assert_eq!(served, 50_000, "nothing is lost by refusing");
    assert!(worst <= 200, "{worst} ms");
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_and_a_lane_keeps_its_order(
        asked in proptest::collection::vec((0..LANES, 0_usize..3_000), 1..300),
        items in 1_usize..40,
        cost in 1_usize..20_000,
    ) {
        let mut lanes = Lanes::new(WIDE);
        for (number, (lane, bytes)) in asked.iter().enumerate() {
            lanes.push(at(0), ALL[*lane], *bytes, (*lane, number)).unwrap();
        }
        let mut told = Vec::new();
        loop {
            let taken = lanes.take(at(0), Budget { items, cost }, None);
            if taken.is_empty() {
                break;
            }
            let shared = taken.iter().filter(|it| it.0 != Lane::Lease as usize);
            prop_assert!(shared.count() <= items);
            told.extend(taken);
        }
        prop_assert!(lanes.is_empty_but(None));
        prop_assert_eq!(told.len(), asked.len());
        for lane in 0..LANES {
            let of_lane: Vec<usize> = told.iter().filter(|it| it.0 == lane).map(|it| it.1).collect();
            prop_assert!(of_lane.is_sorted());
        }
    }

    #[test]
    fn no_lane_that_has_something_gets_less_than_a_sixteenth(bytes in proptest::collection::vec(0_usize..4_000, 4)) {
        let mut lanes = Lanes::new(WIDE);
        let mut left = [0_usize; LANES];
        for (index, (lane, _)) in SHARES.iter().enumerate() {
            for _ in 0..4_000 {
                lanes.push(at(0), *lane, bytes[index], *lane).unwrap();
            }
            left[*lane as usize] = bytes[index] + ITEM_COST;
        }
        let mut cost = [0_usize; LANES];
        for _ in 0..50 {
            for lane in lanes.take(at(0), Budget { items: 50, cost: 60_000 }, None) {
                cost[lane as usize] += left[lane as usize];
            }
        }
        let all: usize = cost.iter().sum();
        for (lane, share) in SHARES {
            let least = all * share / 16;
            prop_assert!(cost[lane as usize] + 64_000 >= least, "{lane:?}: {cost:?}");
        }
    }
}
