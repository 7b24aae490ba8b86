//! The simulator of Dormouse: the real machines, one thread, one seed, virtual time.
//!
//! ```text
//! seed --> plan --> world (coordinator, nodes, network, workers, users, faults) --> facts --> rules
//! ```
//! One pool and several bases are driven as their shells drive them, in a world that loses, delays, doubles,
//! crashes and sleeps. What happens is told to the rules; the first that is broken ends the history, and the
//! same seed tells it again with its story. What the machines decide is not decided here.

mod chance;
mod clients;
mod clock;
mod coordinator;
mod counts;
mod disk;
mod evidence;
mod executor;
mod fact;
mod faults;
mod machine;
mod network;
mod node;
mod plan;
mod process;
mod quiet;
mod rules;
mod run;
mod stage;
mod story;
mod trace;
mod watch;
mod world;

pub use clock::Moment;
pub use counts::Counts;
pub use plan::{Kind, Plan};
pub use process::Who;
pub use rules::Violation;
pub use run::{Failure, Report, run, run_plan, tell, trace};
pub use stage::{Seen, Stage};
