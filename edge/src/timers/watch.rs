//! Every change of the timers of a pool, as a stream that a client goes on with after a break.
//!
//! The engine numbers what changes and keeps the newest of it; the shell says that there is something new. A token
//! is the number of a change beside the name of those who count: after a restart, or at another node, the numbers
//! mean something else, and the client is told to forget what it knows and begin again.
//!
//! What is told is what the asked one itself keeps: of other timers it hears of no change, and they would stay for ever
//! as they were first told.

use super::Ask;
use super::changes::refused;
use crate::answer;
use crate::fault;
use crate::request;
use crate::room::{Held, Share};
use dormouse_engine::id::{PoolId, TimerName};
use dormouse_engine::op::{Answer, Event, Op};
use dormouse_proto::v1;
use futures_util::{Stream, StreamExt as _, stream};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;
use v1::watch_timers_response::Change;

/// Changes that are read at once; a client that reads slowly holds no more than these.
const READ_MAX: u32 = 256;

/// How a watcher hears that there is something new.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Who counts the changes; another process counts anew.
    pub counter: u128,
    /// The number of the newest change that is durable; ends with the process.
    pub newest: watch::Receiver<u64>,
}

/// The changes of a pool, from the token of the request on.
pub(super) fn watch<A: Ask>(
    owner: Arc<A>,
    request: &v1::WatchTimersRequest,
    share: Option<Share>,
) -> Result<impl Stream<Item = Result<v1::WatchTimersResponse, Status>> + Send + 'static, Status> {
    let pool = request::bare_pool("pool", &request.pool)?;
    let pool = pool.unwrap_or_else(|| owner.own_pool());
    let token = Token::parse(&request.resume_token)?;
    let Some(feed) = owner.feed(&pool) else {
        return Err(answer::missing(&format!("pool {pool}")));
    };
    let ending = owner.ending();
    let known = token.filter(|token| token.counter == feed.counter);
    let watching = Watching {
        owner,
        pool,
        feed,
        place: Place::After(known.map(|token| token.number)),
        ready: VecDeque::new(),
        share,
        held: None,
        is_over: false,
    };
    let changes = stream::unfold(watching, |mut watching| async {
        let next = watching.next().await?;
        Some((next, watching))
    });
    Ok(changes.take_until(Box::pin(ending)))
}

struct Watching<A> {
    owner: Arc<A>,
    pool: PoolId,
    feed: Feed,
    place: Place,
    ready: VecDeque<v1::WatchTimersResponse>,
    /// Where the place of what was read and not taken comes from, unless nobody counts.
    share: Option<Share>,
    held: Option<Held>,
    is_over: bool,
}

/// How far a watcher has come.
#[derive(Debug, Clone)]
enum Place {
    /// It knows what has changed up to this; if none, it knows nothing.
    After(Option<u64>),
    /// It is being told every timer that is kept here, up to this one; what changes meanwhile comes after this number.
    Listing { last: Option<TimerName>, then: u64 },
}

impl<A: Ask> Watching<A> {
    /// The next change; none after the stream has ended with an error.
    async fn next(&mut self) -> Option<Result<v1::WatchTimersResponse, Status>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            self.held = None;
            if self.is_over {
                return None;
            }
            if let Some(share) = &self.share {
                self.held = Some(share.wait().await);
            }
            let read = match self.place.clone() {
                Place::After(after) => self.read(after).await,
                Place::Listing { last, then } => self.list(last, then).await,
            };
            if let Err(status) = read {
                self.is_over = true;
                return Some(Err(status));
            }
        }
    }

    /// Reads what has changed; if that is nothing, waits until it is something.
    async fn read(&mut self, after: Option<u64>) -> Result<(), Status> {
        // What changes from here on is told by the feed also if it is not in this answer.
        self.feed.newest.mark_unchanged();
        let op = Op::News {
            after,
            limit: READ_MAX,
        };
        let news = match self.owner.ask(&self.pool, op).await {
            Answer::News(news) => news,
            other => return Err(refused(&other)),
        };
        if news.reset {
            self.place = Place::Listing {
                last: None,
                then: news.upto,
            };
            self.tell(None, String::new(), true);
            return Ok(());
        }
        self.place = Place::After(Some(news.upto));
        for (number, event) in news.events {
            let token = self.token(number);
            self.tell(Some(change(event)), token, false);
        }
        if !news.more && self.ready.is_empty() {
            self.held = None;
            let changed = self.feed.newest.changed().await;
            changed.map_err(|_| refused(&super::ending()))?;
        }
        Ok(())
    }

    /// Reads a part of what there is. Only the last timer of all has a token: who breaks off before begins anew.
    async fn list(&mut self, last: Option<TimerName>, then: u64) -> Result<(), Status> {
        let op = Op::Kept {
            after: last,
            limit: READ_MAX,
        };
        let (timers, more) = match self.owner.ask(&self.pool, op).await {
            Answer::List { timers, more } => (timers, more),
            other => return Err(refused(&other)),
        };
        let more = more && !timers.is_empty();
        let last = timers.last().map(|timer| timer.name.clone());
        for timer in &timers {
            self.tell(
                Some(Change::Timer(answer::timer(timer))),
                String::new(),
                false,
            );
        }
        if more {
            self.place = Place::Listing { last, then };
            return Ok(());
        }
        let token = self.token(then);
        match self.ready.back_mut() {
            Some(end) => end.resume_token = token,
            // There was nothing, or it has been told already.
            None => self.tell(None, token, false),
        }
        self.place = Place::After(Some(then));
        Ok(())
    }

    fn tell(&mut self, change: Option<Change>, resume_token: String, reset: bool) {
        self.ready.push_back(v1::WatchTimersResponse {
            change,
            resume_token,
            reset,
        });
    }

    fn token(&self, number: u64) -> String {
        let counter = self.feed.counter;
        Token { counter, number }.to_string()
    }
}

fn change(event: Event) -> Change {
    match event {
        Event::Timer(timer) => Change::Timer(answer::timer(&timer)),
        Event::Removed(name) => Change::Removed(name.to_string()),
        Event::Run(name, run) => Change::Run(answer::run(&name, &run)),
    }
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    counter: u128,
    number: u64,
}

impl Token {
    fn parse(text: &str) -> Result<Option<Self>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        let read = text.split_once('.').and_then(|(counter, number)| {
            Some(Self {
                counter: u128::from_str_radix(counter, 16).ok()?,
                number: number.parse().ok()?,
            })
        });
        match read {
            Some(token) => Ok(Some(token)),
            None => Err(fault::invalid(
                "resume_token",
                "is not a token of a watch; begin again without one",
            )),
        }
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{}", self.counter, self.number)
    }
}
