//! Refusals that the transport makes itself, in the words that every other refusal has.
//!
//! A message that is too large is OUT_OF_RANGE to the transport, which among us is a time beyond the horizon.

use crate::fault;
use http::Response;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::util::MapResponseLayer;

/// How the transport begins to say that a message is too large.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// Translates responses.
pub type Layer<B> = MapResponseLayer<fn(Response<B>) -> Response<B>>;

/// The layer that every server of ours has.
pub(crate) fn layer<B>() -> Layer<B> {
    MapResponseLayer::new(translate)
}

fn translate<B>(mut response: Response<B>) -> Response<B> {
    let told = Status::from_header_map(response.headers());
    if let Some(status) = told.filter(|it| it.code() == Code::OutOfRange)
        && status.message().starts_with(TOO_LARGE)
    {
        let better = too_large(status.message());
        // What cannot be written into headers stays as the transport said it.
        let _ = better.add_header(response.headers_mut());
    }
    response
}

fn too_large(why: &str) -> Status {
    let why = format!("{why}; send less at once");
    let mut details = fault::details("MESSAGE_TOO_LARGE");
    details.add_quota_failure_violation("message", &why);
    Status::with_error_details(Code::ResourceExhausted, why, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(status: &Status) -> Option<Code> {
        let response = translate(status.clone().into_http::<()>());
        Status::from_header_map(response.headers()).map(|it| it.code())
    }

    #[test]
    fn a_message_that_is_too_large_exhausts_a_bound() {
        let large = Status::out_of_range(format!("{TOO_LARGE}: found 5 bytes"));
        assert_eq!(code_of(&large), Some(Code::ResourceExhausted));
        let beyond = Status::out_of_range("is more than ten years ahead");
        assert_eq!(code_of(&beyond), Some(Code::OutOfRange));
    }
}
