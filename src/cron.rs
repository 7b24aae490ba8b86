//! `dormouse cron`: imports crontabs, each line as a timer, and shows what an expression means.
//!
//! The file is read and judged as a whole before anything is created. A line's timer has an id made of the line, so
//! that importing a file again changes nothing; what changed in the file becomes further timers, and timers whose
//! lines are gone stay until they are cancelled.

mod preview;

use crate::cli::Peer;
use crate::crontab::{self, Crontab, Entry, Form};
use crate::failure::Failure;
use crate::names;
use crate::output::Row;
use crate::source::{self, Place, validate};
use clap::{Args, Subcommand};
use dormouse_agent::engine::id::PoolId;
use dormouse_client::{Client, Error, ScheduleInfo, Target, Timer, TimerInfo};
use serde::Serialize;
use std::path::PathBuf;

/// The handler of imported lines, unless told otherwise.
pub(crate) const HANDLER: &str = "cron";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import a crontab: each line becomes a timer, with the command as its payload.
    ///
    /// `dormouse worker --handler cron -- sh -s` runs such timers. Importing a file again changes nothing.
    Import(Import),
    /// Show the next times of a cron expression; asks nobody.
    Preview(preview::Arguments),
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The crontab; - for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The file has a column with users, as /etc/crontab has.
    #[arg(long)]
    pub(crate) system: bool,

    /// The handler that runs the commands.
    #[arg(long, default_value = HANDLER, value_name = "HANDLER", value_parser = names::handler)]
    pub(crate) handler: String,

    /// The pool of the timers; if not given the agent's own, at a coordinator `default`.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pub(crate) pool: Option<PoolId>,

    /// The IANA time zone of lines before any CRON_TZ.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    pub(crate) zone: String,

    /// Import the lines that are right, although others are wrong.
    #[arg(long)]
    pub(crate) partial: bool,

    /// Only say what would be created.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What became of a line.
#[derive(Debug, Serialize)]
struct Imported {
    line: usize,
    outcome: Outcome,
    name: String,
    schedule: String,
    zone: String,
    command: String,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Created,
    Unchanged,
    Failed,
    WouldCreate,
}

impl Outcome {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::WouldCreate => "would create",
        }
    }
}

impl Row for Imported {
    const HEADER: &'static [&'static str] = &["line", "outcome", "name", "schedule", "command"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.line.to_string(),
            self.outcome.words().into(),
            self.name.clone(),
            format!("{} ({})", self.schedule, self.zone),
            self.command.clone(),
        ]
    }
}

pub(crate) async fn run(command: Command, peer: &Peer) -> Result<(), Failure> {
    match command {
        Command::Import(import) => import.run(peer).await,
        Command::Preview(arguments) => preview::run(&arguments, peer.output),
    }
}

