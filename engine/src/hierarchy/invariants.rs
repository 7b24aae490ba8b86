//! What must hold after every step, as far as the hierarchy alone can see it.
//!
//! The names S1 to D2 are those of `docs/design/hierarchy.md`. In debug builds every step ends with
//! [`Hierarchy::check`]; tests call it too.

use super::Hierarchy;
use super::forest::Place;
use crate::group::{Child, Group, GroupKey, Member, Standing};
use std::collections::BTreeSet;

/// `Err` with the rule's name and what is wrong, unless `holds`.
fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Hierarchy {
    /// Checks every invariant that the hierarchy alone can see.
    ///
    /// # Errors
    /// The name of the broken rule, and where.
    pub fn check(&self) -> Result<(), String> {
        self.forest
            .iter()
            .try_for_each(|(key, place)| self.check_group(key, place))?;
        self.check_nodes()?;
        self.check_reach()?;
        self.check_served()?;
        self.check_sentry()
    }

    fn check_group(&self, key: GroupKey, place: &Place) -> Result<(), String> {
        let at = format!("{}:{}", place.level, place.index);
        self.check_place(key, place, &at)?;
        for (slot, member) in place.group.members() {
            self.check_member(place, slot, member)
                .map_err(|broken| format!("{broken} at {at}"))?;
        }
        check_migrator(&place.group, &at)?;
        self.check_told(place, &at)
    }

    /// S2, S3: one parent a level above, or the root.
    fn check_place(&self, key: GroupKey, place: &Place, at: &str) -> Result<(), String> {
        match place.parent {
            None => ensure(self.forest.root() == Some(key), || {
                format!("S3: {at} hangs nowhere")
            }),
            Some((parent, slot)) => {
                let above = self.forest.place(parent);
                ensure(self.forest.root() != Some(key), || {
                    format!("S3: root {at} has a parent")
                })?;
                ensure(above.level == place.level + 1, || {
                    format!("S2: level above {at}")
                })?;
                let child = above.group.member(slot).map(|member| &member.child);
                ensure(child == Some(&Child::Group(key)), || {
                    format!("S3: edge above {at}")
                })?;
                let crosses = place.level >= self.forest.tops();
                let expected = place.rack.as_ref().filter(|_| !crosses);
                ensure(above.rack.as_ref() == expected, || {
                    format!("S4: rack above {at}")
                })
            }
        }
    }

    fn check_member(&self, place: &Place, slot: u8, member: &Member) -> Result<(), String> {
        match &member.child {
            Child::Group(below) => {
                let told = self.forest.group(*below).told();
                ensure(member.eligible, || {
                    format!("A3: group in slot {slot} is not eligible")
                })?;
                ensure(member.standing == *told, || {
                    format!("E3: slot {slot} is not as told")
                })
            }
            Child::Node(node) => {
                ensure(place.level == 0, || {
                    format!("S2: node {node} above level 0")
                })?;
                let Some(resident) = self.roster.get(node) else {
                    return Err(format!("S3: {node} is no resident"));
                };
                ensure(place.rack.as_ref() == Some(&resident.rack), || {
                    format!("S4: {node}")
                })?;
                ensure(member.eligible == resident.eligible, || {
                    format!("A3: {node}")
                })?;
                let standing = resident.standing(node);
                ensure(member.standing == standing, || {
                    format!("A1, E1: record of {node}")
                })?;
                ensure(!(resident.lost && resident.active), || {
                    format!("A1: {node} is lost")
                })
            }
        }
    }

    /// E3: what the parent was told is what the group is.
    fn check_told(&self, place: &Place, at: &str) -> Result<(), String> {
        let standing = if place.group.on_duty() {
            Standing::Active
        } else {
            Standing::Idle {
                first: place.group.head().map(|(_, event)| event.clone()),
            }
        };
        ensure(*place.group.told() == standing, || {
            format!("E3: the parent of {at} is wrong")
        })
    }

    /// S1: every node stands in its slot.
    fn check_nodes(&self) -> Result<(), String> {
        self.roster.iter().try_for_each(|(node, resident)| {
            let member = self.forest.group(resident.group).member(resident.slot);
            let there = member.map(|member| &member.child);
            ensure(there == Some(&Child::Node(node.clone())), || {
                format!("S1: slot of {node}")
            })
        })?;
        ensure(self.roster.watchers_agree(), || {
            "D1: list of who may watch".into()
        })
    }

    /// S3: the root reaches every group; A4: migrators lead to a node on duty.
    fn check_reach(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<GroupKey> = self.forest.root().into_iter().collect();
        while let Some(key) = open.pop() {
            ensure(seen.insert(key), || "S3: a group is reached twice".into())?;
            for (_, member) in self.forest.group(key).members() {
                if let Child::Group(below) = member.child {
                    open.push(below);
                }
            }
            if self.forest.group(key).on_duty() {
                let server = self
                    .forest
                    .server(key)
                    .and_then(|node| self.roster.get(node));
                let fit = server.is_some_and(|node| node.active && node.eligible);
                ensure(fit, || "A4: the migrators lead nowhere".into())?;
            }
        }
        ensure(seen.len() == self.forest.iter().count(), || {
            "S3: two roots".into()
        })
    }

    /// D2: every event below a group on duty is listed to be served.
    fn check_served(&self) -> Result<(), String> {
        self.forest.iter().try_for_each(|(key, place)| {
            let head = place.group.head().filter(|_| place.group.on_duty());
            let head = head.map(|(_, event)| event.deadline);
            let listed = self.forest.listed_heads().get(&key).copied();
            ensure(head == listed, || {
                format!("D2: {}:{} is not served", place.level, place.index)
            })
        })
    }

    /// D1: root idle and head t: exactly one sentry for t, if anybody may be and t is not past.
    fn check_sentry(&self) -> Result<(), String> {
        let head = self.head().filter(|_| !self.on_duty());
        match (&self.sentry, head) {
            (Some(sentry), Some(head)) => {
                ensure(sentry.at == head, || {
                    format!("D1: sentry at {}, not {head}", sentry.at)
                })?;
                let fit = self.roster.may_watch(&sentry.node);
                ensure(fit, || format!("D1: {} may not be sentry", sentry.node))
            }
            (Some(sentry), None) => Err(format!("D1: {} is not released", sentry.node)),
            (None, Some(head)) if head > self.now => {
                ensure(self.roster.watcher().is_none(), || {
                    format!("D1: no sentry for {head}")
                })
            }
            (None, _) => Ok(()),
        }
    }
}

/// A2, A3: there is a migrator if and only if somebody is on duty, and it is one of them.
fn check_migrator(group: &Group, at: &str) -> Result<(), String> {
    let anybody = group.members().any(|(_, member)| member.on_duty());
    ensure(group.on_duty() == anybody, || {
        format!("A2: migrator of {at}")
    })?;
    let migrator = group.migrator().and_then(|slot| group.member(slot));
    ensure(migrator.is_none_or(Member::on_duty), || {
        format!("A3: migrator of {at}")
    })
}
