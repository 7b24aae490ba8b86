//! TimerService, as agents and coordinator both serve it: convert, ask the owner, convert.
//!
//! Who decides is behind [`Ask`]. What this version does not do yet answers `UNIMPLEMENTED` and says so.

use crate::answer;
use crate::clock;
use crate::fault;
use crate::request::{self, Here, Listing};
use dormouse_engine::id::{NodeId, PoolId, TimerName};
use dormouse_engine::op::{Answer, Op, Refusal};
use dormouse_engine::timer::{NewTimer, Timer};
use dormouse_proto::v1;
use futures_util::future::join_all;
use prost::Message as _;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;
use v1::timer_service_server::{TimerService, TimerServiceServer};

/// How many pages of the engine one filtered list looks through before it answers with what it has.
const ROUNDS_MAX: usize = 10;

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
    /// The service of `owner`, with the limits that every server of ours has.
    pub fn service(owner: A) -> TimerServiceServer<Self> {
        TimerServiceServer::new(Self { owner })
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
                let timer = self.look(name).await?;
                Ok(v1::Timer {
                    state: v1::TimerState::Pending.into(),
                    ..timer
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
        answer::cancelled(&self.owner.ask(&pool, Op::Cancel { name }).await)
    }

    async fn list(&self, listing: &Listing) -> Result<v1::ListTimersResponse, Status> {
        let pools = match &listing.pool {
            Some(pool) => vec![pool.clone()],
            None => self.owner.pools(),
        };
        let mut page = Page::new(listing);
        let begun = |pool: &PoolId| {
            listing
                .after
                .as_ref()
                .is_none_or(|after| after.pool <= *pool)
        };
        for pool in pools.iter().filter(|pool| begun(pool)) {
            let is_last = pools.last() == Some(pool);
            if self.list_pool(pool, &mut page).await? == Filled::Yes {
                return Ok(page.response(true));
            }
            if page.is_full() {
                return Ok(page.response(!is_last));
            }
        }
        Ok(page.response(false))
    }

    async fn list_pool(&self, pool: &PoolId, page: &mut Page<'_>) -> Result<Filled, Status> {
        loop {
            let after = page.last.clone().filter(|after| after.pool == *pool);
            let op = Op::List {
                after,
                limit: page.limit(),
            };
            match self.owner.ask(pool, op).await {
                Answer::List { timers, more } => {
                    let filled = page.add(&timers, more);
                    if filled == Filled::Yes || !more || timers.is_empty() {
                        return Ok(filled);
                    }
                }
                Answer::Refused(why) => return Err(answer::refusal(&why)),
                other => return Err(answer::unexpected(&other)),
            }
        }
    }
}

/// Whether a page holds all that it can while there is more in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Yes,
    No,
}

/// The page that a list is filling.
struct Page<'a> {
    listing: &'a Listing,
    found: Vec<v1::Timer>,
    last: Option<TimerName>,
    rounds: usize,
}

impl<'a> Page<'a> {
    fn new(listing: &'a Listing) -> Self {
        Self {
            listing,
            found: Vec::new(),
            last: listing.after.clone(),
            rounds: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.listing.size || self.rounds >= ROUNDS_MAX
    }

    /// A filter may let nothing pass, so that it looks at many for a few.
    fn limit(&self) -> u32 {
        let wanted = match self.listing.takes_all() {
            true => self.listing.size.saturating_sub(self.found.len()).max(1),
            false => request::PAGE_MAX.unsigned_abs() as usize,
        };
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    fn add(&mut self, timers: &[Timer], more: bool) -> Filled {
        self.rounds += 1;
        for (at, timer) in timers.iter().enumerate() {
            if self.found.len() >= self.listing.size {
                return Filled::Yes;
            }
            self.last = Some(timer.name.clone());
            let shown = answer::timer(timer);
            if self.listing.takes(&shown) {
                self.found.push(shown);
            }
            if self.found.len() >= self.listing.size && at + 1 < timers.len() {
                return Filled::Yes;
            }
        }
        if more && self.is_full() {
            Filled::Yes
        } else {
            Filled::No
        }
    }

    fn response(self, more: bool) -> v1::ListTimersResponse {
        let token = self.last.filter(|_| more).map(|last| last.to_string());
        v1::ListTimersResponse {
            timers: self.found,
            next_page_token: token.unwrap_or_default(),
        }
    }
}

/// What is known of a timer that is stored for a node that sleeps.
fn pending(new: &NewTimer) -> v1::Timer {
    let node = match &new.placement {
        dormouse_engine::timer::Placement::Pinned(node) => Some(node.clone()),
        dormouse_engine::timer::Placement::Movable => None,
    };
    let replicated = new.durability == dormouse_engine::timer::Durability::Replicated;
    let name = TimerName {
        pool: new.pool.clone(),
        node: node.clone().filter(|_| !replicated),
        timer: new.id.clone(),
    };
    v1::Timer {
        name: name.to_string(),
        state: v1::TimerState::Pending.into(),
        uid: new.uid.to_string(),
        home: node.map(|node| node.to_string()).unwrap_or_default(),
        ..v1::Timer::default()
    }
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
        self.list(&listing).await.map(Response::new)
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
        _: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        Err(not_yet("PreviewSchedule"))
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
