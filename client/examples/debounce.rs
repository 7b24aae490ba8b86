//! Debounce: many changes in a row, one run after the last of them.
//!
//! Each change moves the timer a second ahead, which is one call and, for a timer that only its own node keeps, no
//! packet to anybody else. `DORMOUSE_ADDR` is the address of an agent.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use dormouse_client::{Client, Durability, NewTime, Rearm, Timer};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;

const QUIET: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&std::env::var("DORMOUSE_ADDR")?).await?;
    let handler = format!("index-{}", std::process::id());

    let (indexed, mut wakes) = mpsc::channel(1);
    let worker = client.worker().handle(&handler, move |run| {
        let indexed = indexed.clone();
        async move {
            println!("indexing {}", std::str::from_utf8(&run.payload)?);
            indexed.send(()).await?;
            Ok(())
        }
    });
    let worker = tokio::spawn(worker.run_until(async move {
        let _: Option<()> = wakes.recv().await;
    }));

    let timer = Timer::after(QUIET)
        .handler(&handler)?
        .durability(Durability::Ephemeral)
        .payload("draft 0");
    let index = client.create(timer).await?;
    for draft in 1..=5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let later = Rearm::to(NewTime::After(QUIET)).payload(format!("draft {draft}"));
        client.rearm(&index.name, later).await?;
        println!("draft {draft} is saved");
    }

    worker.await??;
    println!("done");
    Ok(())
}
