//! Puts back what `dormouse export` wrote: the lines go to the coordinator, which judges all of them before it
//! applies any.

use super::Arguments;
use crate::cli::Peer;
use crate::export::{Progress, counter};
use crate::failure::Failure;
use crate::source;
use dormouse_client::{BadLine, Code, ImportError, ImportOptions};
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;

/// What was put back.
#[derive(Serialize)]
struct Summary {
    created: u64,
    known: u64,
    refused: usize,
    validate_only: bool,
}

pub(super) async fn run(arguments: &Arguments, peer: &Peer) -> Result<(), Failure> {
    let lines = lines(&arguments.file)?;
    let sent = counter();
    let options = ImportOptions {
        partial: arguments.partial,
        validate_only: arguments.dry_run,
        sent: sent.clone(),
    };
    let progress = Progress::watch("lines", lines.len() as u64, sent);
    let client = peer.connect().await?;
    let result = client.import(lines, options).await;
    drop(progress);
    let imported = match result {
        Ok(imported) => imported,
        Err(ImportError::Lines { code, lines }) => return Err(refused(arguments, code, &lines)),
        Err(ImportError::Call(error)) => return Err(error.into()),
    };
    tell(&arguments.file, &imported.refused);
    let summary = Summary {
        created: imported.created,
        known: imported.known,
        refused: imported.refused.len(),
        validate_only: arguments.dry_run,
    };
    peer.output.one(&summary, &summary.words())?;
    match summary.refused {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} lines were left out"))),
    }
}

impl Summary {
    fn words(&self) -> String {
        let verb = match self.validate_only {
            true => "would be created",
            false => "created",
        };
        let (created, known) = (self.created, self.known);
        format!("{created} timers {verb}, {known} were there already")
    }
}

fn lines(file: &Path) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    source::open(file)?
        .read_to_string(&mut text)
        .map_err(|error| source::refused(file, error))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn refused(arguments: &Arguments, code: Code, lines: &[BadLine]) -> Failure {
    tell(&arguments.file, lines);
    let taken = code == Code::AlreadyExists;
    let failure = Failure::failed(format!(
        "nothing was imported: {} {}",
        match lines.len() {
            1 => "a line".to_owned(),
            count => format!("{count} lines"),
        },
        match (taken, lines.len()) {
            (true, _) => "with the name of another timer",
            (false, 1) => "is wrong",
            (false, _) => "are wrong",
        }
    ));
    failure.hint(match taken {
        true => "cancel those timers, or import the rest with --partial",
        false => "was the file written by `dormouse export`, and is it whole? --partial imports what is right",
    })
}

fn tell(file: &Path, lines: &[BadLine]) {
    let file = file.display();
    for BadLine { line, column, why } in lines {
        eprintln!("error: {file}:{line}:{}: {why}", column.max(&1));
    }
}
