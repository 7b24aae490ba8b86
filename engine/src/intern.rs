//! What timers share: kinds, scopes of names and homes, each kept once however many timers have it.
//!
//! A machine, and whoever reads its journal, has one [`Interner`]. What no timer has any more is let go piece by
//! piece: whenever something new comes in, two of the known are looked at. So at most about as many are kept without
//! use as are in use, and nothing is ever walked over as a whole.

use crate::id::{NodeId, Scope};
use crate::timer::{Common, Kind, NewTimer, Timer};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// How many of the known are looked at for each new one.
const SWEPT: usize = 2;

/// What timers share.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    kinds: Known<Arc<Kind>>,
    scopes: Known<Arc<Scope>>,
    nodes: Known<NodeId>,
}

impl Interner {
    /// Gives `timer` the parts that others have already, where they are equal.
    pub(crate) fn share(&mut self, timer: &mut Timer) {
        self.kinds.share(timer.spec.kind_mut());
        self.scopes.share(timer.name.scope_mut());
        if let Some(home) = &mut timer.home {
            self.nodes.share(home);
        }
    }

    /// Makes a change, and shares what the changed timer has of its own since.
    pub(crate) fn share_again<E, R>(
        &mut self,
        entry: &mut E,
        timer: impl Fn(&mut E) -> &mut Timer,
        change: impl FnOnce(&mut E) -> R,
    ) -> R {
        let before = timer(entry).shared();
        let result = change(entry);
        let timer = timer(entry);
        if timer.shared() != before {
            self.share(timer);
        }
        result
    }

    /// What a new timer that is registered at `home` has in common with others, as these have it: most have what the
    /// one before had, and then nothing is made.
    pub(crate) fn common(&mut self, new: &NewTimer, home: Option<NodeId>) -> Common {
        let kind = self.kinds.last.as_ref().filter(|last| new.is_of(last));
        let scope = self.scopes.last.as_ref();
        let scope = scope.filter(|last| new.is_within(last, home.as_ref()));
        Common {
            scope: scope
                .cloned()
                .unwrap_or_else(|| Arc::new(new.scope(home.as_ref()))),
            kind: kind.cloned().unwrap_or_else(|| Arc::new(new.kind())),
            home,
        }
    }

    /// The same kind as others have it.
    pub(crate) fn kind(&mut self, kind: Kind) -> Arc<Kind> {
        let mut kind = Arc::new(kind);
        self.kinds.share(&mut kind);
        kind
    }
}

/// Something that is cheap to clone and knows how many have it.
trait Counted: Ord + Clone {
    fn users(&self) -> usize;
    fn is(&self, other: &Self) -> bool;
}

impl<T: Ord> Counted for Arc<T> {
    fn users(&self) -> usize {
        Self::strong_count(self)
    }

    fn is(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

impl Counted for NodeId {
    fn users(&self) -> usize {
        self.shared().users()
    }

    fn is(&self, other: &Self) -> bool {
        self.shared().is(other.shared())
    }
}

#[derive(Debug)]
struct Known<T> {
    all: BTreeSet<T>,
    /// Most timers have what the one before had.
    last: Option<T>,
    /// Up to where was looked for what nobody has.
    swept: Option<T>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self {
            all: BTreeSet::new(),
            last: None,
            swept: None,
        }
    }
}

impl<T: Counted> Known<T> {
    fn share(&mut self, one: &mut T) {
        if let Some(last) = &self.last
            && (last.is(one) || last == one)
        {
            if !last.is(one) {
                one.clone_from(last);
            }
            return;
        }
        match self.all.get(one) {
            Some(known) => one.clone_from(known),
            None => {
                self.sweep();
                self.all.insert(one.clone());
            }
        }
        self.last = Some(one.clone());
    }

    fn sweep(&mut self) {
        for _ in 0..SWEPT {
            let from = self.swept.as_ref().map_or(Unbounded, Excluded);
            let next = self.all.range((from, Unbounded)).next().cloned();
            if let Some(next) = &next
                // The set has it, and this look.
                && next.users() <= 2
            {
                self.all.remove(next);
            }
            self.swept = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    #[test]
    fn equal_ones_become_the_same() {
        let mut known = Known::default();
        let (mut first, mut second, mut other) = (node("n1"), node("n1"), node("n2"));
        for one in [&mut first, &mut other, &mut second] {
            known.share(one);
        }
        assert!(first.is(&second) && !first.is(&other));
    }

    #[test]
    fn what_nobody_has_is_let_go_while_others_come() {
        let mut known = Known::default();
        let mut kept = node("kept");
        known.share(&mut kept);
        for number in 0..10_000 {
            known.share(&mut node(&format!("n{number}")));
        }
        assert!(known.all.len() < 10, "{}", known.all.len());
        let mut again = node("kept");
        known.share(&mut again);
        assert!(again.is(&kept), "what is in use stays");
    }
}
