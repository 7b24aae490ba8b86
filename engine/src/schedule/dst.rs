//! What becomes of a local time that the clock of its zone skips, or shows twice.
//!
//! It is said for each timer, and holds for its *fixed* times; what follows elapsed time (`every`, and a
//! minute or hour field that begins with `*`) is moved by no change of the clock.

use serde::{Deserialize, Serialize};

/// The policy of a [`super::Cron`] for changes of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Dst {
    /// For local times that never come, because the clock is set forward over them.
    #[serde(default)]
    pub gap: Gap,
    /// For local times that come twice, because the clock is set back.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What becomes of a local time that never comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Gap {
    /// It is due when the gap ends; several of one gap are due once.
    #[default]
    Shift,
    /// It is left out.
    Skip,
}

/// What becomes of a local time that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Overlap {
    /// It is due the first time.
    #[default]
    First,
    /// It is due the last time.
    Last,
    /// It is due each time.
    Both,
}

impl Dst {
    /// What elapsed time comes to: each instant counts, and only what is an instant.
    pub(super) const ELAPSED: Self = Self {
        gap: Gap::Skip,
        overlap: Overlap::Both,
    };
}
