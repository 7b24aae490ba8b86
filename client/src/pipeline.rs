//! Many changes in flight on one stream, without a call for each.
//!
//! ```text
//! create, rearm, cancel --jobs--> drive (one task) --requests, numbered--> server
//!        ^                           |  ^                                    |
//!        +---- the answer of each ---+  +------ answers, in any order -------+
//! ```
//!
//! The task ends when nobody has the pipeline any more. If the stream breaks, what was in flight is tried again with
//! the same request ids, so that nothing happens twice.

use crate::client::{Client, request_id};
use crate::convert;
use crate::edit::Rearm;
use crate::error::Error;
use crate::id;
use crate::timer::Timer;
use crate::timer_info::{CancelOutcome, TimerInfo};
use dormouse_proto::v1 as wire;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Requests on their way to the stream; more wait.
const JOBS_MAX: usize = 1024;

type Asked = wire::pipeline_request::Request;
type Told = wire::pipeline_response::Response;

/// The fast path for many changes; made by [`Client::pipeline`]. Clones share its stream.
#[derive(Debug, Clone)]
pub struct Pipeline {
    client: Client,
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    request: Asked,
    answer: oneshot::Sender<Result<Told, Error>>,
}

impl Client {
    /// Opens a pipeline; must be called within a tokio runtime.
    ///
    /// Each call of it returns when its own change is done; call many at once:
    ///
    /// ```no_run
    /// # async fn example(client: dormouse_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use dormouse_client::Timer;
    /// use std::time::Duration;
    ///
    /// let pipeline = client.pipeline();
    /// let mut tasks = tokio::task::JoinSet::new();
    /// for n in 0..10_000 {
    ///     let pipeline = pipeline.clone();
    ///     let timer = Timer::after(Duration::from_secs(60)).handler("expire")?.name(&format!("s{n}"))?;
    ///     tasks.spawn(async move { pipeline.create(timer).await });
    /// }
    /// while let Some(created) = tasks.join_next().await {
    ///     created??;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tokio::spawn(drive(self.clone(), queue));
        Pipeline {
            client: self.clone(),
            jobs,
        }
    }
}

impl Pipeline {
    /// As [`Client::create`].
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn create(&self, timer: Timer) -> Result<TimerInfo, Error> {
        let request = convert::create_request(timer, request_id());
        match self.ask(Asked::Create(request)).await? {
            Told::Create(created) => convert::timer_info(created.timer),
            _ => Err(misfit()),
        }
    }

    /// As [`Client::rearm`].
    ///
    /// # Errors
    /// As [`Client::rearm`].
    pub async fn rearm(&self, name: &str, to: impl Into<Rearm>) -> Result<TimerInfo, Error> {
        let request = convert::rearm_request(id::timer_name(name)?, to.into(), request_id());
        match self.ask(Asked::Rearm(request)).await? {
            Told::Rearm(rearmed) => convert::timer_info(rearmed.timer),
            _ => Err(misfit()),
        }
    }

    /// As [`Client::cancel`].
    ///
    /// # Errors
    /// As [`Client::cancel`].
    pub async fn cancel(&self, name: &str) -> Result<CancelOutcome, Error> {
        let request = wire::CancelTimerRequest {
            name: id::timer_name(name)?,
            request_id: request_id(),
        };
        match self.ask(Asked::Cancel(request)).await? {
            Told::Cancel(cancelled) => convert::cancel_outcome(cancelled),
            _ => Err(misfit()),
        }
    }

    /// Asks until it is answered, refused for good, or out of attempts, as every call does.
    async fn ask(&self, request: Asked) -> Result<Told, Error> {
        let mut attempt = 1;
        self.client.budget.earn();
        loop {
            let (answer, answered) = oneshot::channel();
            let job = Job {
                request: request.clone(),
                answer,
            };
            // The task ends only after the last sender.
            let _ = self.jobs.send(job).await;
            let error = match tokio::time::timeout(self.client.patience(), answered).await {
                Ok(Ok(Ok(told))) => return Ok(told),
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) | Err(_) => self.client.no_answer(),
            };
            self.client.wait_to_retry(attempt, error).await?;
            attempt += 1;
        }
    }
}

fn misfit() -> Error {
    Error::bad_answer("it is the answer of another request")
}

async fn drive(client: Client, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut flight = Flight::default();
        let (up, outbound) = mpsc::channel(JOBS_MAX);
        flight.send(&up, first);
        let opened = client
            .timers_client()
            .pipeline(ReceiverStream::new(outbound))
            .await;
        let ended = match opened {
            Ok(response) => {
                flight
                    .serve(&client, up, response.into_inner(), &mut jobs)
                    .await
            }
            Err(status) => client.error(&status),
        };
        flight.fail(&ended);
    }
}

/// What is in flight on one stream.
#[derive(Debug, Default)]
struct Flight {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Told, Error>>>,
}

impl Flight {
    fn send(&mut self, up: &mpsc::Sender<wire::PipelineRequest>, job: Job) {
        self.last += 1;
        let request = wire::PipelineRequest {
            id: self.last,
            request: Some(job.request),
        };
        self.waiting.insert(self.last, job.answer);
        if up.try_send(request).is_err() {
            // The stream has just ended: dropping the sender tells who waits.
            self.waiting.remove(&self.last);
        }
    }

    /// Goes on until the stream ends, and says how.
    async fn serve(
        &mut self,
        client: &Client,
        up: mpsc::Sender<wire::PipelineRequest>,
        mut down: Streaming<wire::PipelineResponse>,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> Error {
        let mut up = Some(up);
        loop {
            let has_room = up.as_ref().is_some_and(|up| up.capacity() > 0);
            tokio::select! {
                biased;
                said = down.message() => match said {
                    Ok(Some(response)) => self.take(client, response),
                    Ok(None) => return client.ended(),
                    Err(status) => return client.error(&status),
                },
                job = jobs.recv(), if has_room => match (job, &up) {
                    (Some(job), Some(up)) => self.send(up, job),
                    // Nobody asks any more; what is in flight is still answered.
                    _ => up = None,
                },
            }
        }
    }

    fn take(&mut self, client: &Client, response: wire::PipelineResponse) {
        let Some(waiting) = self.waiting.remove(&response.id) else {
            return;
        };
        let told = match response.response {
            Some(Told::Error(status)) => Err(client.error(&convert::status(status))),
            Some(told) => Ok(told),
            None => Err(misfit()),
        };
        // Who does not wait any more has lost nothing by it.
        let _ = waiting.send(told);
    }

    fn fail(&mut self, why: &Error) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let _ = waiting.send(Err(why.clone()));
        }
    }
}

impl Client {
    /// The stream was ended by the server, which may be back soon.
    fn ended(&self) -> Error {
        self.error(&Status::unavailable("the server has ended the stream"))
    }
}
