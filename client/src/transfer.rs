//! What a coordinator keeps, out and in as lines; and timers created as messages.
//!
//! Lines are passed on as they are. What they say is for coordinators to read.

use crate::client::Client;
use crate::error::Error;
use crate::id;
use dormouse_proto::v1 as wire;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

/// Lines of one message, in bytes: well below the longest message.
const MESSAGE_BYTES: usize = 1 << 20;
/// Lines of one message.
const MESSAGE_LINES: usize = 1_000;

/// Everything that a coordinator keeps, on its way here; made by [`Client::export`].
#[derive(Debug)]
pub struct Exporting {
    client: Client,
    stream: Streaming<wire::ExportResponse>,
    total: u64,
}

/// What an import is told beside the lines.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Applies what is right, although other lines are wrong or names are taken.
    pub partial: bool,
    /// Changes nothing, only says what would be.
    pub validate_only: bool,
    /// Counts the lines that were sent, for those who watch.
    pub sent: Arc<AtomicU64>,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Timers that are there now because of it.
    pub created: u64,
    /// Timers that were there already, with the same identity.
    pub known: u64,
    /// Lines that were left out, and why; only if asked for in part.
    pub refused: Vec<BadLine>,
}

/// A line that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    /// In characters, from 1; 0 if it is not about one place of the line.
    pub column: u64,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// Why nothing was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Lines are wrong, or their names are taken; nothing changed.
    #[error("{} lines cannot be imported", .lines.len())]
    Lines {
        /// [`Code::AlreadyExists`] if names are taken and nothing else is wrong.
        code: Code,
        /// Which lines.
        lines: Vec<BadLine>,
    },
    /// As every call.
    #[error(transparent)]
    Call(#[from] Error),
}

impl Client {
    /// Creates a timer that is described in the words of the wire, for what [`Timer`](crate::Timer) has no words for.
    /// Without a request id it gets one.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn create_as(
        &self,
        mut request: wire::CreateTimerRequest,
    ) -> Result<wire::Timer, Error> {
        if request.request_id.is_empty() {
            request.request_id = crate::client::request_id();
        }
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).create_timer(request).await
        });
        required(Box::pin(response).await?.timer)
    }

    /// Reads the timer of this full name, in the words of the wire.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_as(&self, name: &str) -> Result<wire::Timer, Error> {
        let request = wire::GetTimerRequest {
            name: id::timer_name(name)?,
        };
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).get_timer(request).await
        });
        required(response.await?.timer)
    }

    /// Reads everything that a coordinator keeps, of one pool or of all.
    ///
    /// # Errors
    /// As every call; what fails later, [`Exporting::next`] says.
    pub async fn export(&self, pool: Option<&str>) -> Result<Exporting, Error> {
        let request = wire::ExportRequest {
            pool: pool.unwrap_or_default().into(),
        };
        let mut admin = Client::admin(self.channel());
        let opened = admin.export(request).await;
        let stream = opened.map_err(|status| self.error(&status))?.into_inner();
        Ok(Exporting {
            client: self.clone(),
            stream,
            total: 0,
        })
    }

    /// Puts exported lines into a coordinator. Returns when they are durable.
    ///
    /// # Errors
    /// [`ImportError::Lines`] for lines that are wrong; nothing was changed then.
    pub async fn import(
        &self,
        lines: Vec<String>,
        options: ImportOptions,
    ) -> Result<Imported, ImportError> {
        let messages = messages(lines, &options);
        let sent = options.sent;
        let messages = messages.into_iter().inspect(move |message| {
            sent.fetch_add(message.lines.len() as u64, Ordering::Relaxed);
        });
        let mut admin = Client::admin(self.channel());
        let request = Request::new(tokio_stream::iter(messages));
        match admin.import(request).await {
            Ok(response) => {
                let response = response.into_inner();
                Ok(Imported {
                    created: response.created,
                    known: response.known,
                    refused: response.refused.into_iter().map(BadLine::from).collect(),
                })
            }
            Err(status) => Err(self.why_not(&status)),
        }
    }

    fn why_not(&self, status: &Status) -> ImportError {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let lines: Vec<BadLine> = violations
            .into_iter()
            .flatten()
            .filter_map(|it| BadLine::parse(&it.field, &it.description))
            .collect();
        match lines.is_empty() {
            true => ImportError::Call(self.error(status)),
            false => ImportError::Lines {
                code: status.code(),
                lines,
            },
        }
    }
}

