//! `dormouse topology`: the groups of nodes, and who watches for whom.
//!
//! For people a tree for each pool; for programs one line with everything, the groups as the engine's `replay`
//! prints them.

use crate::cli::Peer;
use crate::failure::Failure;
use crate::names;
use crate::node::NodeRow;
use crate::output::{self, Output, millis, time};
use clap::Args;
use dormouse_agent::engine::id::PoolId;
use dormouse_client::{GroupInfo, NodeInfo, PoolInfo};
use serde::Serialize;
use std::fmt::Write as _;

/// Shows the groups of nodes.
///
/// With -o json one line: {"pools":[{"pool","groups","nodes","sentry":{"node","at"}}]}. In a group, `active` and
/// `migrator` are masks over the slots of `members`, and `head` is in milliseconds since 1970; `at` is RFC 3339.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this pool.
    #[arg(long, env = "DORMOUSE_POOL", value_name = "POOL", value_parser = names::pool)]
    pool: Option<PoolId>,
}

#[derive(Serialize)]
struct Whole {
    pools: Vec<Pool>,
}

#[derive(Serialize)]
struct Pool {
    pool: String,
    groups: Vec<Group>,
    nodes: Vec<NodeRow>,
    sentry: Option<Sentry>,
}

#[derive(Serialize)]
struct Group {
    id: String,
    level: u32,
    rack: Option<String>,
    members: Vec<Option<String>>,
    active: u32,
    migrator: u32,
    head: Option<i64>,
    head_node: Option<String>,
}

#[derive(Serialize)]
struct Sentry {
    node: String,
    at: String,
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let client = peer.connect().await?;
    let pool = arguments.pool.as_ref().map(PoolId::as_str);
    let pools = client.topology(pool).await?;
    match peer.output {
        Output::Json => output::json(&Whole {
            pools: pools.into_iter().map(Pool::of).collect(),
        }),
        Output::Table if pools.is_empty() => output::text("no pools"),
        Output::Table => {
            let trees: Vec<String> = pools.iter().map(tree).collect();
            output::text(trees.join("\n").trim_end())
        }
    }
}

impl Pool {
    fn of(pool: PoolInfo) -> Self {
        Self {
            groups: pool.groups.into_iter().map(Group::of).collect(),
            nodes: pool.nodes.iter().map(NodeRow::of).collect(),
            sentry: pool.sentry.map(|sentry| Sentry {
                node: sentry.node,
                at: time(sentry.at),
            }),
            pool: pool.pool,
        }
    }
}

impl Group {
    fn of(group: GroupInfo) -> Self {
        Self {
            id: group.id,
            level: group.level,
            rack: group.rack,
            members: group.members,
            active: group.active,
            migrator: group.migrator,
            head: group.head.map(millis),
            head_node: group.head_node,
        }
    }
}

/// The tree of one pool, a line for each group and node.
fn tree(pool: &PoolInfo) -> String {
    let mut text = format!("pool {}", pool.pool);
    match &pool.sentry {
        Some(sentry) => {
            let _ = write!(text, ", sentry {} at {}", sentry.node, time(sentry.at));
        }
        None if pool.nodes.iter().all(|node| !is_active(node)) => text.push_str(", all idle"),
        None => {}
    }
    if pool.due_backlog > 0 {
        let _ = write!(text, ", {} due and waiting", pool.due_backlog);
    }
    text.push('\n');
    if let Some(root) = pool.groups.last() {
        branch(pool, root, &group_words(root), ["", ""], &mut text);
    }
    text
}

fn is_active(node: &NodeInfo) -> bool {
    node.state == dormouse_client::NodeState::Active
}

/// A group and everything below it; `margins` are those of its own line and of the lines below.
fn branch(pool: &PoolInfo, group: &GroupInfo, words: &str, margins: [&str; 2], text: &mut String) {
    let _ = writeln!(text, "{}{words}", margins[0]);
    let members: Vec<(usize, &String)> = group
        .members
        .iter()
        .enumerate()
        .filter_map(|(slot, member)| Some((slot, member.as_ref()?)))
        .collect();
    for (place, (slot, member)) in members.iter().enumerate() {
        let is_last = place + 1 == members.len();
        let (own, below) = if is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let own = format!("{}{own}", margins[1]);
        let below = format!("{}{below}", margins[1]);
        let migrator = if group.migrator == 1 << slot {
            ", migrator"
        } else {
            ""
        };
        match pool.groups.iter().find(|it| it.id == **member) {
            Some(child) if group.level > 0 => {
                let words = format!("{}{migrator}", group_words(child));
                branch(pool, child, &words, [&own, &below], text);
            }
            _ => {
                let _ = writeln!(text, "{own}{}{migrator}", node_words(pool, member));
            }
        }
    }
}

