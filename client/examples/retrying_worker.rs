//! A worker that fails: the same occurrence comes again, later each time, until it succeeds or its attempts are used
//! up. `DORMOUSE_ADDR` is the address of an agent.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use dormouse_client::{Client, Failure, Retry, Timer};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&std::env::var("DORMOUSE_ADDR")?).await?;
    let handler = format!("upload-{}", std::process::id());

    let retry = Retry::attempts(5)
        .backoff(Duration::from_millis(200), Duration::from_secs(2))
        .attempt_timeout(Duration::from_secs(10));
    let upload = Timer::after(Duration::ZERO).handler(&handler)?.retry(retry);
    let created = client.create(upload).await?;

    let (uploaded, mut ends) = mpsc::channel(1);
    let worker = client.worker().handle(&handler, move |run| {
        let uploaded = uploaded.clone();
        async move {
            // The token grows with each attempt: hand it to whatever you write to, and it can refuse an old one.
            println!("attempt {} with token {}", run.attempt, run.token);
            if run.attempt < 3 {
                return Err(Failure::new("the disk is full"));
            }
            uploaded.send(()).await?;
            Ok(())
        }
    });
    worker
        .run_until(async move {
            let _: Option<()> = ends.recv().await;
        })
        .await?;

    let mut pages = client.runs(&created.name, &[])?;
    while let Some(runs) = pages.next().await? {
        for run in runs {
            println!("attempt {} was {} {}", run.attempt, run.state, run.reason);
        }
    }
    println!("done");
    Ok(())
}
