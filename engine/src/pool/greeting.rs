//! A node says hello: it gets a session, and what another process of its name had is over.

use super::session::{Live, granted};
use super::{Effect, Link, Note, Pool};
use crate::hierarchy::Report as Standing;
use crate::id::{NodeId, RackId};
use crate::ledger::Greeting;
use crate::message::{CoordinatorMessage, Hello, Staged, Welcome};
use crate::planted::{self, Fault};
use crate::time::Now;

impl Pool {
    pub(super) fn greet(&mut self, now: Now, link: Link, hello: &Hello) {
        if hello.pool != self.config.pool {
            let why = format!("this is pool {}, not {}", self.config.pool, hello.pool);
            return self.send(link, CoordinatorMessage::Rejected { why });
        }
        match self.live.get(&hello.node).and_then(|live| live.link) {
            Some(current) if current == link => return self.welcome(now, link, &hello.node),
            Some(current) if current > link => return,
            _ => {}
        }
        let greeting = self.open_session(now, link, hello);
        self.measure(&hello.node, hello.wall, now);
        self.welcome(now, link, &hello.node);
        if greeting.same {
            self.repeat_all_orders(&hello.node);
        }
    }

    fn open_session(&mut self, now: Now, link: Link, hello: &Hello) -> Greeting {
        let known = self.ledger.node(&hello.node).map(|node| node.incarnation);
        let replaced = known.is_some_and(|incarnation| incarnation != hello.incarnation);
        if replaced {
            self.note(Note::Replaced(hello.node.clone()));
            self.end_session(&hello.node, true);
        }
        let greeting = self.ledger.greet(hello, now.wall);
        if replaced {
            self.hierarchy.lost(&hello.node, now.wall);
            self.changed.insert(hello.node.clone());
        }
        self.admit(&hello.node, &hello.rack, now);
        self.sync(now);
        self.replace_live(now, link, &hello.node, greeting);
        if greeting.owns {
            self.report_standing(&hello.node, Standing::Active, now);
        }
        self.note(Note::Joined(hello.node.clone()));
        greeting
    }

    /// The same process keeps what it was told; only the numbering of its reports begins again.
    fn replace_live(&mut self, now: Now, link: Link, node: &NodeId, greeting: Greeting) {
        let until = now.boot + granted(self.config.lease);
        let mut live = Live::new(link, greeting.session, until);
        if let Some(before) = self.live.remove(node) {
            if let Some(old) = before.link {
                self.links.remove(&old);
                self.effects.push(Effect::Close { link: old });
            }
            live.capacity = before.capacity;
            live.busy = before.busy;
            live.willing = before.willing;
            live.spoken = before.spoken;
        }
        self.returning.forget(node);
        self.changed.insert(node.clone());
        self.links.insert(link, node.clone());
        self.live.insert(node.clone(), live);
    }

    /// Makes a node a member of the hierarchy; a node that changed its rack moves.
    pub(super) fn admit(&mut self, node: &NodeId, rack: &RackId, now: Now) {
        if self
            .hierarchy
            .rack_of(node)
            .is_some_and(|known| known != rack)
        {
            self.hierarchy.leave(node, now.wall);
        }
        let news = !self.hierarchy.contains(node);
        let joined = self.hierarchy.join(node.clone(), rack.clone(), now.wall);
        self.changed.insert(node.clone());
        debug_assert!(joined.is_ok(), "a member of another rack has left before");
        // An active one fires for itself, also while it has not come back after a restart.
        let fires = self.ledger.is_active(node) && !planted::is(Fault::ServeTheUnheard);
        if news && !fires {
            let first = self.ledger.first(&Some(node.clone()));
            self.hierarchy.set_first(node, first, now.wall);
        }
    }

    fn welcome(&mut self, now: Now, link: Link, node: &NodeId) {
        let Some(session) = self.live.get(node).map(|live| live.session) else {
            return;
        };
        let Some(epoch) = self.ledger.node(node).map(|known| known.epoch) else {
            return;
        };
        let welcome = Welcome {
            session,
            epoch,
            owns: self.ledger.is_active(node),
            lease: self.config.lease,
            clock: now.wall,
            ledger: self.ledger.id(),
            wake_grace: self.config.wake_grace,
            stage: self
                .ledger
                .stage_of(node)
                .map(|(attempt, closed)| Staged { attempt, closed }),
        };
        self.send(link, CoordinatorMessage::Welcome(welcome));
    }
}
