//! WorkerService: workers of other processes, each on a stream of its own.
//!
//! Here the wire is checked and translated; which worker gets what is the executor's affair. A stream that ends
//! with runs in flight interrupts them: they are tried again at once, and a run whose worker died three times
//! is parked as dead. A worker that says Detach first and then ends its stream has not died.

#[cfg(test)]
mod tests;

use crate::events;
use crate::executor::{Attempt, Executor, QUEUE_LENGTH, Said, WorkerId};
use crate::wire;
use dormouse_edge::fault::invalid;
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::timer::Outcome;
use dormouse_proto::v1::work_request::Message as Request_;
use dormouse_proto::v1::work_response::Message as Response_;
use dormouse_proto::v1::worker_service_server::WorkerService;
use dormouse_proto::v1::{Attach, Attached, Fire, Nack, Withdraw, WorkRequest, WorkResponse};
use futures_util::StreamExt as _;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// The service over one executor.
pub(crate) struct Workers {
    pub(crate) executor: Arc<Executor>,
    pub(crate) node: NodeId,
    pub(crate) pool: PoolId,
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn work(
        &self,
        request: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<BoxStream<WorkResponse>>, Status> {
        let (queue, said) = mpsc::channel(QUEUE_LENGTH);
        let worker = self.executor.attach(queue.clone());
        events::worker_attached(worker);
        let ear = Ear {
            executor: Arc::clone(&self.executor),
            worker,
            queue,
            greeted: false,
        };
        tokio::spawn(ear.listen(request.into_inner()));
        let (node, pool) = (self.node.clone(), self.pool.clone());
        let stream = ReceiverStream::new(said).map(move |said| respond(said, &node, &pool));
        Ok(Response::new(Box::pin(stream)))
    }
}

fn respond(said: Said, node: &NodeId, pool: &PoolId) -> Result<WorkResponse, Status> {
    let message = match said {
        Said::Attached => Response_::Attached(Attached {
            node: node.to_string(),
            pool: pool.to_string(),
        }),
        Said::Fire(delivery) => Response_::Fire(Fire {
            run: Some(wire::run(*delivery, node)),
        }),
        Said::Withdraw { run, token } => Response_::Withdraw(Withdraw {
            run: run.to_string(),
            token: token.0,
        }),
        Said::Refused(status) => return Err(status),
    };
    Ok(WorkResponse {
        message: Some(message),
    })
}

/// Hears what one worker says.
struct Ear {
    executor: Arc<Executor>,
    worker: WorkerId,
    queue: mpsc::Sender<Said>,
    greeted: bool,
}

impl Ear {
    async fn listen(mut self, mut stream: Streaming<WorkRequest>) {
        loop {
            let heard = tokio::select! {
                heard = stream.next() => heard,
                // The other half of the stream is gone, or the agent stops.
                () = self.queue.closed() => None,
                () = self.executor.closed().cancelled() => None,
            };
            let Some(Ok(request)) = heard else { break };
            if let Err(status) = self.hear(request).await {
                // If its queue is full it does not read, and needs no explanation.
                let _ = self.queue.try_send(Said::Refused(status));
                break;
            }
        }
        self.executor.gone(self.worker);
        events::worker_detached(self.worker);
    }

    async fn hear(&mut self, request: WorkRequest) -> Result<(), Status> {
        let message = request.message.ok_or_else(|| {
            invalid(
                "message",
                "is empty; say Attach, Ack, Nack, Extend, Release or Detach",
            )
        })?;
        if !self.greeted && !matches!(message, Request_::Attach(_)) {
            return Err(invalid("message", "must be Attach first"));
        }
        match message {
            Request_::Attach(attach) => self.attach(&attach).await?,
            Request_::Ack(ack) => {
                self.executor
                    .settle(self.attempt(&ack.run, ack.token)?, Outcome::Done);
            }
            Request_::Nack(nack) => self.nack(nack)?,
            Request_::Extend(extend) => {
                self.executor
                    .extend(self.attempt(&extend.run, extend.token)?);
            }
            Request_::Release(release) => {
                self.executor
                    .release(self.attempt(&release.run, release.token)?);
            }
            Request_::Detach(_) => self.executor.detach(self.worker),
        }
        Ok(())
    }

    /// Waits while the worker leaves its answers unread.
    async fn attach(&mut self, attach: &Attach) -> Result<(), Status> {
        let (handlers, credits) = wire::offer(attach)?;
        self.greeted = true;
        // The answer goes into the queue first: no run overtakes it.
        let room = self
            .queue
            .reserve()
            .await
            .map_err(|_| Status::cancelled("the stream is over"))?;
        room.send(Said::Attached);
        self.executor.offer(self.worker, handlers, credits);
        Ok(())
    }

    fn nack(&self, nack: Nack) -> Result<(), Status> {
        let attempt = self.attempt(&nack.run, nack.token)?;
        self.executor.settle(attempt, wire::failure(nack)?);
        Ok(())
    }

    fn attempt(&self, run: &str, token: u64) -> Result<Attempt, Status> {
        wire::attempt(self.worker, run, token)
    }
}
