//! Answers when cron expressions are due next, by JSON: one question per line on stdin, one answer on stdout.
//!
//! ```text
//! printf '%s\n' '{"expression":"30 2 * * *","zone":"Europe/Berlin","after":1774699200}' \
//!               '{"expression":"30 2 * * *","zone":"Europe/Berlin","after":1774699200,"gap":"Skip"}' \
//!               '{"zone":"Europe/Berlin","offsets_at":[0,1774746000]}' |
//!   cargo run -p dormouse-engine --example next_times
//! ```
//! Times are seconds since 1970. What others answer to the same questions is compared by `tests/differential`.

use dormouse_engine::schedule::{Cron, Dst, Gap, Overlap, Schedule, zone_database};
use dormouse_engine::time::WallTime;
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, BufWriter, Write as _};

/// Either kind of question.
#[derive(Deserialize)]
#[serde(untagged)]
enum Question {
    Next {
        expression: String,
        zone: String,
        after: i64,
        #[serde(default)]
        gap: Gap,
        #[serde(default)]
        overlap: Overlap,
    },
    /// What the clock of a zone is ahead of UTC, so that releases of the database can be compared.
    Offsets { zone: String, offsets_at: Vec<i64> },
}

fn main() -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(question) => answer(question).unwrap_or_else(|why| json!({ "error": why })),
            Err(why) => json!({ "error": why.to_string() }),
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

fn answer(question: Question) -> Result<Value, String> {
    match question {
        Question::Next {
            expression,
            zone,
            after,
            gap,
            overlap,
        } => {
            let cron = Cron::parse(&expression, &zone).map_err(|why| why.to_string())?;
            let schedule = Schedule::Cron(cron.with_dst(Dst { gap, overlap }));
            let next = schedule.next_after(WallTime(after * 1000));
            Ok(json!({ "next": next.map(|next| next.0 / 1000) }))
        }
        Question::Offsets { zone, offsets_at } => {
            let rules = TimeZoneDatabase::bundled().get(&zone);
            let rules = rules.map_err(|why| why.to_string())?;
            let offset = |at: i64| {
                let at = Timestamp::from_second(at).map_err(|why| why.to_string())?;
                Ok(rules.to_offset(at).seconds())
            };
            let offsets = offsets_at.into_iter().map(offset);
            let offsets = offsets.collect::<Result<Vec<_>, String>>()?;
            Ok(json!({ "offsets": offsets, "release": zone_database() }))
        }
    }
}
