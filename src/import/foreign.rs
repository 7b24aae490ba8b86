//! Creates what a reader of a foreign file has found, and tells what became of each entry.
//!
//! A timer carries a hash of what it was imported as, by which a second import knows it again whatever the server
//! has filled in meanwhile.

use super::Arguments;
use crate::cli::Peer;
use crate::cron::{Outcome, is_of_all_lines, pool_of};
use crate::failure::Failure;
use crate::output::{Output, Row};
use crate::source::{self, Place, Remark, fnv1a};
use dormouse_client::{Client, Error, wire};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The label that has the hash.
const HASH_LABEL: &str = "import.hash";

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What can become timers, in the order of the file.
    pub(super) entries: Vec<Entry>,
    /// What was read and left out.
    pub(super) notes: Vec<Remark>,
    /// What cannot be imported.
    pub(super) problems: Vec<Remark>,
}

/// What becomes one timer.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it is in the file, such as `CronJob shop/nightly`.
    pub(super) what: String,
    pub(super) place: Place,
    pub(super) timer_id: String,
    /// The schedule in words.
    pub(super) schedule: String,
    pub(super) timer: wire::Timer,
    /// What makes it the same entry in a second import, whenever that is.
    pub(super) identity: Vec<u8>,
    /// What has no equivalent.
    pub(super) notes: Vec<Remark>,
}

/// What a reader is told beside the text.
pub(super) struct Settings<'a> {
    /// The handler of all timers, if there is one for all.
    pub(super) handler: Option<&'a str>,
    /// The zone of schedules without one.
    pub(super) zone: &'a str,
    /// What relative times are counted from.
    pub(super) now: SystemTime,
}

/// Reads the text of a file.
pub(super) type Reader = fn(&[u8], &Settings<'_>) -> Found;

/// What became of an entry.
#[derive(Debug, Serialize)]
struct Imported {
    line: usize,
    source: String,
    outcome: Outcome,
    name: String,
    schedule: String,
    paused: bool,
    notes: Vec<Note>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Note {
    line: usize,
    column: usize,
    text: String,
}

impl Row for Imported {
    const HEADER: &'static [&'static str] = &["line", "outcome", "name", "schedule", "source"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.line.to_string(),
            self.outcome.words().into(),
            self.name.clone(),
            self.schedule.clone(),
            self.source.clone(),
        ]
    }
}

pub(super) async fn run(arguments: &Arguments, reader: Reader, peer: &Peer) -> Result<(), Failure> {
    let text = source::bytes(&arguments.file, "file of jobs")?;
    let settings = Settings {
        handler: arguments.handler.as_deref(),
        zone: &arguments.zone,
        now: SystemTime::now(),
    };
    let mut found = reader(&text, &settings);
    found.refuse_doubles();
    found.seal();
    judge(arguments, &found, peer.output)?;
    let imported = if arguments.dry_run {
        let rehearsed = found.entries.iter();
        let rehearsed = rehearsed.map(|it| it.became(Outcome::WouldCreate, it.timer_id.clone()));
        rehearsed.collect()
    } else {
        create_all(arguments, &found.entries, peer).await?
    };
    peer.output.rows(&imported)?;
    verdict(&imported, found.problems.len())
}

/// How the command ends.
fn verdict(imported: &[Imported], problems: usize) -> Result<(), Failure> {
    let failed = imported
        .iter()
        .filter(|it| it.outcome == Outcome::Failed)
        .count();
    match (failed, problems) {
        (0, 0) => Ok(()),
        (0, problems) => Err(Failure::failed(format!(
            "{problems} parts of the file are wrong and were left out"
        ))),
        (failed, _) => Err(Failure::failed(format!(
            "{failed} of {} timers were not created",
            imported.len()
        ))),
    }
}

/// Tells what is wrong and what has no equivalent; an error if that stands against importing.
fn judge(arguments: &Arguments, found: &Found, output: Output) -> Result<(), Failure> {
    let file = arguments.file.display();
    for note in &found.notes {
        eprintln!("note: {file}:{note}");
    }
    // Programs find them in the rows.
    if output == Output::Table {
        for entry in found.entries.iter().filter(|it| !it.notes.is_empty()) {
            let Place { line, column } = entry.place;
            eprintln!(
                "{file}:{line}:{column}: {} has no equivalent for:",
                entry.what
            );
            for note in &entry.notes {
                eprintln!("  {note}");
            }
        }
    }
    for problem in &found.problems {
        eprintln!("error: {file}:{problem}");
    }
    if found.problems.is_empty() || arguments.partial {
        return Ok(());
    }
    let failure = Failure::failed(format!(
        "nothing was imported: {}",
        match found.problems.len() {
            1 => "a part of the file is wrong".to_owned(),
            count => format!("{count} parts of the file are wrong"),
        }
    ));
    Err(failure.hint("correct the file, or import the rest of it with --partial"))
}

