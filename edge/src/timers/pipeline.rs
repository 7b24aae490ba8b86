//! Many changes in flight on one stream, answered out of order by id.
//!
//! So many are decided at once; while they are, the stream is not read, so that a client that is too fast waits. A
//! request that is wrong is answered and does not end the stream.

use super::batch::item;
use super::{Ask, Timers};
use crate::fault;
use dormouse_proto::v1;
use futures_util::{Stream, StreamExt as _};
use tonic::{Status, Streaming};
use v1::pipeline_request::Request;
use v1::pipeline_response::Response;

/// Requests of one stream that are decided at once.
const IN_FLIGHT_MAX: usize = 512;

/// The answers to the requests of a stream, each as soon as it is there.
pub(super) fn serve<A: Ask>(
    timers: Timers<A>,
    requests: Streaming<v1::PipelineRequest>,
) -> impl Stream<Item = Result<v1::PipelineResponse, Status>> + Send + 'static {
    let ending = timers.owner.ending();
    let answers = requests.map(move |request| {
        let timers = timers.clone();
        // A frame that is no message ends the stream: where the next one begins is not known.
        async move { Ok(answer(&timers, request?).await) }
    });
    answers
        .buffer_unordered(IN_FLIGHT_MAX)
        .take_until(Box::pin(ending))
}

async fn answer<A: Ask>(timers: &Timers<A>, request: v1::PipelineRequest) -> v1::PipelineResponse {
    let response = match request.request {
        Some(Request::Create(create)) => {
            let timer = timers.create(create, "create.").await;
            timer.map(|timer| Response::Create(v1::CreateTimerResponse { timer: Some(timer) }))
        }
        Some(Request::Rearm(rearm)) => {
            let timer = timers.rearm(rearm, "rearm.").await;
            timer.map(|timer| Response::Rearm(v1::RearmTimerResponse { timer: Some(timer) }))
        }
        Some(Request::Cancel(cancel)) => {
            let cancelled = timers.cancel(&cancel, "cancel.").await;
            cancelled.map(Response::Cancel)
        }
        None => Err(fault::invalid(
            "request",
            "must be set: one of create, rearm and cancel",
        )),
    };
    v1::PipelineResponse {
        id: request.id,
        response: Some(response.unwrap_or_else(|status| Response::Error(item(&status)))),
    }
}
