//! Whatever a node and a coordinator can say to each other arrives as it was said; what is not a message is
//! refused with its field, and nothing that arrives makes a process fall over.

#![allow(clippy::unwrap_used, reason = "a test")]

use dormouse_edge::session::{read_coordinator, read_node, write_coordinator, write_node};
use dormouse_engine::hierarchy::{Cover, WhyNot};
use dormouse_engine::id::{
    Epoch, NodeId, PoolId, RackId, RunId, Session, TimerId, TimerName, Token, Uid,
};
use dormouse_engine::ledger::Sum;
use dormouse_engine::message::{
    Act, Active, Capacity, CoordinatorMessage, Goodbye, Heartbeat, Hello, Idle, Items, NodeMessage,
    Order, Page, Reply, Report, ReportAnswer, Resumed, Staged, Uncovered, Welcome,
};
use dormouse_engine::op::{Activity, Answer, Cancelled, NewTime, Op, Refusal};
use dormouse_engine::schedule::{Cron, Schedule};
use dormouse_engine::time::{BootTime, LogIndex, Millis, WallTime};
use dormouse_engine::timer::{
    ATTEMPT_TIMEOUT, Awaits, Begun, Durability, Ending, Follow, HandlerName, Kind, LastRun,
    NewTimer, Occurrence, Outcome, Payload, Phase, Placement, Policy, Run, Skip, Spec, Target,
    Timer, When,
};
use dormouse_proto::v1;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;
use tonic::{Code, Status};

const ID: &str = "[a-z0-9]([-a-z0-9._]{0,8}[a-z0-9])?";

fn node() -> impl Strategy<Value = NodeId> {
    ID.prop_map(|text| NodeId::new(&text).unwrap())
}

fn pool() -> impl Strategy<Value = PoolId> {
    ID.prop_map(|text| PoolId::new(&text).unwrap())
}

fn timer_id() -> impl Strategy<Value = TimerId> {
    ID.prop_map(|text| TimerId::new(&text).unwrap())
}

fn name() -> impl Strategy<Value = TimerName> {
    (pool(), option::of(node()), timer_id())
        .prop_map(|(pool, node, timer)| TimerName::new(pool, node, timer))
}

fn handler() -> impl Strategy<Value = HandlerName> {
    "[!-~]{1,20}".prop_map(|text| HandlerName::new(&text).unwrap())
}

fn wall() -> impl Strategy<Value = WallTime> + Clone {
    prop_oneof![any::<i64>(), -1_000_000..2_000_000_000_000_i64].prop_map(WallTime)
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<u64>().prop_map(Millis)
}

fn token() -> impl Strategy<Value = Token> {
    any::<u64>().prop_map(Token)
}

fn uid() -> impl Strategy<Value = Uid> {
    prop_oneof![any::<u128>(), Just(0), Just(1)].prop_map(Uid)
}

fn payload() -> impl Strategy<Value = Payload> {
    vec(any::<u8>(), 0..64).prop_map(|bytes| Payload(bytes.into()))
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![Just(Placement::Movable), node().prop_map(Placement::Pinned)]
}

fn durability() -> impl Strategy<Value = Durability> {
    use Durability::{Ephemeral, Local, Replicated, ReplicatedAsync};
    proptest::sample::select(vec![Ephemeral, Local, ReplicatedAsync, Replicated])
}

fn cron() -> Cron {
    Cron::parse("*/5 8-18 * * mon", "Europe/Berlin").unwrap()
}

fn schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        wall().prop_map(Schedule::At),
        (millis(), wall()).prop_map(|(interval, phase)| Schedule::Every { interval, phase }),
        Just(Schedule::Cron(cron())),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    proptest::sample::select(vec![
        Ending::Done,
        Ending::Failed,
        Ending::Dead,
        Ending::Skipped(Skip::PastWindow),
        Ending::Skipped(Skip::Overlap),
    ])
}

