//! Sends a request for a run of a timer, and hears what becomes of it.
//!
//! ```text
//! prepare --> resolve, judge, connect --> send --> the status decides --> a little of the body is read
//! ```
//!
//! Each request has a connection of its own, which ends with it: no target can leave anything behind for the next. All
//! of it together has the time of the target, at most that of the attempt.

use super::address::{Network, Policy};
use super::answer::{self, Head};
use super::dial::Dialer;
use super::request::{self, Prepared};
use super::signature::Key;
use super::{Error, reason};
use crate::local::{Failure, LocalRun};
use dormouse_engine::timer::{HttpTarget, Run, Target};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Requests at once, unless told otherwise.
const CONCURRENCY: u32 = 64;
/// No more of an answer is read, in bytes.
const BODY_LENGTH_MAX: usize = 64 << 10;
/// How long the body may take once the status is known.
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// No more is read of what comes before the body, in bytes.
const HEAD_LENGTH_MAX: usize = 64 << 10;

/// Which requests the agent sends.
#[derive(Debug, Clone)]
pub struct Http {
    /// How many at once; with 0 the node offers none, and such runs go elsewhere or wait.
    pub concurrency: u32,
    /// Addresses that requests may go to although they are not of the public internet.
    pub allow: Vec<Network>,
    /// Certificate authorities besides those of the machine, a file in PEM form.
    pub ca: Option<PathBuf>,
    /// Keys that requests may be signed with, by name: files that not everybody may read.
    pub keys: BTreeMap<String, PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            allow: Vec::new(),
            ca: None,
            keys: BTreeMap::new(),
        }
    }
}

/// Requests as a worker.
pub(super) struct Requests {
    dialer: Dialer,
    keys: BTreeMap<String, Key>,
}

impl Requests {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// If a file is wrong or cannot be trusted.
    pub(super) fn new(config: &Http) -> Result<Self, Error> {
        let key = |(name, path): (&String, &PathBuf)| Ok((name.clone(), Key::read(path)?));
        Ok(Self {
            dialer: Dialer::new(Policy::new(&config.allow), config.ca.as_deref())?,
            keys: config.keys.iter().map(key).collect::<Result<_, Error>>()?,
        })
    }

    /// Sends the request of a run; what is not answered with a success is a failure.
    pub(super) async fn run(
        self: Arc<Self>,
        run: LocalRun,
        withdrawn: CancellationToken,
    ) -> Result<(), Failure> {
        let Target::Http(target) = &run.target else {
            return Err("the run is not one of a request".into());
        };
        tokio::select! {
            ended = self.deliver(target, &run) => ended,
            () = withdrawn.cancelled() => Err("the right to the run was over".into()),
        }
    }

    async fn deliver(&self, target: &HttpTarget, run: &Run) -> Result<(), Failure> {
        let limit = target.timeout.unwrap_or(run.attempt_timeout);
        let limit = Duration::from_millis(limit.min(run.attempt_timeout).0);
        let until = Instant::now() + limit;
        let answered = tokio::time::timeout_at(until, self.exchange(target, run)).await;
        let answered = answered.map_err(|_| format!("no answer within {limit:?}"))?;
        let (head, body) = answered?;
        let body = first_of(body, until.min(Instant::now() + BODY_LIMIT)).await;
        if answer::is_success(target, head.status) {
            return Ok(());
        }
        Err(answer::failure(&head, &body, SystemTime::now()))
    }

    async fn exchange(&self, target: &HttpTarget, run: &Run) -> Result<(Head, Body), String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let Prepared {
            request,
            host,
            port,
            is_tls,
        } = request::prepare(target, run, &self.keys, now)?;
        let connection = self.dialer.connect(&host, port, is_tls).await?;
        let told =
            |error: hyper::Error| format!("the exchange with {host} failed: {}", causes(&error));
        let mut settings = http1::Builder::new();
        settings.max_buf_size(HEAD_LENGTH_MAX);
        let (mut sender, driven) = settings
            .handshake(TokioIo::new(connection))
            .await
            .map_err(told)?;
        let driven = AbortOnDropHandle::new(tokio::spawn(async move { drop(driven.await) }));
        let response = sender.send_request(request).await.map_err(told)?;
        let (parts, incoming) = response.into_parts();
        let head = Head {
            status: parts.status,
            headers: parts.headers,
        };
        let body = Body {
            incoming,
            _driven: driven,
        };
        Ok((head, body))
    }
}

/// What is still to come of an answer, and the connection that it comes on.
struct Body {
    incoming: Incoming,
    _driven: AbortOnDropHandle<()>,
}

/// The beginning of a body, as far as a reason may need it. More is read, so that a target that answers in full is not
/// cut off, but not more than is decent.
async fn first_of(mut body: Body, until: Instant) -> Vec<u8> {
    let mut first = Vec::new();
    let mut length = 0;
    while length < BODY_LENGTH_MAX {
        // The status has decided; whatever keeps the body from its end does not matter.
        let frame = tokio::time::timeout_at(until, body.incoming.frame()).await;
        let Ok(Some(Ok(frame))) = frame else { break };
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        let room = reason::LENGTH_MAX - first.len();
        first.extend_from_slice(&data[..data.len().min(room)]);
    }
    first
}

/// An error with what is behind it: on its own it says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        told = format!("{told}: {deeper}");
        cause = deeper.source();
    }
    told
}
