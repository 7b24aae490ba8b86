//! Pages of timers: filled from one pool after the other, up to the size that was asked for or that a message
//! can hold.

use super::Ask;
use crate::answer;
use crate::request::{self, Listing};
use dormouse_engine::id::{PoolId, TimerName};
use dormouse_engine::op::{Answer, Op};
use dormouse_engine::timer::Timer;
use dormouse_proto::v1;
use prost::Message as _;
use tonic::Status;

/// How many lists of the engine one filtered page looks through before it answers with what it has.
const ROUNDS_MAX: usize = 10;
/// A page that has this many bytes is full: most clients take messages up to 4 MiB, and what is not read is kept.
const BYTES_MAX: usize = 1024 * 1024;

/// Whether a page is full while there is more in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Yes,
    No,
}

/// The page that a list asks for.
pub(super) async fn list(
    owner: &impl Ask,
    listing: &Listing,
) -> Result<v1::ListTimersResponse, Status> {
    let pools = match &listing.pool {
        Some(pool) => vec![pool.clone()],
        None => owner.pools(),
    };
    let mut page = Page::new(listing);
    let begun = |pool: &PoolId| {
        listing
            .after
            .as_ref()
            .is_none_or(|after| after.pool <= *pool)
    };
    for pool in pools.iter().filter(|pool| begun(pool)) {
        if fill(owner, pool, &mut page).await? == Filled::Yes {
            return Ok(page.response(true));
        }
        if page.is_full() {
            let is_last = pools.last() == Some(pool);
            return Ok(page.response(!is_last));
        }
    }
    Ok(page.response(false))
}

async fn fill(owner: &impl Ask, pool: &PoolId, page: &mut Page<'_>) -> Result<Filled, Status> {
    loop {
        let after = page.last.clone().filter(|after| after.pool == *pool);
        let op = Op::List {
            after,
            limit: page.limit(),
        };
        match owner.ask(pool, op).await {
            Answer::List { timers, more } => {
                let filled = page.add(&timers, more);
                if filled == Filled::Yes || !more || timers.is_empty() {
                    return Ok(filled);
                }
            }
            Answer::Refused(why) => return Err(answer::refusal(&why)),
            other => return Err(answer::unexpected(&other)),
        }
    }
}

struct Page<'a> {
    listing: &'a Listing,
    found: Vec<v1::Timer>,
    bytes: usize,
    last: Option<TimerName>,
    rounds: usize,
}

impl<'a> Page<'a> {
    fn new(listing: &'a Listing) -> Self {
        let last = listing.after.clone();
        Self {
            listing,
            found: Vec::new(),
            bytes: 0,
            last,
            rounds: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.found.len() < self.listing.size && self.bytes < BYTES_MAX
    }

    fn is_full(&self) -> bool {
        !self.has_room() || self.rounds >= ROUNDS_MAX
    }

    /// A filter may let nothing pass, so that it looks at many for a few.
    fn limit(&self) -> u32 {
        let wanted = match self.listing.takes_all() {
            true => self.listing.size.saturating_sub(self.found.len()).max(1),
            false => request::PAGE_MAX.unsigned_abs() as usize,
        };
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    fn add(&mut self, timers: &[Timer], more: bool) -> Filled {
        // What brought nothing has cost nothing, and the token would not have moved.
        self.rounds += usize::from(!timers.is_empty());
        for timer in timers {
            if !self.has_room() {
                return Filled::Yes;
            }
            self.last = Some(timer.name.clone());
            let shown = answer::timer(timer);
            if self.listing.takes(&shown) {
                self.bytes += shown.encoded_len();
                self.found.push(shown);
            }
        }
        match more && self.is_full() {
            true => Filled::Yes,
            false => Filled::No,
        }
    }

    fn response(self, more: bool) -> v1::ListTimersResponse {
        let token = self.last.filter(|_| more).map(|last| last.to_string());
        v1::ListTimersResponse {
            timers: self.found,
            next_page_token: token.unwrap_or_default(),
        }
    }
}
