//! Sessions that expire: a timer for each, moved by every sign of life and cancelled by a logout.
//!
//! Of three sessions one is used, one is ended by its user, and one expires. `DORMOUSE_ADDR` is the address of an
//! agent.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use dormouse_client::{Client, Durability, NewTime, Timer};
use std::error::Error;
use std::time::Duration;
use tokio::sync::mpsc;

const IDLE_MAX: Duration = Duration::from_millis(1500);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(&std::env::var("DORMOUSE_ADDR")?).await?;
    let handler = format!("expire-{}", std::process::id());

    let (expired, mut expiries) = mpsc::channel(3);
    let (stop, mut stopped) = mpsc::channel::<()>(1);
    let worker = client.worker().handle(&handler, move |run| {
        let expired = expired.clone();
        async move {
            expired
                .send(String::from_utf8(run.payload.to_vec())?)
                .await?;
            Ok(())
        }
    });
    let worker = tokio::spawn(worker.run_until(async move {
        let _: Option<()> = stopped.recv().await;
    }));

    // A session that is lost with its node has to be begun anew anyway.
    let login = async |user: &str| {
        let timer = Timer::after(IDLE_MAX)
            .handler(&handler)?
            .payload(user.to_owned())
            .durability(Durability::Ephemeral);
        client.create(timer).await.map(|timer| timer.name)
    };
    let alice = login("alice").await?;
    let bob = login("bob").await?;
    login("carol").await?;

    let outcome = client.cancel(&bob).await?;
    println!("bob logs out: {outcome}");
    for _ in 0..4 {
        tokio::time::sleep(IDLE_MAX / 3).await;
        client.rearm(&alice, NewTime::After(IDLE_MAX)).await?;
    }
    println!("alice is still there");

    let first = tokio::time::timeout(IDLE_MAX * 4, expiries.recv()).await?;
    println!("{} has expired", first.as_deref().unwrap_or("nobody"));
    println!("alice logs out: {}", client.cancel(&alice).await?);

    drop(stop);
    worker.await??;
    if first.as_deref() != Some("carol") {
        return Err("somebody else than carol has expired".into());
    }
    println!("done");
    Ok(())
}