fn phase() -> impl Strategy<Value = Phase> {
    let occurrence = (wall(), any::<u32>(), any::<u64>(), any::<u8>()).prop_map(
        |(nominal, attempt, missed, deaths)| Occurrence {
            nominal,
            attempt,
            missed,
            deaths,
            manual: deaths % 2 == 1,
            follow: match missed % 2 {
                1 => Follow::after(nominal),
                _ => Follow::NOTHING,
            },
        },
    );
    prop_oneof![
        (occurrence.clone(), wall())
            .prop_map(|(occurrence, due)| Phase::Waiting { occurrence, due }),
        (occurrence, node(), wall(), token()).prop_map(|(occurrence, by, started, token)| {
            let run = Box::new(Begun { by, started, token });
            Phase::Running { occurrence, run }
        }),
        (ending(), wall()).prop_map(|(ending, at)| Phase::Over { ending, at }),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let labels = btree_map(".{0,5}", ".{0,5}", 0..3);
    (
        schedule(),
        placement(),
        handler(),
        payload(),
        ".{0,9}",
        durability(),
        labels,
    )
        .prop_map(
            |(schedule, placement, handler, payload, content_type, durability, labels)| {
                let kind = Kind {
                    placement,
                    handler,
                    target: Target::Handler,
                    content_type,
                    policy: Policy::default(),
                    durability,
                    labels,
                };
                Spec::new(schedule, payload, Arc::new(kind))
            },
        )
}

fn last_run() -> impl Strategy<Value = LastRun> {
    let whose = any::<u64>().prop_map(RunId);
    (
        whose,
        wall(),
        ending(),
        wall(),
        node(),
        token(),
        any::<u32>(),
    )
        .prop_map(|(id, nominal, ending, at, by, token, attempt)| LastRun {
            id,
            nominal,
            ending,
            at,
            by,
            token,
            reason: String::new(),
            attempt,
        })
}

fn timer() -> impl Strategy<Value = Timer> {
    let who = (uid(), name(), option::of(node()), any::<u128>());
    let counts = (any::<u64>(), any::<u64>(), any::<u64>());
    let awaits = option::of(prop_oneof![Just(Awaits::Home), Just(Awaits::Return)]);
    (
        who,
        spec(),
        counts,
        (wall(), wall()),
        (phase(), awaits),
        token(),
        option::of(last_run()),
    )
        .prop_map(
            |((uid, name, home, request), spec, counts, times, (phase, awaits), token, last)| {
                let mut timer = Timer::accept(&plain(), None, WallTime(0)).expect("it is allowed");
                (timer.uid, timer.name, timer.home, timer.request) = (uid, name, home, request);
                (timer.generation, timer.revision) = (counts.0, counts.1);
                timer.created = times.0;
                timer.edited = Some(times.1).filter(|edited| *edited != times.0);
                timer.beside = Vec::from([phase.clone()]);
                (timer.begun, timer.skipped) = (counts.2, counts.2);
                timer.paused = counts.2 % 2 == 1;
                (timer.spec, timer.phase) = (spec, phase);
                (timer.awaits, timer.token, timer.last) = (awaits, token, last);
                timer
            },
        )
}

fn plain() -> NewTimer {
    NewTimer {
        pool: PoolId::new("default").unwrap(),
        id: TimerId::new("t").unwrap(),
        uid: Uid(1),
        request: 1,
        when: When::At(WallTime(0)),
        placement: Placement::Movable,
        handler: HandlerName::new("h").unwrap(),
        target: Target::Handler,
        policy: Policy::default(),
        paused: false,
        payload: Payload::default(),
        content_type: String::new(),
        durability: Durability::Local,
        labels: [].into(),
    }
}

fn new_timer() -> impl Strategy<Value = NewTimer> {
    let when = prop_oneof![
        wall().prop_map(When::At),
        millis().prop_map(When::After),
        (millis(), option::of(wall()))
            .prop_map(|(interval, phase)| When::Every { interval, phase }),
        Just(When::Cron(cron())),
    ];
    (pool(), timer_id(), uid(), any::<u128>(), when, spec()).prop_map(
        |(pool, id, uid, request, when, spec)| NewTimer {
            pool,
            id,
            uid,
            request,
            when,
            placement: spec.placement.clone(),
            handler: spec.handler.clone(),
            target: spec.target.clone(),
            policy: spec.policy.clone(),
            paused: false,
            content_type: spec.content_type.clone(),
            durability: spec.durability,
            labels: spec.labels.clone(),
            payload: spec.payload,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let to = prop_oneof![
        wall().prop_map(NewTime::At),
        millis().prop_map(NewTime::After)
    ];
    let activity =
        proptest::sample::select(vec![Activity::Idle, Activity::Active, Activity::Drain]);
    prop_oneof![
        new_timer().prop_map(|new| Op::Create(Box::new(new))),
        name().prop_map(|name| Op::Look { name }),
        (option::of(name()), any::<u32>()).prop_map(|(after, limit)| Op::List { after, limit }),
        (name(), to).prop_map(|(name, to)| Op::rearm(name, to)),
        name().prop_map(Op::cancel),
        (node(), activity).prop_map(|(node, activity)| Op::Activity { node, activity }),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        ".{0,9}".prop_map(|what| Refusal::NotFound { what }),
        name().prop_map(|name| Refusal::Exists { name }),
        (".{0,9}", ".{0,9}").prop_map(|(field, why)| Refusal::Invalid { field, why }),
        (".{0,9}", ".{0,9}").prop_map(|(field, why)| Refusal::BeyondHorizon { field, why }),
        ".{0,9}".prop_map(|why| Refusal::Precondition { why }),
        ".{0,9}".prop_map(|why| Refusal::Overloaded {
            why,
            retry_after: Millis(200)
        }),
        ".{0,9}".prop_map(|why| Refusal::Exhausted { why }),
        (".{0,9}", millis())
            .prop_map(|(why, retry_after)| Refusal::Unavailable { why, retry_after }),
    ]
}

fn cover() -> impl Strategy<Value = Cover> {
    let why = vec![WhyNot::Due, WhyNot::NobodyEligible, WhyNot::CountsAsActive];
    prop_oneof![
        option::of(node()).prop_map(|by| Cover::Covered { by }),
        wall().prop_map(|at| Cover::Sentry { at }),
        proptest::sample::select(why).prop_map(|why| Cover::NotCovered { why }),
    ]
}

fn uncovered() -> impl Strategy<Value = Uncovered> {
    use Uncovered::{Due, NobodyEligible, Rebuilding, Resync};
    proptest::sample::select(vec![Due, NobodyEligible, Rebuilding, Resync])
}

fn answer() -> impl Strategy<Value = Answer> {
    let cancelled = prop_oneof![
        Just(Cancelled::Cancelled),
        Just(Cancelled::AlreadyFired),
        token().prop_map(Cancelled::Running),
    ];
    prop_oneof![
        timer().prop_map(|timer| Answer::Timer(Box::new(timer))),
        (vec(timer(), 0..3), any::<bool>())
            .prop_map(|(timers, more)| Answer::List { timers, more }),
        cancelled.prop_map(Answer::Cancelled),
        Just(Answer::Pending),
        (option::of(cover()), option::of(uncovered()))
            .prop_map(|(cover, uncovered)| Answer::Activity { cover, uncovered }),
        refusal().prop_map(Answer::Refused),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        (option::of(millis()), ".{0,9}").prop_map(|(retry_after, reason)| Outcome::Failed {
            retry_after,
            reason
        }),
        any::<bool>().prop_map(|died| Outcome::Interrupted { died }),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    let when = (wall(), wall(), any::<u32>(), any::<u64>());
    let what = (handler(), payload(), ".{0,9}");
    (
        uid(),
        name(),
        any::<u64>(),
        any::<u64>(),
        when,
        token(),
        what,
    )
        .prop_map(
            |(uid, name, generation, id, when, token, (handler, payload, content_type))| Run {
                uid,
                name,
                generation,
                id: RunId(id),
                nominal: when.0,
                due: when.1,
                attempt: when.2,
                missed: when.3,
                token,
                handler,
                target: Target::Handler,
                attempt_timeout: ATTEMPT_TIMEOUT,
                payload,
                content_type,
            },
        )
}

fn capacity() -> impl Strategy<Value = Capacity> {
    btree_map(handler(), any::<u32>(), 0..3)
}

fn items() -> impl Strategy<Value = Items> {
    let lists = (
        vec(timer(), 0..3),
        vec(uid(), 0..3),
        vec(uid(), 0..3),
        vec((uid(), token()), 0..3),
    );
    let runs = (
        vec((uid(), token(), outcome()), 0..3),
        vec(token(), 0..3),
        vec(token(), 0..3),
        vec((any::<u64>(), answer()), 0..3),
    );
    let state = (
        option::of(wall()),
        option::of(capacity()),
        option::of(any::<bool>()),
        option::of(any::<u64>().prop_map(LogIndex)),
        option::of(any::<u64>()),
    );
    (lists, runs, state).prop_map(|(lists, runs, state)| Items {
        changed: lists.0,
        gone: lists.1,
        handed: lists.2,
        taken: lists.3,
        outcomes: runs.0,
        accepted: runs.1,
        declined: runs.2,
        answers: runs.3,
        armed: state.0,
        capacity: state.1,
        eligible: state.2,
        resumed: state.3,
        past: Vec::new(),
        abandoned: state.4,
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Stay),
        any::<u64>().prop_map(|attempt| Act::Stage { attempt }),
        any::<u64>().prop_map(|known| Act::Tail {
            known: LogIndex(known)
        }),
        (any::<u64>(), option::of(any::<u64>())).prop_map(|(known, cursor)| {
            Act::Active(Active {
                known: LogIndex(known),
                cursor: cursor.map(LogIndex),
            })
        }),
        (any::<u64>(), sum(), option::of(wall()), vec(token(), 0..3)).prop_map(
            |(attempt, sum, self_wake, interrupted)| {
                Act::Idle(Idle {
                    attempt,
                    sum,
                    self_wake,
                    interrupted,
                })
            }
        ),
        (option::of(any::<u64>()), vec(token(), 0..3)).prop_map(|(attempt, interrupted)| {
            Act::Goodbye(Goodbye {
                attempt,
                interrupted,
            })
        }),
    ]
}

fn sum() -> impl Strategy<Value = Sum> {
    (any::<u64>(), any::<u64>()).prop_map(|(count, hash)| Sum { count, hash })
}

fn node_message() -> impl Strategy<Value = NodeMessage> {
    let who = (
        node(),
        pool(),
        ID.prop_map(|text| RackId::new(&text).unwrap()),
        any::<u128>(),
    );
    let hello = (who, any::<u64>(), any::<u64>(), any::<u128>(), wall()).prop_map(
        |((node, pool, rack, incarnation), epoch, known, ledger, wall)| Hello {
            node,
            pool,
            rack,
            incarnation,
            epoch: Epoch(epoch),
            known: LogIndex(known),
            ledger,
            wall,
        },
    );
    let report = (any::<u64>(), any::<u64>(), any::<u64>(), act(), items()).prop_map(
        |(session, seq, epoch, act, items)| Report {
            session: Session(session),
            seq,
            epoch: Epoch(epoch),
            act,
            items,
        },
    );
    let heartbeat = (any::<u64>(), any::<u64>(), wall(), capacity()).prop_map(
        |(session, sent, wall, wanted)| Heartbeat {
            session: Session(session),
            sent: BootTime(sent),
            wall,
            wanted: wanted.into_keys().collect(),
        },
    );
    prop_oneof![
        hello.prop_map(NodeMessage::Hello),
        report.prop_map(NodeMessage::Report),
        heartbeat.prop_map(NodeMessage::Heartbeat),
        (any::<u64>(), any::<u64>(), op()).prop_map(|(session, id, op)| NodeMessage::Forward {
            session: Session(session),
            id,
            op
        }),
    ]
}

fn resumed() -> impl Strategy<Value = Resumed> {
    let lists = (vec(timer(), 0..3), vec(uid(), 0..3), vec(uid(), 0..3));
    (
        any::<u64>(),
        token(),
        lists,
        vec((any::<u64>(), op()), 0..3),
    )
        .prop_map(|(epoch, floor, lists, pending)| Resumed {
            epoch: Epoch(epoch),
            floor,
            changed: lists.0,
            gone: lists.1,
            held: lists.2,
            pending,
        })
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Noted),
        Just(Reply::NotOwner),
        resumed().prop_map(Reply::Resumed),
        (any::<u64>(), cover()).prop_map(|(epoch, cover)| Reply::Parked {
            epoch: Epoch(epoch),
            cover
        }),
        (uncovered(), millis(), option::of(sum())).prop_map(|(why, retry_after, ledger)| {
            Reply::NotCovered {
                why,
                retry_after,
                ledger,
            }
        }),
        (vec(timer(), 0..3), vec(uid(), 0..3), any::<u64>()).prop_map(|(changed, gone, upto)| {
            Reply::Page(Page {
                changed,
                gone,
                upto: LogIndex(upto),
                more: true,
            })
        }),
        Just(Reply::Gone),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        vec(run(), 0..3).prop_map(|runs| Order::Due { runs }),
        (any::<u64>(), vec(timer(), 0..3), vec(uid(), 0..3), token()).prop_map(
            |(epoch, timers, gone, floor)| Order::Give {
                epoch: Epoch(epoch),
                timers,
                gone,
                floor,
            }
        ),
        (any::<u64>(), op()).prop_map(|(id, op)| Order::Change { id, op }),
        wall().prop_map(|at| Order::Arm { at }),
        Just(Order::Release),
        Just(Order::Wake),
    ]
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u128>());
    let stage = (any::<u64>(), any::<bool>());
    let stage = stage.prop_map(|(attempt, closed)| Staged { attempt, closed });
    let more = (millis(), option::of(stage));
    (numbers, any::<bool>(), millis(), wall(), more).prop_map(
        |(numbers, owns, lease, clock, (wake_grace, stage))| Welcome {
            session: Session(numbers.0),
            epoch: Epoch(numbers.1),
            owns,
            lease,
            clock,
            ledger: numbers.2,
            wake_grace,
            stage,
        },
    )
}

fn coordinator_message() -> impl Strategy<Value = CoordinatorMessage> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let answered = (numbers, wall(), reply(), vec((uid(), refusal()), 0..3)).prop_map(
        |((session, seq, known), clock, reply, refused)| ReportAnswer {
            session: Session(session),
            seq,
            known: LogIndex(known),
            clock,
            reply,
            refused,
        },
    );
    prop_oneof![
        welcome().prop_map(CoordinatorMessage::Welcome),
        ".{0,9}".prop_map(|why| CoordinatorMessage::Rejected { why }),
        answered.prop_map(CoordinatorMessage::Answer),
        (any::<u64>(), any::<u64>(), wall(), capacity()).prop_map(
            |(session, sent, clock, rooms)| CoordinatorMessage::Pulse {
                session: Session(session),
                sent: BootTime(sent),
                clock,
                rooms,
            }
        ),
        (any::<u64>(), order()).prop_map(|(session, order)| CoordinatorMessage::Order {
            session: Session(session),
            order
        }),
        (any::<u64>(), answer())
            .prop_map(|(id, answer)| CoordinatorMessage::Forwarded { id, answer }),
        (any::<u64>(), any::<bool>()).prop_map(|(session, replaced)| CoordinatorMessage::Fenced {
            session: Session(session),
            replaced
        }),
    ]
}

