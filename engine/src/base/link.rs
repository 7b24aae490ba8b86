//! The session with the coordinator: hello, heartbeats, the lease, and being fenced.

use super::{Base, Effect, Stance};
use crate::hierarchy::Cover;
use crate::id::{Epoch, Session, Token};
use crate::ledger::{INDEX_MAX, TOKEN_BITS};
use crate::message::{Capacity, Heartbeat, Hello, NodeMessage, Welcome};
use crate::pool::margin;
use crate::time::{BootTime, LogIndex, Millis, Now, WallTime};

/// Being replaced this often within [`CLASH_WINDOW`] means that two nodes have one name.
const CLASHES_MAX: usize = 3;
/// See [`CLASHES_MAX`].
const CLASH_WINDOW: Millis = Millis(60_000);
/// The lease before the first welcome: only a bound for how late a run may be launched.
const LEASE_UNKNOWN: Millis = Millis(10_000);
/// Heartbeats are at least this far apart, unless the session is new.
const BEAT_GAP: Millis = Millis(100);
/// A hello that is not answered for this long is said again.
const HELLO_AGAIN: Millis = Millis(2_000);

/// What the base knows of its link.
#[derive(Debug, Default)]
pub(super) struct Link {
    phase: Phase,
    lease: Option<Millis>,
    /// The epoch of the node, as the coordinator told it on this session.
    epoch: Epoch,
    lease_until: BootTime,
    heartbeat_at: BootTime,
    /// When the last heartbeat went out.
    beaten_at: BootTime,
    clashes: Vec<BootTime>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Down,
    Greeting(BootTime),
    Open(Session),
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    pub(super) fn is_down(&self) -> bool {
        self.phase == Phase::Down
    }

    pub(super) fn session(&self) -> Session {
        match self.phase {
            Phase::Open(session) => session,
            Phase::Down | Phase::Greeting(_) => Session(0),
        }
    }

    pub(super) fn lease(&self) -> Millis {
        self.lease.unwrap_or(LEASE_UNKNOWN)
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn note_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    pub(super) fn lease_until(&self) -> BootTime {
        self.lease_until
    }

    pub(super) fn has_lease(&self, now: Now) -> bool {
        self.is_open() && now.boot < self.lease_until
    }

    /// The holder counts from when it sent the renewal, and stops the margin early.
    fn renew(&mut self, sent: BootTime) {
        let held = Millis(self.lease().0.saturating_sub(margin(self.lease()).0));
        self.lease_until = self.lease_until.max(sent + held);
    }

    fn beat_every(&self) -> Millis {
        Millis(self.lease().0 / 3)
    }
}

impl Base {
    pub(super) fn connected(&mut self, now: Now) {
        self.link.phase = Phase::Greeting(now.boot);
        self.restart_lane();
        self.hello(now);
    }

    fn restart_lane(&mut self) {
        if self.lane.was_cut_off() {
            self.handover.note_broken();
        }
        self.lane.restart();
    }

    fn hello(&mut self, now: Now) {
        let config = &self.config;
        self.effects.push(Effect::Send(NodeMessage::Hello(Hello {
            node: config.node.clone(),
            pool: config.pool.clone(),
            rack: config.rack.clone(),
            incarnation: config.incarnation,
            epoch: self.meta.epoch,
            known: self.meta.known,
            ledger: self.meta.ledger,
            wall: now.wall,
        })));
    }

    pub(super) fn disconnected(&mut self) {
        self.link.phase = Phase::Down;
        self.restart_lane();
        self.others.forget();
        self.refuse_forwards();
    }

    pub(super) fn reconnect(&mut self) {
        if !self.link.is_down() {
            self.disconnected();
            self.effects.push(Effect::Reconnect);
        }
    }

    pub(super) fn welcomed(&mut self, now: Now, welcome: &Welcome) {
        let Phase::Greeting(sent) = self.link.phase else {
            return;
        };
        self.link.phase = Phase::Open(welcome.session);
        self.link.lease = Some(welcome.lease);
        self.link.note_epoch(welcome.epoch);
        self.link.renew(sent);
        self.clock.measure(now, sent, welcome.clock);
        if self.meta.ledger != welcome.ledger {
            self.meet_ledger(welcome.ledger);
        }
        self.lane.items.capacity = Some(self.runs.places().clone());
        self.lane.items.eligible = self.rest.says_unwilling();
        self.beat(now);
        self.judge_welcome(now, welcome);
    }

    /// Another ledger knows nothing of this node: everything is told it anew.
    fn meet_ledger(&mut self, ledger: crate::message::LedgerId) {
        let before = self.meta.ledger;
        self.change_meta(|meta| {
            meta.ledger = ledger;
            meta.known = LogIndex(0);
            meta.pending_done = 0;
        });
        if before == 0 {
            return;
        }
        for uid in self.timers.uids_of(|_| true) {
            self.change(uid, |entry| {
                entry.shipped = 0;
                entry.held = false;
            });
        }
        self.change_meta(|meta| {
            meta.handed_over = false;
            meta.stage = 0;
        });
        if self.stance == Stance::Parked {
            self.stance = Stance::Apart;
        }
    }

