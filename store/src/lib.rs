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

mod records;

mod blocks;
mod codec;
mod fold;
mod frame;
mod log;
mod merge;
mod merging;
mod page;
mod proof;
mod reach;
mod recover;
mod replay;
mod snapshot;

pub use directory::{Config, Kind, Lock};
pub use disk::Disk;
pub use entry::{Bytes, Entry, Group, State};
pub use error::Error;
pub use journal::{Folded, Journal, Loaded, Progress, Size};
pub use memory::{Fault, Memory};
pub use records::{Decoded, Records};
pub use writer::{Policy, Ticket, Writer};

/// The format of a data directory that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 2;
