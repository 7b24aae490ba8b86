//! What is said waits for the disk: the real base and the real writer, over a journal that the test holds up.
//!
//! The requests come through the mailbox, as from the API; there is no coordinator.

use super::*;
use dormouse_edge::shell::{Bounds, Mailbox, mailbox};
use dormouse_engine::base;
use dormouse_engine::id::{NodeId, PoolId, RackId, TimerId, TimerName, Uid};
use dormouse_engine::op::Refusal;
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{Durability, HandlerName, NewTimer, Payload, Placement, When};
use dormouse_store::{Fault, Group, Journal, Loaded, Memory, Progress, Size};
use std::sync::mpsc as blocking;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A disk that writes only when it is let.
struct Slow {
    disk: Memory,
    /// When the sender is gone all writes go through.
    leave: blocking::Receiver<()>,
}

impl Journal for Slow {
    fn load(&mut self) -> Result<Loaded, dormouse_store::Error> {
        self.disk.load()
    }
    fn append_all(&mut self, groups: &[Group]) -> Result<u64, dormouse_store::Error> {
        let _ = self.leave.recv();
        self.disk.append_all(groups)
    }
    fn snapshot(&mut self, budget: usize) -> Result<Progress, dormouse_store::Error> {
        self.disk.snapshot(budget)
    }
    fn truncate(
        &mut self,
        position: u64,
        budget: usize,
    ) -> Result<Progress, dormouse_store::Error> {
        self.disk.truncate(position, budget)
    }
    fn size(&self) -> Size {
        self.disk.size()
    }
}

struct Fixture {
    asks: Mailbox<Ask>,
    executor: Arc<Executor>,
    newest: watch::Receiver<u64>,
    task: JoinHandle<Result<End, Error>>,
    _link: mpsc::Sender<Event>,
}

fn start(journal: impl Journal + 'static) -> Fixture {
    let (writer, loaded) = Writer::start(journal).unwrap();
    let config = base::Config {
        node: NodeId::new("n1").unwrap(),
        pool: PoolId::new("default").unwrap(),
        rack: RackId::new("r1").unwrap(),
        incarnation: 1,
        replicate_after: Millis(200),
        message: Default::default(),
    };
    let mut state = loaded
        .records
        .decode(|| |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec()));
    let recovered = Base::recover(config, &mut state, clock::now()).unwrap();
    state.finish().unwrap();
    let executor = Executor::start().unwrap();
    let bounds = Bounds {
        items: 1_024,
        cost: 1 << 20,
    };
    let (asks, asked) = mailbox(bounds);
    let (link, happened) = mpsc::channel(16);
    let inbox = Inbox {
        link: happened,
        asks: asked,
    };
    let (task, newest) = Task::new(recovered, writer, Arc::clone(&executor), inbox).unwrap();
    Fixture {
        asks,
        executor,
        newest,
        task: tokio::spawn(task.run()),
        _link: link,
    }
}

impl Fixture {
    async fn ask(&self, op: Op) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        assert!(
            self.asks.post(Lane::of(&op), 0, Ask::Op(op, reply)).is_ok(),
            "the task lives"
        );
        answer
    }

    async fn create(&self, id: &str, after_ms: u64) -> oneshot::Receiver<Answer> {
        self.ask(Op::Create(Box::new(timer(id, after_ms)))).await
    }
}

fn timer(id: &str, after_ms: u64) -> NewTimer {
    let number = id
        .bytes()
        .fold(1, |number, byte| number * 257 + u128::from(byte));
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new(id).unwrap(),
        uid: Uid(number),
        request: number,
        when: When::After(Millis(after_ms)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Default::default(),
        policy: Default::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Local,
        labels: BTreeMap::new(),
    }
}

fn look(id: &str) -> Op {
    let name = format!("pools/default/nodes/n1/timers/{id}");
    Op::Look {
        name: TimerName::parse(&name).unwrap(),
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(150), future)
        .await
        .ok()
}

async fn at_last<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future)
        .await
        .expect("it comes")
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable() {
    let (let_write, leave) = blocking::channel();
    let fixture = start(Slow {
        disk: Memory::new(),
        leave,
    });
    let mut created = fixture.create("t", 60_000).await;
    assert!(soon(&mut created).await.is_none());
    drop(let_write);
    assert!(matches!(at_last(created).await, Ok(Answer::Timer(_))));
}

