//! `dormouse timer create`: from flags to a timer of the client library.
//!
//! That there is exactly one schedule is the parser's to see; what depends on whoever is asked (the grammar of cron,
//! the horizon, whether a node exists) is theirs to refuse.

use super::policy::PolicyFlags;
use super::schedule::ScheduleFlags;
use super::shown::TimerRow;
use super::target::{TargetFlags, What};
use crate::cli::Peer;
use crate::failure::Failure;
use crate::names::{self, Spelling};
use crate::words;
use clap::{Args, ValueEnum};
use dormouse_agent::engine::id::{NodeId, PoolId};
use dormouse_client::{Error, Timer};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its id or its full name; if not given, one is chosen.
    #[arg(value_name = "NAME", value_parser = names::timer)]
    name: Option<Spelling>,

    #[command(flatten)]
    schedule: ScheduleFlags,

    #[command(flatten)]
    target: TargetFlags,

    /// What it is given: a text, @FILE for the content of a file, @- for standard input.
    #[arg(long, value_name = "TEXT|@FILE")]
    payload: Option<String>,

    /// The media type of the payload.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Run it on this node only.
    #[arg(long, value_name = "NODE", value_parser = names::node)]
    pinned: Option<NodeId>,

    /// What it survives: nothing but idleness, a restart of its node, also (but for the last moment) the loss of its
    /// node, the loss of its node; replicated if not given, local if pinned.
    #[arg(long, value_enum, value_name = "CLASS")]
    durability: Option<Durability>,

    /// Its pool; if not given the agent's own, at a coordinator `default`.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,

    /// A label to find it by; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::label)]
    label: Vec<(String, String)>,

    /// Begin paused: nothing happens until it is resumed.
    #[arg(long)]
    paused: bool,

    #[command(flatten)]
    policy: PolicyFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Durability {
    Ephemeral,
    Local,
    #[value(alias = "replicated-async")]
    ReplicatedAsync,
    Replicated,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let timer = arguments.timer()?;
    let created = peer.connect().await?.create(timer).await?;
    peer.output.rows(&[TimerRow::of(&created)])
}

impl Arguments {
    fn timer(self) -> Result<Timer, Failure> {
        let payload = self.payload.as_deref().map(words::payload).transpose();
        let payload = payload.map_err(Failure::failed)?;
        let (id, pool) = self.name_and_pool()?;
        let scheduled = self.schedule.required()?;
        let what = self.target.required()?;
        let build = || -> Result<Timer, Error> {
            let mut timer = match what {
                What::Handler(name) => scheduled.handler(&name)?,
                What::Http(http) => scheduled.http(http)?,
                What::Command(name, args) => scheduled.command(&name, args)?,
            };
            if let Some(id) = &id {
                timer = timer.name(id)?;
            }
            if let Some(pool) = &pool {
                timer = timer.pool(pool)?;
            }
            if let Some(node) = &self.pinned {
                timer = timer.pinned(node.as_str())?;
            }
            if let Some(payload) = payload {
                timer = timer.payload(payload);
            }
            if let Some(media_type) = &self.content_type {
                timer = timer.content_type(media_type)?;
            }
            if let Some(class) = self.durability {
                timer = timer.durability(class.wanted());
            }
            for (key, value) in &self.label {
                timer = timer.label(key, value)?;
            }
            if self.paused {
                timer = timer.paused();
            }
            Ok(self.policy.of_timer(timer))
        };
        build().map_err(Failure::usage)
    }

    /// The id and the pool, from the name or from the flag.
    fn name_and_pool(&self) -> Result<(Option<String>, Option<String>), Failure> {
        let pool = self.pool.clone().map(String::from);
        match &self.name {
            None => Ok((None, pool)),
            Some(Spelling::Id(id)) => Ok((Some(id.to_string()), pool)),
            Some(Spelling::Full(name)) if name.node.is_none() => {
                Ok((Some(name.timer.to_string()), Some(name.pool.to_string())))
            }
            Some(Spelling::Full(name)) => {
                let failure = Failure::usage(format!("{name} cannot be chosen as a name"));
                Err(failure.hint(format!(
                    "write {} and --durability or --pinned: the node in the name is the timer's home",
                    name.timer
                )))
            }
        }
    }
}

