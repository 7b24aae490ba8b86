//! The hierarchy as a whole: its scenarios.
//!
//! `tale` is the small language in which they speak.

mod scenarios;
mod tale;
