//! The coordinator: a shell around the engine's pools.
//!
//! ```text
//!   sessions ---\                       +--> records --> journal (one fdatasync for all that waits)
//!   TimerService -> mail -> pool's task -+                      |
//!   AdminService -/       (one machine)  +--> effects, when durable --> sessions, answers
//! ```
//!
//! One task per pool owns its machine. The services convert, ask and convert; what is decided is decided in
//! `dormouse-engine`. [`bind`] recovers everything and then listens; [`Bound::serve`] lives until it is told
//! to end.

mod config;
mod error;
mod life;

mod data;
mod pool;
mod pools;

mod admin;
mod admin_view;
mod owner;
mod session;
mod transfer;

mod events;

pub use config::Config;
pub use dormouse_edge::listen::Address;
pub use error::Error;
pub use life::{Bound, bind, run};
