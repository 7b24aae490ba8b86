//! What a node says.

use super::Unread;
use super::parts::{self, Read};
use crate::answer;
use dormouse_engine::base::WANTED_MAX;
use dormouse_engine::id::{Epoch, NodeId, PoolId, RackId, Session, Token, Uid};
use dormouse_engine::message::{
    Act, Active, Capacity, Goodbye, Heartbeat, Hello, Idle, Items, NodeMessage, Report,
};
use dormouse_engine::time::{BootTime, LogIndex};
use dormouse_engine::timer::Outcome;
use dormouse_proto::v1;
use v1::node_message::Message;
use v1::report::Act as WireAct;
use v1::run_outcome::Outcome as WireOutcome;

/// The engine's message, for the wire.
#[must_use]
pub fn write_node(message: NodeMessage) -> v1::NodeMessage {
    let message = match message {
        NodeMessage::Hello(hello) => Message::Hello(write_hello(&hello)),
        NodeMessage::Report(report) => Message::Report(write_report(report)),
        NodeMessage::Heartbeat(heartbeat) => Message::Heartbeat(write_heartbeat(heartbeat)),
        NodeMessage::Forward { session, id, op } => Message::Forward(v1::Forward {
            session: session.0,
            id,
            op: parts::encode(&op),
        }),
    };
    v1::NodeMessage {
        message: Some(message),
    }
}

/// The message that came over the wire, for the engine.
///
/// # Errors
/// [`Unread`] names the field.
pub fn read_node(message: v1::NodeMessage) -> Result<NodeMessage, Unread> {
    match message.message.ok_or_else(|| Unread::missing("message"))? {
        Message::Hello(hello) => read_hello(&hello).map_err(|it| it.within("hello")),
        Message::Report(report) => read_report(report).map_err(|it| it.within("report")),
        Message::Heartbeat(heartbeat) => {
            read_heartbeat(&heartbeat).map_err(|it| it.within("heartbeat"))
        }
        Message::Forward(forward) => Ok(NodeMessage::Forward {
            session: Session(forward.session),
            id: forward.id,
            op: parts::decode("forward.op", &forward.op)?,
        }),
    }
}

fn write_hello(hello: &Hello) -> v1::Hello {
    v1::Hello {
        node: hello.node.to_string(),
        pool: hello.pool.to_string(),
        rack: hello.rack.to_string(),
        incarnation: parts::wide(hello.incarnation),
        epoch: hello.epoch.0,
        known: hello.known.0,
        ledger: parts::wide(hello.ledger),
        wall_time: Some(answer::timestamp(hello.wall)),
    }
}

fn read_hello(hello: &v1::Hello) -> Read<NodeMessage> {
    Ok(NodeMessage::Hello(Hello {
        node: parts::id("node", NodeId::new(&hello.node))?,
        pool: parts::id("pool", PoolId::new(&hello.pool))?,
        rack: parts::id("rack", RackId::new(&hello.rack))?,
        incarnation: parts::read_wide("incarnation", &hello.incarnation)?,
        epoch: Epoch(hello.epoch),
        known: LogIndex(hello.known),
        ledger: parts::read_wide("ledger", &hello.ledger)?,
        wall: parts::read_time("wall_time", hello.wall_time.as_ref())?,
    }))
}

fn write_heartbeat(heartbeat: Heartbeat) -> v1::Heartbeat {
    v1::Heartbeat {
        session: heartbeat.session.0,
        sent_boot_ms: heartbeat.sent.0,
        wall_time: Some(answer::timestamp(heartbeat.wall)),
        wanted: heartbeat.wanted.iter().map(ToString::to_string).collect(),
    }
}

fn read_heartbeat(heartbeat: &v1::Heartbeat) -> Read<NodeMessage> {
    let wanted = heartbeat.wanted.iter().take(WANTED_MAX);
    let wanted = wanted.map(|handler| parts::read_handler("wanted", handler));
    Ok(NodeMessage::Heartbeat(Heartbeat {
        session: Session(heartbeat.session),
        sent: BootTime(heartbeat.sent_boot_ms),
        wall: parts::read_time("wall_time", heartbeat.wall_time.as_ref())?,
        wanted: wanted.collect::<Read<_>>()?,
    }))
}

fn write_report(report: Report) -> v1::Report {
    v1::Report {
        session: report.session.0,
        seq: report.seq,
        epoch: report.epoch.0,
        items: (!report.items.is_empty()).then(|| write_items(report.items)),
        act: Some(write_act(report.act)),
    }
}

fn read_report(report: v1::Report) -> Read<NodeMessage> {
    let items = read_items(report.items.unwrap_or_default());
    Ok(NodeMessage::Report(Report {
        session: Session(report.session),
        seq: report.seq,
        epoch: Epoch(report.epoch),
        act: read_act(report.act.ok_or_else(|| Unread::missing("act"))?)?,
        items: items.map_err(|it| it.within("items"))?,
    }))
}

fn write_act(act: Act) -> WireAct {
    match act {
        Act::Stay => WireAct::Stay(v1::Stay {}),
        Act::Stage { attempt } => WireAct::Stage(v1::Stage { attempt }),
        Act::Tail { known } => WireAct::Tail(v1::Tail { known: known.0 }),
        Act::Active(active) => WireAct::Active(v1::Active {
            known: active.known.0,
            cursor: active.cursor.map(|cursor| cursor.0),
        }),
        Act::Idle(idle) => WireAct::Idle(v1::Idle {
            sum: Some(parts::sum(idle.sum)),
            self_wake: idle.self_wake.map(answer::timestamp),
            interrupted: parts::tokens(&idle.interrupted),
            attempt: idle.attempt,
        }),
        Act::Goodbye(goodbye) => WireAct::Goodbye(v1::Goodbye {
            interrupted: parts::tokens(&goodbye.interrupted),
            attempt: goodbye.attempt,
        }),
    }
}

