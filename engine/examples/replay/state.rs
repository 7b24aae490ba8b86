//! What `replay` prints for each line: the cover, the pulls, the sentry and every group.
//!
//! Built from the hierarchy's public views; nothing is decided here.

use dormouse_engine::hierarchy::{Cover, GroupView, Hierarchy, Owner, Pull};
use serde::Serialize;

/// One line of output.
#[derive(Serialize)]
pub(super) struct State {
    cover: Option<&'static str>,
    by: Option<String>,
    pulls: Vec<Pulled>,
    sentry: Option<Watch>,
    groups: Vec<Shown>,
}

#[derive(Serialize)]
struct Pulled {
    owner: Option<String>,
    by: String,
    deadline: i64,
}

#[derive(Serialize)]
struct Watch {
    node: String,
    at: i64,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    level: u32,
    rack: Option<String>,
    members: Vec<Option<String>>,
    active: u8,
    migrator: u8,
    head: Option<i64>,
    head_node: Option<String>,
}

impl State {
    pub(super) fn of(hierarchy: &Hierarchy, cover: Option<&Cover>, pulls: &[Pull]) -> Self {
        let (cover, by) = cover.map_or((None, None), answer);
        Self {
            cover,
            by,
            pulls: pulls.iter().map(pulled).collect(),
            sentry: hierarchy.sentry().map(|sentry| Watch {
                node: sentry.node.to_string(),
                at: sentry.at.0,
            }),
            groups: hierarchy.groups().into_iter().map(shown).collect(),
        }
    }
}

fn answer(cover: &Cover) -> (Option<&'static str>, Option<String>) {
    match cover {
        Cover::Covered { by } => (Some("covered"), by.as_ref().map(ToString::to_string)),
        Cover::Sentry { .. } => (Some("sentry"), None),
        Cover::NotCovered { .. } => (Some("not_covered"), None),
    }
}

fn pulled(pull: &Pull) -> Pulled {
    let owner = match &pull.owner {
        Owner::Node(node) => Some(node.to_string()),
        Owner::Pool => None,
    };
    Pulled {
        owner,
        by: pull.server.to_string(),
        deadline: pull.deadline.0,
    }
}

fn shown(group: GroupView) -> Shown {
    Shown {
        id: group.id,
        level: group.level,
        rack: group.rack.map(String::from),
        members: group.members,
        active: group.active,
        migrator: group.migrator,
        head: group.head.map(|head| head.0),
        head_node: group.head_node.map(String::from),
    }
}