impl Durability {
    fn wanted(self) -> dormouse_client::Durability {
        match self {
            Self::Ephemeral => dormouse_client::Durability::Ephemeral,
            Self::Local => dormouse_client::Durability::Local,
            Self::ReplicatedAsync => dormouse_client::Durability::ReplicatedAsync,
            Self::Replicated => dormouse_client::Durability::Replicated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// What the timer of this command line is, or the exit code and the message.
    fn create(words: &[&str]) -> Result<String, String> {
        let words = ["create"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let timer = line.arguments.timer();
        timer
            .map(|timer| format!("{timer:?}"))
            .map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn exactly_one_schedule_and_a_handler_are_needed() {
        assert!(create(&["--after", "5s", "--handler", "h"]).is_ok());
        for wrong in [
            &["--handler", "h"][..],
            &["--after", "5s"],
            &["--after", "5s", "--handler", "h", "--http", "http://x/"],
            &["--after", "5s", "--handler", "h", "--method", "GET"],
            &["--after", "5s", "--handler", "h", "--arg", "x"],
            &["--after", "5s", "--handler", "h", "--misfire", "never"],
            &["--after", "5s", "--handler", "h", "--retry-attempts", "0"],
            &["--after", "5s", "--handler", "h", "--misfire-cap", "1001"],
            &["--after", "5s", "--every", "5s", "--handler", "h"],
            &["--after", "5s", "--zone", "UTC", "--handler", "h"],
            &["--after", "5s", "--phase", "1s", "--handler", "h"],
        ] {
            assert!(create(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_full_name_says_the_pool() {
        let timer = create(&["pools/p/timers/t", "--at", "+1m", "--handler", "h"]).unwrap();
        assert!(
            timer.contains(r#"pool: "p", id: "t""#) && timer.contains("After(60s)"),
            "{timer}"
        );
        let why = create(&["pools/p/nodes/n/timers/t", "--at", "+1m", "--handler", "h"]);
        assert!(why.unwrap_err().contains("code: 2"));
    }

    #[test]
    fn every_policy_is_a_flag() {
        let line = "--cron @daily --zone Europe/Berlin --http https://x/y --method put --header X-A=b \
                    --http-timeout 5s --success 200-204 --success 302 --signing-key k --start +1h --end +9d \
                    --expire +9d --max-occurrences 7 --jitter 30s --misfire all --misfire-grace 2m --misfire-cap 9 \
                    --catchup-window 3h --overlap buffer_one --at-most-once --isolation hold --retry-attempts 3 \
                    --backoff-min 2s --backoff-max 1m --backoff-factor 1.5 --attempt-timeout 90s --gap skip \
                    --overlap-dst both --paused";
        let words: Vec<&str> = line.split_whitespace().collect();
        let timer = create(&words).unwrap();
        for part in [
            r#"method: "PUT""#,
            "success: [200..=204, 302..=302]",
            r#"signing_key: "k""#,
            "occurrences_max: Some(7)",
            "jitter: Some(30s)",
            "misfire: Some(All)",
            "misfire_grace: Some(120s)",
            "misfire_cap: Some(9)",
            "catchup_window: Some(10800s)",
            "overlap: Some(BufferOne)",
            "effort: Some(AtMostOnce)",
            "isolation: Some(Hold)",
            "attempts_max: 3, backoff_min: 2s, backoff_max: 60s, factor: 1.5, attempt_timeout: 90s",
            "gap: Some(Skip)",
            "repeated: Some(Both)",
            "paused: true",
        ] {
            assert!(timer.contains(part), "{part} in {timer}");
        }
    }

    #[test]
    fn a_command_has_values() {
        let line = [
            "--at",
            "+1m",
            "--command",
            "backup",
            "--arg",
            "--all",
            "--arg",
            "x",
        ];
        let timer = create(&line).unwrap();
        let shown = r#"Command { name: "backup", args: ["--all", "x"] }"#;
        assert!(timer.contains(shown), "{timer}");
    }

    #[test]
    fn what_the_builder_refuses_is_wrong_usage() {
        for wrong in [
            &["--every", "0s", "--handler", "h"][..],
            &["--every", "1s", "--phase", "1s", "--handler", "h"],
            &["--after", "1s", "--handler", "h", "--label", "=v"],
        ] {
            let why = create(wrong).unwrap_err();
            assert!(why.contains("code: 2"), "{why}");
        }
    }
}
