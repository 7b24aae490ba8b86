//! The hierarchy as a whole: scenarios, single rules, hazards, steps, properties, and the `replay` example.
//!
//! `tale` is the small language in which all but the last two speak; `world` is the model of a cluster
//! with a bad network that the properties use.
#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod hazards;
mod properties;
mod replay;
mod rules;
mod scenarios;
mod steps;
mod tale;
mod world;
