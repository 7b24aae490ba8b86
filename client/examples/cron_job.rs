//! A cron job: again and again by the calendar, never twice at once, and nothing is made up for that was missed.
//!
//! It runs every second here, and three times only, so that there is an end. `DORMOUSE_ADDR` is the address of an
//! agent.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use dormouse_client::{Client, Misfire, Overlap, Timer};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;

const RUNS: u64 = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&std::env::var("DORMOUSE_ADDR")?).await?;
    let handler = format!("report-{}", std::process::id());

    let job = Timer::cron_in("* * * * * *", "Europe/Berlin")
        .handler(&handler)?
        .misfire(Misfire::Skip)
        .overlap(Overlap::Skip)
        .at_most(RUNS)
        .label("example", "cron_job")?;
    let created = client.create(job).await?;
    println!("{} has begun", created.name);

    let (ran, mut runs) = mpsc::channel(8);
    let worker = client.worker().handle(&handler, move |run| {
        let ran = ran.clone();
        async move {
            let late = run.launched_time.duration_since(run.nominal_time)?;
            println!("run {} is {} ms late", run.run, late.as_millis());
            // Somebody else may run the job as well; this one counts its own.
            ran.send(()).await?;
            Ok(())
        }
    });
    let enough = async move {
        for _ in 0..RUNS {
            runs.recv().await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, worker.run_until(enough)).await??;

    println!("done");
    Ok(())
}
