//! `make sim SEED=n` and `make sim SEEDS=n`: plays histories until one breaks a rule.

use clap::Parser;
use dormouse_sim::{Counts, Plan, run, trace};
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Plays simulated histories of Dormouse.
#[derive(Parser)]
struct Arguments {
    /// Play this one.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Play so many.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of many.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print everything that happened, as far as it got.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Go on after a failure, and tell of each in two lines.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed.filter(|_| arguments.trace) {
        for line in trace(seed) {
            if writeln!(stdout(), "{line}").is_err() {
                return ExitCode::FAILURE;
            }
        }
        return ExitCode::SUCCESS;
    }
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let mut out = stdout().lock();
    let (mut failed, mut events, total) = (0u64, 0u64, seeds.end - seeds.start);
    let mut last: Option<Counts> = None;
    for seed in seeds {
        match run(seed) {
            Ok(report) => {
                events += report.counts.events;
                last = Some(report.counts);
            }
            Err(failure) => {
                failed += 1;
                let told = if arguments.keep_going {
                    writeln!(
                        out,
                        "seed {seed} {:?}: {}: {:?} {}",
                        Plan::of(seed).kind,
                        failure.violation.rule,
                        failure.violation.uid,
                        failure.violation.what
                    )
                } else {
                    writeln!(out, "{failure}")
                };
                if told.is_err() || !arguments.keep_going {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let detail = arguments
        .seed
        .and(last)
        .map(|counts| format!("{counts:?}\n"))
        .unwrap_or_default();
    // Who asked may have gone.
    let _ = writeln!(
        out,
        "{detail}{total} seeds, {failed} broke a rule, {events} events"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
