//! TimerService, as agents and coordinator both serve it: convert, ask the owner, convert.
//!
//! Who decides is behind [`Ask`]. A file for each kind of call: `changes` for one timer, `batch` for many, `pages`
//! and `runs` for lists, `watch` and `pipeline` for the two streams.

mod batch;
mod changes;
mod pages;
mod pipeline;
mod runs;
mod watch;

pub use watch::Feed;

use crate::answer;
use crate::clock;
use crate::request::{self, Here};
use crate::room::{self, Held, Share};
use crate::shell::{Lane, Mailbox, Refused, weigh};
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, Change, Op, Refusal};
use dormouse_engine::schedule;
use dormouse_engine::time::Millis;
use dormouse_proto::v1;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use v1::timer_service_server::{TimerService, TimerServiceServer};

/// Whoever decides about timers: a pool's coordinator, or an agent's base.
pub trait Ask: Send + Sync + 'static {
    /// Has `op` decided by the owner, in `pool`. What cannot be decided is a refusal.
    fn ask(&self, pool: &PoolId, op: Op) -> impl Future<Output = Answer> + Send;

    /// How to hear that something has changed in `pool`; none if there is no such pool.
    fn feed(&self, pool: &PoolId) -> Option<Feed>;

    /// Comes when the process ends and streams have to end with it.
    fn ending(&self) -> impl Future<Output = ()> + Send + use<Self> + 'static;

    /// The pool of a request that names none.
    fn own_pool(&self) -> PoolId;

    /// The node of a pinned timer that names none.
    fn own_node(&self) -> Option<NodeId>;

    /// The pools, in order, that a list without a pool goes through.
    fn pools(&self) -> Vec<PoolId>;
}

/// The service. Clones ask the same owner.
#[derive(Debug)]
pub struct Timers<A> {
    owner: Arc<A>,
}

impl<A> Clone for Timers<A> {
    fn clone(&self) -> Self {
        Self {
            owner: Arc::clone(&self.owner),
        }
    }
}

impl<A: Ask> Timers<A> {
    /// The calls themselves, for those who have a server of their own.
    pub fn new(owner: A) -> Self {
        Self {
            owner: Arc::new(owner),
        }
    }

    /// The service of `owner`, with the limits that every server of ours has.
    pub fn service(owner: A) -> TimerServiceServer<Self> {
        TimerServiceServer::new(Self::new(owner))
            .max_decoding_message_size(crate::listen::MESSAGE_MAX)
    }

    fn here(&self) -> Here {
        Here {
            pool: self.owner.own_pool(),
            node: self.owner.own_node(),
            now: clock::now().wall,
        }
    }
}

#[tonic::async_trait]
impl<A: Ask> TimerService for Timers<A> {
    async fn create_timer(
        &self,
        request: Request<v1::CreateTimerRequest>,
    ) -> Result<Response<v1::CreateTimerResponse>, Status> {
        let timer = Some(self.create(request.into_inner(), "").await?);
        Ok(Response::new(v1::CreateTimerResponse { timer }))
    }

    async fn get_timer(
        &self,
        request: Request<v1::GetTimerRequest>,
    ) -> Result<Response<v1::GetTimerResponse>, Status> {
        let timer = Some(self.look(request::name(&request.get_ref().name)?).await?);
        Ok(Response::new(v1::GetTimerResponse { timer }))
    }

    async fn list_timers(
        &self,
        request: Request<v1::ListTimersRequest>,
    ) -> Result<Response<v1::ListTimersResponse>, Status> {
        let held = place(&request).await?;
        let listing = request::listing(request.into_inner())?;
        let page = pages::list(&*self.owner, &listing).await?;
        Ok(room::keep(page, held))
    }

    async fn update_timer(
        &self,
        request: Request<v1::UpdateTimerRequest>,
    ) -> Result<Response<v1::UpdateTimerResponse>, Status> {
        let timer = Some(self.update(request.into_inner()).await?);
        Ok(Response::new(v1::UpdateTimerResponse { timer }))
    }

    async fn rearm_timer(
        &self,
        request: Request<v1::RearmTimerRequest>,
    ) -> Result<Response<v1::RearmTimerResponse>, Status> {
        let timer = Some(self.rearm(request.into_inner(), "").await?);
        Ok(Response::new(v1::RearmTimerResponse { timer }))
    }

    async fn cancel_timer(
        &self,
        request: Request<v1::CancelTimerRequest>,
    ) -> Result<Response<v1::CancelTimerResponse>, Status> {
        self.cancel(request.get_ref(), "").await.map(Response::new)
    }

    async fn batch_create_timers(
        &self,
        request: Request<v1::BatchCreateTimersRequest>,
    ) -> Result<Response<v1::BatchCreateTimersResponse>, Status> {
        let held = place(&request).await?;
        let created = self.batch_create(request.into_inner()).await?;
        Ok(room::keep(created, held))
    }

