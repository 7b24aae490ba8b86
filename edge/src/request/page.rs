//! Pages of timers: which, after which, how many.
//!
//! The token of a page is the last name of the page before it. It holds no state of a server, so that every
//! server understands it, also after a restart.

use super::fields;
use crate::fault::Faults;
use dormouse_engine::id::{NodeId, PoolId, TimerName};
use dormouse_proto::v1;
use std::collections::{BTreeMap, BTreeSet};

/// The largest page.
pub const PAGE_MAX: i32 = 1000;
const PAGE_DEFAULT: i32 = 100;

/// What a list asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Of this pool; of every pool that is known if none.
    pub pool: Option<PoolId>,
    /// After this name.
    pub after: Option<TimerName>,
    /// At most so many.
    pub size: usize,
    filter: Filter,
}

/// Which timers are wanted; all of them if it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    states: BTreeSet<i32>,
    labels: BTreeMap<String, String>,
    home: Option<NodeId>,
}

impl Listing {
    /// Whether it asks for all timers of its pools.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.filter == Filter::default()
    }

    /// Whether it asks for this timer.
    #[must_use]
    pub fn takes(&self, timer: &v1::Timer) -> bool {
        let filter = &self.filter;
        let state = filter.states.is_empty() || filter.states.contains(&timer.state);
        let labels = filter
            .labels
            .iter()
            .all(|(key, value)| timer.labels.get(key) == Some(value));
        let home = filter
            .home
            .as_ref()
            .is_none_or(|home| home.as_str() == timer.home);
        state && labels && home
    }
}

/// What a list asks for.
///
/// # Errors
/// `INVALID_ARGUMENT` for a negative or too large page, a token that is none, and bad filters.
pub fn listing(request: v1::ListTimersRequest) -> Result<Listing, tonic::Status> {
    let mut faults = Faults::default();
    let pool = fields::pool(&mut faults, "pool", &request.pool);
    let after = after(
        &mut faults,
        &request.page_token,
        pool.as_ref().and_then(Option::as_ref),
    );
    let size = read_page_size(&mut faults, request.page_size);
    let home = match request.home.as_str() {
        "" => None,
        text => fields::parsed(&mut faults, "home", text, NodeId::new),
    };
    for state in &request.states {
        if v1::TimerState::try_from(*state).is_err() {
            faults.invalid("states", format!("{state} is no state"));
        }
    }
    let states = request.states.into_iter().collect();
    let filter = Filter {
        states,
        labels: request.labels,
        home,
    };
    let listing = pool.zip(size).map(|(pool, size)| Listing {
        pool,
        after,
        size,
        filter,
    });
    faults.finish(listing)
}

fn after(faults: &mut Faults, token: &str, pool: Option<&PoolId>) -> Option<TimerName> {
    if token.is_empty() {
        return None;
    }
    let name = TimerName::parse(token).ok();
    if name
        .as_ref()
        .is_none_or(|name| pool.is_some_and(|pool| *pool != name.pool))
    {
        faults.invalid(
            "page_token",
            "is not a token of this list; begin again without one",
        );
    }
    name
}

/// The size of a page of anything; 0 asks for the default.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is negative or more than [`PAGE_MAX`].
pub fn page_size(size: i32) -> Result<usize, tonic::Status> {
    let mut faults = Faults::default();
    let size = read_page_size(&mut faults, size);
    faults.finish(size)
}

pub(super) fn read_page_size(faults: &mut Faults, size: i32) -> Option<usize> {
    match size {
        0 => Some(PAGE_DEFAULT.unsigned_abs() as usize),
        1..=PAGE_MAX => Some(size.unsigned_abs() as usize),
        _ => {
            faults.invalid("page_size", format!("is {size}; must be 0 to {PAGE_MAX}"));
            None
        }
    }
}