#[tokio::test]
async fn what_needs_no_write_waits_for_what_was_decided_before() {
    let (let_write, leave) = blocking::channel();
    let fixture = start(Slow {
        disk: Memory::new(),
        leave,
    });
    let mut created = fixture.create("t", 60_000).await;
    assert!(soon(&mut created).await.is_none());
    let mut looked = fixture.ask(look("t")).await;
    assert!(
        soon(&mut looked).await.is_none(),
        "it would tell of a timer that a crash forgets"
    );
    drop(let_write);
    assert!(matches!(at_last(looked).await, Ok(Answer::Timer(_))));
}

#[tokio::test]
async fn no_run_is_launched_before_its_timer_is_durable() {
    let (let_write, leave) = blocking::channel();
    let fixture = start(Slow {
        disk: Memory::new(),
        leave,
    });
    let (told, mut ran) = mpsc::unbounded_channel();
    crate::local::attach(
        &fixture.executor,
        HandlerName::new("h").unwrap(),
        1,
        move |_| {
            let _ = told.send(());
            async { Ok(()) }
        },
    );
    let _created = fixture.create("t", 0).await;
    assert!(soon(ran.recv()).await.is_none());
    drop(let_write);
    assert!(at_last(ran.recv()).await.is_some());
}

#[tokio::test]
async fn waiting_requests_share_few_writes() {
    let (let_write, leave) = blocking::channel();
    let disk = Memory::new();
    let fixture = start(Slow {
        disk: disk.clone(),
        leave,
    });
    let first = fixture.create("t0", 60_000).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = disk.writes();
    let mut waiting = Vec::new();
    for number in 1..=200 {
        waiting.push(fixture.create(&format!("t{number}"), 60_000).await);
    }
    drop(let_write);
    assert!(first.await.is_ok());
    for answer in waiting {
        assert!(matches!(answer.await, Ok(Answer::Timer(_))));
    }
    let writes = disk.writes() - before;
    assert!(
        writes <= 5,
        "{writes} writes for 200 requests that waited together"
    );
}

#[tokio::test]
async fn a_write_that_fails_ends_the_task_and_nothing_is_answered() {
    let disk = Memory::new();
    disk.fail_write(disk.writes() + 1, Fault::AfterWrite);
    let fixture = start(disk);
    let created = fixture.create("t", 60_000).await;
    let ended = tokio::time::timeout(Duration::from_secs(5), fixture.task).await;
    assert!(matches!(ended, Ok(Ok(Err(Error::Store(_))))), "{ended:?}");
    assert!(
        created.await.is_err(),
        "an answer would have been a lie after the next start"
    );
}

/// Nobody runs it, it is in no journal, and its end is no answer to anybody: all that there is to tell is the change.
#[tokio::test]
async fn who_watches_hears_of_a_change_that_has_no_record_and_no_effect() {
    let mut fixture = start(Memory::new());
    let mut new = timer("t", 400);
    new.durability = Durability::Ephemeral;
    new.policy.bounds.expire = Some(clock::now().wall + Millis(100));
    let created = fixture.ask(Op::Create(Box::new(new))).await;
    assert!(matches!(at_last(created).await, Ok(Answer::Timer(_))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    fixture.newest.mark_unchanged();
    assert!(at_last(fixture.newest.changed()).await.is_ok());
    let looked = at_last(fixture.ask(look("t")).await).await;
    let Ok(Answer::Timer(timer)) = looked else {
        panic!("{looked:?}");
    };
    assert!(timer.is_over(), "{timer:?}");
}

#[tokio::test]
async fn a_cancelled_request_harms_nobody() {
    let fixture = start(Memory::new());
    drop(fixture.create("t", 60_000).await);
    let again = fixture.ask(look("t")).await.await;
    assert!(matches!(again, Ok(Answer::Timer(_))), "{again:?}");
    let missing = fixture.ask(look("none")).await;
    let missing = tokio::time::timeout(Duration::from_secs(20), missing)
        .await
        .unwrap();
    let refused = |answer: &Answer| {
        matches!(
            answer,
            Answer::Refused(Refusal::NotFound { .. } | Refusal::Unavailable { .. })
        )
    };
    assert!(missing.as_ref().is_ok_and(refused), "{missing:?}");
}

#[tokio::test]
async fn a_stopped_base_ends_the_task() {
    let fixture = start(Memory::new());
    assert!(fixture.asks.post_always(Lane::Lease, Ask::Stop));
    let ended = tokio::time::timeout(Duration::from_secs(5), fixture.task).await;
    assert!(matches!(ended, Ok(Ok(Ok(End::Stopped)))), "{ended:?}");
}
