//! Whole clusters of real processes of the `dormouse` binary on loopback: what its users are promised, seen where a
//! run happens and nowhere else.
//!
//! `stage` is the test language, `evidence` what the workers printed, `guest` a process that is no regular member of
//! the cluster. Real time is needed here, since leases, signals and the kernel's scheduler are part of what is shown;
//! what the engine alone decides is shown in virtual time elsewhere. Nothing waits for a fixed time where an event
//! can be waited for.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod evidence;
mod guest;
mod proxy;
mod stage;

mod failing;
mod following;
mod identity;
mod killing;
mod leaving;
mod quiet;
mod storm;
mod watching;
mod zombies;