impl Exporting {
    /// Some more lines, without their ends; none after the last.
    ///
    /// # Errors
    /// As every call. What came before is not whole then.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Error> {
        let next = self.stream.message().await;
        let next = next.map_err(|status| self.client.error(&status))?;
        let Some(response) = next else {
            return Ok(None);
        };
        self.total = self.total.max(response.lines_total);
        Ok(Some(response.lines))
    }

    /// How many lines there are in all; known after the first.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl From<wire::RefusedLine> for BadLine {
    fn from(line: wire::RefusedLine) -> Self {
        Self {
            line: line.line,
            column: line.column,
            why: line.why,
        }
    }
}

impl BadLine {
    /// From the path `lines[N]`, counted from 0, or `lines[N]:COLUMN`, and the words.
    fn parse(field: &str, why: &str) -> Option<Self> {
        let (number, column) = field.strip_prefix("lines[")?.split_once(']')?;
        let line: u64 = number.parse().ok()?;
        let column = column.strip_prefix(':').unwrap_or("0");
        Some(Self {
            line: line.checked_add(1)?,
            column: column.parse().ok()?,
            why: why.to_owned(),
        })
    }
}

/// The lines in messages of a bounded length, the last of which says so.
fn messages(lines: Vec<String>, options: &ImportOptions) -> Vec<wire::ImportRequest> {
    let empty = || wire::ImportRequest {
        partial: options.partial,
        validate_only: options.validate_only,
        ..wire::ImportRequest::default()
    };
    let mut messages = vec![empty()];
    let mut bytes = 0;
    for line in lines {
        let full = messages.last().map_or(0, |it| it.lines.len()) >= MESSAGE_LINES;
        if bytes > 0 && (full || bytes + line.len() > MESSAGE_BYTES) {
            messages.push(empty());
            bytes = 0;
        }
        bytes += line.len().max(1);
        if let Some(message) = messages.last_mut() {
            message.lines.push(line);
        }
    }
    if let Some(last) = messages.last_mut() {
        last.last = true;
    }
    messages
}

fn required(timer: Option<wire::Timer>) -> Result<wire::Timer, Error> {
    timer.ok_or_else(|| Error::bad_answer("it has no timer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_keep_the_order_and_only_the_last_says_so() {
        let lines: Vec<String> = (0..2_500).map(|n| n.to_string()).collect();
        let long = vec!["x".repeat(MESSAGE_BYTES), "y".into(), "z".into()];
        for (lines, count) in [(lines, 3), (long, 2), (Vec::new(), 1)] {
            let sent = messages(lines.clone(), &ImportOptions::default());
            assert_eq!(sent.len(), count);
            let together: Vec<String> = sent.iter().flat_map(|it| it.lines.clone()).collect();
            assert_eq!(together, lines);
            let lasts: Vec<bool> = sent.iter().map(|it| it.last).collect();
            assert!(
                lasts
                    .split_last()
                    .is_some_and(|(last, rest)| *last && !rest.contains(&true))
            );
        }
    }

    #[test]
    fn a_line_of_an_answer_is_read_with_and_without_a_column() {
        let line = |line, column| BadLine {
            line,
            column,
            why: "w".into(),
        };
        assert_eq!(BadLine::parse("lines[0]", "w"), Some(line(1, 0)));
        assert_eq!(BadLine::parse("lines[6]:12", "w"), Some(line(7, 12)));
        assert_eq!(BadLine::parse("pool", "w"), None);
    }
}
