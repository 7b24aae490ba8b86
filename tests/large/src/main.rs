//! Dormouse in the large: real processes on loopback, many timers, and what must hold then.
//!
//! Here are the arguments and the list of scenarios; each is a file of its own. `stage` starts the processes and
//! reads what they cost, `load` makes timers, `sink` is a worker that counts, `verdict` is the line that is printed.
//! Each scenario starts a cluster of its own, ends it, and ends by itself within its limit.

mod gauge;
mod load;
mod scenarios;
mod sink;
mod stage;
mod verdict;

use clap::Parser;
use futures_util::future::join;
use scenarios::{SCENARIOS, Scenario};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::time::timeout;
use verdict::{Judged, Verdict};

/// Runs each scenario against the binary, and prints a line of JSON for each of its cases: counts, lateness, verdict.
///
/// Exit code 1 if a case failed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `dormouse` binary.
    #[arg(long, env = "DORMOUSE_BIN", default_value = "target/release/dormouse")]
    program: PathBuf,

    /// How large: 1 is everything, 0.01 is for a gate.
    #[arg(long, env = "SCALE", default_value_t = 1.0, value_parser = scale)]
    scale: f64,

    /// Judge counts only: nothing lost, nothing twice, nothing stuck. Lateness and memory are measured all the same.
    #[arg(long)]
    counts: bool,

    /// Only these: sleep, restart, slow, credits, flood, readers, exports, million.
    scenarios: Vec<String>,
}

/// What a scenario is run with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) program: PathBuf,
    pub(crate) scale: f64,
    pub(crate) judged: Judged,
}

impl Setting {
    /// A number of things at this scale, at least `least`.
    pub(crate) fn of(&self, full: usize, least: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a scale is between 0 and 1, and so is what it makes of a small number"
        )]
        let scaled = (full as f64 * self.scale).round() as usize;
        scaled.clamp(least.min(full), full)
    }

    /// A begun line of a case.
    pub(crate) fn verdict(&self, scenario: &'static str, case: &str) -> Verdict {
        Verdict::new(scenario, case, self.scale, self.judged)
    }
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    (scale > 0.0 && scale <= 1.0)
        .then_some(scale)
        .ok_or_else(|| "it must be above 0 and at most 1".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let setting = Setting {
        program: arguments.program.canonicalize().map_err(|error| {
            anyhow::anyhow!(
                "{}: {error}; build it, or name it by --program",
                arguments.program.display()
            )
        })?,
        scale: arguments.scale,
        judged: if arguments.counts {
            Judged::Counts
        } else {
            Judged::Everything
        },
    };
    let wanted = |scenario: &&Scenario| {
        arguments.scenarios.is_empty() || arguments.scenarios.iter().any(|it| it == scenario.name)
    };
    for name in &arguments.scenarios {
        anyhow::ensure!(
            SCENARIOS.iter().any(|it| it.name == name),
            "there is no scenario {name}; there are {}",
            SCENARIOS.map(|it| it.name).join(", ")
        );
    }
    let mut failed = false;
    for scenario in SCENARIOS.iter().filter(wanted) {
        failed |= !run(scenario, &setting).await?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Runs one scenario to its end or its limit, and prints its lines as they come; says whether all cases passed.
async fn run(scenario: &Scenario, setting: &Setting) -> io::Result<bool> {
    let (told, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let playing = timeout(scenario.limit, (scenario.play)(setting.clone(), told));
    let printing = async {
        let mut passed = true;
        while let Some(verdict) = lines.recv().await {
            passed &= print(&verdict)?;
        }
        io::Result::Ok(passed)
    };
    let (played, printed) = join(playing, printing).await;
    let why = match played {
        Ok(Ok(())) => return printed,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_elapsed) => format!("it did not end within {:?}", scenario.limit),
    };
    let mut verdict = setting.verdict(scenario.name, "");
    verdict.count(false, why);
    print(&verdict)
}

fn print(verdict: &Verdict) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    writeln!(out, "{verdict}")?;
    out.flush()?;
    Ok(verdict.passed())
}
