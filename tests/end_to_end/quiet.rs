//! A sleeping node is quiet: nothing but keep-alive on the wire, and no processor time.
//!
//! Both are measured over a while, so time is real: the wire by a proxy between agent and coordinator, the processor
//! by what the kernel has counted.

use crate::guest::Guest;
use crate::proxy::{PING, Proxy, Way};
use crate::stage::{SOON, Stage, until};
use dormouse_cluster::COORDINATOR;
use std::time::Duration;

/// How long it is watched: long enough for a keep-alive of either side.
const WATCHED: Duration = Duration::from_secs(12);
/// Two of these are 20 ms: about what the store's own threads take for looking around every second, in a build that is
/// not optimised and beside other tests. One more is lost to rounding.
const CLOCK_TICKS_MAX: u64 = 2 + 1;
const BYTES_PER_SECOND_MAX: f64 = 100.0;

#[tokio::test]
async fn an_idle_agent_says_nothing_but_keep_alive_and_takes_no_processor_time() {
    let stage = Stage::new().server().node("n2", "r1").ready().await;
    let coordinator = stage.cluster.address(COORDINATOR).unwrap();
    let target = coordinator.trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::start(target).await;
    let coordinator = format!("http://{}", proxy.address);
    let socket = stage.data.path().join("n1.socket").display().to_string();
    let data = stage.data.path().join("n1").display().to_string();
    let listen = format!("unix:{socket}");
    let words = ["agent", "--node", "n1", "--rack", "r1", "--data", &data];
    let places = ["--listen", &listen, "--coordinator", &coordinator];
    let agent = Guest::start(words.iter().chain(&places));
    let _worker = Guest::start(["worker", "--addr", &listen, "--handler", "h"]);
    stage.until_state("n1", "active", SOON).await;
    for id in ["a", "b"] {
        stage.create(&listen, id, &["--after", "1h"]).await;
    }
    stage.ask(COORDINATOR, &["node", "idle", "n1"]).await;
    stage.until_state("n1", "idle", SOON).await;
    settled(&proxy).await;

    let before = (proxy.passed(Way::Up), proxy.passed(Way::Down));
    let ticks = clock_ticks(agent.pid());
    // Nothing must happen, and that takes time to be seen.
    tokio::time::sleep(WATCHED).await;
    let ticks = clock_ticks(agent.pid()) - ticks;
    let frames = [
        proxy.frames(Way::Up, before.0),
        proxy.frames(Way::Down, before.1),
    ];
    let bytes = proxy.passed(Way::Up) - before.0 + proxy.passed(Way::Down) - before.1;
    eprintln!("{WATCHED:?} idle: {ticks} clock ticks, {bytes} bytes, frames {frames:?}");

    assert!(ticks <= CLOCK_TICKS_MAX, "{ticks} clock ticks");
    assert!(
        frames.iter().flatten().all(|kind| *kind == PING),
        "frames of these kinds: {frames:?}"
    );
    assert!(
        !frames.concat().is_empty(),
        "keep-alive is seen, so the proxy is not blind"
    );
    let bytes = f64::from(u32::try_from(bytes).unwrap());
    assert!(bytes / WATCHED.as_secs_f64() < BYTES_PER_SECOND_MAX);
    assert_eq!(stage.state("n1").await.as_deref(), Some("idle"));
}

/// Waits until what idling itself needed has passed.
async fn settled(proxy: &Proxy) {
    let quiet = Duration::from_secs(1);
    until(SOON, "nothing passes for a second", async || {
        let before = (proxy.passed(Way::Up), proxy.passed(Way::Down));
        tokio::time::sleep(quiet).await;
        (before == (proxy.passed(Way::Up), proxy.passed(Way::Down))).then_some(())
    })
    .await;
}

/// The processor time of a process, its own and the kernel's for it, in ticks of a hundredth of a second.
fn clock_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field is the name, in brackets, and may contain anything.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
    ticks(11) + ticks(12)
}
