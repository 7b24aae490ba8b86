//! TimerService, as agents and coordinator both serve it: convert, ask the owner, convert.
//!
//! Who decides is behind [`Ask`]. What this version does not do yet answers `UNIMPLEMENTED` and says so.

mod pages;

use crate::answer;
use crate::clock;
use crate::defaults;
use crate::fault;
use crate::request::{self, Here};
use dormouse_engine::id::{NodeId, PoolId, TimerName};
use dormouse_engine::op::{Answer, Change, Op, Refusal};
use dormouse_engine::schedule;
use dormouse_engine::timer::{Durability, NewTimer, Placement};
use dormouse_proto::v1;
use futures_util::future::join_all;
use prost::Message as _;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;
use v1::timer_service_server::{TimerService, TimerServiceServer};

/// Whoever decides about timers: a pool's coordinator, or an agent's base.
pub trait Ask: Send + Sync + 'static {
    /// Has `op` decided by the owner, in `pool`. What cannot be decided is a refusal.
    fn ask(&self, pool: &PoolId, op: Op) -> impl Future<Output = Answer> + Send;

    /// The pool of a request that names none.
    fn own_pool(&self) -> PoolId;

    /// The node of a pinned timer that names none.
    fn own_node(&self) -> Option<NodeId>;

    /// The pools, in order, that a list without a pool goes through.
    fn pools(&self) -> Vec<PoolId>;
}

/// The service.
#[derive(Debug, Clone)]
pub struct Timers<A> {
    owner: A,
}

impl<A: Ask> Timers<A> {
    /// The calls themselves, for those who have a server of their own.
    pub fn new(owner: A) -> Self {
        Self { owner }
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

    async fn create(
        &self,
        request: v1::CreateTimerRequest,
        within: &str,
    ) -> Result<v1::Timer, Status> {
        let new = request::create(request, &self.here(), within)?;
        let pool = new.pool.clone();
        let asked = new.clone();
        match self.owner.ask(&pool, Op::Create(Box::new(new))).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            Answer::Pending => Ok(pending(&asked)),
            Answer::Refused(why) => Err(answer::refusal(&why)),
            other => Err(answer::unexpected(&other)),
        }
    }

    async fn look(&self, name: TimerName) -> Result<v1::Timer, Status> {
        let pool = name.pool.clone();
        match self.owner.ask(&pool, Op::Look { name }).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            Answer::Refused(why) => Err(answer::refusal(&why)),
            other => Err(answer::unexpected(&other)),
        }
    }

    async fn rearm(&self, op: Op, name: TimerName) -> Result<v1::Timer, Status> {
        match self.owner.ask(&name.pool.clone(), op).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            Answer::Pending => {
                // Its home sleeps; what is known of it may be no more than its name.
                let known = self.look(name.clone()).await;
                Ok(v1::Timer {
                    state: v1::TimerState::Pending.into(),
                    ..known.unwrap_or_else(|_| named(&name))
                })
            }
            Answer::Refused(why) => Err(answer::refusal(&why)),
            other => Err(answer::unexpected(&other)),
        }
    }

    async fn cancel(
        &self,
        request: &v1::CancelTimerRequest,
        within: &str,
    ) -> Result<v1::CancelTimerResponse, Status> {
        let name = request::cancel(request, &self.here(), within)?;
        let pool = name.pool.clone();
        let op = Op::Change {
            name,
            request: 0,
            change: Change::Cancel,
        };
        answer::cancelled(&self.owner.ask(&pool, op).await)
    }
}

/// A timer of which nothing is known but its name, which tells its home.
fn named(name: &TimerName) -> v1::Timer {
    v1::Timer {
        name: name.to_string(),
        home: name
            .node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ..v1::Timer::default()
    }
}

/// What is known of a timer that is stored for a node that sleeps.
fn pending(new: &NewTimer) -> v1::Timer {
    let node = match &new.placement {
        Placement::Pinned(node) => Some(node.clone()),
        Placement::Movable => None,
    };
    let replicated = new.durability == Durability::Replicated;
    let name = TimerName {
        pool: new.pool.clone(),
        node: node.clone().filter(|_| !replicated),
        timer: new.id.clone(),
    };
    let known = v1::Timer {
        name: name.to_string(),
        state: v1::TimerState::Pending.into(),
        uid: new.uid.to_string(),
        home: node.map(|node| node.to_string()).unwrap_or_default(),
        ..v1::Timer::default()
    };
    defaults::filled(known, None)
}

/// A status as an item of a batch.
fn item(status: &Status) -> tonic_types::Status {
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code() as i32,
        message: status.message().into(),
        details: Vec::new(),
    })
}

fn not_yet(call: &str) -> Status {
    let why = format!("{call} is not there yet in this version");
    Status::with_error_details(
        Code::Unimplemented,
        why,
        fault::details("NOT_SUPPORTED_YET"),
    )
}

