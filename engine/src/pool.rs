//! The coordinator of one pool: sessions, who owns what, who pulls what, who watches.
//!
//! ```text
//!  nodes --- hello, report, heartbeat ---> sessions ---> ledger (facts) ---> records
//!  users --- op -------------------------> routes   ---> hierarchy (who is awake)
//!                                                           |
//!  nodes <-- due, give, arm, wake --- orders <--- duty, backlog, watch
//! ```
//!
//! One turn takes all inputs that were waiting, decides them in order, then looks once at what is left to be
//! done: leases that ran out, deadlines that are due, a sentry that has to be armed. Everything here but the
//! ledger is soft state, rebuilt after a start from the ledger and from the sessions that come back.

mod backlog;
mod check;
mod duty;
mod elsewhere;
mod greeting;
mod idle;
mod input;
mod orders;
mod report;
mod rooms;
mod routes;
mod saying;
mod session;
mod tenure;
mod view;
mod watch;

pub use crate::time::Deadlines;
pub use input::{Config, Effect, Input, Link, Note};
pub use session::margin;
pub(crate) use view::reason as why_ineligible;
pub use view::{NodeState, NodeView, View};

use crate::agenda::Agenda;
use crate::decision::Decision;
use crate::hierarchy::{Cover, Hierarchy, Owner, Report as Standing};
use crate::id::NodeId;
use crate::ledger::{Ledger, Stance, Stored};
use crate::message::{CoordinatorMessage, NodeMessage};
use crate::op::Answer;
use crate::record::Unreadable;
use crate::steps;
use crate::time::{BootTime, Now};
use backlog::Backlog;
use orders::Orders;
use rooms::Rooms;
use routes::{Asker, Routes};
use session::{Live, Returning};
use std::collections::{BTreeMap, BTreeSet};
use tenure::Tenures;
use watch::Watch;

/// The machine of one pool.
#[derive(Debug)]
pub struct Pool {
    config: Config,
    ledger: Ledger,
    hierarchy: Hierarchy,
    links: BTreeMap<Link, NodeId>,
    live: BTreeMap<NodeId, Live>,
    orders: Orders,
    routes: Routes,
    rooms: Rooms,
    backlog: Backlog,
    watch: Watch,
    /// Owners whose due timers make no progress, and when they are tried again.
    stuck: Agenda<BootTime, Owner>,
    /// What moves in pieces has not come to its end.
    untidy: bool,
    tenures: Tenures,
    returning: Returning,
    /// Nodes of which something has changed in this turn: what follows from that is looked at once.
    changed: BTreeSet<NodeId>,
    effects: Vec<Effect>,
    /// Turns since the start.
    #[cfg(debug_assertions)]
    turns: u64,
}

impl Pool {
    /// The pool that the records describe; a new one if there are none.
    ///
    /// Every node that owned its timers is believed to hold a lease of the longest length ever granted.
    ///
    /// # Errors
    /// [`Unreadable`] if a record does not decode: the start must stop.
    pub fn recover(
        config: Config,
        state: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
        now: Now,
    ) -> Result<(Self, Decision<Effect>), Unreadable> {
        let ledger = Ledger::recover(config.pool.clone(), config.ledger, state)?;
        Ok(Self::with(config, ledger, now))
    }

    /// The same from facts that were decoded elsewhere: others may decode them while this takes them in.
    ///
    /// # Errors
    /// The first error among the facts: the start must stop.
    pub fn from_facts(
        config: Config,
        facts: impl IntoIterator<Item = Result<Stored, Unreadable>>,
        now: Now,
    ) -> Result<(Self, Decision<Effect>), Unreadable> {
        let ledger = Ledger::from_facts(config.pool.clone(), config.ledger, facts)?;
        Ok(Self::with(config, ledger, now))
    }

    fn with(config: Config, ledger: Ledger, now: Now) -> (Self, Decision<Effect>) {
        let mut pool = Self {
            hierarchy: Hierarchy::new(config.group_capacity),
            config,
            ledger,
            links: BTreeMap::new(),
            live: BTreeMap::new(),
            orders: Orders::default(),
            routes: Routes::starting(now),
            rooms: Rooms::default(),
            backlog: Backlog::default(),
            watch: Watch::starting(now),
            stuck: Agenda::default(),
            untidy: false,
            tenures: Tenures::default(),
            returning: Returning::default(),
            changed: BTreeSet::new(),
            effects: Vec::new(),
            #[cfg(debug_assertions)]
            turns: 0,
        };
        pool.ledger.begin_feed(now.wall);
        pool.ledger.grant_leases_of(pool.config.lease);
        pool.rebuild(now);
        let decision = pool.handle(now, Vec::new());
        (pool, decision)
    }

