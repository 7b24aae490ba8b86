//! What a ledger keeps as lines of JSON, and lines as facts again.
//!
//! The form is the engine's own records, told in JSON that is made to last: names in snake_case, instants as RFC
//! 3339, lengths as whole milliseconds, identities as hexadecimal digits, payloads as base64. `writing` and `reading`
//! do that for any record, so that a field that the engine gains is exported without a word here; what older lines
//! do not have gets the default that older journals get.
//!
//! ```text
//! {"kind":"dormouse_export","version":1,"program":"0.1.0","time":"2026-11-25T17:00:00.000Z"}
//! {"kind":"pool","pool":"default","ledger":"019a...","index":812}
//! {"kind":"timer","uid":"019a...","name":"pools/default/timers/report",...}
//! {"kind":"end","lines":3}
//! ```

mod place;
mod reading;
mod writing;

use dormouse_engine::id::{NodeId, PoolId, Uid};
use dormouse_engine::ledger::{Exported, Fact};
use dormouse_engine::op::Op;
use dormouse_engine::time::{LogIndex, WallTime};
use dormouse_engine::timer::Timer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the form that this build writes, and the highest that it reads.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first line of all.
    Head(Head),
    /// The facts of this pool follow.
    Pool(PoolLine),
    /// A fact of the pool before it.
    Fact(Fact),
    /// The last line of all: without it the lines are not whole.
    End(End),
}

/// What wrote the lines, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the form.
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// When.
    pub time: WallTime,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolLine {
    /// Its id.
    pub pool: PoolId,
    /// The identity of its ledger.
    pub ledger: Uid,
    /// How far its ledger had come.
    pub index: LogIndex,
}

/// The end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many lines stand before it.
    pub lines: u64,
}

/// What a pending change is for.
#[derive(Serialize, Deserialize)]
struct Pending {
    node: NodeId,
    op: Op,
}

/// A timer that is no more.
#[derive(Serialize, Deserialize)]
struct Gone {
    uid: Uid,
    home: NodeId,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadLine {
    /// In characters from 1; 0 if it is not about one place.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl BadLine {
    /// Something that is wrong with a line as a whole.
    pub fn whole(why: impl Into<String>) -> Self {
        let why = why.into();
        Self { column: 0, why }
    }
}

/// The lines of an export as its pieces come: a head, then the pieces of each pool, then the end.
#[derive(Debug, Default)]
pub struct Lines {
    written: u64,
    /// The pool that the last line of a pool was about, and its index.
    pool: Option<(PoolId, LogIndex)>,
}

impl Lines {
    /// The first line.
    pub fn head(&mut self, now: WallTime) -> String {
        self.written += 1;
        let head = Head {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            time: now,
        };
        Line::Head(head).write()
    }

    /// The lines of a piece. A line of the pool stands before the facts of each index: what came in after the
    /// first one may be in the export or not.
    pub fn piece(&mut self, exported: Exported) -> Vec<String> {
        let mut lines = Vec::with_capacity(exported.facts.len() + 1);
        let place = Some((exported.pool.clone(), exported.index));
        if self.pool != place {
            self.pool = place;
            let pool = PoolLine {
                pool: exported.pool,
                ledger: Uid(exported.ledger),
                index: exported.index,
            };
            lines.push(Line::Pool(pool).write());
        }
        let facts = exported.facts.into_iter();
        lines.extend(facts.map(|fact| Line::Fact(fact).write()));
        self.written += lines.len() as u64;
        lines
    }

    /// The last line.
    #[must_use]
    pub fn end(&self) -> String {
        let lines = self.written;
        Line::End(End { lines }).write()
    }
}

impl Line {
    /// The line, without its end.
    #[must_use]
    pub fn write(&self) -> String {
        match self {
            Self::Head(head) => tagged("dormouse_export", head),
            Self::Pool(pool) => tagged("pool", pool),
            Self::Fact(Fact::Timer(timer)) => tagged("timer", timer.as_ref()),
            Self::Fact(Fact::Pending { node, op }) => {
                let (node, op) = (node.clone(), op.clone());
                tagged("pending", &Pending { node, op })
            }
            Self::Fact(Fact::Gone { uid, home }) => {
                let (uid, home) = (*uid, home.clone());
                tagged("gone", &Gone { uid, home })
            }
            Self::End(end) => tagged("end", end),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong, and in which column.
    pub fn read(text: &str) -> Result<Self, BadLine> {
        let value: Value = serde_json::from_str(text).map_err(|error| BadLine {
            column: error.column().max(1),
            why: format!("it is no JSON: {}", plain(&error)),
        })?;
        let Value::Object(mut object) = value else {
            return Err(BadLine::whole("must be an object with a `kind`"));
        };
        let kind = match object.remove("kind") {
            Some(Value::String(kind)) => kind,
            _ => return Err(BadLine::whole("must have a `kind`")),
        };
        match kind.as_str() {
            "dormouse_export" => Self::head(text, object).map(Self::Head),
            "pool" => parse(text, object).map(Self::Pool),
            "timer" => {
                let timer: Timer = parse(text, object)?;
                Ok(Self::Fact(Fact::Timer(Box::new(timer))))
            }
            "pending" => {
                let Pending { node, op } = parse(text, object)?;
                Ok(Self::Fact(Fact::Pending { node, op }))
            }
            "gone" => {
                let Gone { uid, home } = parse(text, object)?;
                Ok(Self::Fact(Fact::Gone { uid, home }))
            }
            "end" => parse(text, object).map(Self::End),
            other => Err(BadLine {
                column: place::column(text, &["kind".into()]),
                why: format!("{other:?} is no kind of line that this version knows"),
            }),
        }
    }

    /// A form that is newer than this build is told by its number, whatever else it has.
    fn head(text: &str, object: Map<String, Value>) -> Result<Head, BadLine> {
        let version = object.get("version").and_then(Value::as_u64);
        if version.is_some_and(|version| version > u64::from(VERSION)) {
            return Err(BadLine {
                column: place::column(text, &["version".into()]),
                why: format!("version: this build reads up to {VERSION}; use a newer one"),
            });
        }
        parse(text, object)
    }
}

fn tagged<T: Serialize>(kind: &str, body: &T) -> String {
    let body = writing::value(body).expect("the engine's records are maps, lists and numbers");
    let rest = body.to_string();
    format!("{{\"kind\":\"{kind}\",{}", rest.trim_start_matches('{'))
}

fn parse<T: DeserializeOwned>(text: &str, object: Map<String, Value>) -> Result<T, BadLine> {
    reading::value(Value::Object(object)).map_err(|fault| BadLine {
        column: place::column(text, &fault.path),
        why: fault.to_string(),
    })
}

/// The words of the decoder without its own "at line 1 column 7".
fn plain(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let end = words.find(" at line ").unwrap_or(words.len());
    words[..end].to_owned()
}
