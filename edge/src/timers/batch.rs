//! Many timers in one call: each item is decided, and answered, by itself.

use super::{Ask, Timers};
use crate::request;
use dormouse_proto::v1;
use futures_util::future::join_all;
use prost::Message as _;
use tonic::Status;

impl<A: Ask> Timers<A> {
    pub(super) async fn batch_create(
        &self,
        request: v1::BatchCreateTimersRequest,
    ) -> Result<v1::BatchCreateTimersResponse, Status> {
        use v1::create_timer_result::Result as Item;
        let requests = request.requests;
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
        Ok(v1::BatchCreateTimersResponse {
            results: results.await,
        })
    }

    pub(super) async fn batch_cancel(
        &self,
        request: v1::BatchCancelTimersRequest,
    ) -> Result<v1::BatchCancelTimersResponse, Status> {
        use v1::cancel_timer_result::Result as Item;
        let requests = request.requests;
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
        Ok(v1::BatchCancelTimersResponse {
            results: results.await,
        })
    }
}

/// A status as a part of an answer.
pub(super) fn item(status: &Status) -> tonic_types::Status {
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code() as i32,
        message: status.message().into(),
        details: Vec::new(),
    })
}
