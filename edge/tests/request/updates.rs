//! Edits: which fields they name, and what they may not say.

use super::wanted::*;
use dormouse_edge::answer;
use dormouse_edge::request::{self, Edit};
use dormouse_engine::op::{Change, Setting};
use dormouse_engine::time::Millis;
use dormouse_engine::timer::{Effort, Isolation, Timer};
use dormouse_proto::v1;
use prost_types::FieldMask;
use tonic::Code::InvalidArgument;
use tonic::Status;

const NAME: &str = "pools/default/timers/tea";

fn edit(timer: v1::Timer, paths: &[&str]) -> Result<Edit, Status> {
    let timer = v1::Timer {
        name: NAME.into(),
        ..timer
    };
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    let request = v1::UpdateTimerRequest {
        timer: Some(timer),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    request::update(request, &here())
}

/// The timer that is there, with an interval of a minute and a jitter of ten seconds.
fn current() -> v1::Timer {
    let timer = v1::Timer {
        jitter: seconds(10),
        ..with(every(seconds(60), None))
    };
    answer::timer(&Timer::accept(&made(timer), None, NOW).unwrap())
}

fn settings(timer: v1::Timer, paths: &[&str]) -> Vec<Setting> {
    let changing = edit(timer, paths).unwrap().onto(Some(&current()), &here());
    match changing.unwrap().change {
        Change::Update { settings, .. } => settings,
        other => panic!("{other:?}"),
    }
}

fn refused_onto(timer: v1::Timer, paths: &[&str], field: &str) {
    let status = edit(timer, paths)
        .unwrap()
        .onto(Some(&current()), &here())
        .unwrap_err();
    assert_eq!(
        (status.code(), blamed(&status)),
        (InvalidArgument, vec![field.to_owned()]),
        "{status:?}"
    );
}

#[test]
fn only_the_named_fields_are_set() {
    let all = but!(jitter: seconds(3), max_occurrences: 4, misfire_cap: 7);
    assert_eq!(
        settings(all.clone(), &["jitter"]),
        [Setting::Jitter(Millis(3000))]
    );
    let mut two = settings(all, &["misfire_cap", "max_occurrences"]);
    two.sort_by_key(|it| format!("{it:?}"));
    assert_eq!(
        two,
        [Setting::MisfireCap(7), Setting::OccurrencesMax(Some(4))]
    );
    let left_out = settings(v1::Timer::default(), &["end_time"]);
    assert_eq!(
        left_out,
        [Setting::End(None)],
        "what is named and left out is cleared"
    );
}

#[test]
fn without_a_mask_every_field_is_set() {
    // Of 22 fields two are fixed, and the clock policy is a part of the schedule.
    assert_eq!(settings(good(), &[]).len(), 19);
    assert_eq!(settings(good(), &["*"]).len(), 19);
    let nothing = edit(v1::Timer::default(), &[]).unwrap_err();
    assert_eq!(blamed(&nothing), ["timer.schedule", "timer.target"]);
}

#[test]
fn a_mask_names_whole_fields_that_clients_set() {
    for (path, words) in [
        ("retry.max_attempts", "a part of retry"),
        ("schedule.cron", "a part of schedule"),
        ("name", "no field"),
        ("state", "no field"),
        ("etag", "no field"),
        ("", "no field"),
        ("Labels", "no field"),
    ] {
        let status = edit(good(), &["labels", path]).unwrap_err();
        assert_eq!(
            (status.code(), blamed(&status)),
            (InvalidArgument, vec!["update_mask".to_owned()])
        );
        assert!(status.message().contains(words), "{status}");
    }
}

#[test]
fn what_is_wrong_by_itself_is_refused_before_anybody_is_asked() {
    for (timer, path, field) in [
        (but!(misfire: 99), "misfire", "timer.misfire"),
        (but!(etag: "x".into()), "labels", "timer.etag"),
        (but!(etag: "1-".into()), "labels", "timer.etag"),
        (but!(schedule: None), "schedule", "timer.schedule"),
    ] {
        assert_eq!(blamed(&edit(timer, &[path]).unwrap_err()), [field]);
    }
    let unnamed = v1::UpdateTimerRequest {
        timer: Some(good()),
        ..Default::default()
    };
    let status = request::update(unnamed, &here()).unwrap_err();
    assert_eq!(blamed(&status), ["timer.name"]);
    let empty = request::update(v1::UpdateTimerRequest::default(), &here()).unwrap_err();
    assert_eq!(blamed(&empty), ["timer"]);
}

#[test]
fn what_does_not_go_with_the_rest_is_refused() {
    refused_onto(
        with(every(seconds(10), None)),
        &["schedule"],
        "timer.jitter",
    );
    refused_onto(but!(jitter: seconds(60)), &["jitter"], "timer.jitter");
    let local = but!(durability: v1::Durability::Local.into());
    refused_onto(local, &["durability"], "timer.durability");
    refused_onto(
        but!(placement: pinned("n1")),
        &["placement"],
        "timer.placement",
    );
    let same = v1::Timer {
        durability: current().durability,
        placement: current().placement,
        ..good()
    };
    assert_eq!(settings(same, &["durability", "placement"]), []);
}

#[test]
fn what_was_read_can_be_handed_back() {
    let read = current();
    let edit = edit(read.clone(), &[]).unwrap();
    let changing = edit.onto(Some(&read), &here()).unwrap();
    let Change::Update { etag, settings } = changing.change else {
        panic!("it is an edit")
    };
    assert_eq!(etag, Some((1, 1)));
    assert!(
        settings.contains(&Setting::MisfireWindow(None)),
        "the window that follows from the interval stays so: {settings:?}"
    );
}

#[test]
fn at_most_once_holds_also_if_only_the_effort_is_named() {
    let at_most_once = but!(effort: v1::Effort::AtMostOnce.into());
    let set = settings(at_most_once, &["effort"]);
    assert_eq!(set, [Setting::Effort(Effort::AtMostOnce)]);
    let timer = v1::Timer {
        isolation: v1::Isolation::Fire.into(),
        ..with(every(seconds(60), None))
    };
    let mut timer = Timer::accept(&made(timer), None, NOW).unwrap();
    timer.spec.policy.effort = Effort::AtMostOnce;
    assert_eq!(timer.spec.policy.isolation, Isolation::Fire);
    let shown = answer::timer(&timer);
    assert_eq!(shown.isolation(), v1::Isolation::Hold);
    let handed_back = edit(shown.clone(), &[]).unwrap();
    assert!(handed_back.onto(Some(&shown), &here()).is_ok());
}

/// Otherwise an honest repetition would be refused: its request id was used before, with another request.
#[test]
fn a_repeated_request_asks_for_the_same_whatever_the_timer_has_become() {
    let noon = |dst| v1::Timer {
        dst,
        ..with(cron("0 12 * * *", "Europe/Berlin"))
    };
    let dst = Some(v1::DstPolicy {
        gap: v1::DstGap::Skip.into(),
        overlap: v1::DstOverlap::Both.into(),
    });
    let held = v1::Timer {
        isolation: v1::Isolation::Hold.into(),
        effort: v1::Effort::AtMostOnce.into(),
        ..with(every(seconds(90), None))
    };
    let read = |timer| answer::timer(&Timer::accept(&made(timer), None, NOW).unwrap());
    let others = [
        None,
        Some(current()),
        Some(read(noon(None))),
        Some(read(noon(dst))),
        Some(read(held)),
    ];
    let window = with(every(seconds(90), None));
    let cases = [
        (but!(dst: dst), "dst"),
        (but!(effort: v1::Effort::AtMostOnce.into()), "effort"),
        (but!(catchup_window: seconds(90)), "catchup_window"),
        (noon(None), "schedule"),
        (window, "schedule"),
    ];
    for (timer, field) in cases {
        let edit = edit(timer, &[field]).unwrap();
        let asked = others.each_ref().map(|other| {
            let changing = edit.onto(other.as_ref(), &here()).unwrap();
            changing.change
        });
        for other in &asked {
            assert_eq!(*other, asked[0], "{field}");
        }
        let Change::Update { settings, .. } = &asked[0] else {
            panic!("it is an edit")
        };
        assert_eq!(settings.len(), 1, "{settings:?}");
    }
}

#[test]
fn an_upsert_creates_under_the_name_that_was_given() {
    let new = edit(good(), &["labels"])
        .unwrap()
        .creation(&here())
        .unwrap();
    assert_eq!((new.pool.as_str(), new.id.as_str()), ("default", "tea"));
    let local = but!(placement: pinned("n1"));
    let status = edit(local, &["labels"])
        .unwrap()
        .creation(&here())
        .unwrap_err();
    assert_eq!(blamed(&status), ["timer.durability"]);
}