/// Over the wire and back, through the bytes.
fn carried<M: prost::Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn what_a_node_says_arrives_as_it_was_said(message in node_message()) {
        let arrived = read_node(carried(&write_node(message.clone())));
        prop_assert_eq!(arrived, Ok(message));
    }

    #[test]
    fn what_a_coordinator_says_arrives_as_it_was_said(message in coordinator_message()) {
        let arrived = read_coordinator(carried(&write_coordinator(message.clone())));
        prop_assert_eq!(arrived, Ok(message));
    }

    #[test]
    fn bytes_that_are_no_message_are_refused_without_harm(
        bytes in vec(any::<u8>(), 0..200),
        at in any::<usize>(),
        message in node_message(),
    ) {
        if let Ok(decoded) = <v1::NodeMessage as prost::Message>::decode(bytes.as_slice()) {
            let _ = read_node(decoded);
        }
        let mut damaged = prost::Message::encode_to_vec(&write_node(message));
        let at = at % damaged.len();
        damaged[at] ^= 0x5a;
        if let Ok(decoded) = <v1::NodeMessage as prost::Message>::decode(damaged.as_slice()) {
            let _ = read_node(decoded);
        }
    }
}

fn report(items: v1::Items) -> v1::NodeMessage {
    let act = Some(v1::report::Act::Stay(v1::Stay {}));
    let report = v1::Report {
        act,
        items: Some(items),
        ..v1::Report::default()
    };
    v1::NodeMessage {
        message: Some(v1::node_message::Message::Report(report)),
    }
}

#[test]
fn a_bad_message_is_refused_with_the_path_of_its_field() {
    let no_act = v1::NodeMessage {
        message: Some(v1::node_message::Message::Report(v1::Report::default())),
    };
    let newer = vec![vec![9_u8, 0].into()];
    let short = vec![vec![1_u8; 16].into(), vec![1_u8; 15].into()];
    let cases = [
        (v1::NodeMessage::default(), "message"),
        (no_act, "report.act"),
        (
            report(v1::Items {
                gone: short,
                ..Default::default()
            }),
            "report.items.gone[1]",
        ),
        (
            report(v1::Items {
                changed_records: newer,
                ..Default::default()
            }),
            "report.items.changed_records[0]",
        ),
        (
            report(v1::Items {
                outcomes: vec![v1::RunOutcome::default()],
                ..Default::default()
            }),
            "report.items.outcomes[0].outcome",
        ),
    ];
    for (message, field) in cases {
        let unread = read_node(message).unwrap_err();
        assert_eq!(unread.field, field);
        assert_eq!(Status::from(unread).code(), Code::InvalidArgument);
    }
}
