//! Many changes in flight on one stream, answered out of order by id.
//!
//! So many are decided at once; while they are, the stream is not read, so that a client that is too fast waits. A
//! request that is wrong is answered and does not end the stream. Lanes put what ends timers before what makes them: so
//! a request waits until the earlier ones of its stream that are about the same timer, or have the same request id, are
//! answered.

use super::batch::item;
use super::{Ask, Timers};
use crate::fault;
use dormouse_proto::v1;
use futures_util::{Stream, StreamExt as _};
use std::collections::BTreeMap;
use tokio_util::sync::{CancellationToken, DropGuard};
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
    let mut chains = Chains::default();
    let answers = requests.map(move |request| {
        let timers = timers.clone();
        let place = request.as_ref().ok().map(|request| chains.join(request));
        async move {
            // A frame that is no message ends the stream: where the next one begins is not known.
            let request = request?;
            let place = place.unwrap_or_default();
            for earlier in &place.behind {
                earlier.cancelled().await;
            }
            let answered = answer(&timers, request).await;
            drop(place.answered);
            Ok(answered)
        }
    });
    answers
        .buffer_unordered(IN_FLIGHT_MAX)
        .take_until(Box::pin(ending))
}

/// The newest request of a stream about each timer and of each request id, while it is not answered.
#[derive(Default)]
struct Chains(BTreeMap<String, CancellationToken>);

/// Where a request stands.
#[derive(Default)]
struct Place {
    /// Come when the earlier ones that it waits for are answered.
    behind: Vec<CancellationToken>,
    /// Tells those behind it, also if it is dropped.
    answered: Option<DropGuard>,
}

impl Chains {
    fn join(&mut self, request: &v1::PipelineRequest) -> Place {
        if self.0.len() > 2 * IN_FLIGHT_MAX {
            self.0.retain(|_, answered| !answered.is_cancelled());
        }
        let answered = CancellationToken::new();
        let keys = keys(request).into_iter();
        let earlier = keys.filter_map(|key| self.0.insert(key, answered.clone()));
        let behind = earlier.filter(|it| !it.is_cancelled()).collect();
        Place {
            behind,
            answered: Some(answered.drop_guard()),
        }
    }
}

/// What the order of a request depends on. The last part of a name is enough: that others share it costs a moment.
fn keys(request: &v1::PipelineRequest) -> Vec<String> {
    let (name, id) = match &request.request {
        Some(Request::Create(it)) => (&it.timer_id, &it.request_id),
        Some(Request::Rearm(it)) => (&it.name, &it.request_id),
        Some(Request::Cancel(it)) => (&it.name, &it.request_id),
        None => return Vec::new(),
    };
    let timer = name.rsplit('/').next().unwrap_or_default();
    let keys = [(timer, "timer"), (id, "request")].into_iter();
    let keys = keys.filter(|(key, _)| !key.is_empty());
    keys.map(|(key, kind)| format!("{kind} {key}")).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn create(timer: &str, id: &str) -> v1::PipelineRequest {
        let create = v1::CreateTimerRequest {
            timer_id: timer.into(),
            request_id: id.into(),
            ..Default::default()
        };
        request(Request::Create(create))
    }

    fn cancel(name: &str) -> v1::PipelineRequest {
        let cancel = v1::CancelTimerRequest {
            name: name.into(),
            ..Default::default()
        };
        request(Request::Cancel(cancel))
    }

    fn request(request: Request) -> v1::PipelineRequest {
        v1::PipelineRequest {
            request: Some(request),
            ..Default::default()
        }
    }

    #[test]
    fn a_cancel_waits_for_the_create_of_its_timer_and_for_nothing_else() {
        let mut chains = Chains::default();
        let created = chains.join(&create("tea", "1"));
        let other = chains.join(&cancel("pools/default/timers/cake"));
        assert!(created.behind.is_empty() && other.behind.is_empty());
        let cancelled = chains.join(&cancel("pools/default/timers/tea"));
        assert!(!cancelled.behind[0].is_cancelled());
        drop(created);
        assert!(cancelled.behind[0].is_cancelled());
    }

    #[test]
    fn a_repeated_request_waits_for_the_first_and_an_answered_one_holds_nobody_up() {
        let mut chains = Chains::default();
        let first = chains.join(&create("", "1"));
        assert_eq!(chains.join(&create("", "1")).behind.len(), 1);
        drop(first);
        assert!(chains.join(&create("", "1")).behind.is_empty());
    }

    #[test]
    fn what_is_remembered_of_a_stream_is_bounded() {
        let mut chains = Chains::default();
        for number in 0..10 * IN_FLIGHT_MAX {
            drop(chains.join(&create("", &number.to_string())));
        }
        assert!(chains.0.len() <= 2 * IN_FLIGHT_MAX + 1);
    }
}