#[tonic::async_trait]
impl<A: Ask> TimerService for Timers<A> {
    async fn create_timer(
        &self,
        request: Request<v1::CreateTimerRequest>,
    ) -> Result<Response<v1::CreateTimerResponse>, Status> {
        let timer = self.create(request.into_inner(), "").await?;
        Ok(Response::new(v1::CreateTimerResponse {
            timer: Some(timer),
        }))
    }

    async fn get_timer(
        &self,
        request: Request<v1::GetTimerRequest>,
    ) -> Result<Response<v1::GetTimerResponse>, Status> {
        let timer = self.look(request::name(&request.get_ref().name)?).await?;
        Ok(Response::new(v1::GetTimerResponse { timer: Some(timer) }))
    }

    async fn list_timers(
        &self,
        request: Request<v1::ListTimersRequest>,
    ) -> Result<Response<v1::ListTimersResponse>, Status> {
        let listing = request::listing(request.into_inner())?;
        pages::list(&self.owner, &listing).await.map(Response::new)
    }

    async fn rearm_timer(
        &self,
        request: Request<v1::RearmTimerRequest>,
    ) -> Result<Response<v1::RearmTimerResponse>, Status> {
        let op = request::rearm(request.get_ref(), &self.here())?;
        let name = request::name(&request.get_ref().name)?;
        let timer = self.rearm(op, name).await?;
        Ok(Response::new(v1::RearmTimerResponse { timer: Some(timer) }))
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
        use v1::create_timer_result::Result as Item;
        let requests = request.into_inner().requests;
        request::batch_size(requests.len())?;
        let results = join_all(requests.into_iter().enumerate().map(async |(at, request)| {
            let result = match self.create(request, &format!("requests[{at}].")).await {
                Ok(timer) => Item::Timer(timer),
                Err(status) => Item::Error(item(&status)),
            };
            v1::CreateTimerResult {
                result: Some(result),
            }
        }));
        Ok(Response::new(v1::BatchCreateTimersResponse {
            results: results.await,
        }))
    }

    async fn batch_cancel_timers(
        &self,
        request: Request<v1::BatchCancelTimersRequest>,
    ) -> Result<Response<v1::BatchCancelTimersResponse>, Status> {
        use v1::cancel_timer_result::Result as Item;
        let requests = request.into_inner().requests;
        request::batch_size(requests.len())?;
        let results = join_all(requests.iter().enumerate().map(async |(at, request)| {
            let result = match self.cancel(request, &format!("requests[{at}].")).await {
                Ok(cancelled) => Item::Cancelled(cancelled),
                Err(status) => Item::Error(item(&status)),
            };
            v1::CancelTimerResult {
                result: Some(result),
            }
        }));
        Ok(Response::new(v1::BatchCancelTimersResponse {
            results: results.await,
        }))
    }

    async fn update_timer(
        &self,
        _: Request<v1::UpdateTimerRequest>,
    ) -> Result<Response<v1::UpdateTimerResponse>, Status> {
        Err(not_yet("UpdateTimer"))
    }

    async fn pause_timer(
        &self,
        _: Request<v1::PauseTimerRequest>,
    ) -> Result<Response<v1::PauseTimerResponse>, Status> {
        Err(not_yet("PauseTimer"))
    }

    async fn resume_timer(
        &self,
        _: Request<v1::ResumeTimerRequest>,
    ) -> Result<Response<v1::ResumeTimerResponse>, Status> {
        Err(not_yet("ResumeTimer"))
    }

    async fn run_timer(
        &self,
        _: Request<v1::RunTimerRequest>,
    ) -> Result<Response<v1::RunTimerResponse>, Status> {
        Err(not_yet("RunTimer"))
    }

    async fn preview_schedule(
        &self,
        request: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        let wanted = request::preview(request.into_inner(), self.here().now)?;
        let times = schedule::preview(&wanted.schedule, wanted.after, wanted.count);
        Ok(Response::new(answer::previewed(times)))
    }

    async fn list_dead_runs(
        &self,
        _: Request<v1::ListDeadRunsRequest>,
    ) -> Result<Response<v1::ListDeadRunsResponse>, Status> {
        Err(not_yet("ListDeadRuns"))
    }

    async fn requeue_dead_run(
        &self,
        _: Request<v1::RequeueDeadRunRequest>,
    ) -> Result<Response<v1::RequeueDeadRunResponse>, Status> {
        Err(not_yet("RequeueDeadRun"))
    }

    async fn purge_dead_run(
        &self,
        _: Request<v1::PurgeDeadRunRequest>,
    ) -> Result<Response<v1::PurgeDeadRunResponse>, Status> {
        Err(not_yet("PurgeDeadRun"))
    }

    async fn list_runs(
        &self,
        _: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        Err(not_yet("ListRuns"))
    }
}

/// A refusal for those who cannot be asked just now because they are ending.
#[must_use]
pub fn ending() -> Answer {
    Answer::Refused(Refusal::Unavailable {
        why: "this process is ending; ask again when it is back".into(),
        retry_after: dormouse_engine::time::Millis(500),
    })
}
