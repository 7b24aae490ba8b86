//! The hierarchy as a whole: scenarios, single rules, hazards, and the `replay` example.
//!
//! `tale` is the small language in which they speak.

mod hazards;
mod replay;
mod rules;
mod scenarios;
mod tale;