fn group_words(group: &GroupInfo) -> String {
    let mut words = format!("group {}", group.id);
    if let Some(rack) = &group.rack {
        let _ = write!(words, ", rack {rack}");
    }
    if let (Some(head), Some(node)) = (group.head, &group.head_node) {
        let _ = write!(words, ", first {} of {node}", time(head));
    } else if let Some(head) = group.head {
        let _ = write!(words, ", first {}", time(head));
    }
    words
}

fn node_words(pool: &PoolInfo, id: &str) -> String {
    let Some(node) = pool.nodes.iter().find(|node| node.node == id) else {
        return id.to_owned();
    };
    let sign = if is_active(node) { "●" } else { "○" };
    let ineligible = if node.eligible { "" } else { ", not eligible" };
    format!("{sign} {id} {}{ineligible}", node.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_client::NodeState;
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    fn node(id: &str, rack: &str, state: NodeState) -> NodeInfo {
        NodeInfo {
            node: id.into(),
            pool: "default".into(),
            rack: rack.into(),
            state,
            eligible: true,
            ineligible_reason: String::new(),
            epoch: 1,
            session: 1,
            first: None,
            self_wake: None,
            handlers: BTreeMap::new(),
            clock_skew_ms: None,
            cover: None,
        }
    }

    fn group(id: &str, rack: Option<&str>, members: [Option<&str>; 2], migrator: u32) -> GroupInfo {
        GroupInfo {
            id: id.into(),
            level: if rack.is_some() { 0 } else { 1 },
            rack: rack.map(str::to_owned),
            members: members.map(|it| it.map(str::to_owned)).to_vec(),
            active: migrator,
            migrator,
            head: None,
            head_node: None,
        }
    }

    fn pool() -> PoolInfo {
        let mut sleeping = group("0:1", Some("r2"), [None, Some("n3")], 0);
        sleeping.head = Some(UNIX_EPOCH + Duration::from_millis(100));
        sleeping.head_node = Some("n3".into());
        PoolInfo {
            pool: "default".into(),
            groups: vec![
                group("0:0", Some("r1"), [Some("n1"), Some("n2")], 2),
                sleeping,
                group("1:0", None, [Some("0:0"), Some("0:1")], 1),
            ],
            nodes: vec![
                node("n1", "r1", NodeState::Idle),
                node("n2", "r1", NodeState::Active),
                node("n3", "r2", NodeState::Idle),
            ],
            sentry: None,
            due_backlog: 0,
        }
    }

    #[test]
    fn people_see_a_tree() {
        let expected = "\
pool default
group 1:0
├─ group 0:0, rack r1, migrator
│  ├─ ○ n1 idle
│  └─ ● n2 active, migrator
└─ group 0:1, rack r2, first 1970-01-01T00:00:00.100Z of n3
   └─ ○ n3 idle
";
        assert_eq!(tree(&pool()), expected);
    }

    #[test]
    fn programs_see_groups_as_replay_prints_them() {
        let whole = Whole {
            pools: vec![Pool::of(pool())],
        };
        let json = serde_json::to_string(&whole).unwrap();
        let group = r#"{"id":"0:1","level":0,"rack":"r2","members":[null,"n3"],"active":0,"migrator":0,"head":100,"head_node":"n3"}"#;
        let node = r#"{"node":"n1","pool":"default","rack":"r1","state":"idle","eligible":true,"epoch":1}"#;
        assert!(
            json.starts_with(r#"{"pools":[{"pool":"default","groups":[{"id":"0:0""#)
                && json.contains(group)
                && json.contains(node)
                && json.ends_with(r#""sentry":null}]}"#),
            "{json}"
        );
    }
}