fn read_act(act: WireAct) -> Read<Act> {
    Ok(match act {
        WireAct::Stay(v1::Stay {}) => Act::Stay,
        WireAct::Stage(stage) => Act::Stage {
            attempt: stage.attempt,
        },
        WireAct::Tail(tail) => Act::Tail {
            known: LogIndex(tail.known),
        },
        WireAct::Active(active) => Act::Active(Active {
            known: LogIndex(active.known),
            cursor: active.cursor.map(LogIndex),
        }),
        WireAct::Idle(idle) => Act::Idle(Idle {
            attempt: idle.attempt,
            sum: parts::read_sum("idle.sum", idle.sum)?,
            self_wake: parts::read_time_if_set("idle.self_wake", idle.self_wake.as_ref())?,
            interrupted: parts::read_tokens(idle.interrupted),
        }),
        WireAct::Goodbye(goodbye) => Act::Goodbye(Goodbye {
            attempt: goodbye.attempt,
            interrupted: parts::read_tokens(goodbye.interrupted),
        }),
    })
}

fn write_items(items: Items) -> v1::Items {
    let answers = items.answers.iter();
    v1::Items {
        changed_records: parts::encode_all(&items.changed),
        gone: parts::uids(&items.gone),
        handed: parts::uids(&items.handed),
        outcomes: items.outcomes.into_iter().map(write_outcome).collect(),
        accepted: parts::tokens(&items.accepted),
        declined: parts::tokens(&items.declined),
        taken: items.taken.into_iter().map(write_taken).collect(),
        answers: answers
            .map(|(id, answer)| v1::ChangeAnswer {
                id: *id,
                answer: parts::encode(answer),
            })
            .collect(),
        armed: items.armed.map(answer::timestamp),
        capacity: items.capacity.map(write_capacity),
        eligible: items.eligible,
        resumed: items.resumed.map(|index| index.0),
        past_records: parts::encode_all(&items.past),
        abandoned: items.abandoned,
    }
}

fn read_items(items: v1::Items) -> Read<Items> {
    Ok(Items {
        changed: parts::decode_all("changed_records", &items.changed_records)?,
        gone: parts::read_uids("gone", &items.gone)?,
        handed: parts::read_uids("handed", &items.handed)?,
        outcomes: parts::each("outcomes", items.outcomes, read_outcome)?,
        accepted: parts::read_tokens(items.accepted),
        declined: parts::read_tokens(items.declined),
        taken: parts::each("taken", items.taken, read_taken)?,
        answers: parts::each("answers", items.answers, |field, change| {
            let answer = parts::decode("answer", &change.answer);
            Ok((change.id, answer.map_err(|it: Unread| it.within(field))?))
        })?,
        armed: parts::read_time_if_set("armed", items.armed.as_ref())?,
        capacity: items.capacity.map(read_capacity).transpose()?,
        eligible: items.eligible,
        resumed: items.resumed.map(LogIndex),
        past: parts::decode_all("past_records", &items.past_records)?,
        abandoned: items.abandoned,
    })
}

fn write_taken((uid, token): (Uid, Token)) -> v1::TakenTimer {
    v1::TakenTimer {
        uid: parts::wide(uid.0),
        token: token.0,
    }
}

fn read_taken(field: &str, taken: v1::TakenTimer) -> Read<(Uid, Token)> {
    let uid = parts::read_uid("uid", &taken.uid).map_err(|it| it.within(field))?;
    Ok((uid, Token(taken.token)))
}

pub(super) fn write_capacity(capacity: Capacity) -> v1::Capacity {
    let handlers = capacity
        .into_iter()
        .map(|(handler, places)| (handler.to_string(), places));
    v1::Capacity {
        handlers: handlers.collect(),
    }
}

pub(super) fn read_capacity(capacity: v1::Capacity) -> Read<Capacity> {
    let handlers = capacity
        .handlers
        .into_iter()
        .map(|(handler, places)| Ok((parts::read_handler("capacity.handlers", &handler)?, places)));
    handlers.collect()
}

fn write_outcome((uid, token, outcome): (Uid, Token, Outcome)) -> v1::RunOutcome {
    let outcome = match outcome {
        Outcome::Done => WireOutcome::Done(v1::RunDone {}),
        Outcome::Failed {
            retry_after,
            reason,
        } => WireOutcome::Failed(v1::RunFailed {
            retry_after: retry_after.map(answer::duration),
            reason,
        }),
        Outcome::Interrupted { died } => WireOutcome::Interrupted(v1::RunInterrupted { died }),
    };
    v1::RunOutcome {
        uid: parts::wide(uid.0),
        token: token.0,
        outcome: Some(outcome),
    }
}

fn read_outcome(field: &str, outcome: v1::RunOutcome) -> Read<(Uid, Token, Outcome)> {
    let read = || {
        let uid = parts::read_uid("uid", &outcome.uid)?;
        let what = match outcome.outcome.ok_or_else(|| Unread::missing("outcome"))? {
            WireOutcome::Done(v1::RunDone {}) => Outcome::Done,
            WireOutcome::Failed(failed) => Outcome::Failed {
                retry_after: match &failed.retry_after {
                    None => None,
                    Some(after) => Some(parts::read_length("failed.retry_after", Some(after))?),
                },
                reason: failed.reason,
            },
            WireOutcome::Interrupted(interrupted) => Outcome::Interrupted {
                died: interrupted.died,
            },
        };
        Ok((uid, Token(outcome.token), what))
    };
    read().map_err(|unread: Unread| unread.within(field))
}
