//! What a coordinator says.

use super::Unread;
use super::node;
use super::parts::{self, Read};
use crate::answer;
use dormouse_engine::hierarchy::{Cover, WhyNot};
use dormouse_engine::id::{Epoch, NodeId, Session, Token};
use dormouse_engine::message::{
    CoordinatorMessage, Order, Page, Reply, ReportAnswer, Resumed, Staged, Uncovered, Welcome,
};
use dormouse_engine::time::{BootTime, LogIndex};
use dormouse_proto::v1;
use v1::coordinator_message::Message;
use v1::order::Order as WireOrder;
use v1::report_answer::Reply as WireReply;

/// The engine's message, for the wire.
#[must_use]
pub fn write_coordinator(message: CoordinatorMessage) -> v1::CoordinatorMessage {
    let message = match message {
        CoordinatorMessage::Welcome(welcome) => Message::Welcome(write_welcome(&welcome)),
        CoordinatorMessage::Rejected { why } => Message::Rejected(v1::Rejected { why }),
        CoordinatorMessage::Answer(answer) => Message::Answer(write_answer(answer)),
        CoordinatorMessage::Pulse {
            session,
            sent,
            clock,
            rooms,
        } => Message::Pulse(v1::Pulse {
            session: session.0,
            sent_boot_ms: sent.0,
            clock: Some(answer::timestamp(clock)),
            rooms: (!rooms.is_empty()).then(|| node::write_capacity(rooms)),
        }),
        CoordinatorMessage::Order { session, order } => Message::Order(v1::Order {
            session: session.0,
            order: Some(write_order(order)),
        }),
        CoordinatorMessage::Forwarded { id, answer } => Message::Forwarded(v1::Forwarded {
            id,
            answer: parts::encode(&answer),
        }),
        CoordinatorMessage::Fenced { session, replaced } => Message::Fenced(v1::Fenced {
            session: session.0,
            replaced,
        }),
    };
    v1::CoordinatorMessage {
        message: Some(message),
    }
}

/// The message that came over the wire, for the engine.
///
/// # Errors
/// [`Unread`] names the field.
pub fn read_coordinator(message: v1::CoordinatorMessage) -> Result<CoordinatorMessage, Unread> {
    match message.message.ok_or_else(|| Unread::missing("message"))? {
        Message::Welcome(welcome) => read_welcome(&welcome).map_err(|it| it.within("welcome")),
        Message::Rejected(rejected) => Ok(CoordinatorMessage::Rejected { why: rejected.why }),
        Message::Answer(answer) => read_answer(answer).map_err(|it| it.within("answer")),
        Message::Pulse(pulse) => Ok(CoordinatorMessage::Pulse {
            session: Session(pulse.session),
            sent: BootTime(pulse.sent_boot_ms),
            clock: parts::read_time("pulse.clock", pulse.clock.as_ref())?,
            rooms: node::read_capacity(pulse.rooms.unwrap_or_default())?,
        }),
        Message::Order(order) => read_order(order).map_err(|it| it.within("order")),
        Message::Forwarded(forwarded) => Ok(CoordinatorMessage::Forwarded {
            id: forwarded.id,
            answer: parts::decode("forwarded.answer", &forwarded.answer)?,
        }),
        Message::Fenced(fenced) => Ok(CoordinatorMessage::Fenced {
            session: Session(fenced.session),
            replaced: fenced.replaced,
        }),
    }
}

fn write_welcome(welcome: &Welcome) -> v1::Welcome {
    v1::Welcome {
        session: welcome.session.0,
        epoch: welcome.epoch.0,
        owns: welcome.owns,
        lease_ttl: Some(answer::duration(welcome.lease)),
        clock: Some(answer::timestamp(welcome.clock)),
        ledger: parts::wide(welcome.ledger),
        wake_grace: Some(answer::duration(welcome.wake_grace)),
        stage: welcome.stage.map(|stage| v1::StagedAttempt {
            attempt: stage.attempt,
            closed: stage.closed,
        }),
    }
}

fn read_welcome(welcome: &v1::Welcome) -> Read<CoordinatorMessage> {
    Ok(CoordinatorMessage::Welcome(Welcome {
        session: Session(welcome.session),
        epoch: Epoch(welcome.epoch),
        owns: welcome.owns,
        lease: parts::read_length("lease_ttl", welcome.lease_ttl.as_ref())?,
        clock: parts::read_time("clock", welcome.clock.as_ref())?,
        ledger: parts::read_wide("ledger", &welcome.ledger)?,
        wake_grace: parts::read_length("wake_grace", welcome.wake_grace.as_ref())?,
        stage: welcome.stage.map(|stage| Staged {
            attempt: stage.attempt,
            closed: stage.closed,
        }),
    }))
}

