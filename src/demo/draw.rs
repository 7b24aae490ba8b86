//! The tree, small: a line for each rack, its nodes in it, and who watches.
//!
//! ```text
//! 1:0 ─┬─ [0:0 east]  n1 zz    n2 zz    [n3]     n4       n5
//!      └─ 0:1 west    [n6]     n7       n8       n9
//! ```
//! In brackets the migrator of each group; `zz` sleeps. Nothing is asked here: the coordinator's answer is drawn.

use super::facts::Micros;
use dormouse_client::{GroupInfo, NodeInfo, NodeState, PoolInfo};
use jiff::Timestamp;

/// How wide a node is drawn.
const NODE_WIDTH: usize = 9;

/// What is drawn with emphasis, if there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Asleep,
    Watch,
    Gone,
}

/// Draws a pool; `paint` may add colours, which have no width.
pub(super) fn tree(pool: &PoolInfo, paint: impl Fn(Ink, &str) -> String) -> String {
    let Some(root) = pool.groups.last() else {
        return String::new();
    };
    let racks: Vec<(&GroupInfo, bool)> = match root.level {
        0 => vec![(root, false)],
        _ => children(pool, root),
    };
    let trunk = if root.level == 0 { "" } else { &root.id };
    let width = racks
        .iter()
        .map(|(rack, _)| rack_name(rack).len() + 2)
        .max();
    let mut lines = Vec::new();
    for (place, (rack, is_migrator)) in racks.iter().enumerate() {
        let branch = match (place, racks.len()) {
            (_, 1) => "───",
            (0, _) => "─┬─",
            (place, all) if place + 1 == all => " └─",
            _ => " ├─",
        };
        let trunk = if place == 0 { trunk } else { "" };
        let ink = if *is_migrator { Ink::Watch } else { Ink::Plain };
        let name = boxed(&rack_name(rack), *is_migrator);
        let name = paint(ink, &pad(&name, width.unwrap_or(0)));
        let nodes: String = members(pool, rack)
            .into_iter()
            .map(|(node, is_migrator)| node_drawn(pool, node, is_migrator, &paint))
            .collect();
        let margin = " ".repeat(root.id.len() - trunk.len());
        lines.push(format!("{trunk}{margin} {branch} {name} {nodes}"));
    }
    lines.join("\n")
}

/// The groups below a group by rack, and which of them is the migrator.
fn children<'a>(pool: &'a PoolInfo, group: &GroupInfo) -> Vec<(&'a GroupInfo, bool)> {
    let of_slots = slots(group).filter_map(|(id, is_migrator)| {
        let child = pool.groups.iter().find(|it| it.id == id)?;
        Some((child, is_migrator))
    });
    let mut children: Vec<_> = of_slots.collect();
    children.sort_by(|(a, _), (b, _)| a.rack.cmp(&b.rack));
    children
}

/// The nodes of a rack by name, and which of them is the migrator.
fn members<'a>(pool: &'a PoolInfo, rack: &GroupInfo) -> Vec<(&'a NodeInfo, bool)> {
    let of_slots = slots(rack).filter_map(|(id, is_migrator)| {
        let node = pool.nodes.iter().find(|it| it.node == id)?;
        Some((node, is_migrator))
    });
    let mut members: Vec<_> = of_slots.collect();
    members.sort_by(|(a, _), (b, _)| a.node.cmp(&b.node));
    members
}

/// The taken slots of a group, and which of them is the migrator's.
fn slots(group: &GroupInfo) -> impl Iterator<Item = (&str, bool)> {
    let slots = group.members.iter().enumerate();
    slots.filter_map(|(slot, member)| Some((member.as_deref()?, group.migrator == 1 << slot)))
}

fn node_drawn(
    pool: &PoolInfo,
    node: &NodeInfo,
    is_migrator: bool,
    paint: &impl Fn(Ink, &str) -> String,
) -> String {
    let is_sentry = pool.sentry.as_ref().is_some_and(|it| it.node == node.node);
    let (ink, text) = match node.state {
        _ if is_sentry => (Ink::Watch, format!("{} ((o))", node.node)),
        NodeState::Idle => (Ink::Asleep, format!("{} zz", node.node)),
        NodeState::Active if is_migrator => (Ink::Watch, boxed(&node.node, true)),
        NodeState::Active => (Ink::Plain, node.node.clone()),
        gone => (Ink::Gone, format!("{} {gone}", node.node)),
    };
    paint(ink, &pad(&text, NODE_WIDTH))
}

fn rack_name(group: &GroupInfo) -> String {
    let rack = group.rack.as_deref().unwrap_or_default();
    format!("{} {rack}", group.id)
}

fn boxed(name: &str, is_migrator: bool) -> String {
    if is_migrator {
        format!("[{name}]")
    } else {
        name.to_owned()
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// The time of day of an instant, in UTC with milliseconds.
pub(super) fn clock(instant: Micros) -> String {
    Timestamp::from_microsecond(instant).map_or_else(
        |_| "never".to_owned(),
        |it| it.strftime("%T%.3f").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_client::SentryInfo;
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    fn node(id: &str, state: NodeState) -> NodeInfo {
        NodeInfo {
            node: id.into(),
            pool: "default".into(),
            rack: String::new(),
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

    fn group(id: &str, rack: Option<&str>, members: [&str; 2], migrator: u32) -> GroupInfo {
        GroupInfo {
            id: id.into(),
            level: u32::from(rack.is_none()),
            rack: rack.map(str::to_owned),
            members: members.map(|it| Some(it.to_owned())).to_vec(),
            active: migrator,
            migrator,
            head: None,
            head_node: None,
        }
    }

    fn drawn(pool: &PoolInfo) -> Vec<String> {
        let tree = tree(pool, |_, text| text.to_owned());
        tree.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    fn pool(migrator: u32, states: [NodeState; 4]) -> PoolInfo {
        let [a, b, c, d] = states;
        PoolInfo {
            pool: "default".into(),
            groups: vec![
                group("0:0", Some("east"), ["n1", "n2"], migrator),
                group("0:1", Some("w"), ["n3", "n4"], 0),
                group("1:0", None, ["0:0", "0:1"], u32::from(migrator != 0)),
            ],
            nodes: vec![node("n1", a), node("n2", b), node("n3", c), node("n4", d)],
            sentry: None,
            due_backlog: 0,
        }
    }

    #[test]
    fn racks_are_lines_and_migrators_are_in_brackets() {
        use NodeState::{Active, Idle, Lost};
        assert_eq!(
            drawn(&pool(2, [Idle, Active, Lost, Idle])),
            [
                "1:0 ─┬─ [0:0 east] n1 zz    [n2]",
                "     └─ 0:1 w      n3 lost  n4 zz",
            ]
        );
    }

    #[test]
    fn the_sentry_is_seen() {
        let mut all_idle = pool(0, [NodeState::Idle; 4]);
        all_idle.sentry = Some(SentryInfo {
            node: "n4".into(),
            at: UNIX_EPOCH,
            armed: true,
        });
        assert_eq!(
            drawn(&all_idle),
            [
                "1:0 ─┬─ 0:0 east   n1 zz    n2 zz",
                "     └─ 0:1 w      n3 zz    n4 ((o))",
            ]
        );
    }

    #[test]
    fn times_of_day_have_milliseconds() {
        assert_eq!(clock(3_723_004_999), "01:02:03.004");
    }
}
