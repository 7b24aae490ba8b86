//! Every change of the timers of a pool, for as long as anybody listens.
//!
//! The stream breaks when a server is restarted or a connection is lost; a watch goes on where it was, and says so if
//! it has to begin anew.

use crate::client::Client;
use crate::convert;
use crate::error::Error;
use crate::id;
use crate::retry::full_jitter;
use crate::timer_info::{RunRecord, TimerInfo};
use dormouse_proto::v1 as wire;
use futures_util::{Stream, stream};
use std::collections::VecDeque;
use tonic::{Request, Streaming};

/// One change.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TimerChange {
    /// Forget what was told before: what follows is every timer that there is, then what changes.
    Reset,
    /// The timer is now like this.
    Timer(Box<TimerInfo>),
    /// The timer of this full name is no more.
    Removed(String),
    /// Something has become of a run.
    Run(Box<RunRecord>),
}

/// The changes of the timers of a pool; made by [`Client::watch`].
#[derive(Debug)]
pub struct Watch {
    client: Client,
    pool: String,
    token: String,
    stream: Option<Streaming<wire::WatchTimersResponse>>,
    ready: VecDeque<(TimerChange, String)>,
    failures: u32,
}

impl Client {
    /// Watches the timers of a pool; if it is empty, of the agent's own, at a coordinator of `default`. An agent tells
    /// those that its own node keeps.
    ///
    /// ```no_run
    /// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
    /// use dormouse_client::TimerChange;
    ///
    /// let mut watch = client.watch("")?;
    /// loop {
    ///     match watch.next().await? {
    ///         TimerChange::Reset => println!("from the beginning:"),
    ///         TimerChange::Timer(timer) => println!("{} is {}", timer.name, timer.state),
    ///         TimerChange::Removed(name) => println!("{name} is gone"),
    ///         TimerChange::Run(run) => println!("{} {} {}", run.timer, run.run, run.state),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is no id.
    pub fn watch(&self, pool: &str) -> Result<Watch, Error> {
        self.watch_from(pool, "")
    }

    /// As [`Client::watch`], after the change of [`Watch::token`] of an earlier watch.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub fn watch_from(&self, pool: &str, token: &str) -> Result<Watch, Error> {
        let pool = match pool {
            "" => String::new(),
            pool => id::id("pool", pool)?,
        };
        Ok(Watch {
            client: self.clone(),
            pool,
            token: token.into(),
            stream: None,
            ready: VecDeque::new(),
            failures: 0,
        })
    }
}

impl Watch {
    /// The next change, whenever it comes. A lost connection is opened again, for ever.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// What trying again does not change: [`Error::NotFound`] for a pool that does not exist,
    /// [`Error::InvalidArgument`] for a token that is none.
    pub async fn next(&mut self) -> Result<TimerChange, Error> {
        loop {
            if let Some((change, token)) = self.ready.pop_front() {
                self.token = token;
                return Ok(change);
            }
            match self.receive().await {
                Ok(Some(response)) => {
                    self.failures = 0;
                    self.take(response)?;
                }
                // The server ends, or begins anew.
                Ok(None) => self.pause().await,
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(event = "watch.retried", address = %self.client.address(), %error, "it is opened again");
                    self.pause().await;
                }
            }
        }
    }

    /// Where a later watch can go on: after the change that [`Watch::next`] has returned last. Empty if it would have
    /// to begin anew.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The changes as a stream; it ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<TimerChange, Error>> {
        stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(change) => Some((Ok(change), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn receive(&mut self) -> Result<Option<wire::WatchTimersResponse>, Error> {
        let client = &self.client;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let request = Request::new(convert::watch_request(&self.pool, &self.token));
                let mut timers = client.timers_client();
                let opened = client.in_time(timers.watch_timers(request)).await?;
                self.stream.insert(opened.into_inner())
            }
        };
        let message = stream.message().await;
        message.map_err(|status| client.error(&status))
    }

    fn take(&mut self, response: wire::WatchTimersResponse) -> Result<(), Error> {
        if response.reset {
            self.ready.push_back((TimerChange::Reset, String::new()));
        }
        let token = response.resume_token;
        match response.change {
            Some(change) => {
                let change = convert::timer_change(change)?;
                self.ready.push_back((change, token));
            }
            None if self.ready.is_empty() => self.token = token,
            None => {}
        }
        Ok(())
    }

    async fn pause(&mut self) {
        self.stream = None;
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(full_jitter(self.failures)).await;
    }
}

/// Whether it would be the same the next time.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::BadAddress { .. }
            | Error::InvalidArgument { .. }
            | Error::OutOfRange { .. }
            | Error::NotFound { .. }
            | Error::Refused { .. }
            | Error::Denied { .. }
            | Error::Unimplemented { .. }
            | Error::BadAnswer { .. }
    )
}
