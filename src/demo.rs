//! `dormouse demo`: the whole story in half a minute, with real processes on this machine.
//!
//! Here is the story as a list of acts, and the verdict. What happens in an act is in `acts`, the processes and timers
//! are in `stage`; `facts` are what was seen, `score` judges them by what `almanac` says was due; `draw` and `tell` are
//! for the reader.

mod acts;
mod stage;

mod facts;

mod almanac;
mod score;

mod draw;
mod tell;

use crate::cli::Peer;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::shutdown;
use acts::Play;
use clap::Args;
use dormouse_cluster::Logs;
use score::{Percentiles, Score};
use stage::Stage;
use tell::Narrator;

/// With fewer occurrences the table would say nothing.
const DUE_MIN: usize = 21;

/// Shows what Dormouse does, in about half a minute: a coordinator and nine nodes, as real processes on this machine.
///
/// Exit code 1 if an occurrence was lost, ran early, or ran more often than it may: once, and once more only if its
/// node was killed with -9 within the second after it was launched, since nobody may know of that launch.
/// With -o json only the table is printed, on one line: {"due","fired","duplicates","early","lost","lateness_ms":
/// {"own","migrated","failover":{"p50","p99"}},"wakeups","wakeups_avoided","seconds"}.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show what the processes log; DORMOUSE_LOG=info shows more.
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let asked = shutdown::asked()?;
    let logs = if arguments.verbose {
        Logs::Forward
    } else {
        Logs::Quiet
    };
    let mut play = Play {
        stage: Stage::new(logs)?,
        tell: Narrator::new(peer.output),
        spared: 0,
    };
    let played = tokio::select! {
        played = story(&mut play) => played,
        () = asked => Err(Failure::failed("the demo was stopped before its end")),
    };
    play.stage.close().await;
    conclude(&played?, &play, peer.output)
}

async fn story(play: &mut Play) -> Result<Score, Failure> {
    play.the_stage_is_set().await?;
    play.two_nodes_sleep().await?;
    play.a_rack_sleeps().await?;
    play.all_sleep().await?;
    play.a_node_is_killed().await?;
    play.the_coordinator_is_killed().await?;
    play.a_sleeper_resumes().await?;
    play.the_curtain_falls().await
}

/// Prints the table, and fails if it shows what may not be.
fn conclude(score: &Score, play: &Play, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => {
            output::json(&score.table)?;
            if score.excused > 0 {
                eprintln!("note: {}", allowance(score));
            }
        }
        Output::Table => output::text(&table(score, play))?,
    }
    let mut faults = score.faults.clone();
    if score.table.due < DUE_MIN {
        faults.push(format!("only {} occurrences were due", score.table.due));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let failure = Failure::failed(format!(
        "what was seen may not be:\n  {}",
        faults.join("\n  ")
    ));
    Err(failure.hint("`dormouse demo -v` shows what the processes log"))
}

fn table(score: &Score, play: &Play) -> String {
    let table = &score.table;
    let counts = [
        ("due", table.due),
        ("fired", table.fired),
        ("duplicates", table.duplicates),
        ("early", table.early),
        ("lost", table.lost),
        ("wake-ups", table.wakeups),
        ("wake-ups avoided", table.wakeups_avoided),
        ("packets saved", play.spared),
    ];
    let counted = output::table(
        &counts.map(|(name, _)| name),
        [counts.map(|(_, count)| count.to_string()).to_vec()].into_iter(),
    );
    let paths = [
        ("own", &table.lateness_ms.own),
        ("migrated", &table.lateness_ms.migrated),
        ("after failover", &table.lateness_ms.failover),
    ];
    let late = output::table(
        &["lateness", "p50", "p99"],
        paths.into_iter().map(|(path, late)| lateness(path, *late)),
    );
    format!(
        "\n{counted}\n\n{late}\n\n{}",
        footnotes(score, table.seconds)
    )
}

fn lateness(path: &str, late: Percentiles) -> Vec<String> {
    let shown = |late: Option<f64>| late.map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"));
    vec![path.into(), shown(late.p50), shown(late.p99)]
}

fn footnotes(score: &Score, seconds: f64) -> String {
    let allowance = allowance(score);
    format!(
        "Due is what the registered schedules say, fired what has an accepted run, lateness from then to the handler.\n\
         Avoided: occurrences of a sleeping home that ran elsewhere while it slept on. After failover: the home was dead,\n\
         or there was no coordinator. Packets saved: changes that an awake home answered alone, each a request elsewhere.\n\
         {allowance} {seconds:.1} s in all."
    )
}

/// What the kill allows, and how much of that was seen.
fn allowance(score: &Score) -> String {
    format!(
        "What the killed node had launched within the second before may run once more; {} did.",
        score.excused
    )
}
