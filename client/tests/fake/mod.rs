//! An agent that does what a test says: real gRPC over a Unix socket, no logic of its own.
//!
//! Unary calls take their answers from a list and remember the requests; each worker's stream is handed to the test,
//! which plays the agent on it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use dormouse_client::Client;
use dormouse_proto::v1 as wire;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tonic_types::StatusExt as _;
use wire::node_service_server::{NodeService, NodeServiceServer};
use wire::timer_service_server::{TimerService, TimerServiceServer};
use wire::work_request::Message as Up;
use wire::work_response::Message as Down;
use wire::worker_service_server::{WorkerService, WorkerServiceServer};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests of one kind that came, and the answers that are left for them.
pub struct Script<Req, Resp> {
    seen: Arc<Mutex<Vec<Req>>>,
    answers: Arc<Mutex<VecDeque<Result<Resp, Status>>>>,
}

impl<Req, Resp> Clone for Script<Req, Resp> {
    fn clone(&self) -> Self {
        Self {
            seen: self.seen.clone(),
            answers: self.answers.clone(),
        }
    }
}

impl<Req, Resp> Default for Script<Req, Resp> {
    fn default() -> Self {
        Self {
            seen: Arc::default(),
            answers: Arc::default(),
        }
    }
}

impl<Req: Clone, Resp> Script<Req, Resp> {
    /// Adds an answer.
    pub fn answer(&self, answer: Result<Resp, Status>) -> &Self {
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Req> {
        self.seen.lock().unwrap().clone()
    }

    async fn play(&self, request: Request<Req>) -> Result<Response<Resp>, Status> {
        self.seen.lock().unwrap().push(request.into_inner());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(answer) => answer.map(Response::new),
            // Out of answers: never answers.
            None => std::future::pending().await,
        }
    }
}

/// What the fake agent is told to say.
#[derive(Clone, Default)]
pub struct Scripts {
    pub create: Script<wire::CreateTimerRequest, wire::CreateTimerResponse>,
    pub cancel: Script<wire::CancelTimerRequest, wire::CancelTimerResponse>,
    pub rearm: Script<wire::RearmTimerRequest, wire::RearmTimerResponse>,
    pub list: Script<wire::ListTimersRequest, wire::ListTimersResponse>,
    pub preview: Script<wire::PreviewScheduleRequest, wire::PreviewScheduleResponse>,
    pub update: Script<wire::UpdateTimerRequest, wire::UpdateTimerResponse>,
    pub runs: Script<wire::ListRunsRequest, wire::ListRunsResponse>,
    pub watch: Script<wire::WatchTimersRequest, Vec<wire::WatchTimersResponse>>,
    pub pipeline: Arc<Mutex<Vec<wire::PipelineRequest>>>,
    pub activity: Script<wire::SetActivityRequest, wire::SetActivityResponse>,
}

#[async_trait]
impl TimerService for Scripts {
    async fn create_timer(
        &self,
        request: Request<wire::CreateTimerRequest>,
    ) -> Result<Response<wire::CreateTimerResponse>, Status> {
        self.create.play(request).await
    }

    async fn cancel_timer(
        &self,
        request: Request<wire::CancelTimerRequest>,
    ) -> Result<Response<wire::CancelTimerResponse>, Status> {
        self.cancel.play(request).await
    }

    async fn rearm_timer(
        &self,
        request: Request<wire::RearmTimerRequest>,
    ) -> Result<Response<wire::RearmTimerResponse>, Status> {
        self.rearm.play(request).await
    }

    async fn list_timers(
        &self,
        request: Request<wire::ListTimersRequest>,
    ) -> Result<Response<wire::ListTimersResponse>, Status> {
        self.list.play(request).await
    }

    async fn update_timer(
        &self,
        request: Request<wire::UpdateTimerRequest>,
    ) -> Result<Response<wire::UpdateTimerResponse>, Status> {
        self.update.play(request).await
    }

    async fn list_runs(
        &self,
        request: Request<wire::ListRunsRequest>,
    ) -> Result<Response<wire::ListRunsResponse>, Status> {
        self.runs.play(request).await
    }

    async fn watch_timers(
        &self,
        request: Request<wire::WatchTimersRequest>,
    ) -> Result<Response<BoxStream<wire::WatchTimersResponse>>, Status> {
        let said = self.watch.play(request).await?.into_inner();
        let said = said.into_iter().map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(said))))
    }

    async fn pipeline(
        &self,
        request: Request<Streaming<wire::PipelineRequest>>,
    ) -> Result<Response<BoxStream<wire::PipelineResponse>>, Status> {
        let mut requests = request.into_inner();
        let seen = self.pipeline.clone();
        let (answers, outbound) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                seen.lock().unwrap().push(request.clone());
                let breaks = format!("{request:?}").contains("\"breaks\"");
                let count = seen.lock().unwrap().len();
                let answer = match breaks && count < 3 {
                    true => Err(later("the stream breaks")),
                    false => Ok(pipelined(request)),
                };
                let ends = answer.is_err();
                if answers.send(answer).await.is_err() || ends {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }

    async fn preview_schedule(
        &self,
        request: Request<wire::PreviewScheduleRequest>,
    ) -> Result<Response<wire::PreviewScheduleResponse>, Status> {
        self.preview.play(request).await
    }
}

