//! The rule "durable before spoken", seen at a machine that decides what it is told to.

use super::*;
use dormouse_engine::time::BootTime;

/// What a turn is to decide: a record or none, and effects.
type Told = (bool, Vec<u32>);

/// Decides what it is told, `room` inputs a turn.
struct Parrot {
    left: VecDeque<Told>,
    room: usize,
    due: Option<BootTime>,
}

impl Machine for Parrot {
    type Input = Told;
    type Effect = u32;

    fn handle(&mut self, _: Now, inputs: Vec<Told>) -> Decision<u32> {
        self.left.extend(inputs);
        let mut decision = Decision::default();
        for _ in 0..self.room {
            let Some((record, effects)) = self.left.pop_front() else {
                break;
            };
            decision.records.extend(record.then(|| Record {
                key: vec![7; 60],
                value: Some(vec![7; 40]),
            }));
            decision.effects.extend(effects);
        }
        decision.more = !self.left.is_empty();
        decision
    }

    fn next_deadline(&self) -> Deadlines {
        Deadlines {
            wall: None,
            boot: self.due,
        }
    }
}

fn parrot(turns: usize, bytes: usize) -> Turns<Parrot, &'static str> {
    let machine = Parrot {
        left: VecDeque::new(),
        room: 1,
        due: None,
    };
    Turns::new(machine, Ahead { turns, bytes })
}

/// Has one turn decided; returns whether it has a group.
fn turn(turns: &mut Turns<Parrot, &'static str>, record: bool, effects: &[u32]) -> bool {
    let told = vec![(record, effects.to_vec())];
    turns.decide(Now::default(), told, |_, _| None).is_some()
}

/// What may be performed now.
fn perform(turns: &mut Turns<Parrot, &'static str>) -> Vec<u32> {
    let mut done = Vec::new();
    while let Some(step) = turns.next_step() {
        match step {
            Step::Perform(effect) => done.push(effect),
            Step::Performed(_) => {}
        }
    }
    done
}

#[test]
fn effects_wait_for_the_group_of_their_turn() {
    let mut turns = parrot(8, 1 << 20);
    assert!(turn(&mut turns, true, &[1, 2]));
    assert!(perform(&mut turns).is_empty());
    turns.durable();
    assert_eq!(perform(&mut turns), [1, 2]);
    assert!(turns.is_idle());
}

#[test]
fn a_turn_without_a_group_waits_for_the_groups_before_it() {
    let mut turns = parrot(8, 1 << 20);
    assert!(turn(&mut turns, true, &[1]));
    assert!(!turn(&mut turns, false, &[2]));
    assert!(turn(&mut turns, true, &[3]));
    assert!(perform(&mut turns).is_empty());
    turns.durable();
    assert_eq!(perform(&mut turns), [1, 2]);
    turns.durable();
    assert_eq!(perform(&mut turns), [3]);
}

#[test]
fn what_has_no_group_and_nothing_before_it_is_done_at_once() {
    let mut turns = parrot(8, 1 << 20);
    assert!(!turn(&mut turns, false, &[4]));
    assert_eq!(perform(&mut turns), [4]);
}

#[test]
fn a_shell_that_speaks_first_is_seen() {
    planted::with(Fault::SpeakBeforeDurable, || {
        let mut turns = parrot(8, 1 << 20);
        assert!(turn(&mut turns, true, &[1]));
        assert_eq!(perform(&mut turns), [1]);
    });
}

#[test]
fn decisions_run_ahead_of_the_disk_by_turns_and_by_bytes() {
    let mut turns = parrot(2, 1 << 20);
    turn(&mut turns, true, &[]);
    assert!(turns.may_decide());
    turn(&mut turns, true, &[]);
    assert!(!turns.may_decide(), "two turns are on their way");
    turns.durable();
    perform(&mut turns);
    assert!(turns.may_decide());

    let mut turns = parrot(64, 150);
    turn(&mut turns, true, &[]);
    assert!(turns.may_decide(), "100 bytes are on their way");
    turn(&mut turns, true, &[]);
    assert!(!turns.may_decide(), "200 bytes are on their way");
    turns.durable();
    assert!(turns.may_decide());
}

#[test]
fn what_a_turn_leaves_over_asks_for_another() {
    let mut turns = parrot(8, 1 << 20);
    let told = vec![(false, vec![1]), (false, vec![2])];
    assert!(turns.decide(Now::default(), told, |_, _| None).is_none());
    assert!(turns.has_more());
    assert_eq!(perform(&mut turns), [1]);
    assert!(
        turns
            .decide(Now::default(), Vec::new(), |_, _| None)
            .is_none()
    );
    assert!(!turns.has_more());
    assert_eq!(perform(&mut turns), [2]);
}

#[test]
fn what_goes_along_with_a_turn_comes_after_its_effects() {
    let mut turns = parrot(8, 1 << 20);
    let group = turns.decide(Now::default(), vec![(true, vec![1])], |_, _| Some("seen"));
    assert!(group.is_some());
    assert_eq!(turns.next_step(), None);
    turns.durable();
    assert_eq!(turns.next_step(), Some(Step::Perform(1)));
    assert_eq!(turns.about(), Some(&"seen"));
    assert_eq!(turns.next_step(), Some(Step::Performed("seen")));
    assert_eq!(turns.next_step(), None);
}

#[test]
fn a_deadline_from_which_nothing_follows_makes_restless() {
    let mut turns = parrot(8, 1 << 20);
    turns.machine.due = Some(BootTime(0));
    assert!(
        turns
            .decide(Now::default(), Vec::new(), |_, _| None)
            .is_none()
    );
    assert!(turns.is_restless());
    turn(&mut turns, false, &[1]);
    assert!(!turns.is_restless(), "something has happened");
    turns.machine.due = Some(BootTime(1));
    assert!(
        turns
            .decide(Now::default(), Vec::new(), |_, _| None)
            .is_none()
    );
    assert!(!turns.is_restless(), "it is not due yet");
}
