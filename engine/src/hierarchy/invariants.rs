//! What must hold after every step, as far as the hierarchy alone can see it.
//!
//! The names S1 to D2 are those of `docs/design/hierarchy.md`. In debug builds every step ends with
//! [`Hierarchy::check`]; tests call it too.

use super::Hierarchy;
use super::forest::Place;
use super::roster::Life;
use crate::group::{Child, Group, GroupKey, Member, Standing};
use crate::planted;
use crate::steps;
use std::collections::BTreeSet;

/// Up to how many nodes every step is followed by a whole check.
const WHOLE_MAX: usize = 1_024;

/// How many steps were not checked since the last check.
#[derive(Debug, Clone, Default)]
pub(super) struct Examined {
    passed_over: usize,
}

/// `Err` with the rule's name and what is wrong, unless `holds`.
fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Hierarchy {
    /// In debug builds every step ends with this.
    ///
    /// A check walks over everything. A large hierarchy is checked once in as many steps as it has
    /// nodes, so that a step costs the same at any size; what breaks is seen a little later, but it is seen.
    pub(super) fn examine(&mut self) {
        if !cfg!(debug_assertions) || planted::any() {
            return;
        }
        self.examined.passed_over += 1;
        if self.roster.len() > WHOLE_MAX.max(self.examined.passed_over) {
            return;
        }
        self.examined = Examined::default();
        steps::uncounted(|| self.check()).expect("the hierarchy keeps its invariants");
    }

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
        self.check_sentry()
    }

    fn check_group(&self, key: GroupKey, place: &Place) -> Result<(), String> {
        let at = || self.group_id(key);
        self.check_place(key, place)
            .map_err(|broken| format!("{broken} {}", at()))?;
        for (slot, member) in place.group.members() {
            self.check_member(key, slot, member)
                .map_err(|broken| format!("{broken} at {}", at()))?;
        }
        check_migrator(&place.group).map_err(|broken| format!("{broken} of {}", at()))?;
        ensure(*place.group.told() == place.group.standing(), || {
            format!("E3: the parent of {} is wrong", at())
        })
    }

    /// S2, S3: one parent a level above, or the root.
    fn check_place(&self, key: GroupKey, place: &Place) -> Result<(), String> {
        match place.parent() {
            None => ensure(self.forest.root() == Some(key), || {
                "S3: nothing is above".into()
            }),
            Some((parent, slot)) => {
                let level = self.forest.level(key);
                let above = self.forest.group(parent).member(slot);
                ensure(self.forest.root() != Some(key), || {
                    "S3: something is above the root".into()
                })?;
                ensure(self.forest.level(parent) == level + 1, || {
                    "S2: level above".into()
                })?;
                ensure(
                    above.map(|member| member.child) == Some(Child::Group(key)),
                    || "S3: edge above".into(),
                )?;
                let crosses = level >= self.forest.tops();
                let expected = self.forest.rack(key).filter(|_| !crosses);
                ensure(self.forest.rack(parent) == expected, || {
                    "S4: rack above".into()
                })
            }
        }
    }

    fn check_member(&self, key: GroupKey, slot: u8, member: Member) -> Result<(), String> {
        match member.child {
            Child::Group(below) => {
                let below = self.forest.group(below);
                ensure(member.eligible, || {
                    format!("A3: group in slot {slot} is not eligible")
                })?;
                ensure(member.standing == *below.told(), || {
                    format!("E3: slot {slot} is not as told")
                })?;
                // D2: what is served inside is known up to the root.
                let served = below.served().map(|(_, deadline)| deadline);
                let known = self.forest.group(key).deadline(slot);
                ensure(!below.on_duty() || served == known, || {
                    format!("D2: what slot {slot} serves is not known")
                })
            }
            Child::Node(node) => {
                let resident = self.roster.get(node);
                let Some(name) = &resident.name else {
                    return Err(format!("S3: slot {slot} has nobody's key"));
                };
                ensure((resident.group, resident.slot) == (key, slot), || {
                    format!("S1: {name} stands elsewhere")
                })?;
                ensure(member.eligible == resident.eligible, || {
                    format!("A3: {name}")
                })?;
                ensure(
                    member.standing.is_active() == (resident.life == Life::Awake),
                    || format!("A1: {name}"),
                )?;
                let own = match member.standing {
                    Standing::Active => true,
                    Standing::Idle { first } => first.is_none_or(|event| event.node == node),
                };
                ensure(own, || format!("E1: event of {name}"))
            }
        }
    }

    /// S1: every node stands in its slot.
    fn check_nodes(&self) -> Result<(), String> {
        self.roster.iter().try_for_each(|(key, resident)| {
            let member = self.forest.group(resident.group).member(resident.slot);
            let there = member.map(|member| member.child);
            ensure(there == Some(Child::Node(key)), || {
                format!("S1: slot of {}", self.roster.name(key))
            })
        })?;
        ensure(self.roster.agrees(), || {
            "D1: the roster, or the order of who may watch".into()
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
                let server = self.forest.server(key).map(|node| self.roster.get(node));
                let fit = server.is_some_and(|node| node.is_active() && node.eligible);
                ensure(fit, || "A4: the migrators lead nowhere".into())?;
            }
        }
        ensure(seen.len() == self.forest.iter().count(), || {
            "S3: two roots".into()
        })
    }

    /// D1: root idle and head t: exactly one sentry for t, if anybody may be and t is not past.
    fn check_sentry(&self) -> Result<(), String> {
        let head = self.head().filter(|_| !self.on_duty());
        match (&self.sentry, head) {
            (Some((key, sentry)), Some(head)) => {
                ensure(sentry.at == head, || {
                    format!("D1: sentry at {}, not {head}", sentry.at)
                })?;
                let fit = self.roster.may_watch(*key);
                ensure(fit, || format!("D1: {} may not be sentry", sentry.node))
            }
            (Some((_, sentry)), None) => Err(format!("D1: {} is not released", sentry.node)),
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
fn check_migrator(group: &Group) -> Result<(), String> {
    let anybody = group.on_duty_mask() != 0;
    ensure(group.on_duty() == anybody, || "A2: migrator".into())?;
    ensure(
        !group.on_duty() || group.migrator_mask() & group.on_duty_mask() != 0,
        || "A3: migrator".into(),
    )
}
