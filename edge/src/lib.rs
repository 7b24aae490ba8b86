//! The edge of a program: where the wire stops and the engine's own types begin.
//!
//! Coordinator and agent share it. `session` turns the messages between them into the engine's and back,
//! `request` turns what users ask into operations, `answer` turns what they are told into messages and
//! statuses, `timers` is the service that does so. `listen` and `clock` are the two ways in which a shell
//! touches the machine that it runs on, and `room` bounds what is answered and not read. What is decided is decided in the engine.

pub mod answer;
pub mod clock;
pub mod fault;
pub mod listen;
pub mod request;
pub mod room;
pub mod session;
pub mod shell;
pub mod statuses;
pub mod timers;
pub mod transfer;

mod defaults;
