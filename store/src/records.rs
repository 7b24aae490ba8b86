//! The state that a start finds, decoded ahead of the machine that takes it in.
//!
//! ```text
//!   disk --> reader: verify, merge --pages--> decoders: one function each --> the caller: next(), in key order
//!             one thread                       as many as there are other cores
//! ```
//!
//! A few pages are on their way at a time, so that neither waits for the other and nothing is kept twice. What
//! the bytes mean is the caller's.

use crate::entry::State;
use crate::error::Error;
use crate::page::Page;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Pages that wait before a decoder, and decoded ones behind it.
const AHEAD: usize = 2;
/// More decoders than this only wait for the one thread that takes in what they decode.
const DECODERS_MAX: usize = 4;

/// The live keys of a journal with their values, in key order, as they are read. Later groups change nothing
/// in it.
pub struct Records {
    pages: Box<dyn Iterator<Item = Result<Page, Error>> + Send>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    pub(crate) fn new(pages: impl Iterator<Item = Result<Page, Error>> + Send + 'static) -> Self {
        Self {
            pages: Box::new(pages),
        }
    }

    /// What a decoder makes of each key and value, in key order. `decoder` makes one for each of the threads that
    /// decode ahead of the caller; both slices are only lent to it.
    pub fn decode<T, D>(self, mut decoder: impl FnMut() -> D) -> Decoded<T>
    where
        T: Send + 'static,
        D: FnMut(&[u8], &[u8]) -> T + Send + 'static,
    {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut decoded = Decoded {
            lanes: Vec::new(),
            turn: 0,
            page: Vec::new().into_iter(),
            end: None,
        };
        let started = (0..(cores - 1).clamp(1, DECODERS_MAX))
            .map(|_| {
                let (lane, steps) = start_decoder(decoder())?;
                decoded.lanes.push(steps);
                Ok(lane)
            })
            .collect::<io::Result<Vec<_>>>()
            .and_then(|lanes| spawn(move || read(self.pages, &lanes)));
        if let Err(e) = started {
            decoded.end = Some(Err(Error::io("start a thread for", "loading".as_ref())(e)));
        }
        decoded
    }

    /// Everything in one map; for tests and tools, since all of it is in memory then.
    ///
    /// # Errors
    /// A file could not be read, or is not as it was written.
    pub fn collect(self) -> Result<State, Error> {
        let mut state = State::new();
        for page in self.pages {
            let page = page?;
            state.extend(page.live().map(|(key, value)| (key.into(), value.into())));
        }
        Ok(state)
    }
}

/// What goes along a lane: pages in turn, then one end in the lane whose turn it is.
enum Step<P> {
    Page(P),
    End(Result<(), Error>),
}

/// Decoded records in key order. It ends early if something does not read: [`finish`](Self::finish) says so,
/// and whatever was built of them must not be used before.
#[must_use = "only `finish` tells whether these were all"]
pub struct Decoded<T> {
    lanes: Vec<Receiver<Step<Vec<T>>>>,
    /// The lane that has the next page.
    turn: usize,
    page: std::vec::IntoIter<T>,
    end: Option<Result<(), Error>>,
}

impl<T> Iterator for Decoded<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(item);
            }
            if self.end.is_some() {
                return None;
            }
            match self.lanes[self.turn].recv() {
                Ok(Step::Page(page)) => self.page = page.into_iter(),
                Ok(Step::End(end)) => self.end = Some(end),
                // The thread is gone without an end: `decode` has panicked.
                Err(_) => {
                    self.end = Some(Err(Error::Stopped("a thread that decoded panicked".into())));
                }
            }
            self.turn = (self.turn + 1) % self.lanes.len();
        }
    }
}

impl<T> Decoded<T> {
    /// Whether the iterator has given everything that there is. What was not taken yet is dropped.
    ///
    /// # Errors
    /// A file could not be read, or is not as it was written.
    pub fn finish(mut self) -> Result<(), Error> {
        while self.next().is_some() {}
        self.end.expect("it has ended")
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("dormouse-load".into());
    thread.spawn(work).map(drop)
}

type Pages = SyncSender<Step<Page>>;

fn start_decoder<T: Send + 'static>(
    mut decode: impl FnMut(&[u8], &[u8]) -> T + Send + 'static,
) -> io::Result<(Pages, Receiver<Step<Vec<T>>>)> {
    let (lane, pages) = sync_channel::<Step<Page>>(AHEAD);
    let (give, steps) = sync_channel(AHEAD);
    spawn(move || {
        for step in pages {
            let step = match step {
                Step::Page(page) => {
                    let live = page.live();
                    Step::Page(live.map(|(key, value)| decode(key, value)).collect())
                }
                Step::End(end) => Step::End(end),
            };
            if give.send(step).is_err() {
                // Nobody wants the rest.
                return;
            }
        }
    })?;
    Ok((lane, steps))
}

fn read(pages: impl Iterator<Item = Result<Page, Error>>, lanes: &[Pages]) {
    let steps = pages.map(|page| page.map_or_else(|error| Step::End(Err(error)), Step::Page));
    let steps = steps.chain(std::iter::once(Step::End(Ok(()))));
    for (step, lane) in steps.zip(lanes.iter().cycle()) {
        let is_end = matches!(step, Step::End(_));
        // If nobody takes it, nobody wants the rest.
        if lane.send(step).is_err() || is_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: u32) -> impl Iterator<Item = Result<Page, Error>> + Send + 'static {
        (0..count).map(|n| {
            let mut page = Page::default();
            page.push(&n.to_be_bytes(), Some(b"x"));
            page.push(&n.to_be_bytes(), None);
            Ok(page)
        })
    }

    fn number(key: &[u8], _: &[u8]) -> u32 {
        u32::from_be_bytes(key.try_into().unwrap())
    }

    #[test]
    fn decoded_records_come_in_key_order_and_all_of_them() {
        for count in [0, 1, 2, 3, 1_000] {
            let mut decoded = Records::new(pages(count)).decode(|| number);
            assert!(decoded.by_ref().eq(0..count));
            decoded.finish().unwrap();
        }
    }

    #[test]
    fn an_error_ends_them_and_finish_tells_it_whether_they_were_taken_or_not() {
        for taken in [false, true] {
            let torn = pages(5).chain([Err(Error::Closed)]).chain(pages(1));
            let mut decoded = Records::new(torn).decode(|| number);
            if taken {
                assert!(decoded.by_ref().eq(0..5));
            }
            assert!(matches!(decoded.finish(), Err(Error::Closed)));
        }
    }

    #[test]
    fn a_panic_of_the_decoder_is_an_error() {
        let decoded =
            Records::new(pages(9)).decode(|| |key: &[u8], _: &[u8]| assert!(number(key, b"") < 3));
        assert!(matches!(decoded.finish(), Err(Error::Stopped(_))));
    }

    #[test]
    fn no_more_than_a_few_pages_are_read_ahead() {
        let (read, count) = std::sync::mpsc::channel();
        let pages = pages(1_000).inspect(move |_| read.send(()).unwrap());
        let mut decoded = Records::new(pages).decode(|| number);
        decoded.next().unwrap();
        // Until the reader stands still, for want of room.
        let patience = std::time::Duration::from_millis(100);
        let ahead = std::iter::from_fn(|| count.recv_timeout(patience).ok()).count();
        assert!(ahead <= (2 * AHEAD + 3) * DECODERS_MAX + 2, "{ahead}");
        drop(decoded);
    }
}
