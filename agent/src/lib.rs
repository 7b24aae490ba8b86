//! The agent: a node's own timers, and its end of the session with the coordinator.
//!
//! ```text
//! applications --TimerService, NodeService--> asking --> task --> engine's Base
//! workers <--WorkerService--> executor <----------------- | ---> journal
//! commands, requests <--targets--'                        |
//! coordinator <--session--> link <----------------------- '
//! ```
//!
//! The base decides, this crate performs. It is the daemon of `dormouse agent`, and a library: an application
//! that calls [`Agent::start`] registers timers with function calls and handles them with closures.

mod agent;
mod asking;
mod config;
mod node;
mod task;

mod alarm;
mod executor;
mod local;
mod wire;
mod workers;

mod link;

pub mod targets;

mod events;

pub use agent::{Agent, run};
pub use config::{Config, Error, REPLICATE_AFTER};
pub use dormouse_edge::listen::Address;
pub use dormouse_engine as engine;
pub use local::{Failure, LocalRun};