fn write_answer(answer: ReportAnswer) -> v1::ReportAnswer {
    let refused = answer
        .refused
        .iter()
        .map(|(uid, refusal)| v1::RefusedChange {
            uid: parts::wide(uid.0),
            refusal: parts::encode(refusal),
        });
    v1::ReportAnswer {
        session: answer.session.0,
        seq: answer.seq,
        known: answer.known.0,
        clock: Some(answer::timestamp(answer.clock)),
        refused: refused.collect(),
        reply: Some(write_reply(answer.reply)),
    }
}

fn read_answer(answer: v1::ReportAnswer) -> Read<CoordinatorMessage> {
    Ok(CoordinatorMessage::Answer(ReportAnswer {
        session: Session(answer.session),
        seq: answer.seq,
        known: LogIndex(answer.known),
        clock: parts::read_time("clock", answer.clock.as_ref())?,
        reply: read_reply(answer.reply.ok_or_else(|| Unread::missing("reply"))?)?,
        refused: parts::each("refused", answer.refused, |field, refused| {
            let uid = parts::read_uid("uid", &refused.uid).map_err(|it| it.within(field))?;
            let refusal = parts::decode("refusal", &refused.refusal);
            Ok((uid, refusal.map_err(|it: Unread| it.within(field))?))
        })?,
    }))
}

fn write_reply(reply: Reply) -> WireReply {
    match reply {
        Reply::Noted => WireReply::Noted(v1::Noted {}),
        Reply::NotOwner => WireReply::NotOwner(v1::NotOwner {}),
        Reply::Resumed(resumed) => WireReply::Resumed(write_resumed(&resumed)),
        Reply::Parked { epoch, cover } => WireReply::Parked(v1::Parked {
            epoch: epoch.0,
            cover: answer::cover(Some(&cover), None),
        }),
        Reply::NotCovered {
            why,
            retry_after,
            ledger,
        } => WireReply::StayAwake(v1::StayAwake {
            why: write_uncovered(why).into(),
            retry_after: Some(answer::duration(retry_after)),
            ledger: ledger.map(parts::sum),
        }),
        Reply::Page(page) => WireReply::Page(v1::Page {
            changed_records: parts::encode_all(&page.changed),
            gone: parts::uids(&page.gone),
            upto: page.upto.0,
        }),
        Reply::Gone => WireReply::Gone(v1::Gone {}),
    }
}

fn read_reply(reply: WireReply) -> Read<Reply> {
    Ok(match reply {
        WireReply::Noted(v1::Noted {}) => Reply::Noted,
        WireReply::NotOwner(v1::NotOwner {}) => Reply::NotOwner,
        WireReply::Resumed(resumed) => {
            Reply::Resumed(read_resumed(&resumed).map_err(|it| it.within("resumed"))?)
        }
        WireReply::Parked(parked) => Reply::Parked {
            epoch: Epoch(parked.epoch),
            cover: read_cover("parked.cover", parked.cover)?,
        },
        WireReply::StayAwake(awake) => Reply::NotCovered {
            why: read_uncovered("stay_awake.why", awake.why)?,
            retry_after: parts::read_length("stay_awake.retry_after", awake.retry_after.as_ref())?,
            ledger: awake
                .ledger
                .map(|sum| parts::read_sum("stay_awake.ledger", Some(sum)))
                .transpose()?,
        },
        WireReply::Gone(v1::Gone {}) => Reply::Gone,
        WireReply::Page(page) => Reply::Page(Page {
            changed: parts::decode_all("page.changed_records", &page.changed_records)?,
            gone: parts::read_uids("page.gone", &page.gone)?,
            upto: LogIndex(page.upto),
            more: true,
        }),
    })
}

fn read_cover(field: &str, cover: Option<v1::Cover>) -> Read<Cover> {
    use v1::cover::Kind;
    match cover
        .and_then(|cover| cover.kind)
        .ok_or_else(|| Unread::missing(field))?
    {
        Kind::Covered(covered) if covered.by.is_empty() => Ok(Cover::Covered { by: None }),
        Kind::Covered(covered) => {
            let by = parts::id(field, NodeId::new(&covered.by))?;
            Ok(Cover::Covered { by: Some(by) })
        }
        Kind::Sentry(sentry) => Ok(Cover::Sentry {
            at: parts::read_time(field, sentry.at.as_ref())?,
        }),
        Kind::NotCovered(not) => {
            let known = [WhyNot::Due, WhyNot::NobodyEligible, WhyNot::CountsAsActive];
            let why = known
                .into_iter()
                .find(|why| answer::why_not(*why) == not.why);
            let why = why.ok_or_else(|| Unread::new(field, "is of an unknown kind"))?;
            Ok(Cover::NotCovered { why })
        }
    }
}