async fn create_all(
    arguments: &Arguments,
    entries: &[Entry],
    peer: &Peer,
) -> Result<Vec<Imported>, Failure> {
    let client = peer.connect().await?;
    let pool = match &arguments.pool {
        Some(pool) => pool.to_string(),
        None => pool_of(&client).await?,
    };
    let mut imported = Vec::new();
    for entry in entries {
        let row = create(entry, &pool, &client).await?;
        if let Some(why) = &row.error {
            let (file, Place { line, column }) = (arguments.file.display(), entry.place);
            eprintln!("error: {file}:{line}:{column}: {}: {why}", entry.what);
        }
        imported.push(row);
    }
    Ok(imported)
}

/// Creates one timer. What can only happen to all alike ends the import.
async fn create(entry: &Entry, pool: &str, client: &Client) -> Result<Imported, Failure> {
    let name = format!("pools/{pool}/timers/{}", entry.timer_id);
    let request = wire::CreateTimerRequest {
        pool: pool.into(),
        timer_id: entry.timer_id.clone(),
        timer: Some(entry.timer.clone()),
        request_id: String::new(),
    };
    let failed = |why: String| Imported {
        error: Some(why),
        ..entry.became(Outcome::Failed, name.clone())
    };
    match client.create_as(request).await {
        Ok(created) => Ok(entry.became(Outcome::Created, created.name)),
        Err(Error::AlreadyExists { .. }) => match client.get_as(&name).await {
            Ok(there) if there.labels.get(HASH_LABEL) == entry.timer.labels.get(HASH_LABEL) => {
                Ok(entry.became(Outcome::Unchanged, name.clone()))
            }
            Ok(_) => Ok(failed(
                "a timer of this name exists and is another one: cancel it, or use another --pool"
                    .into(),
            )),
            Err(error) if is_of_all_lines(&error) => Err(error.into()),
            Err(error) => Ok(failed(error.to_string())),
        },
        Err(error) if is_of_all_lines(&error) => Err(error.into()),
        Err(error) => Ok(failed(error.to_string())),
    }
}

impl Found {
    /// A second entry of the same name would be taken for the first one.
    fn refuse_doubles(&mut self) {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let entries = std::mem::take(&mut self.entries);
        for entry in entries {
            match seen.get(&entry.timer_id) {
                Some(first) => self.problems.push(Remark {
                    place: entry.place,
                    text: format!(
                        "{} would have the name {}, as {first} has; rename one of them",
                        entry.what, entry.timer_id
                    ),
                }),
                None => {
                    let Place { line, column } = entry.place;
                    let first = format!("{} at {line}:{column}", entry.what);
                    seen.insert(entry.timer_id.clone(), first);
                    self.entries.push(entry);
                }
            }
        }
        self.problems.sort_by_key(|problem| problem.place);
    }

    /// Gives each timer the hash of what it is.
    fn seal(&mut self) {
        for entry in &mut self.entries {
            let hash = fnv1a(&entry.identity);
            let labels = &mut entry.timer.labels;
            labels.insert(HASH_LABEL.into(), format!("{hash:016x}"));
        }
    }
}

impl Entry {
    fn became(&self, outcome: Outcome, name: String) -> Imported {
        let notes = self.notes.iter().map(|note| Note {
            line: note.place.line,
            column: note.place.column,
            text: note.text.clone(),
        });
        Imported {
            line: self.place.line,
            source: self.what.clone(),
            outcome,
            name,
            schedule: self.schedule.clone(),
            paused: self.timer.paused,
            notes: notes.collect(),
            error: None,
        }
    }
}

/// A valid timer id of the words, the same every time; cut and hashed if they are too long or have other characters.
pub(super) fn timer_id(words: &str) -> String {
    use dormouse_agent::engine::id::TimerId;
    /// What a hash and its hyphen leave of the 63 characters.
    const WORDS_MAX: usize = 54;
    if TimerId::new(words).is_ok() {
        return words.to_owned();
    }
    let mut cut = String::new();
    for c in words.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            cut.push(c);
        } else if !cut.is_empty() && !cut.ends_with(['-', '.', '_']) {
            cut.push(if matches!(c, '.' | '_') { c } else { '-' });
        }
        if cut.len() == WORDS_MAX {
            break;
        }
    }
    let cut = cut.trim_end_matches(['-', '.', '_']);
    let cut = if cut.is_empty() { "job" } else { cut };
    format!("{cut}-{:08x}", fnv1a(words.as_bytes()) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_agent::engine::id::TimerId;

    #[test]
    fn an_id_is_kept_if_it_can_be_and_is_otherwise_stable_and_its_own() {
        assert_eq!(timer_id("shop.nightly"), "shop.nightly");
        let long = "n".repeat(80);
        let odd = [
            "Shop/Nightly",
            "shop/nightly",
            "shop nightly",
            "",
            "äö",
            "-x-",
            &long,
        ];
        let ids: std::collections::BTreeSet<String> = odd.iter().map(|it| timer_id(it)).collect();
        assert_eq!(ids.len(), odd.len(), "{ids:?}");
        for id in ids {
            assert!(TimerId::new(&id).is_ok(), "{id}");
        }
        assert_eq!(timer_id("Shop/Nightly"), timer_id("Shop/Nightly"));
    }
}
