//! Whole agents that deliver by themselves: to a server on loopback, to commands of a list.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use dormouse_agent::engine::op::Refusal;
use dormouse_agent::engine::time::Millis;
use dormouse_agent::engine::timer::{
    CommandTarget, Durability, Ending, HttpTarget, NewTimer, Payload, Phase, Target, Timer,
};
use dormouse_agent::targets::Targets;
use dormouse_agent::{Agent, Config};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{NOBODY, config, listen, local_name, next, timer, until};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// An agent without a coordinator, and its directory.
struct Node {
    agent: Agent,
    dir: TempDir,
}

impl Node {
    /// With one allowed command, `run`: this script in a shell, with DIR for the node's directory.
    async fn start(script: &str, change: impl FnOnce(&mut Targets)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("run.sh");
        let script = script.replace("DIR", &dir.path().display().to_string());
        std::fs::write(&program, script).unwrap();
        let list = dir.path().join("commands.toml");
        let entry = format!("[command.run]\nargv = [\"/bin/sh\", {program:?}]\ngrace = \"60s\"\n");
        std::fs::write(&list, entry).unwrap();
        let mut targets = Targets {
            commands: Some(list),
            ..Targets::default()
        };
        change(&mut targets);
        let config = Config {
            targets,
            ..config("n1", NOBODY, &dir.path().join("n1"))
        };
        let agent = Agent::start(config).await.unwrap();
        Self { agent, dir }
    }

    async fn create(&self, id: &str, target: Target) {
        self.try_create(id, target).await.unwrap();
    }

    async fn try_create(&self, id: &str, target: Target) -> Result<(), Refusal> {
        let handler = match &target {
            Target::Http(_) => Target::http_place(),
            Target::Command(target) => Target::command_place(&target.name).unwrap(),
            Target::Handler => panic!("these are the other tests' affair"),
        };
        let mut new = NewTimer {
            handler,
            target,
            payload: Payload(b"hello"[..].into()),
            ..timer(&self.agent, id, 0, Durability::Local)
        };
        new.policy.retry.backoff_first = Millis(100);
        self.agent.create(new).await.map(drop)
    }

    async fn look(&self, id: &str) -> Timer {
        let timer = self.agent.look(local_name("n1", id)).await;
        timer.unwrap().expect("it is of this node")
    }

    /// Waits until the timer is over, and says how and after how many attempts.
    async fn end_of(&self, id: &str) -> (Ending, u32) {
        let mut end = None;
        until("the timer is over", async || {
            let timer = self.look(id).await;
            if let Phase::Over { ending, .. } = timer.phase {
                end = Some((ending, timer.last.as_ref().map_or(0, |last| last.attempt)));
            }
            end.is_some()
        })
        .await;
        end.unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn command() -> Target {
    Target::Command(CommandTarget {
        name: "run".into(),
        args: Vec::new(),
    })
}

fn request(url: String) -> Target {
    Target::Http(Box::new(HttpTarget {
        url,
        method: "PUT".into(),
        headers: Default::default(),
        timeout: None,
        success: Vec::new(),
        signing_key: String::new(),
    }))
}

/// Answers each request with the next of these; tells the first line of each.
async fn server(answers: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let _ = tell.send(line.trim().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, told)
}

/// Waits until a process is no more, or waits for its parent to notice.
async fn gone(pid: &str) {
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    until("the process is gone", async || {
        !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
    })
    .await;
}

const BUSY: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_timer_asks_a_server_again_when_the_server_says() {
    let (url, mut told) = server(&[BUSY, OK]).await;
    let allow = |targets: &mut Targets| targets.http.allow = vec!["127.0.0.1".parse().unwrap()];
    let node = Node::start("", allow).await;
    let begun = tokio::time::Instant::now();
    node.create("t", request(url)).await;
    assert_eq!(node.end_of("t").await, (Ending::Done, 2));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(told.recv().await.unwrap(), "PUT /x HTTP/1.1");
    }
    node.agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_timer_runs_a_command_again_when_it_fails() {
    let script = "cat > DIR/got; [ $DORMOUSE_ATTEMPT = 2 ]";
    let node = Node::start(script, |_| {}).await;
    node.create("t", command()).await;
    assert_eq!(node.end_of("t").await, (Ending::Done, 2));
    assert_eq!(std::fs::read_to_string(node.file("got")).unwrap(), "hello");
    node.agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_stops_leaves_no_command_behind() {
    let script = "trap '' TERM; sleep 1000 & echo $! > DIR/new; mv DIR/new DIR/pid; while :; do sleep 1000; done";
    let node = Node::start(script, |_| {}).await;
    node.create("t", command()).await;
    until("it runs", async || node.file("pid").exists()).await;
    let pid = std::fs::read_to_string(node.file("pid")).unwrap();
    let begun = tokio::time::Instant::now();
    node.agent.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    gone(&pid).await;
}

#[tokio::test]
async fn what_a_node_does_not_offer_waits_or_is_refused() {
    let (url, mut told) = server(&[OK]).await;
    let off = |targets: &mut Targets| {
        targets.http.concurrency = 0;
        targets.commands = None;
    };
    let node = Node::start("", off).await;
    node.create("asks", request(url)).await;
    let refused = node.try_create("runs", command()).await;
    let refused = refused.expect_err("a command that nobody allows would wait for ever");
    assert!(
        matches!(refused, Refusal::Precondition { .. }),
        "{refused:?}"
    );
    let (tell, mut fired) = mpsc::unbounded_channel();
    listen(&node.agent, "n1", &tell);
    let later = timer(&node.agent, "later", 100, Durability::Local);
    node.agent.create(later).await.unwrap();
    assert_eq!(next(&mut fired).await.timer, "later");
    let timer = node.look("asks").await;
    assert!(matches!(timer.phase, Phase::Waiting { .. }), "{timer:?}");
    assert!(told.try_recv().is_err());
    node.agent.stop().await.unwrap();
}
