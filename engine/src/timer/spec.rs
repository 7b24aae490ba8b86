//! What can be asked of a timer.
//!
//! Values here are already known to be valid by themselves; whether a time is within the horizon is asked
//! when the timer is accepted, since only then is there a `now`.

use super::{Policy, Target};
use crate::hash;
use crate::id::{NodeId, PoolId, Scope, Shared, TimerId, Uid, as_text};
use crate::schedule::{BadSchedule, Cron, Schedule};
use crate::time::{Millis, WallTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What a timer is to do, when, where, and how well it is kept.
///
/// What is the same for many timers is their [`Kind`], which they share and which is read and changed through this:
/// `spec.policy`. A change makes a kind of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// When.
    pub schedule: Schedule,
    /// What is delivered.
    pub payload: Payload,
    kind: Arc<Kind>,
}

/// What is the same for many timers: all that was asked for but when and with what payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The place that runs it: the name of a handler, or that of another target's place.
    pub handler: HandlerName,
    /// Where.
    pub placement: Placement,
    /// What it survives.
    pub durability: Durability,
    /// What a run is delivered to.
    pub target: Target,
    /// How it is treated when things do not go by the plan.
    pub policy: Policy,
    /// The media type of the payload; may be empty.
    pub content_type: String,
    /// The user's own keys and values.
    pub labels: BTreeMap<String, String>,
}

impl Deref for Spec {
    type Target = Kind;
    fn deref(&self) -> &Kind {
        &self.kind
    }
}

impl DerefMut for Spec {
    fn deref_mut(&mut self) -> &mut Kind {
        Arc::make_mut(&mut self.kind)
    }
}

impl Spec {
    /// What such a timer is to do.
    #[must_use]
    pub fn new(schedule: Schedule, payload: Payload, kind: Arc<Kind>) -> Self {
        Self {
            schedule,
            payload,
            kind,
        }
    }

    /// What it has in common with others.
    #[must_use]
    pub fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    pub(crate) fn kind_mut(&mut self) -> &mut Arc<Kind> {
        &mut self.kind
    }

    /// The first nominal time of a timer that begins at `now`; a one-shot's may lie in the past.
    ///
    /// # Errors
    /// [`BadSchedule::NeverMatches`] if there is none within the bounds.
    pub fn first_after(&self, now: WallTime) -> Result<WallTime, BadSchedule> {
        let bounds = &self.policy.bounds;
        let first = match self.schedule {
            Schedule::At(time) => {
                let before = bounds.start.is_some_and(|start| time < start);
                let after = bounds.end.is_some_and(|end| time >= end);
                (!before && !after).then_some(time)
            }
            Schedule::Every { .. } | Schedule::Cron(_) => self.next_after(now),
        };
        first.ok_or(BadSchedule::NeverMatches)
    }

    /// The first nominal time after `after` within the bounds.
    #[must_use]
    pub fn next_after(&self, after: WallTime) -> Option<WallTime> {
        let bounds = &self.policy.bounds;
        let from = bounds
            .start
            .map_or(after, |start| after.max(start - Millis(1)));
        let next = self.schedule.next_after(from)?;
        bounds.end.is_none_or(|end| next < end).then_some(next)
    }
}

/// Where a timer may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// On any node of its pool.
    Movable,
    /// On this node only.
    Pinned(NodeId),
}

/// What an acknowledged timer survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Durability {
    /// Nothing but idleness of its home.
    Ephemeral,
    /// A crash of its home.
    Local,
    /// Also the loss of its home, but for the last window.
    ReplicatedAsync,
    /// The loss of its home.
    Replicated,
}

impl Durability {
    /// Whether its home must write it to its own disk.
    #[must_use]
    pub fn is_journalled(self) -> bool {
        self != Self::Ephemeral
    }

    /// Whether the coordinator keeps it also while its home is active.
    #[must_use]
    pub fn is_replicated(self) -> bool {
        matches!(self, Self::ReplicatedAsync | Self::Replicated)
    }
}

/// The name of a handler that workers attach with: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerName(Shared);

as_text!(HandlerName, "the name of a handler", |text| {
    HandlerName::new(text).ok_or("is not 1 to 255 visible ASCII characters")
});