/// What a pipeline of the fake says: it breaks off once at a request whose timer is called `breaks`, refuses one that
/// is called `refused`, and creates all others, the last first.
fn pipelined(request: wire::PipelineRequest) -> wire::PipelineResponse {
    use wire::pipeline_request::Request;
    use wire::pipeline_response::Response;
    let id = match &request.request {
        Some(Request::Create(create)) => create.timer_id.clone(),
        _ => String::new(),
    };
    let response = match id.as_str() {
        "refused" => Response::Error(tonic_types::Status {
            code: tonic::Code::AlreadyExists.into(),
            message: "it is there".into(),
            details: Vec::new(),
        }),
        id => Response::Create(wire::CreateTimerResponse {
            timer: Some(timer(&format!("pools/default/timers/{id}"))),
        }),
    };
    wire::PipelineResponse {
        id: request.id,
        response: Some(response),
    }
}

#[async_trait]
impl NodeService for Scripts {
    async fn set_activity(
        &self,
        request: Request<wire::SetActivityRequest>,
    ) -> Result<Response<wire::SetActivityResponse>, Status> {
        self.activity.play(request).await
    }
}

struct Workers(mpsc::Sender<WorkStream>);

#[async_trait]
impl WorkerService for Workers {
    async fn work(
        &self,
        request: Request<Streaming<wire::WorkRequest>>,
    ) -> Result<Response<BoxStream<wire::WorkResponse>>, Status> {
        let (down, outbound) = mpsc::channel(64);
        let stream = WorkStream {
            up: request.into_inner(),
            down,
        };
        self.0
            .send(stream)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}

/// The agent's end of one worker's stream. Dropping it ends the stream.
pub struct WorkStream {
    up: Streaming<wire::WorkRequest>,
    down: mpsc::Sender<Result<wire::WorkResponse, Status>>,
}

impl WorkStream {
    /// What the worker says next; none if it has closed its side.
    pub async fn hear(&mut self) -> Option<Up> {
        let message = tokio::time::timeout(PATIENCE, self.up.message())
            .await
            .expect("the worker is silent");
        message.ok().flatten().and_then(|request| request.message)
    }

    /// Checks that the worker says nothing for a while.
    pub async fn hear_nothing(&mut self, wait: Duration) {
        if let Ok(message) = tokio::time::timeout(wait, self.up.message()).await {
            panic!("the worker says {message:?}");
        }
    }

    /// Hears the worker's offer and accepts it.
    pub async fn accept(&mut self) -> wire::Attach {
        let Some(Up::Attach(attach)) = self.hear().await else {
            panic!("a stream begins with Attach")
        };
        self.say(Down::Attached(wire::Attached {
            node: "n1".into(),
            pool: "default".into(),
        }))
        .await;
        attach
    }

    /// Hands a run over.
    pub async fn fire(&self, run: wire::Run) {
        self.say(Down::Fire(wire::Fire { run: Some(run) })).await;
    }

    /// Says that the right to a run is over.
    pub async fn withdraw(&self, token: u64) {
        let run = format!("{token:016x}");
        self.say(Down::Withdraw(wire::Withdraw { run, token }))
            .await;
    }

    async fn say(&self, message: Down) {
        let response = wire::WorkResponse {
            message: Some(message),
        };
        self.down
            .send(Ok(response))
            .await
            .expect("the worker listens");
    }
}

/// A refusal that says when to try again.
fn later(why: &str) -> Status {
    let wait = Some(Duration::from_millis(20));
    let details = tonic_types::ErrorDetails::with_retry_info(wait);
    Status::with_error_details(tonic::Code::Unavailable, why, details)
}

/// A run of handler `h` with this token.
pub fn run(token: u64) -> wire::Run {
    let now = Some(SystemTime::now().into());
    wire::Run {
        timer: "pools/default/timers/t".into(),
        run: format!("{token:016x}"),
        attempt: 1,
        token,
        nominal_time: now,
        due_time: now,
        launched_time: now,
        payload: "payload".into(),
        handler: "h".into(),
        node: "n1".into(),
        attempt_timeout: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
        ..wire::Run::default()
    }
}

/// A timer as an answer has it.
pub fn timer(name: &str) -> wire::Timer {
    wire::Timer {
        name: name.into(),
        durability: wire::Durability::Replicated.into(),
        state: wire::TimerState::Scheduled.into(),
        ..wire::Timer::default()
    }
}

/// A running fake agent.
pub struct Agent {
    pub scripts: Scripts,
    pub folder: tempfile::TempDir,
    streams: mpsc::Receiver<WorkStream>,
}

impl Agent {
    /// Starts one in a folder of its own.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// Starts one in this folder.
    pub async fn start_in(folder: tempfile::TempDir) -> Self {
        let scripts = Scripts::default();
        let (sender, streams) = mpsc::channel(4);
        let listener = UnixListener::bind(socket(folder.path())).unwrap();
        let router = Server::builder()
            .add_service(TimerServiceServer::new(scripts.clone()))
            .add_service(NodeServiceServer::new(scripts.clone()))
            .add_service(WorkerServiceServer::new(Workers(sender)));
        tokio::spawn(router.serve_with_incoming(UnixListenerStream::new(listener)));
        Self {
            scripts,
            folder,
            streams,
        }
    }

    /// A client of it.
    pub async fn client(&self) -> Client {
        client_of(self.folder.path()).await
    }

    /// The next worker's stream.
    pub async fn stream(&mut self) -> WorkStream {
        let stream = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        stream
            .expect("no worker attaches")
            .expect("the server runs")
    }
}

/// A client of the agent that is, or will be, in this folder.
pub async fn client_of(folder: &Path) -> Client {
    Client::connect(&format!("unix:{}", socket(folder).display()))
        .await
        .unwrap()
}

fn socket(folder: &Path) -> std::path::PathBuf {
    folder.join("agent.sock")
}
