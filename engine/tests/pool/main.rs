//! The coordinator's pool alone: orders under credit, the backlog, leases, ownership, the steps of a turn.
//!
//! What it decides together with nodes is told in `pair`, what faults do to both is the simulator's matter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod backlog;
mod leases;
mod orders;
mod ownership;
mod stage;
mod steps;
