//! The hierarchy as a whole: scenarios, single rules, hazards, properties, and the `replay` example.
//!
//! `tale` is the small language in which the first three speak; `world` is the model of a cluster
//! with a bad network that the properties use.
#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod hazards;
mod properties;
mod replay;
mod rules;
mod scenarios;
mod tale;
mod world;
