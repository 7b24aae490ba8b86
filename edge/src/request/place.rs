//! Where a timer may run, and what it survives.

use super::{Here, fields};
use crate::fault::Faults;
use dormouse_engine::id::NodeId;
use dormouse_engine::timer::{Durability, Placement};
use dormouse_proto::v1;

pub(super) fn placement(
    faults: &mut Faults,
    path: &str,
    placement: Option<v1::Placement>,
    here: &Here,
) -> Option<Placement> {
    use v1::placement::Kind;
    let Some(Kind::Pinned(pinned)) = placement.and_then(|placement| placement.kind) else {
        return Some(Placement::Movable);
    };
    let path = format!("{path}.pinned.node");
    match (pinned.node.as_str(), &here.node) {
        ("", Some(own)) => Some(Placement::Pinned(own.clone())),
        ("", None) => {
            faults.invalid(path, "must be set: only an agent can fill in its own node");
            None
        }
        (text, _) => fields::parsed(faults, &path, text, NodeId::new).map(Placement::Pinned),
    }
}

/// What a timer of `number` survives; left out it follows from the placement.
pub(super) fn durability(
    faults: &mut Faults,
    path: &str,
    number: i32,
    placement: Option<&Placement>,
) -> Option<Durability> {
    match v1::Durability::try_from(number) {
        Ok(v1::Durability::Unspecified) => Some(match placement {
            Some(Placement::Pinned(_)) => Durability::Local,
            Some(Placement::Movable) | None => Durability::Replicated,
        }),
        Ok(v1::Durability::Ephemeral) => Some(Durability::Ephemeral),
        Ok(v1::Durability::Local) => Some(Durability::Local),
        Ok(v1::Durability::ReplicatedAsync) => Some(Durability::ReplicatedAsync),
        Ok(v1::Durability::Replicated) => Some(Durability::Replicated),
        Err(_) => {
            faults.invalid(path, format!("{number} is no durability"));
            None
        }
    }
}