    fn judge_welcome(&mut self, now: Now, welcome: &Welcome) {
        let same_epoch = welcome.epoch == self.meta.epoch;
        match self.stance {
            Stance::Active if welcome.owns && same_epoch => self.go_on_staging(welcome.stage),
            Stance::Parking if welcome.owns && same_epoch => {
                self.go_on_staging(welcome.stage);
                self.unpark(now);
            }
            // The answer to the close was lost, not the close.
            Stance::Parking if !welcome.owns && self.was_closed(welcome.stage) => {
                self.note_parked(now, welcome.epoch);
                self.lane.ship_by(now.boot);
            }
            Stance::Parked if !welcome.owns && same_epoch => self.rearm_alarm(),
            Stance::Leaving => self.say_goodbye(now),
            Stance::Apart | Stance::Active | Stance::Parking | Stance::Parked => {
                if self.stance == Stance::Parking {
                    self.close_was_not_heard();
                }
                self.lost_ownership();
                self.number_runs_above(welcome.session);
                self.say_active(now);
            }
        }
    }

    /// A node that has lost its disk does not know which tokens it gave to the runs of its timers. It hears of those
    /// timers before it owns them, and may have to fire a pinned one before it does. A session is numbered by the
    /// ledger's index, and no run has a token under that number.
    fn number_runs_above(&mut self, session: Session) {
        let floor = Token(session.0.min(INDEX_MAX) << TOKEN_BITS);
        self.tokens.raise(floor);
    }

    /// A parked node whose coordinator was away is armed still, and says so again.
    fn rearm_alarm(&mut self) {
        if let Some(Cover::Sentry { at }) = self.rest.cover() {
            self.lane.items.armed = Some(*at);
        }
    }

    pub(super) fn rejected(&mut self, now: Now, why: String) {
        self.rest.note_rejected(why);
        self.link.phase = Phase::Greeting(now.boot);
    }

    pub(super) fn pulse(
        &mut self,
        now: Now,
        session: Session,
        (sent, clock): (BootTime, WallTime),
        rooms: Capacity,
    ) {
        if self.link.phase == Phase::Open(session) && sent <= now.boot {
            self.link.renew(sent);
            self.clock.measure(now, sent, clock);
            self.others.told(rooms);
            for handler in self.others.roomy() {
                self.look_by(&handler, now.boot);
            }
        }
    }

    /// A heartbeat has something to ask, and goes out before its time.
    pub(super) fn beat_soon(&mut self, now: Now) {
        let earliest = (self.link.beaten_at + BEAT_GAP).max(now.boot);
        self.link.heartbeat_at = self.link.heartbeat_at.min(earliest);
    }

    /// Heartbeats while there is a lease to keep; a parked node has none and is silent.
    pub(super) fn keep_link(&mut self, now: Now) {
        match self.link.phase {
            Phase::Greeting(since) if since + HELLO_AGAIN <= now.boot => {
                self.link.phase = Phase::Greeting(now.boot);
                self.hello(now);
            }
            Phase::Open(_) if self.beats() && self.link.heartbeat_at <= now.boot => self.beat(now),
            Phase::Down | Phase::Greeting(_) | Phase::Open(_) => {}
        }
    }

    fn beats(&self) -> bool {
        self.stance != Stance::Parked
    }

    fn beat(&mut self, now: Now) {
        self.link.heartbeat_at = now.boot + self.link.beat_every();
        self.link.beaten_at = now.boot;
        let heartbeat = Heartbeat {
            session: self.link.session(),
            sent: now.boot,
            wall: now.wall,
            wanted: self.others.take_wanted(),
        };
        self.effects
            .push(Effect::Send(NodeMessage::Heartbeat(heartbeat)));
    }

    /// When the link has something to do; a node that owns timers looks at the clock in any case, so that
    /// it notices when it did not run.
    pub(super) fn link_deadline(&self, last: Option<BootTime>) -> Option<BootTime> {
        let watch = last.filter(|_| self.stance == Stance::Active);
        let watch = watch.map(|last| last + self.link.beat_every());
        let link = match self.link.phase {
            Phase::Greeting(since) => Some(since + HELLO_AGAIN),
            Phase::Open(_) if self.beats() => Some(self.link.heartbeat_at),
            Phase::Open(_) | Phase::Down => None,
        };
        watch.into_iter().chain(link).min()
    }

    pub(super) fn fenced(&mut self, now: Now, session: Session, replaced: bool) {
        if self.link.phase != Phase::Open(session) {
            return;
        }
        self.lost_ownership();
        if replaced && self.is_clash(now) {
            return self.effects.push(Effect::Clashed);
        }
        self.reconnect();
    }

    fn is_clash(&mut self, now: Now) -> bool {
        self.link.clashes.retain(|at| *at + CLASH_WINDOW > now.boot);
        self.link.clashes.push(now.boot);
        self.link.clashes.len() >= CLASHES_MAX
    }
}
