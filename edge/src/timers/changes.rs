//! Calls about one timer: create, look, edit, move, end, pause, run.

use super::{Ask, Timers};
use crate::answer;
use crate::request::{self, Changing, Edit};
use dormouse_engine::id::{PoolId, TimerName};
use dormouse_engine::op::{Answer, Change, Op, Refusal};
use dormouse_engine::timer::NewTimer;
use dormouse_proto::v1;
use tonic::{Code, Status};

/// How often an upsert finds the timer there and gone again before it gives up.
const UPSERT_ROUNDS: usize = 3;

impl<A: Ask> Timers<A> {
    pub(super) async fn create(
        &self,
        request: v1::CreateTimerRequest,
        within: &str,
    ) -> Result<v1::Timer, Status> {
        let new = request::create(request, &self.here(), within)?;
        self.create_new(new).await
    }

    async fn create_new(&self, new: NewTimer) -> Result<v1::Timer, Status> {
        let pool = new.pool.clone();
        let asked = new.clone();
        match self.owner.ask(&pool, Op::Create(Box::new(new))).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            Answer::Pending => Ok(answer::pending(&asked)),
            other => Err(refused(&other)),
        }
    }

    pub(super) async fn look(&self, name: TimerName) -> Result<v1::Timer, Status> {
        let pool = name.pool.clone();
        match self.owner.ask(&pool, Op::Look { name }).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            other => Err(refused(&other)),
        }
    }

    pub(super) async fn rearm(
        &self,
        request: v1::RearmTimerRequest,
        within: &str,
    ) -> Result<v1::Timer, Status> {
        let changing = request::rearm(request, &self.here(), within)?;
        self.changed(changing).await
    }

    /// A change that has nothing to say but whose it is.
    pub(super) async fn plain(
        &self,
        named: (&str, &str),
        change: Change,
    ) -> Result<v1::Timer, Status> {
        let changing = request::plain(named, change, &self.here(), "")?;
        self.changed(changing).await
    }

    pub(super) async fn cancel(
        &self,
        request: &v1::CancelTimerRequest,
        within: &str,
    ) -> Result<v1::CancelTimerResponse, Status> {
        let named = (request.name.as_str(), request.request_id.as_str());
        let changing = request::plain(named, Change::Cancel, &self.here(), within)?;
        answer::cancelled(&self.ask(changing).await)
    }

    pub(super) async fn run(&self, request: &v1::RunTimerRequest) -> Result<v1::RunRecord, Status> {
        let named = (request.name.as_str(), request.request_id.as_str());
        let changing = request::plain(named, Change::RunNow, &self.here(), "")?;
        self.begun(changing).await
    }

    pub(super) async fn requeue(
        &self,
        request: &v1::RequeueDeadRunRequest,
    ) -> Result<v1::RunRecord, Status> {
        let named = (request.name.as_str(), request.request_id.as_str());
        let here = self.here();
        let changing = request::of_dead_run(named, &request.run, Change::Requeue, &here)?;
        self.begun(changing).await
    }

    pub(super) async fn purge(&self, request: &v1::PurgeDeadRunRequest) -> Result<(), Status> {
        let named = (request.name.as_str(), request.request_id.as_str());
        let here = self.here();
        let changing = request::of_dead_run(named, &request.run, Change::Purge, &here)?;
        match self.ask(changing).await {
            Answer::Done | Answer::Pending => Ok(()),
            other => Err(refused(&other)),
        }
    }

    /// An edit, also of a timer that is created by it: it may be gone or there again between two questions.
    pub(super) async fn update(
        &self,
        request: v1::UpdateTimerRequest,
    ) -> Result<v1::Timer, Status> {
        let edit = request::update(request, &self.here())?;
        for _ in 0..UPSERT_ROUNDS {
            match self.edit(&edit).await {
                Err(status) if status.code() == Code::NotFound && edit.allow_missing => {}
                edited => return edited,
            }
            match self.create_new(edit.creation(&self.here())?).await {
                Err(status) if status.code() == Code::AlreadyExists => {}
                created => return created,
            }
        }
        let why = "the timer is created and ended again and again by others; nothing was changed";
        Err(answer::refusal(&Refusal::Conflict { why: why.into() }))
    }

    async fn edit(&self, edit: &Edit) -> Result<v1::Timer, Status> {
        let current = match self.look(edit.name.clone()).await {
            Ok(timer) => Some(timer),
            // Its home may sleep and know more than can be looked up; an edit is stored for it.
            Err(status) if status.code() == Code::NotFound && edit.name.node.is_some() => None,
            Err(status) => return Err(status),
        };
        let known = current.as_ref().filter(|timer| timer.schedule.is_some());
        self.changed(edit.onto(known, &self.here())?).await
    }

    async fn ask(&self, changing: Changing) -> Answer {
        let Changing {
            name,
            request,
            change,
        } = changing;
        let pool: PoolId = name.pool.clone();
        let op = Op::Change {
            name,
            request,
            change,
        };
        self.owner.ask(&pool, op).await
    }

    /// The timer after a change.
    async fn changed(&self, changing: Changing) -> Result<v1::Timer, Status> {
        let name = changing.name.clone();
        match self.ask(changing).await {
            Answer::Timer(timer) => Ok(answer::timer(&timer)),
            Answer::Pending => {
                // Its home sleeps; what is known of it may be no more than its name.
                let known = self.look(name.clone()).await;
                Ok(v1::Timer {
                    state: v1::TimerState::Pending.into(),
                    ..known.unwrap_or_else(|_| answer::named(&name))
                })
            }
            other => Err(refused(&other)),
        }
    }

    /// The run that a change asks for.
    async fn begun(&self, changing: Changing) -> Result<v1::RunRecord, Status> {
        let name = changing.name.clone();
        match self.ask(changing).await {
            Answer::Run(run) => Ok(answer::run(&name, &run)),
            Answer::Pending => Ok(answer::waiting_run(&name)),
            other => Err(refused(&other)),
        }
    }
}

/// The status of an answer that is not the one that was asked for.
pub(super) fn refused(answer: &Answer) -> Status {
    match answer {
        Answer::Refused(why) => answer::refusal(why),
        other => answer::unexpected(other),
    }
}
