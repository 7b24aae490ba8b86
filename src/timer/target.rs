//! The flags that say what is run, for a new timer and for an edit.

use crate::failure::Failure;
use crate::{names, words};
use clap::Args;
use dormouse_client::Http;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What is run: one of three.
#[derive(Debug, Args)]
#[command(next_help_heading = "What")]
pub(super) struct TargetFlags {
    /// The handler that runs it, at a worker of its pool.
    #[arg(long, group = "what", value_name = "HANDLER", value_parser = names::handler)]
    handler: Option<String>,

    /// Send a request to this address, http or https, from the node that runs it.
    #[arg(long, group = "what", value_name = "URL")]
    http: Option<String>,

    /// Run this command, an entry of the node's own list.
    #[arg(long, group = "what", value_name = "NAME")]
    command: Option<String>,

    /// The method of --http: GET, POST, PUT, PATCH, DELETE or HEAD; POST if not given.
    #[arg(long, requires = "http", conflicts_with_all = ["handler", "command"], value_name = "METHOD")]
    method: Option<String>,

    /// A further header of --http; may be given more than once.
    #[arg(long, requires = "http", conflicts_with_all = ["handler", "command"], value_name = "NAME=VALUE", value_parser = words::label)]
    header: Vec<(String, String)>,

    /// How long the answer of --http may take; the attempt's own time-out if not given.
    #[arg(long, requires = "http", conflicts_with_all = ["handler", "command"], value_name = "DURATION", value_parser = words::duration)]
    http_timeout: Option<Duration>,

    /// Statuses of --http that are a success, such as 200 or 200-299, which is the default; may be given more than
    /// once.
    #[arg(long, requires = "http", conflicts_with_all = ["handler", "command"], value_name = "STATUSES", value_parser = words::statuses)]
    success: Vec<RangeInclusive<u16>>,

    /// Sign the request of --http with this key of the agent's configuration.
    #[arg(long, requires = "http", conflicts_with_all = ["handler", "command"], value_name = "KEY")]
    signing_key: Option<String>,

    /// A value for a placeholder of --command, in their order; may be given more than once.
    #[arg(
        long,
        requires = "command", conflicts_with_all = ["handler", "http"],
        value_name = "VALUE",
        allow_hyphen_values = true
    )]
    arg: Vec<String>,
}

/// What is run.
#[derive(Debug)]
pub(super) enum What {
    Handler(String),
    Http(Http),
    Command(String, Vec<String>),
}

impl TargetFlags {
    /// The target, if one was given.
    pub(super) fn what(&self) -> Option<What> {
        if let Some(handler) = &self.handler {
            return Some(What::Handler(handler.clone()));
        }
        if let Some(url) = &self.http {
            return Some(What::Http(self.request(url)));
        }
        let command = self.command.as_ref();
        command.map(|name| What::Command(name.clone(), self.arg.clone()))
    }

    /// The target, which has to be given.
    pub(super) fn required(&self) -> Result<What, Failure> {
        self.what().ok_or_else(|| {
            Failure::usage("it is not said what runs: give one of --handler, --http and --command")
        })
    }

    fn request(&self, url: &str) -> Http {
        let mut http = match &self.method {
            Some(method) => Http::new(&method.to_ascii_uppercase(), url),
            None => Http::post(url),
        };
        for (name, value) in &self.header {
            http = http.header(name, value);
        }
        for statuses in &self.success {
            http = http.success(statuses.clone());
        }
        if let Some(timeout) = self.http_timeout {
            http = http.timeout(timeout);
        }
        match &self.signing_key {
            Some(key) => http.signed_with(key),
            None => http,
        }
    }
}
