//! The shell: what drives a machine of the engine, once for coordinator, agent and simulator.
//!
//! ```text
//!   mail, clock --> gather --> turn 7: decide --> journal: groups 5, 6 in flight
//!                                 |                  |
//!                                 +-- effects of 7   +--> effects of 5, then 6, then 7
//!                                     wait
//! ```
//! [`Turns`] is the rule "durable before spoken" as a state machine without I/O; [`Shell`] gives it a journal, an
//! alarm and a task. [`Lanes`] and [`Mailbox`] are where its inputs wait, [`Outbox`] is where its messages do. What
//! stands around a machine (mail, connections, workers) is its program's.

mod drive;
mod lanes;
mod mailbox;
mod outbox;
mod turns;
pub mod weigh;

pub use drive::{Around, Course, Error, Shell};
pub use lanes::{Bounds, Budget, Full, Lane, Lanes, TURN};
pub use mailbox::{Letters, Mailbox, Refused, mailbox};
pub use outbox::{Keep, Outbox};
pub use turns::{Ahead, Step, Turns};
