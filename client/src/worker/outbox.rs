//! The way up of one stream: what a worker says, never waiting for a slow agent.

use super::Failure;
use super::drive::End;
use super::execute::Attempt;
use crate::convert;
use dormouse_proto::v1 as wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wire::work_request::Message as Up;

/// Messages that wait for the stream, beyond two for each run.
const SPARE: usize = 64;

/// Says things on the stream that is open; an error means that it takes no more, and is as good as broken.
pub(super) struct Outbox(mpsc::Sender<wire::WorkRequest>);

impl Outbox {
    pub(super) fn new(concurrency: u32) -> (Self, ReceiverStream<wire::WorkRequest>) {
        let (sender, receiver) = mpsc::channel(2 * concurrency as usize + SPARE);
        (Self(sender), ReceiverStream::new(receiver))
    }

    pub(super) fn attach(&self, handlers: Vec<String>, credits: u32) -> Result<(), End> {
        self.send(Up::Attach(wire::Attach { handlers, credits }))
    }

    pub(super) fn detach(&self) -> Result<(), End> {
        self.send(Up::Detach(wire::Detach {}))
    }

    pub(super) fn settle(&self, attempt: Attempt, outcome: Result<(), Failure>) -> Result<(), End> {
        let Attempt { run, token } = attempt;
        self.send(match outcome {
            Ok(()) => Up::Ack(wire::Ack { run, token }),
            Err(failure) => Up::Nack(convert::nack(run, token, failure)),
        })
    }

    pub(super) fn release(&self, attempt: Attempt) -> Result<(), End> {
        let Attempt { run, token } = attempt;
        self.send(Up::Release(wire::Release { run, token }))
    }

    pub(super) fn extend(&self, attempt: Attempt) -> Result<(), End> {
        let Attempt { run, token } = attempt;
        self.send(Up::Extend(wire::Extend { run, token }))
    }

    fn send(&self, message: Up) -> Result<(), End> {
        let request = wire::WorkRequest {
            message: Some(message),
        };
        self.0.try_send(request).map_err(|_| End::Broken(None))
    }
}
