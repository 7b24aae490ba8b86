//! Room for answers: how many large ones may be in the making or wait for their readers at once.
//!
//! A client that asks for pages and does not read them costs memory for as long as it likes. So each page takes a place
//! before it is asked for, and gives it back when the transport has taken all of it but the last slice. A server has a
//! number of places; a connection may have a quarter as many as are free, and one in any case while there is one. So
//! a client that reads nothing leaves room for others. Who waits too long is refused.

use crate::answer;
use bytes::Bytes;
use dormouse_engine::op::Refusal;
use dormouse_engine::time::Millis;
use http::{Extensions, Response};
use http_body::Frame;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tower::util::MapResponseLayer;

/// Large answers of a server at once. Each is about 1 MiB on the wire, and twice that besides while it is made.
const PLACES: usize = 32;
/// A connection may have this part of the places that are free.
const SHARE: usize = 4;
/// Of one connection so many look for a place at once; more stand in line.
const LOOKING: usize = PLACES / SHARE;
/// How long an answer waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask again after that.
const RETRY_AFTER: Millis = Millis(1_000);
/// How much of an answer the transport is given at once: it takes no more while the reader takes nothing.
const SLICE: usize = 16 * 1024;

/// The places of a server.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Places>);

#[derive(Debug)]
struct Places {
    taken: Mutex<usize>,
    given_back: Notify,
}

/// The places of one connection. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Share {
    places: Arc<Places>,
    /// How many it has; read and written under the lock of all places.
    own: Arc<Mutex<usize>>,
    line: Arc<Semaphore>,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    share: Share,
    _line: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Places {
            taken: Mutex::default(),
            given_back: Notify::new(),
        }))
    }

    /// For a connection that has just come.
    pub(crate) fn share(&self) -> Share {
        Share {
            places: Arc::clone(&self.0),
            own: Arc::default(),
            line: Arc::new(Semaphore::new(LOOKING)),
        }
    }
}

impl Share {
    /// The one of the connection on which a request came; none if no server of ours has it.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Takes a place.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if there is none for too long.
    pub async fn take(&self) -> Result<Held, Status> {
        self.take_within(PATIENCE).await
    }

    async fn take_within(&self, patience: Duration) -> Result<Held, Status> {
        let waited = tokio::time::timeout(patience, self.wait());
        waited.await.map_err(|_| {
            let why = "too many large answers wait to be read; nothing was done, ask again later";
            answer::refusal(&Refusal::Overloaded {
                why: why.into(),
                retry_after: RETRY_AFTER,
            })
        })
    }

    /// Takes a place as soon as there is one.
    pub async fn wait(&self) -> Held {
        let line = Arc::clone(&self.line).acquire_owned();
        let line = line.await.expect("nobody closes the line");
        loop {
            // Before the look: what is given back after it is heard.
            let given_back = self.places.given_back.notified();
            if self.try_take() {
                return Held {
                    share: self.clone(),
                    _line: line,
                };
            }
            given_back.await;
        }
    }

    fn try_take(&self) -> bool {
        let mut taken = lock(&self.places.taken);
        let mut own = lock(&self.own);
        let free = PLACES.saturating_sub(*taken);
        let has_room = free > 0 && *own < (free / SHARE).max(1);
        if has_room {
            *taken += 1;
            *own += 1;
        }
        has_room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = lock(&self.share.places.taken);
        *taken -= 1;
        *lock(&self.share.own) -= 1;
        drop(taken);
        self.share.places.given_back.notify_waiters();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A response that keeps its place until it is read.
pub(crate) fn keep<T>(response: T, held: Option<Held>) -> tonic::Response<T> {
    let mut response = tonic::Response::new(response);
    if let Some(held) = held {
        response.extensions_mut().insert(Arc::new(held));
    }
    response
}

/// Moves places from responses into their bodies.
pub type Layer = MapResponseLayer<fn(Response<Body>) -> Response<Body>>;

/// The layer that every server of ours has.
pub(crate) fn layer() -> Layer {
    MapResponseLayer::new(move_in)
}

fn move_in(mut response: Response<Body>) -> Response<Body> {
    let Some(held) = response.extensions_mut().remove::<Arc<Held>>() else {
        return response;
    };
    response.map(|body| {
        Body::new(Paced {
            body,
            rest: Bytes::new(),
            held: Some(held),
        })
    })
}

/// A body that is given to the transport in slices, and then gives its place back.
struct Paced {
    body: Body,
    /// Of the frame that was taken last.
    rest: Bytes,
    held: Option<Arc<Held>>,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => {
                    self.held = None;
                    return Poll::Ready(end);
                }
            }
        }
        let length = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Full};

    fn fill(share: &Share) -> Vec<Held> {
        let held = std::iter::from_fn(|| {
            let line = Arc::clone(&share.line).try_acquire_owned().ok()?;
            share.try_take().then(|| Held {
                share: share.clone(),
                _line: line,
            })
        });
        held.collect()
    }

    #[test]
    fn those_who_read_nothing_leave_room_for_others() {
        let room = Room::new();
        let rude: Vec<Vec<Held>> = (0..PLACES).map(|_| fill(&room.share())).collect();
        assert!(rude[0].len() > 1, "one alone has several");
        assert!(rude.iter().take(12).all(|held| !held.is_empty()));
        let taken: usize = rude.iter().map(Vec::len).sum();
        assert!(taken <= PLACES, "{taken}");
    }

    #[tokio::test]
    async fn who_waits_too_long_is_refused_and_a_place_that_is_given_back_is_taken() {
        let room = Room::new();
        let share = room.share();
        let mut held = fill(&share);
        let refused = share.take_within(Duration::from_millis(20)).await;
        let refused = refused.expect_err("there is no place");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let (next, ()) = tokio::join!(share.take(), async { drop(held.pop()) });
        assert!(next.is_ok());
    }

    #[tokio::test]
    async fn a_body_keeps_its_place_until_all_of_it_is_taken() {
        let share = Room::new().share();
        let held = share.take().await.expect("there is room");
        let full = Full::new(Bytes::from(vec![7; 3 * SLICE + 1]));
        let mut response = Response::new(Body::new(full));
        response.extensions_mut().insert(Arc::new(held));
        let mut body = move_in(response).into_body();
        for length in [SLICE, SLICE, SLICE, 1] {
            assert_eq!(*lock(&share.own), 1);
            let frame = body.frame().await.expect("more").expect("no error");
            assert_eq!(frame.into_data().expect("data").len(), length);
        }
        assert!(body.frame().await.is_none());
        assert_eq!(*lock(&share.own), 0);
    }
}
