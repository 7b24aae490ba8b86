//! The decisions of Dormouse, and nothing else.
//!
//! A machine of this crate is told what happened and what time it is, and answers with a
//! [`Decision`](decision::Decision): records to make durable, then effects to perform. It never reads
//! a clock, never waits, never draws a random number and never does I/O; the shells do that.

// A new variant has to be thought of wherever one is told from another; tests may say "anything else".
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod agenda;
pub mod base;
mod chunks;
pub mod decision;
pub mod departed;
mod feed;
pub mod group;
mod hash;
pub mod hierarchy;
pub mod history;
pub mod id;
mod intern;
pub mod ledger;
pub mod machine;
pub mod message;
pub mod op;
mod page;
pub mod planted;
pub mod pool;
pub mod record;
pub mod schedule;
pub mod shelf;
pub mod steps;
pub mod time;
pub mod timer;

pub use page::Weigh;
