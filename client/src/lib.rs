//! The client library of Dormouse: timers that follow the awake.
//!
//! A [`Client`] talks to an agent (usually the one of its own node) or to the coordinator; both know every timer.
//! It creates, reads, moves and cancels timers; a [`Worker`] of it runs what falls due. This crate knows the wire
//! only: what a timer means is decided by whoever answers.
//!
//! # Creating a timer
//!
//! ```no_run
//! use dormouse_client::{Client, Timer};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), dormouse_client::Error> {
//! let client = Client::connect("unix:/run/dormouse/agent.sock").await?;
//! let timer = Timer::after(Duration::from_secs(90))
//!     .handler("remind")?
//!     .name("remind-alice")?
//!     .payload("Call Bob back");
//! let created = client.create(timer).await?;
//! println!("{} fires at {:?}", created.name, created.next_times.first());
//! # Ok(())
//! # }
//! ```
//!
//! # Running what falls due
//!
//! ```no_run
//! use dormouse_client::{Client, Failure};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), dormouse_client::Error> {
//! let client = Client::connect("unix:/run/dormouse/agent.sock").await?;
//! client
//!     .worker()
//!     .handle("remind", |run| async move {
//!         let text = std::str::from_utf8(&run.payload)?; // an error is "failed, try again"
//!         if text.is_empty() {
//!             return Err(Failure::new("nothing to say").retry_after(Duration::from_secs(60)));
//!         }
//!         println!("{}: {text}", run.timer);
//!         Ok(())
//!     })
//!     .concurrency(4)
//!     .run()
//!     .await
//! # }
//! ```
//!
//! # Errors and retries
//!
//! An [`Error`] says what may be done next. The client itself tries again only where the answer says that this
//! helps, a few times, and with the same request id, so that nothing happens twice.

/// The snippets of the guide are compiled with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rust.md")]
struct Guide;

mod address;
mod client;
mod convert;
mod edit;
mod error;
mod id;
mod node;
mod pipeline;
mod policy;
mod preview;
mod retry;
mod runs;
mod target;
mod timer;
mod timer_info;
mod topology;
mod transfer;
mod watch;
mod worker;

pub use bytes::Bytes;
pub use client::{Client, TimerFilter, TimerPages};
/// The messages of the wire, for requests that the plain types have no words for; see [`Client::create_as`].
pub use dormouse_proto::v1 as wire;
pub use edit::{Edit, Rearm, RearmMode};
pub use error::Error;
pub use node::{Activity, ActivityChange, Cover, NodeInfo, NodeState};
pub use pipeline::Pipeline;
pub use policy::{Effort, Isolation, Misfire, Overlap, Policy, Retry};
pub use preview::{Gap, PreviewWindow, PreviewedTime, Repeated};
pub use runs::{DeadPages, RunPages};
pub use target::{Http, Target};
pub use timer::{Durability, NewTime, Placement, Scheduled, Timer};
pub use timer_info::{CancelOutcome, RunRecord, RunState, ScheduleInfo, TimerInfo, TimerState};
pub use tonic::Code;
pub use topology::{GroupInfo, PoolInfo, SentryInfo, ServerInfo};
pub use transfer::{BadLine, Exporting, ImportError, ImportOptions, Imported};
pub use watch::{TimerChange, Watch};
pub use worker::{Failure, Run, Worker};
