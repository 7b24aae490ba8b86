//! What the loop promises whatever the machine decides: nothing is answered before it is durable, answers come
//! in the order of the turns, and after a failed append nothing is answered at all.

use super::task::{begin, recover};
use super::{Handle, Mail};
use crate::Error;
use dormouse_engine::id::{PoolId, TimerId, TimerName, Uid};
use dormouse_engine::op::{Answer, Op, Refusal};
use dormouse_engine::pool::Config;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, When};
use dormouse_store::{Error as Failure, Fault, Group, Journal, Loaded, Memory, Progress, Size};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const BLINK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

/// A journal that writes when it is let.
struct Gated {
    inner: Memory,
    let_through: Receiver<()>,
}

impl Journal for Gated {
    fn load(&mut self) -> Result<Loaded, Failure> {
        self.inner.load()
    }

    fn append_all(&mut self, groups: &[Group]) -> Result<u64, Failure> {
        // Once the gate is gone it stays open.
        let _ = self.let_through.recv();
        self.inner.append_all(groups)
    }

    fn snapshot(&mut self, budget: usize) -> Result<Progress, Failure> {
        self.inner.snapshot(budget)
    }

    fn truncate(&mut self, position: u64, budget: usize) -> Result<Progress, Failure> {
        self.inner.truncate(position, budget)
    }

    fn size(&self) -> Size {
        self.inner.size()
    }
}

struct Running {
    handle: Handle,
    ended: JoinHandle<Result<(), Error>>,
}

fn run(journal: impl Journal + 'static) -> Running {
    let config = Config {
        pool: pool(),
        ledger: 1,
        lease: Millis(10_000),
        wake_grace: Millis(2_000),
        group_capacity: 8,
        message: Default::default(),
    };
    let (handle, task) = begin(recover(config, journal).unwrap()).unwrap();
    let ended = tokio::spawn(task.run());
    Running { handle, ended }
}

impl Running {
    fn ask(&self, op: Op) -> JoinHandle<Answer> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.ask(op).await })
    }

    async fn stop(self) -> Result<(), Error> {
        self.handle.tell(Mail::Stop);
        timeout(PATIENCE, self.ended).await.unwrap().unwrap()
    }
}

fn gated() -> (Sender<()>, Memory, Running) {
    let (gate, let_through) = channel();
    let disk = Memory::new();
    let inner = disk.clone();
    (gate, disk, run(Gated { inner, let_through }))
}

fn pool() -> PoolId {
    PoolId::new("default").unwrap()
}

fn create(id: &str, number: u128) -> Op {
    Op::Create(Box::new(NewTimer {
        pool: pool(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(3_600_000)),
        placement: Placement::Movable,
        handler: HandlerName::new("mail").unwrap(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Replicated,
        labels: [].into(),
    }))
}

fn look(id: &str) -> Op {
    let timer = TimerId::new(id).unwrap();
    let name = TimerName::new(pool(), None, timer);
    Op::Look { name }
}

async fn answer(asked: JoinHandle<Answer>) -> Answer {
    timeout(PATIENCE, asked).await.expect("an answer").unwrap()
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable_not_even_a_look() {
    let (gate, _, running) = gated();
    let created = running.ask(create("tea", 1));
    tokio::time::sleep(BLINK).await;
    let looked = running.ask(look("tea"));
    tokio::time::sleep(BLINK).await;
    assert!(!created.is_finished() && !looked.is_finished());
    drop(gate);
    assert!(matches!(answer(created).await, Answer::Timer(_)));
    assert!(matches!(answer(looked).await, Answer::Timer(_)));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_comes_while_the_journal_is_busy_shares_few_turns() {
    let (gate, disk, running) = gated();
    let asked: Vec<_> = (1..=200)
        .map(|n| running.ask(create(&format!("t{n}"), n)))
        .collect();
    tokio::time::sleep(BLINK).await;
    drop(gate);
    for asked in asked {
        assert!(matches!(answer(asked).await, Answer::Timer(_)));
    }
    let seen = running.handle.view().await.unwrap();
    assert_eq!(seen.view.timers, 200);
    assert!(disk.writes() < 10, "{} writes", disk.writes());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn after_a_failed_append_nothing_is_answered_and_the_task_ends() {
    let memory = Memory::new();
    let disk = memory.clone();
    let running = run(memory);
    assert!(matches!(
        answer(running.ask(create("tea", 1))).await,
        Answer::Timer(_)
    ));
    disk.fail_write(1, Fault::AfterWrite);
    let refused = answer(running.ask(create("cake", 2))).await;
    let Answer::Refused(Refusal::Unavailable { .. }) = refused else {
        panic!("{refused:?}")
    };
    let ended = timeout(PATIENCE, running.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Append { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_stop_answers_what_was_decided_and_a_restart_finds_it() {
    let memory = Memory::new();
    let running = run(memory.clone());
    let created = answer(running.ask(create("tea", 1))).await;
    running.stop().await.unwrap();
    let again = run(memory.crash());
    assert_eq!(answer(again.ask(look("tea"))).await, created);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_pool_without_deadlines_keeps_still() {
    let memory = Memory::new();
    let running = run(memory.clone());
    answer(running.ask(create("tea", 1))).await;
    let before = memory.writes();
    tokio::time::sleep(BLINK).await;
    let seen = running.handle.view().await.unwrap();
    assert_eq!((memory.writes(), seen.connected), (before, 0));
    running.stop().await.unwrap();
}