fn write_uncovered(why: Uncovered) -> v1::Uncovered {
    match why {
        Uncovered::Due => v1::Uncovered::Due,
        Uncovered::NobodyEligible => v1::Uncovered::NobodyEligible,
        Uncovered::Rebuilding => v1::Uncovered::Rebuilding,
        // A node says the latter of itself only.
        Uncovered::Resync | Uncovered::Busy => v1::Uncovered::Resync,
    }
}

fn read_uncovered(field: &str, number: i32) -> Read<Uncovered> {
    match v1::Uncovered::try_from(number) {
        Ok(v1::Uncovered::Due) => Ok(Uncovered::Due),
        Ok(v1::Uncovered::NobodyEligible) => Ok(Uncovered::NobodyEligible),
        Ok(v1::Uncovered::Rebuilding) => Ok(Uncovered::Rebuilding),
        Ok(v1::Uncovered::Resync) => Ok(Uncovered::Resync),
        Ok(v1::Uncovered::Unspecified) | Err(_) => {
            Err(Unread::new(field, format!("{number} is no reason")))
        }
    }
}

fn write_resumed(resumed: &Resumed) -> v1::Resumed {
    let pending = resumed.pending.iter();
    v1::Resumed {
        epoch: resumed.epoch.0,
        floor: resumed.floor.0,
        changed_records: parts::encode_all(&resumed.changed),
        gone: parts::uids(&resumed.gone),
        held: parts::uids(&resumed.held),
        pending: pending
            .map(|(id, op)| v1::PendingChange {
                id: *id,
                op: parts::encode(op),
            })
            .collect(),
    }
}

fn read_resumed(resumed: &v1::Resumed) -> Read<Resumed> {
    Ok(Resumed {
        epoch: Epoch(resumed.epoch),
        floor: Token(resumed.floor),
        changed: parts::decode_all("changed_records", &resumed.changed_records)?,
        gone: parts::read_uids("gone", &resumed.gone)?,
        held: parts::read_uids("held", &resumed.held)?,
        pending: parts::each("pending", &resumed.pending, |field, pending| {
            let op = parts::decode("op", &pending.op);
            Ok((pending.id, op.map_err(|it: Unread| it.within(field))?))
        })?,
    })
}

fn write_order(order: Order) -> WireOrder {
    match order {
        Order::Due { runs } => WireOrder::Due(v1::Due {
            runs: runs.into_iter().map(parts::run).collect(),
        }),
        Order::Give {
            epoch,
            timers,
            gone,
            floor,
        } => WireOrder::Give(v1::Give {
            epoch: epoch.0,
            records: parts::encode_all(&timers),
            floor: floor.0,
            gone: parts::uids(&gone),
        }),
        Order::Change { id, op } => WireOrder::Change(v1::Change {
            id,
            op: parts::encode(&op),
        }),
        Order::Arm { at } => WireOrder::Arm(v1::Arm {
            at: Some(answer::timestamp(at)),
        }),
        Order::Release => WireOrder::Release(v1::ReleaseWatch {}),
        Order::Wake => WireOrder::Wake(v1::Wake {}),
        Order::Withdraw { token } => WireOrder::Withdraw(v1::WithdrawRun { token: token.0 }),
    }
}

fn read_order(order: v1::Order) -> Read<CoordinatorMessage> {
    let session = Session(order.session);
    let order = match order.order.ok_or_else(|| Unread::missing("order"))? {
        WireOrder::Due(due) => Order::Due {
            runs: parts::each("due.runs", due.runs, parts::read_run)?,
        },
        WireOrder::Give(give) => Order::Give {
            epoch: Epoch(give.epoch),
            timers: parts::decode_all("give.records", &give.records)?,
            gone: parts::read_uids("give.gone", &give.gone)?,
            floor: Token(give.floor),
        },
        WireOrder::Change(change) => Order::Change {
            id: change.id,
            op: parts::decode("change.op", &change.op)?,
        },
        WireOrder::Arm(arm) => Order::Arm {
            at: parts::read_time("arm.at", arm.at.as_ref())?,
        },
        WireOrder::Release(v1::ReleaseWatch {}) => Order::Release,
        WireOrder::Wake(v1::Wake {}) => Order::Wake,
        WireOrder::Withdraw(v1::WithdrawRun { token }) => Order::Withdraw {
            token: Token(token),
        },
    };
    Ok(CoordinatorMessage::Order { session, order })
}