impl HandlerName {
    /// The longest handler name, in bytes.
    pub const LENGTH_MAX: usize = 255;

    /// Accepts 1 to 255 visible ASCII characters; none if `text` is something else.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len());
        let plain = text.chars().all(|c| c.is_ascii_graphic());
        (fits && plain).then(|| Self(Shared::new(text)))
    }

    /// Whether it is kept for the places of targets that are no handlers.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0
            .as_bytes()
            .starts_with(super::PLACE_PREFIX.as_bytes())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The bytes that a run delivers; cheap to clone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Arc<[u8]>);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl serde::de::Visitor<'_> for PayloadVisitor {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
        Ok(Payload(bytes.into()))
    }
}

/// When a new timer is to fire, as its user said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// At this time.
    At(WallTime),
    /// This long after it is accepted.
    After(Millis),
    /// Again and again, this far apart; from `phase`, or from when it is accepted.
    Every {
        /// The distance of two occurrences.
        interval: Millis,
        /// Occurrences are a whole number of intervals from here.
        phase: Option<WallTime>,
    },
    /// By a cron expression.
    Cron(Cron),
}

impl When {
    /// The schedule that this is for the timer `uid` when it is accepted at `now`.
    ///
    /// # Errors
    /// [`BadSchedule`] if it lies beyond the horizon or can never fire.
    pub fn accept(&self, uid: Uid, now: WallTime) -> Result<Schedule, BadSchedule> {
        let schedule = match self {
            Self::At(time) => Schedule::At(*time),
            Self::After(wait) => Schedule::At(now + *wait),
            Self::Every { interval, phase } => Schedule::Every {
                interval: *interval,
                phase: phase.unwrap_or(now),
            },
            Self::Cron(cron) => {
                let [high, low] = hash::halves(uid.0);
                Schedule::Cron(cron.clone().seeded(hash::fold(&[high, low])))
            }
        };
        schedule.check(now)?;
        Ok(schedule)
    }
}

/// A timer that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTimer {
    /// Its pool.
    pub pool: PoolId,
    /// The last part of its name.
    pub id: TimerId,
    /// A fresh identity.
    pub uid: Uid,
    /// The request that asks for it.
    #[serde(with = "crate::record::wide")]
    pub request: u128,
    /// When.
    pub when: When,
    /// Where.
    pub placement: Placement,
    /// The place that runs it: the name of a handler, or that of another target's place.
    pub handler: HandlerName,
    /// What a run is delivered to.
    pub target: Target,
    /// What is delivered.
    pub payload: Payload,
    /// The media type of the payload; may be empty.
    pub content_type: String,
    /// How it is treated when things do not go by the plan.
    pub policy: Policy,
    /// Whether it begins paused.
    pub paused: bool,
    /// What it must survive.
    pub durability: Durability,
    /// The user's own keys and values.
    pub labels: BTreeMap<String, String>,
}

impl NewTimer {
    /// What it has in common with others.
    pub(crate) fn kind(&self) -> Kind {
        Kind {
            handler: self.handler.clone(),
            placement: self.placement.clone(),
            durability: self.durability,
            target: self.target.clone(),
            policy: self.policy.clone(),
            content_type: self.content_type.clone(),
            labels: self.labels.clone(),
        }
    }

    /// Where its name is looked up, if `home` is where it is registered.
    pub(crate) fn scope(&self, home: Option<&NodeId>) -> Scope {
        Scope::new(self.pool.clone(), self.named_by(home).cloned())
    }

    /// Whether its name is looked up there.
    pub(crate) fn is_within(&self, scope: &Scope, home: Option<&NodeId>) -> bool {
        self.pool == scope.pool && self.named_by(home) == scope.node.as_ref()
    }

    fn named_by<'a>(&self, home: Option<&'a NodeId>) -> Option<&'a NodeId> {
        home.filter(|_| self.durability != Durability::Replicated)
    }

    /// Whether this asks for a timer of that kind.
    pub(crate) fn is_of(&self, kind: &Kind) -> bool {
        self.handler == kind.handler
            && self.placement == kind.placement
            && self.durability == kind.durability
            && self.target == kind.target
            && self.policy == kind.policy
            && self.content_type == kind.content_type
            && self.labels == kind.labels
    }
}