    /// Decides one turn.
    pub fn handle(&mut self, now: Now, inputs: Vec<Input>) -> Decision<Effect> {
        for input in inputs {
            self.decide(now, input);
        }
        self.look_at_changed();
        self.expire(now);
        self.look_at_changed();
        self.sync(now);
        self.serve(now);
        self.give_back();
        self.look_at_changed();
        self.keep_watch(now);
        self.send_orders(now);
        self.tidy_up();
        self.sync(now);
        #[cfg(debug_assertions)]
        self.examine();
        Decision {
            records: self.ledger.take_records(),
            effects: std::mem::take(&mut self.effects),
            more: self.is_more_left(),
        }
    }

    fn decide(&mut self, now: Now, input: Input) {
        match input {
            Input::Said { link, message } => self.hear(now, link, message),
            Input::Closed { link } => self.close(link),
            Input::Asked { ask, op } => self.route(now, Asker::Ask(ask), op),
            Input::Brought { ask, restore } => {
                let restored = self.ledger.restore_facts(&restore, now.wall);
                let answer = Answer::Restored(Box::new(restored));
                self.effects.push(Effect::Answer { ask, answer });
            }
            Input::Tick => {}
        }
    }

    fn hear(&mut self, now: Now, link: Link, message: NodeMessage) {
        match message {
            NodeMessage::Hello(hello) => self.greet(now, link, &hello),
            NodeMessage::Report(report) => self.hear_report(now, link, report),
            NodeMessage::Heartbeat(heartbeat) => self.renew(now, link, heartbeat),
            NodeMessage::Forward { session, id, op } => {
                self.hear_forward(now, link, session, (id, op));
            }
        }
    }

    /// Goes on with what moves in pieces, after everything that somebody waits for.
    fn tidy_up(&mut self) {
        let erasing = self.ledger.tidy_stages();
        let parting = self.ledger.part_some();
        let forgetting = self.ledger.forget_what_was_heard();
        self.untidy = erasing || parting || forgetting;
    }

    /// Whether this turn had no room for all of its work.
    fn is_more_left(&self) -> bool {
        self.untidy || self.orders.are_left() || self.backlog.is_left()
    }

    /// The ledger, for those who check it.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The hierarchy, for those who check it.
    #[must_use]
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Soft state from the facts: parked nodes with their deadlines, active ones until they come back or
    /// their lease is over.
    fn rebuild(&mut self, now: Now) {
        let nodes: Vec<_> = self
            .ledger
            .nodes()
            .map(|(name, node)| (name.clone(), node.clone()))
            .collect();
        for (name, node) in nodes {
            if node.stance == Stance::Left {
                continue;
            }
            self.admit(&name, &node.rack, now);
            if matches!(node.stance, Stance::Active | Stance::Greeted) {
                let until = now.boot + session::granted(self.ledger.lease_max());
                let owns = node.stance == Stance::Active;
                self.returning.expect(&name, owns, until);
                let live = Live::unheard(node.session, until);
                self.live.insert(name.clone(), live);
            }
            if node.stance != Stance::Active {
                let first = self.ledger.first(&Some(name.clone()));
                self.report_standing(&name, Standing::Idle { first }, now);
                if node.stance != Stance::Parked {
                    self.hierarchy.lost(&name, now.wall);
                }
            }
        }
        self.hierarchy
            .set_pool_first(self.ledger.first(&None), now.wall);
        self.ledger.take_touched();
    }

    /// Looks again at the nodes of which something has changed: what they could take, when their lease may be over,
    /// when they have to be woken.
    fn look_at_changed(&mut self) {
        let mut changed = self.ledger.take_changed_nodes();
        changed.append(&mut self.changed);
        for node in changed {
            steps::visit();
            self.count_rooms(&node);
            self.note_tenure(&node);
            self.note_pinned(&node);
        }
    }

    /// Tells the hierarchy what changed in the queues of those who do not fire for themselves.
    fn sync(&mut self, now: Now) {
        for home in self.ledger.take_touched() {
            let first = self.ledger.first(&home);
            match home {
                None => self.hierarchy.set_pool_first(first, now.wall),
                Some(node) if !self.ledger.is_active(&node) => {
                    self.hierarchy.set_first(&node, first, now.wall);
                }
                Some(_) => {}
            }
        }
    }

    /// Tells the hierarchy how a node stands; it is a member, so that cannot fail.
    fn report_standing(&mut self, node: &NodeId, standing: Standing, now: Now) -> Option<Cover> {
        self.changed.insert(node.clone());
        self.hierarchy
            .report(node, None, standing, now.wall)
            .ok()
            .flatten()
    }

    fn send(&mut self, link: Link, message: CoordinatorMessage) {
        self.effects.push(Effect::Send { link, message });
    }

    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}
