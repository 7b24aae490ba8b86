//! Between the wire of workers and nodes, and the types inside.
//!
//! Everything that comes in is checked here; the rest of the agent has types that cannot be wrong. What the
//! agent shares with the coordinator is converted in `dormouse-edge`.

use crate::executor::{Attempt, CREDITS_MAX, Delivery, WorkerId};
use dormouse_edge::answer::{duration, timestamp};
use dormouse_edge::fault::invalid;
use dormouse_engine::id::{NodeId, RunId, Token};
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{HandlerName, Outcome};
use dormouse_proto::v1::{Attach, Nack, Run};
use std::collections::BTreeSet;
use std::time::Duration;
use tonic::Status;

/// The most handlers of one worker.
const HANDLERS_MAX: usize = 1_000;
/// The longest reason that is kept, in bytes.
const REASON_LENGTH_MAX: usize = 1_024;
/// The longest wait that a handler may ask for: ten years, which is the horizon.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What a worker offers: its handlers and how many runs it can hold.
pub(crate) fn offer(attach: &Attach) -> Result<(BTreeSet<HandlerName>, u32), Status> {
    if attach.handlers.is_empty() || attach.handlers.len() > HANDLERS_MAX {
        let why = format!(
            "has {} names; 1 to {HANDLERS_MAX} are allowed",
            attach.handlers.len()
        );
        return Err(invalid("attach.handlers", why));
    }
    if attach.credits > CREDITS_MAX {
        let why = format!("is {}; 0 to {CREDITS_MAX} are allowed", attach.credits);
        return Err(invalid("attach.credits", why));
    }
    let name = |(place, text): (usize, &String)| {
        let name = HandlerName::new(text).filter(|name| !name.is_reserved());
        name.ok_or_else(|| {
            let field = format!("attach.handlers[{place}]");
            invalid(
                &field,
                "is not a handler's name; give 1 to 255 visible ASCII characters, not beginning with `dormouse:`",
            )
        })
    };
    let handlers = attach
        .handlers
        .iter()
        .enumerate()
        .map(name)
        .collect::<Result<_, _>>()?;
    Ok((handlers, attach.credits))
}

/// Which attempt a worker speaks of.
pub(crate) fn attempt(worker: WorkerId, run: &str, token: u64) -> Result<Attempt, Status> {
    let digits = run.len() == 16 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(run, 16) {
        Ok(id) if digits => Ok(Attempt {
            worker,
            run: RunId(id),
            token: Token(token),
        }),
        _ => Err(invalid(
            "run",
            "is not the `run` of a Fire: 16 hexadecimal digits",
        )),
    }
}

/// What a Nack says.
pub(crate) fn failure(nack: Nack) -> Result<Outcome, Status> {
    let retry_after = nack.retry_after.map(retry_after).transpose()?;
    let mut reason = nack.reason;
    if reason.len() > REASON_LENGTH_MAX {
        let boundary = (0..=REASON_LENGTH_MAX)
            .rev()
            .find(|at| reason.is_char_boundary(*at));
        reason.truncate(boundary.unwrap_or(0));
    }
    Ok(Outcome::Failed {
        retry_after,
        reason,
    })
}

fn retry_after(wait: prost_types::Duration) -> Result<Millis, Status> {
    let refused = || invalid("nack.retry_after", "must be 0 to 10 years");
    let wait = Duration::try_from(wait).map_err(|_| refused())?;
    if wait > RETRY_AFTER_MAX {
        return Err(refused());
    }
    Ok(millis(wait))
}

/// Whole milliseconds, rounded up: a wait is never too short.
pub(crate) fn millis(wait: Duration) -> Millis {
    let whole = wait.as_nanos().div_ceil(1_000_000);
    Millis(u64::try_from(whole).unwrap_or(u64::MAX))
}

/// A run as a worker gets it.
pub(crate) fn run(delivery: Delivery, node: &NodeId) -> Run {
    let Delivery { run, launched } = delivery;
    Run {
        timer: run.name.to_string(),
        uid: run.uid.to_string(),
        run: run.id.to_string(),
        attempt: run.attempt,
        token: run.token.0,
        nominal_time: Some(timestamp(run.nominal)),
        due_time: Some(timestamp(run.due)),
        launched_time: Some(launched.into()),
        payload: bytes::Bytes::from_owner(run.payload.0),
        content_type: run.content_type,
        handler: run.handler.to_string(),
        node: node.to_string(),
        missed_count: run.missed,
        generation: run.generation,
        attempt_timeout: Some(duration(run.attempt_timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn a_run_is_named_by_sixteen_digits_and_nothing_else() {
        let worker = WorkerId::ANY;
        assert_eq!(
            attempt(worker, "00000000000000ff", 7).map(|a| a.run).ok(),
            Some(RunId(255))
        );
        for wrong in [
            "",
            "ff",
            "+0000000000000ff",
            "00000000000000fg",
            "00000000000000fff",
        ] {
            assert_eq!(
                attempt(worker, wrong, 7).map_err(|s| s.code()).err(),
                Some(Code::InvalidArgument)
            );
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "ö".repeat(1_000);
        let nack = Nack {
            reason,
            ..Nack::default()
        };
        let Ok(Outcome::Failed { reason, .. }) = failure(nack) else {
            panic!("refused")
        };
        assert_eq!(reason.len(), 1_024);
    }

    #[test]
    fn a_negative_wait_is_refused_and_a_short_one_is_rounded_up() {
        let nack = |seconds, nanos| Nack {
            retry_after: Some(prost_types::Duration { seconds, nanos }),
            ..Nack::default()
        };
        assert!(failure(nack(-1, 0)).is_err());
        assert!(failure(nack(i64::MAX, 0)).is_err());
        let outcome = failure(nack(0, 1)).ok();
        let retry_after = Some(Millis(1));
        assert_eq!(
            outcome,
            Some(Outcome::Failed {
                retry_after,
                reason: String::new()
            })
        );
    }
}
