//! The journal of Dormouse: what one turn decided is one durable group of absolute records.
//!
//! [`Journal`] is the seam; [`Disk`] keeps it in sled and snapshot files, [`Memory`] for simulators and
//! tests. [`Writer`] is the thread that owns a journal and the handle by which tasks submit groups.
//! What the keys and values mean is left to the callers; why it is built so is told in
//! `docs/design/journal.md`. An example is at [`Writer`].

mod entry;
mod error;
mod journal;

mod directory;
mod disk;
mod memory;
mod writer;

mod codec;
mod frame;
mod image;
mod log;
mod proof;
mod reach;
mod recover;
mod replay;
mod snapshot;

pub use directory::{Config, Kind};
pub use disk::Disk;
pub use entry::{Bytes, Entry, Group, State};
pub use error::Error;
pub use journal::{Journal, Loaded, Progress, Size};
pub use memory::{Fault, Memory};
pub use writer::{Policy, Ticket, Writer};

/// The newest format of a data directory that this program can read, and the one that it writes.
pub const FORMAT_VERSION: u32 = 1;
