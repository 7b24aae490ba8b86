//! The voice of the demo: acts, trees and what came of them, in plain lines.
//!
//! For people it speaks on standard output. With `-o json` that is for the table alone, so it speaks on standard error,
//! and only to a terminal. Colours and the line that says what is being waited for are for terminals too.

use super::draw::{self, Ink};
use crate::failure::Failure;
use crate::output::{self, Output};
use dormouse_client::PoolInfo;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the line of progress is drawn anew.
const PROGRESS: Duration = Duration::from_millis(100);

/// Tells the story.
#[derive(Debug)]
pub(super) struct Narrator {
    to: To,
    has_colours: bool,
    shows_progress: bool,
    began: Instant,
    act: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Stdout,
    Stderr,
    Nobody,
}

impl Narrator {
    pub(super) fn new(output: Output) -> Self {
        let to = match output {
            Output::Table => To::Stdout,
            Output::Json if io::stderr().is_terminal() => To::Stderr,
            Output::Json => To::Nobody,
        };
        let on_terminal = match to {
            To::Stdout => io::stdout().is_terminal(),
            To::Stderr | To::Nobody => to == To::Stderr,
        };
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self {
            to,
            has_colours: on_terminal && !forbidden,
            shows_progress: on_terminal && io::stderr().is_terminal(),
            began: Instant::now(),
            act: 0,
        }
    }

    /// Since the demo began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The next act begins.
    pub(super) fn act(&mut self, title: &str) -> Result<(), Failure> {
        self.act += 1;
        let act = self.bold(&format!("{}. {title}", self.act));
        let seconds = self.dim(&format!("({:.1} s)", self.elapsed().as_secs_f64()));
        self.line(&format!("\n{act} {seconds}"))
    }

    /// The tree as it is now.
    pub(super) fn tree(&self, pool: &PoolInfo) -> Result<(), Failure> {
        let tree = draw::tree(pool, |ink, text| self.paint(ink, text));
        for line in tree.lines() {
            self.line(&format!("   {}", line.trim_end()))?;
        }
        Ok(())
    }

    /// What came of it.
    pub(super) fn came(&self, text: &str) -> Result<(), Failure> {
        self.line(&format!("   {text}"))
    }

    /// One line of text, or several.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        match self.to {
            To::Stdout => output::text(text),
            To::Stderr => Ok(writeln!(io::stderr().lock(), "{text}")?),
            To::Nobody => Ok(()),
        }
    }

    /// Says on a terminal what is being waited for, as long as it takes.
    pub(super) async fn meanwhile<T>(&self, what: &str, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        if !self.shows_progress {
            return done.await;
        }
        let since = Instant::now();
        let mut beat = tokio::time::interval(PROGRESS);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                result = &mut done => {
                    // Progress is nothing to fail for.
                    let _ = write!(io::stderr().lock(), "\r\x1b[2K");
                    return result;
                }
                _ = beat.tick() => {
                    let seconds = format!("{:.1} s", since.elapsed().as_secs_f64());
                    let words = self.dim(&format!("{what} ... {seconds}"));
                    let _ = write!(io::stderr().lock(), "\r\x1b[2K   {words}");
                }
            }
        }
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.coloured("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.coloured("2", text)
    }

    fn paint(&self, ink: Ink, text: &str) -> String {
        match ink {
            Ink::Plain => text.to_owned(),
            Ink::Asleep => self.coloured("2;34", text),
            Ink::Watch => self.coloured("1;32", text),
            Ink::Gone => self.coloured("31", text),
        }
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.has_colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
