//! `dormouse timer update`: new values for fields of a timer.

use super::policy::PolicyFlags;
use super::schedule::ScheduleFlags;
use super::shown::TimerRow;
use super::target::{TargetFlags, What};
use super::{resolve, with_name_hint};
use crate::cli::Peer;
use crate::failure::Failure;
use crate::names::Named;
use crate::words;
use clap::Args;
use dormouse_client::{Client, Edit, Error, Policy};

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,

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

    /// A label instead of those that it has; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::label)]
    label: Vec<(String, String)>,

    /// Take all labels away.
    #[arg(long, conflicts_with = "label")]
    clear_labels: bool,

    /// Pause it, as `timer pause` does, or let it go on; without this it stays as it is.
    #[arg(long, value_name = "BOOL")]
    paused: Option<bool>,

    /// Take all bounds away: --start, --end, --expire and --max-occurrences.
    #[arg(long, conflicts_with_all = ["start", "end", "expire", "max_occurrences"])]
    unbounded: bool,

    #[command(flatten)]
    policy: PolicyFlags,

    /// Only if it is still as it was when `timer get` showed this etag.
    #[arg(long, value_name = "ETAG")]
    if_etag: Option<String>,

    /// Create it if there is none; what is needed for that must be given.
    #[arg(long)]
    create: bool,
}

impl Update {
    pub(super) async fn run(self, peer: &Peer) -> Result<(), Failure> {
        let client = peer.connect().await?;
        let name = resolve(&self.named, &client).await?;
        let known = self.known(&name, &client).await?;
        let edit = self.edit(client.update(&name)?, &known)?;
        let timer = edit.send().await.map_err(|error| match error {
            // On this command line nothing was said to change.
            Error::InvalidArgument { field, .. } if field == "update_mask" => {
                Failure::usage("nothing is said that is to change; `--help` lists what can be")
            }
            error => with_name_hint(error),
        })?;
        peer.output.rows(&[TimerRow::of(&timer)])
    }

    /// What stays of what is changed as a whole.
    async fn known(&self, name: &str, client: &Client) -> Result<Policy, Failure> {
        if !self.policy.needs_known() {
            return Ok(Policy::default());
        }
        match client.get(name).await {
            Ok(timer) => Ok(timer.policy),
            Err(Error::NotFound { .. }) if self.create => Ok(Policy::default()),
            Err(error) => Err(with_name_hint(error)),
        }
    }

    fn edit(&self, mut edit: Edit, known: &Policy) -> Result<Edit, Failure> {
        if let Some(schedule) = self.schedule.schedule()? {
            edit = edit.schedule(schedule);
        }
        edit = match self.target.what() {
            Some(What::Handler(name)) => edit.handler(&name).map_err(Failure::usage)?,
            Some(What::Http(http)) => edit.http(http).map_err(Failure::usage)?,
            Some(What::Command(name, args)) => edit.command(&name, args).map_err(Failure::usage)?,
            None => edit,
        };
        if let Some(payload) = &self.payload {
            edit = edit.payload(words::payload(payload).map_err(Failure::failed)?);
        }
        if let Some(media_type) = &self.content_type {
            edit = edit.content_type(media_type);
        }
        if !self.label.is_empty() {
            edit = edit.labels(self.label.clone());
        }
        if self.clear_labels {
            edit = edit.labels::<String, String>([]);
        }
        if let Some(paused) = self.paused {
            edit = edit.paused(paused);
        }
        if self.unbounded {
            edit = edit.unbounded();
        }
        if let Some(etag) = &self.if_etag {
            edit = edit.only_if(etag);
        }
        if self.create {
            edit = edit.or_create();
        }
        Ok(self.policy.of_edit(edit, known))
    }
}