    async fn batch_cancel_timers(
        &self,
        request: Request<v1::BatchCancelTimersRequest>,
    ) -> Result<Response<v1::BatchCancelTimersResponse>, Status> {
        let cancelled = self.batch_cancel(request.into_inner());
        cancelled.await.map(Response::new)
    }

    async fn pause_timer(
        &self,
        request: Request<v1::PauseTimerRequest>,
    ) -> Result<Response<v1::PauseTimerResponse>, Status> {
        let v1::PauseTimerRequest { name, request_id } = request.get_ref();
        let timer = Some(self.plain((name, request_id), Change::Pause).await?);
        Ok(Response::new(v1::PauseTimerResponse { timer }))
    }

    async fn resume_timer(
        &self,
        request: Request<v1::ResumeTimerRequest>,
    ) -> Result<Response<v1::ResumeTimerResponse>, Status> {
        let v1::ResumeTimerRequest { name, request_id } = request.get_ref();
        let timer = Some(self.plain((name, request_id), Change::Resume).await?);
        Ok(Response::new(v1::ResumeTimerResponse { timer }))
    }

    async fn run_timer(
        &self,
        request: Request<v1::RunTimerRequest>,
    ) -> Result<Response<v1::RunTimerResponse>, Status> {
        let run = Some(self.run(request.get_ref()).await?);
        Ok(Response::new(v1::RunTimerResponse { run }))
    }

    async fn preview_schedule(
        &self,
        request: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        let wanted = request::preview(request.into_inner(), self.here().now)?;
        let times = schedule::preview(&wanted.schedule, wanted.after, wanted.count);
        Ok(Response::new(answer::previewed(times)))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let held = place(&request).await?;
        let runs = request::runs(request.into_inner())?;
        let page = runs::list(&*self.owner, runs).await?;
        Ok(room::keep(page, held))
    }

    async fn list_dead_runs(
        &self,
        request: Request<v1::ListDeadRunsRequest>,
    ) -> Result<Response<v1::ListDeadRunsResponse>, Status> {
        let held = place(&request).await?;
        let dead = request::dead(request.get_ref())?;
        let page = runs::dead(&*self.owner, dead).await?;
        Ok(room::keep(page, held))
    }

    async fn requeue_dead_run(
        &self,
        request: Request<v1::RequeueDeadRunRequest>,
    ) -> Result<Response<v1::RequeueDeadRunResponse>, Status> {
        let run = Some(self.requeue(request.get_ref()).await?);
        Ok(Response::new(v1::RequeueDeadRunResponse { run }))
    }

    async fn purge_dead_run(
        &self,
        request: Request<v1::PurgeDeadRunRequest>,
    ) -> Result<Response<v1::PurgeDeadRunResponse>, Status> {
        self.purge(request.get_ref()).await?;
        Ok(Response::new(v1::PurgeDeadRunResponse {}))
    }

    async fn watch_timers(
        &self,
        request: Request<v1::WatchTimersRequest>,
    ) -> Result<Response<BoxStream<v1::WatchTimersResponse>>, Status> {
        let share = Share::of(request.extensions());
        let changes = watch::watch(Arc::clone(&self.owner), request.get_ref(), share)?;
        Ok(Response::new(Box::pin(changes)))
    }

    async fn pipeline(
        &self,
        request: Request<Streaming<v1::PipelineRequest>>,
    ) -> Result<Response<BoxStream<v1::PipelineResponse>>, Status> {
        let answers = pipeline::serve(self.clone(), request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A place for the answer to a request, which may be large; none if no server of ours has it.
async fn place<T>(request: &Request<T>) -> Result<Option<Held>, Status> {
    match Share::of(request.extensions()) {
        Some(share) => share.take().await.map(Some),
        None => Ok(None),
    }
}

/// When to ask somebody again who has too much to do.
const RETRY_AFTER: Millis = Millis(200);

/// Has an operation decided by the machine behind a mailbox. `letter` is what it is posted as; `refuse` answers if there
/// is no room for it.
pub async fn ask<T>(
    mailbox: &Mailbox<T>,
    op: Op,
    letter: impl FnOnce(Op, oneshot::Sender<Answer>) -> T,
    refuse: impl FnOnce() -> Answer,
) -> Answer {
    let (reply, answer) = oneshot::channel();
    let (lane, bytes) = (Lane::of(&op), weigh::op(&op));
    match mailbox.post(lane, bytes, letter(op, reply)) {
        Ok(()) => answer.await.unwrap_or_else(|_| ending()),
        Err(Refused::Ended) => ending(),
        Err(Refused::Full) => refuse(),
    }
}

/// A refusal for those who ask when too much waits already.
#[must_use]
pub fn overloaded(who: impl Display) -> Answer {
    Answer::Refused(Refusal::Overloaded {
        why: format!("{who} has too much to do; nothing was done, ask again later"),
        retry_after: RETRY_AFTER,
    })
}

/// A refusal for those who cannot be asked just now because they are ending.
#[must_use]
pub fn ending() -> Answer {
    Answer::Refused(Refusal::Unavailable {
        why: "this process is ending; ask again when it is back".into(),
        retry_after: Millis(500),
    })
}
