//! The client: one lazy connection, the calls about timers, and the loop that tries again where that helps.
//!
//! `node` and `topology` add their calls; `convert` knows both the wire and the plain types.

use crate::address;
use crate::convert;
use crate::error::Error;
use crate::id;
use crate::retry::{Budget, Retry};
use crate::timer::Timer;
use crate::timer_info::{CancelOutcome, TimerInfo, TimerState};
use crate::worker::Worker;
use dormouse_proto::v1 as wire;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::admin_service_client::AdminServiceClient;
use wire::node_service_client::NodeServiceClient;
use wire::timer_service_client::TimerServiceClient;
use wire::worker_service_client::WorkerServiceClient;

/// How long one attempt of a call may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a refused call is tried again, unless told otherwise: the wait covers a lease.
const RETRY: Retry = Retry {
    attempts_max: 4,
    wait_max: Duration::from_secs(15),
};
/// The largest answer: a page of timers with the largest payloads.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// A connection to an agent or to the coordinator. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    address: Arc<str>,
    timeout: Duration,
    retry: Retry,
    /// Clones share it as they share the connection.
    pub(crate) budget: Arc<Budget>,
}

impl Client {
    /// Prepares a connection to `http://HOST:PORT` or `unix:PATH`. It is opened by the first call, and again
    /// whenever it was lost; must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::BadAddress`] if `address` is neither form. Nobody needs to listen there yet.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let channel = address::parse(address)?.connect_lazy();
        Ok(Self {
            channel,
            address: address.into(),
            timeout: TIMEOUT,
            retry: RETRY,
            budget: Arc::default(),
        })
    }

    /// The address that this client was connected to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How long one attempt of a call may take; 10 s unless told otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call is attempted if the answers say that trying again helps; 4 unless told otherwise, 1 for
    /// never again. All calls of a client together make at most 100 further attempts, and one more for every ten calls: who
    /// repeats everything keeps an overloaded server so.
    #[must_use]
    pub fn attempts(mut self, attempts_max: u32) -> Self {
        self.retry.attempts_max = attempts_max;
        self
    }

    /// Creates a timer, and returns it with everything that was filled in. Returns when the change is as durable
    /// as the timer's class says.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a name in use; [`Error::InvalidArgument`], [`Error::OutOfRange`] and
    /// [`Error::Refused`] for what cannot be.
    pub async fn create(&self, timer: Timer) -> Result<TimerInfo, Error> {
        let request = convert::create_request(timer, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).create_timer(request).await
        });
        convert::timer_info(Box::pin(response).await?.timer)
    }

    /// Reads the timer of this full name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn get(&self, name: &str) -> Result<TimerInfo, Error> {
        let request = wire::GetTimerRequest {
            name: id::timer_name(name)?,
        };
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).get_timer(request).await
        });
        convert::timer_info(response.await?.timer)
    }

    /// Reads many timers, page by page; nothing is asked before the first page is.
    ///
    /// ```no_run
    /// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
    /// let mut pages = client.list(dormouse_client::TimerFilter { home: "n1".into(), ..Default::default() });
    /// while let Some(timers) = pages.next().await? {
    ///     for timer in timers {
    ///         println!("{} {}", timer.name, timer.state);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn list(&self, filter: TimerFilter) -> TimerPages {
        TimerPages {
            client: self.clone(),
            request: Some(convert::list_request(filter)),
        }
    }

    /// Ends a timer. That there is none, or that it has fired, is an outcome and no error.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if its home holds it and does not answer.
    pub async fn cancel(&self, name: &str) -> Result<CancelOutcome, Error> {
        let request = wire::CancelTimerRequest {
            name: id::timer_name(name)?,
            request_id: request_id(),
        };
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).cancel_timer(request).await
        });
        convert::cancel_outcome(response.await?)
    }

    /// Begins a worker, which runs what falls due for its handlers. The client must be connected to an agent.
    pub fn worker(&self) -> Worker {
        Worker::new(self.clone())
    }

    /// Sends a request until it is answered, refused for good, or out of attempts. The same request goes each time,
    /// its id included.
    pub(crate) async fn call<Req, Resp, Sent>(
        &self,
        request: Req,
        send: impl Fn(Channel, Request<Req>) -> Sent,
    ) -> Result<Resp, Error>
    where
        Req: Clone,
        Sent: Future<Output = Result<Response<Resp>, Status>>,
    {
        let mut attempt = 1;
        self.budget.earn();
        loop {
            let mut attempted = Request::new(request.clone());
            attempted.set_timeout(self.timeout);
            // What a call holds is large, and callers hold many calls.
            let sent = Box::pin(send(self.channel.clone(), attempted));
            let error = match self.in_time(sent).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(error) => error,
            };
            self.wait_to_retry(attempt, error).await?;
            attempt += 1;
        }
    }

    /// Waits until trying again helps.
    ///
    /// # Errors
    /// `error` itself, if it does not help or has not for long enough.
    pub(crate) async fn wait_to_retry(&self, attempt: u32, error: Error) -> Result<(), Error> {
        let wait = self.retry.wait(attempt, &error);
        let Some(wait) = wait.filter(|_| self.budget.spend()) else {
            return Err(error);
        };
        tracing::debug!(event = "call.retried", address = %self.address, attempt, ?wait, %error, "it is tried again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The answer, if it comes in time.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer.map_err(|status| self.error(&status)),
            Err(_elapsed) => Err(self.no_answer()),
        }
    }

    /// How long one attempt may take.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        Error::from_status(status, &self.address)
    }

    pub(crate) fn no_answer(&self) -> Error {
        let message = format!("no answer from {} within {:?}", self.address, self.timeout);
        Error::TimedOut { message }
    }

    /// For the calls that are streams.
    pub(crate) fn timers_client(&self) -> TimerServiceClient<Channel> {
        Self::timers(self.channel.clone())
    }

    pub(crate) fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn admin(channel: Channel) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn nodes_of_agent(channel: Channel) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(channel)
    }

    pub(crate) fn timers(channel: Channel) -> TimerServiceClient<Channel> {
        TimerServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

/// A fresh id for a change: it grows with time, so that old ones can be told from new ones.
pub(crate) fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// Which timers to list; everything empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimerFilter {
    /// Of this pool; if empty the agent's own, at a coordinator every pool.
    pub pool: String,
    /// At home on this node.
    pub home: String,
    /// In one of these states.
    pub states: Vec<TimerState>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// At most this many per page, up to 1000; the server's choice if 0.
    pub page_size: u16,
}

