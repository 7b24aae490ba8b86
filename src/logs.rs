//! The log of the process: to standard error, as lines of text or of JSON.
//!
//! What is logged is up to whoever logs; `DORMOUSE_LOG`, else `RUST_LOG`, says how much of it is seen.

use clap::ValueEnum;
use std::io::{self, IsTerminal as _};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Begins to log. A role tells its life; a command only what is wrong.
pub(crate) fn begin(form: Form, is_role: bool) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(is_role))
        .with_writer(io::stderr);
    match form {
        Form::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        Form::Json => builder.json().init(),
    }
}

fn filter(is_role: bool) -> EnvFilter {
    let wanted = ["DORMOUSE_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    // The store's library tells of every segment; warnings of it are enough.
    let usual = if is_role { "info,sled=warn" } else { "warn" };
    EnvFilter::builder().parse_lossy(wanted.as_deref().unwrap_or(usual))
}
