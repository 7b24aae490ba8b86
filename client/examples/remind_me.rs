//! A reminder: a timer that fires once, and the worker that hears it.
//!
//! `DORMOUSE_ADDR` is the address of an agent, such as `http://127.0.0.1:7401` (`dormouse dev` starts one):
//!
//! ```sh
//! DORMOUSE_ADDR=http://127.0.0.1:7401 cargo run -p dormouse-client --example remind_me
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use dormouse_client::{Client, Timer};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&std::env::var("DORMOUSE_ADDR")?).await?;
    // A handler of its own for each process, so that two of them do not hear each other's reminders.
    let handler = format!("remind-{}", std::process::id());

    let reminder = Timer::after(Duration::from_secs(1))
        .handler(&handler)?
        .payload("Call Bob back");
    let created = client.create(reminder).await?;
    println!("{} is {}", created.name, created.state);

    let (heard, mut hears) = mpsc::channel(1);
    let worker = client.worker().handle(&handler, move |run| {
        let heard = heard.clone();
        async move {
            println!("reminder: {}", std::str::from_utf8(&run.payload)?);
            heard.send(()).await?;
            Ok(())
        }
    });
    // It goes on until it has heard the reminder, and says so to its agent before it ends.
    worker
        .run_until(async move {
            let _: Option<()> = hears.recv().await;
        })
        .await?;

    println!("done");
    Ok(())
}