/// Pages of timers, by name; made by [`Client::list`].
#[derive(Debug)]
pub struct TimerPages {
    client: Client,
    request: Option<wire::ListTimersRequest>,
}

impl TimerPages {
    /// The next page; none after the last one. A page may be empty.
    ///
    /// # Errors
    /// As every call; the same page is asked for again by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<TimerInfo>>, Error> {
        let Some(request) = self.request.clone() else {
            return Ok(None);
        };
        let response = self.client.call(request, |channel, request| async move {
            Client::timers(channel).list_timers(request).await
        });
        let page = response.await?;
        let timers = page
            .timers
            .into_iter()
            .map(|timer| convert::timer_info(Some(timer)));
        let timers = timers.collect::<Result<_, _>>()?;
        self.request = self
            .request
            .take()
            .filter(|_| !page.next_page_token.is_empty());
        if let Some(request) = &mut self.request {
            request.page_token = page.next_page_token;
        }
        Ok(Some(timers))
    }

    /// Whether there may be a further page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.request.is_some()
    }

    /// All pages that are left, in one list.
    ///
    /// # Errors
    /// As every call.
    pub async fn all(mut self) -> Result<Vec<TimerInfo>, Error> {
        let mut timers = Vec::new();
        while let Some(page) = self.next().await? {
            timers.extend(page);
        }
        Ok(timers)
    }
}
