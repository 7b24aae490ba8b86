//! The values that messages of both sides are made of.
//!
//! A reader is given the name of the field, for its complaint.

use super::Unread;
use crate::answer;
use bytes::Bytes;
use dormouse_engine::id::{BadId, RunId, TimerName, Token, Uid};
use dormouse_engine::ledger::Sum;
use dormouse_engine::record;
use dormouse_engine::time::{Millis, WallTime};
use dormouse_engine::timer::{HandlerName, Payload, Run, Target};
use dormouse_proto::v1;
use prost_types::{Duration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) type Read<T> = Result<T, Unread>;

/// The value of `field` in the engine's own encoding.
pub(super) fn encode<T: Serialize>(value: &T) -> Bytes {
    record::encode(value).into()
}

pub(super) fn decode<T: DeserializeOwned>(field: &str, bytes: &[u8]) -> Read<T> {
    record::decode(field.as_bytes(), bytes).map_err(|why| Unread::new(field, why))
}

pub(super) fn encode_all<T: Serialize>(values: &[T]) -> Vec<Bytes> {
    values.iter().map(encode).collect()
}

pub(super) fn decode_all<T: DeserializeOwned>(field: &str, values: &[Bytes]) -> Read<Vec<T>> {
    each(field, values, |field, bytes| decode(field, bytes))
}

/// Reads each of `values`, and says which one is wrong.
pub(super) fn each<A, B>(
    field: &str,
    values: impl IntoIterator<Item = A>,
    read: impl Fn(&str, A) -> Read<B>,
) -> Read<Vec<B>> {
    let numbered = values.into_iter().enumerate();
    numbered
        .map(|(at, value)| read(&format!("{field}[{at}]"), value))
        .collect()
}

pub(super) fn id<T>(field: &str, id: Result<T, BadId>) -> Read<T> {
    id.map_err(|bad| Unread::new(field, bad))
}

/// 16 bytes, the highest first; zero is empty.
pub(super) fn wide(number: u128) -> Bytes {
    match number {
        0 => Bytes::new(),
        number => Bytes::copy_from_slice(&number.to_be_bytes()),
    }
}

pub(super) fn read_wide(field: &str, bytes: &[u8]) -> Read<u128> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let bytes = bytes.try_into();
    bytes
        .map(u128::from_be_bytes)
        .map_err(|_| Unread::new(field, "must have 16 bytes, or none"))
}

pub(super) fn read_uid(field: &str, bytes: &[u8]) -> Read<Uid> {
    read_wide(field, bytes).map(Uid)
}

pub(super) fn uids(uids: &[Uid]) -> Vec<Bytes> {
    uids.iter().map(|uid| wide(uid.0)).collect()
}

pub(super) fn read_uids(field: &str, values: &[Bytes]) -> Read<Vec<Uid>> {
    each(field, values, |field, bytes| read_uid(field, bytes))
}

pub(super) fn tokens(tokens: &[Token]) -> Vec<u64> {
    tokens.iter().map(|token| token.0).collect()
}

pub(super) fn read_tokens(tokens: Vec<u64>) -> Vec<Token> {
    tokens.into_iter().map(Token).collect()
}

pub(super) fn read_time(field: &str, time: Option<&Timestamp>) -> Read<WallTime> {
    let time = time.ok_or_else(|| Unread::missing(field))?;
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(Unread::new(
            &format!("{field}.nanos"),
            "must be 0 to 999999999",
        ));
    }
    let millis = time.seconds.checked_mul(1000);
    let millis = millis.and_then(|it| it.checked_add(i64::from(time.nanos / 1_000_000)));
    millis
        .map(WallTime)
        .ok_or_else(|| Unread::new(field, "is no time"))
}

pub(super) fn read_time_if_set(field: &str, time: Option<&Timestamp>) -> Read<Option<WallTime>> {
    time.map(|time| read_time(field, Some(time))).transpose()
}

pub(super) fn read_length(field: &str, length: Option<&Duration>) -> Read<Millis> {
    let length = length.ok_or_else(|| Unread::missing(field))?;
    let (Ok(secs), Ok(nanos)) = (u64::try_from(length.seconds), u64::try_from(length.nanos)) else {
        return Err(Unread::new(field, "must not be negative"));
    };
    let millis = secs
        .checked_mul(1000)
        .and_then(|it| it.checked_add(nanos / 1_000_000));
    millis
        .map(Millis)
        .ok_or_else(|| Unread::new(field, "is too long"))
}

pub(super) fn read_handler(field: &str, text: &str) -> Read<HandlerName> {
    let why = "must be 1 to 255 visible ASCII characters";
    HandlerName::new(text).ok_or_else(|| Unread::new(field, why))
}

pub(super) fn sum(sum: Sum) -> v1::TimerSum {
    v1::TimerSum {
        count: sum.count,
        hash: sum.hash,
    }
}

pub(super) fn read_sum(field: &str, sum: Option<v1::TimerSum>) -> Read<Sum> {
    let sum = sum.ok_or_else(|| Unread::missing(field))?;
    Ok(Sum {
        count: sum.count,
        hash: sum.hash,
    })
}

pub(super) fn run(run: Run) -> v1::ClaimedRun {
    v1::ClaimedRun {
        uid: wide(run.uid.0),
        timer: run.name.to_string(),
        generation: run.generation,
        run: run.id.0,
        nominal_time: Some(answer::timestamp(run.nominal)),
        due_time: Some(answer::timestamp(run.due)),
        attempt: run.attempt,
        missed_count: run.missed,
        token: run.token.0,
        handler: run.handler.to_string(),
        payload: Bytes::from_owner(run.payload.0),
        content_type: run.content_type,
        target_record: match run.target {
            Target::Handler => Bytes::new(),
            other => encode(&other),
        },
        attempt_timeout: Some(answer::duration(run.attempt_timeout)),
    }
}

pub(super) fn read_run(field: &str, run: v1::ClaimedRun) -> Read<Run> {
    let read = || {
        Ok(Run {
            uid: read_uid("uid", &run.uid)?,
            name: id("timer", TimerName::parse(&run.timer))?,
            generation: run.generation,
            id: RunId(run.run),
            nominal: read_time("nominal_time", run.nominal_time.as_ref())?,
            due: read_time("due_time", run.due_time.as_ref())?,
            attempt: run.attempt,
            missed: run.missed_count,
            token: Token(run.token),
            handler: read_handler("handler", &run.handler)?,
            payload: Payload(run.payload.as_ref().into()),
            content_type: run.content_type,
            target: match run.target_record.as_ref() {
                [] => Target::Handler,
                bytes => decode("target_record", bytes)?,
            },
            attempt_timeout: read_length("attempt_timeout", run.attempt_timeout.as_ref())?,
        })
    };
    read().map_err(|unread: Unread| unread.within(field))
}
