//! What a command prints: tables for people, one JSON object per line for programs.
//!
//! The only file that writes to standard output. Names of fields are stable and in snake_case; times are RFC 3339 in
//! UTC with milliseconds.

use crate::failure::Failure;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

/// Something that is a row of a table, and an object of JSON.
pub(crate) trait Row: Serialize {
    /// The names of the columns.
    const HEADER: &'static [&'static str];

    /// The cells, one for each column.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    /// Prints rows; none is an empty table, and no line of JSON.
    pub(crate) fn rows<R: Row>(self, rows: &[R]) -> Result<(), Failure> {
        match self {
            Self::Json => rows.iter().try_for_each(json),
            Self::Table => text(&table(R::HEADER, rows.iter().map(Row::cells))),
        }
    }

    /// Prints one thing, in words for people.
    pub(crate) fn one(self, thing: &impl Serialize, words: &str) -> Result<(), Failure> {
        match self {
            Self::Json => json(thing),
            Self::Table => text(words),
        }
    }
}

/// A table without lines, aligned, ready to be printed.
pub(crate) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().map(|name| name.to_uppercase()))
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Prints one object of JSON on a line, at once.
pub(crate) fn json(object: &impl Serialize) -> Result<(), Failure> {
    text(&json_text(object))
}

fn json_text(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("what is printed has only text as keys")
}

/// Prints lines, at once.
pub(crate) fn text(words: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{words}")?;
    Ok(stdout.flush()?)
}

/// An instant as RFC 3339 in UTC with milliseconds, rounded down.
pub(crate) fn time(instant: SystemTime) -> String {
    match Timestamp::from_millisecond(millis(instant)) {
        Ok(instant) => format!("{instant:.3}"),
        Err(_) => "beyond the year 9999".into(),
    }
}

/// Milliseconds since 1970, rounded down.
pub(crate) fn millis(instant: SystemTime) -> i64 {
    let count = |length: std::time::Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(since) => count(since),
        Err(before) => {
            let before = before.duration();
            let partial = i64::from(before.subsec_nanos() % 1_000_000 != 0);
            -count(before) - partial
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_utc_with_milliseconds_and_never_later_than_they_are() {
        let at = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        assert_eq!(time(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(at(1_999_999)), "1970-01-01T00:00:00.001Z");
        let before = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(time(before), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_table_has_aligned_columns_and_nothing_else() {
        let rows = [
            vec!["n1".into(), "active".into()],
            vec!["long-name".into(), "idle".into()],
        ];
        let shown = table(&["node", "state"], rows.into_iter());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            ["NODE       STATE", "n1         active", "long-name  idle"]
        );
    }
}
