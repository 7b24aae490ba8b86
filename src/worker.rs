//! `dormouse worker`: runs what falls due at an agent.
//!
//! Without a command it prints one line of JSON for each run, and nothing else, and the run is done when the line is
//! flushed; how a command is run is in `command`. The stream to the agent, and its endless reopening, are the client
//! library's.

mod command;

use crate::cli::Peer;
use crate::failure::Failure;
use crate::output::{self, time};
use crate::{names, shutdown, words};
use clap::Args;
use command::Command;
use dormouse_client::{Error, Run};
use serde::Serialize;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs what falls due at an agent.
///
/// With a command, it is run for each run: the payload is its standard input, and DORMOUSE_TIMER, DORMOUSE_RUN,
/// DORMOUSE_NOMINAL_TIME, DORMOUSE_FENCING_TOKEN, DORMOUSE_NODE and DORMOUSE_ATTEMPT are in its environment. If it
/// exits with 0 the run is done, otherwise it has failed and is tried again as its timer says.
///
/// Without a command, each run is printed as one line of JSON, and is done then.
///
/// The agent need not be there yet; the worker tries again for ever. Ctrl-C or SIGTERM: it takes no more runs, and
/// waits for those that have begun; a second time: it ends at once.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to run; may be given more than once.
    #[arg(long, env = "DORMOUSE_HANDLER", required = true, value_name = "HANDLER", value_parser = names::handler)]
    handler: Vec<String>,

    /// How many runs at once.
    #[arg(long, env = "DORMOUSE_CONCURRENCY", default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,

    /// How long commands that have begun may go on when the worker is asked to end; then they are killed, with all
    /// that they started.
    #[arg(long, env = "DORMOUSE_GRACE", default_value = "10s", value_name = "DURATION", value_parser = words::duration)]
    grace: Duration,

    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let (asked, asked_twice) = (shutdown::asked()?, shutdown::asked_twice()?);
    let unread = CancellationToken::new();
    let client = peer.connect().await?;
    let mut worker = client
        .worker()
        .concurrency(arguments.concurrency)
        .grace(arguments.grace);
    match Command::new(arguments.command) {
        Some(command) => {
            let command = Arc::new(command);
            for handler in &arguments.handler {
                let command = Arc::clone(&command);
                worker = worker.handle(handler, move |run| Arc::clone(&command).run(run));
            }
        }
        None => {
            for handler in &arguments.handler {
                let unread = unread.clone();
                worker = worker.handle(handler, move |run| print(run, unread.clone()));
            }
        }
    }
    let stop = async {
        tokio::select! {
            () = asked => {}
            () = unread.cancelled() => {}
        }
    };
    tokio::select! {
        ended = worker.run_until(stop) => ended.map_err(told)?,
        () = asked_twice => return Err(Failure::failed("ended at once; runs that had begun have failed")),
    }
    if unread.is_cancelled() {
        return Err(Failure::failed("nobody reads the lines any more"));
    }
    Ok(())
}

fn told(error: Error) -> Failure {
    match error {
        Error::Unimplemented { .. } => Failure::from(error).hint(
            "a worker attaches to an agent, such as --addr http://127.0.0.1:7401, not to the coordinator",
        ),
        error => Failure::from(error),
    }
}

/// A run as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    timer: &'a str,
    run: &'a str,
    node: &'a str,
    nominal_time: String,
    launched_time: String,
    attempt: u32,
    token: u64,
    /// Null if it is not UTF-8.
    payload: Option<&'a str>,
    /// Only if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

impl<'a> Line<'a> {
    fn of(run: &'a Run) -> Self {
        let payload = std::str::from_utf8(&run.payload).ok();
        Self {
            timer: &run.timer,
            run: &run.run,
            node: &run.node,
            nominal_time: time(run.nominal_time),
            launched_time: time(run.launched_time),
            attempt: run.attempt,
            token: run.token,
            payload,
            payload_hex: payload.is_none().then(|| hex(&run.payload)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn print(run: Run, unread: CancellationToken) -> Result<(), dormouse_client::Failure> {
    output::json(&Line::of(&run)).map_err(|failure| {
        // Somebody else has to take the runs from now on, this one included.
        unread.cancel();
        dormouse_client::Failure::new(format_args!(
            "the worker's output is closed {}",
            failure.message()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_client::Bytes;
    use std::time::UNIX_EPOCH;

    fn run(payload: &'static [u8]) -> Run {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        Run {
            timer: "pools/default/timers/a".into(),
            uid: "u".into(),
            run: "r".into(),
            attempt: 1,
            token: 7,
            nominal_time: at(1000),
            due_time: at(1000),
            launched_time: at(1001),
            payload: Bytes::from_static(payload),
            content_type: String::new(),
            handler: "h".into(),
            node: "n1".into(),
            missed_count: 0,
            generation: 1,
            attempt_timeout: None,
        }
    }

    #[test]
    fn a_run_is_one_line_with_stable_fields() {
        let line = serde_json::to_string(&Line::of(&run(b"two\nlines"))).unwrap();
        assert_eq!(
            line,
            r#"{"timer":"pools/default/timers/a","run":"r","node":"n1","nominal_time":"1970-01-01T00:00:01.000Z","launched_time":"1970-01-01T00:00:01.001Z","attempt":1,"token":7,"payload":"two\nlines"}"#
        );
    }

    #[test]
    fn a_payload_that_is_no_text_is_not_mangled() {
        let line = serde_json::to_string(&Line::of(&run(&[0xff, 0x00]))).unwrap();
        assert!(
            line.ends_with(r#""payload":null,"payload_hex":"ff00"}"#),
            "{line}"
        );
    }
}