impl Import {
    pub(crate) async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let text = source::read(&self.file, "crontab")?;
        let form = if self.system {
            Form::System
        } else {
            Form::User
        };
        let found = crontab::parse(&text, form, &self.zone, validate);
        self.judge(&found)?;
        let imported = if self.dry_run {
            self.rehearse(&found.entries)
        } else {
            self.create_all(&found.entries, peer).await?
        };
        peer.output.rows(&imported)?;
        let failed = imported
            .iter()
            .filter(|it| it.outcome == Outcome::Failed)
            .count();
        match (failed, found.problems.len()) {
            (0, 0) => Ok(()),
            (0, problems) => Err(Failure::failed(format!(
                "{problems} of the lines are wrong and were left out"
            ))),
            (failed, _) => Err(Failure::failed(format!(
                "{failed} of {} timers were not created",
                imported.len()
            ))),
        }
    }

    /// Tells what is wrong and what is ignored; an error if that stands against importing.
    fn judge(&self, found: &Crontab) -> Result<(), Failure> {
        let file = self.file.display();
        for note in &found.notes {
            eprintln!("note: {file}:{note}");
        }
        for problem in &found.problems {
            eprintln!("error: {file}:{problem}");
        }
        if found.problems.is_empty() || self.partial {
            return Ok(());
        }
        let count = found.problems.len();
        let failure = Failure::failed(format!(
            "nothing was imported: {count} {} wrong",
            if count == 1 { "line is" } else { "lines are" }
        ));
        Err(failure.hint("correct the file, or import the rest of it with --partial"))
    }

    fn rehearse(&self, entries: &[Entry]) -> Vec<Imported> {
        let rows = entries.iter().map(|entry| {
            let name = entry.timer_id.clone();
            entry.became(Outcome::WouldCreate, name, None)
        });
        rows.collect()
    }

    async fn create_all(&self, entries: &[Entry], peer: &Peer) -> Result<Vec<Imported>, Failure> {
        let client = peer.connect().await?;
        let pool = match &self.pool {
            Some(pool) => pool.to_string(),
            None => pool_of(&client).await?,
        };
        let mut imported = Vec::new();
        for entry in entries {
            imported.push(self.create(entry, &pool, &client).await?);
        }
        Ok(imported)
    }

    /// Creates the timer of one line. What can only happen to all lines alike ends the import.
    async fn create(
        &self,
        entry: &Entry,
        pool: &str,
        client: &Client,
    ) -> Result<Imported, Failure> {
        let timer = self.timer(entry, pool).map_err(Failure::failed)?;
        let name = format!("pools/{pool}/timers/{}", entry.timer_id);
        match client.create(timer).await {
            Ok(created) => Ok(entry.became(Outcome::Created, created.name, None)),
            Err(Error::AlreadyExists { .. }) => self.compare(entry, name, client).await,
            Err(error) if is_of_all_lines(&error) => Err(error.into()),
            Err(error) => Ok(self.failed(entry, name, error.to_string())),
        }
    }

    fn timer(&self, entry: &Entry, pool: &str) -> Result<Timer, Error> {
        let mut timer = Timer::cron_in(&entry.expression, &entry.zone)
            .handler(&self.handler)?
            .name(&entry.timer_id)?
            .pool(pool)?
            .payload(entry.command.clone())
            .content_type("text/x-shellscript")?;
        if let Some(user) = &entry.user {
            timer = timer.label("user", user)?;
        }
        Ok(timer)
    }

    async fn compare(
        &self,
        entry: &Entry,
        name: String,
        client: &Client,
    ) -> Result<Imported, Failure> {
        let there = match client.get(&name).await {
            Ok(there) => there,
            Err(error) if is_of_all_lines(&error) => return Err(error.into()),
            Err(error) => return Ok(self.failed(entry, name, error.to_string())),
        };
        if self.is_same(entry, &there) {
            return Ok(entry.became(Outcome::Unchanged, name, None));
        }
        let why =
            "a timer of this name exists and is another one: cancel it, or use another --pool";
        Ok(self.failed(entry, name, why.into()))
    }

    fn is_same(&self, entry: &Entry, timer: &TimerInfo) -> bool {
        let same_schedule = match &timer.schedule {
            ScheduleInfo::Cron { expression, zone } => {
                let zone = if zone.is_empty() { "UTC" } else { zone };
                *expression == entry.expression && zone.eq_ignore_ascii_case(&entry.zone)
            }
            _ => false,
        };
        same_schedule
            && timer.payload == entry.command.as_bytes()
            && matches!(&timer.target, Target::Handler(handler) if *handler == self.handler)
    }

    fn failed(&self, entry: &Entry, name: String, why: String) -> Imported {
        let Place { line, column } = entry.place;
        eprintln!("error: {}:{line}:{column}: {why}", self.file.display());
        entry.became(Outcome::Failed, name, Some(why))
    }
}

impl Entry {
    fn became(&self, outcome: Outcome, name: String, error: Option<String>) -> Imported {
        Imported {
            line: self.place.line,
            outcome,
            name,
            schedule: self.expression.clone(),
            zone: self.zone.clone(),
            command: self.command.clone(),
            error,
        }
    }
}

/// Whether the next line would fare no better.
pub(crate) fn is_of_all_lines(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable { .. } | Error::TimedOut { .. } | Error::Denied { .. }
    )
}

/// The pool that a timer without one belongs to: the agent's own, at a coordinator the default.
pub(crate) async fn pool_of(client: &Client) -> Result<String, Failure> {
    match client.own_node().await {
        Ok(node) => Ok(node.pool),
        Err(Error::Unimplemented { .. }) => Ok(names::POOL.to_owned()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_can_be_imported() {
        let text = include_str!("../examples/crontab");
        let found = crontab::parse(text, Form::User, "UTC", validate);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert!(found.entries.len() >= 5);
    }
}
