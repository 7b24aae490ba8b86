//! What the pools keep, out and in as lines: AdminService.Export and Import.
//!
//! A pool is exported in pieces, each as it is in one turn, and the next one only when the last was taken. An import
//! is read to its end and judged whole, by the form of its lines and by what the pools have, before any pool takes
//! anything in; each pool then does so in pieces too. It is answered when that is durable.

mod export;

pub(crate) use export::export;

use crate::pool::Handle;
use crate::pools::Pools;
use dormouse_edge::transfer::{BadLine, Line};
use dormouse_edge::{answer, fault};
use dormouse_engine::id::{PoolId, TimerName, Uid};
use dormouse_engine::ledger::{Fact, PIECE_FACTS_MAX, Restore, Restored, TOKEN_BITS};
use dormouse_engine::op::Answer;
use dormouse_engine::time::{LogIndex, Millis};
use dormouse_proto::v1;
use std::collections::{BTreeMap, BTreeSet};
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Lines of one import, in bytes, all in memory at once.
const IMPORT_BYTES_MAX: usize = 1 << 30;
/// Bad lines of one answer; whoever corrects so many asks again.
const BAD_LINES_MAX: usize = 1_000;
/// Of these at most so many stand in the details of an error, which travel in a header.
const DETAILS_MAX: usize = 20;
/// The highest token index that is taken over, as the ledger itself bounds it.
const INDEX_MAX: u64 = 1 << 38;

fn ending() -> Status {
    answer::unavailable("the coordinator is ending", Millis(500))
}

/// Puts the lines of a stream into the pools.
pub(crate) async fn import(
    pools: &Pools,
    mut stream: Streaming<v1::ImportRequest>,
) -> Result<v1::ImportResponse, Status> {
    let mut import = Import::default();
    loop {
        let Some(message) = stream.message().await? else {
            let why = "the stream ended without it; nothing was changed";
            return Err(fault::invalid("last", why));
        };
        import.partial = message.partial;
        import.rehearse = message.validate_only;
        for line in &message.lines {
            import.take(line)?;
        }
        if message.last {
            break;
        }
    }
    import.close();
    import.apply(pools).await
}

/// An import on its way: what was read, by pools.
#[derive(Default)]
struct Import {
    partial: bool,
    rehearse: bool,
    bytes: usize,
    lines: u64,
    /// The pool that the next fact belongs to.
    pool: Option<PoolId>,
    pools: BTreeMap<PoolId, Brought>,
    ended: bool,
    bad: Vec<Bad>,
    is_taken: bool,
}

/// What a pool is brought.
#[derive(Default)]
struct Brought {
    index: LogIndex,
    facts: Vec<Fact>,
    /// From which line each fact is, counted from 0.
    lines: Vec<u64>,
    names: BTreeSet<TimerName>,
    uids: BTreeSet<Uid>,
}

/// A line that cannot be imported, counted from 0.
struct Bad {
    line: u64,
    why: BadLine,
}

impl Import {
    fn take(&mut self, line: &str) -> Result<(), Status> {
        let number = self.lines;
        self.lines += 1;
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes > IMPORT_BYTES_MAX {
            let why = "an import has at most 1 GiB; import pool by pool";
            return Err(Status::with_error_details(
                Code::ResourceExhausted,
                why,
                fault::details("TOO_LONG"),
            ));
        }
        let read = Line::read(line).and_then(|line| self.place(number, line));
        if let Err(why) = read {
            self.refuse(number, why);
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, why: BadLine) {
        if self.bad.len() < BAD_LINES_MAX {
            self.bad.push(Bad { line, why });
        }
    }

    fn place(&mut self, number: u64, line: Line) -> Result<(), BadLine> {
        if self.ended {
            return Err(BadLine::whole("stands after the end"));
        }
        match (number, line) {
            (0, Line::Head(_)) => {}
            (_, Line::Head(_)) => return Err(BadLine::whole("only the first line may be a head")),
            (0, _) => {
                let why = "the first line must be of the kind `dormouse_export`";
                return Err(BadLine::whole(why));
            }
            (_, Line::Pool(pool)) => {
                if pool.index.0 > INDEX_MAX {
                    return Err(BadLine::whole("index: is higher than any ledger reaches"));
                }
                let brought = self.pools.entry(pool.pool.clone()).or_default();
                brought.index = brought.index.max(pool.index);
                self.pool = Some(pool.pool);
            }
            (_, Line::Fact(fact)) => self.add(number, fact)?,
            (number, Line::End(end)) => {
                self.ended = true;
                if end.lines != number {
                    let why = format!("lines: says {}, and {number} are here", end.lines);
                    return Err(BadLine::whole(why));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, number: u64, fact: Fact) -> Result<(), BadLine> {
        let Some(pool) = &self.pool else {
            return Err(BadLine::whole("stands before the line of its pool"));
        };
        if let Fact::Timer(timer) = &fact {
            if timer.name.pool != *pool {
                let why = format!("name: is not of pool {pool}, whose line is before it");
                return Err(BadLine::whole(why));
            }
            if timer.token.0 >> TOKEN_BITS > INDEX_MAX {
                return Err(BadLine::whole("token: is higher than any ledger reaches"));
            }
        }
        let brought = self.pools.entry(pool.clone()).or_default();
        if let Fact::Timer(timer) = &fact {
            if !brought.uids.insert(timer.uid) {
                return Err(BadLine::whole("uid: a line before has it already"));
            }
            if !brought.names.insert(timer.name.clone()) {
                return Err(BadLine::whole("name: a line before has it already"));
            }
        }
        brought.facts.push(fact);
        brought.lines.push(number);
        Ok(())
    }

    /// Lines that were cut off cannot be told from those that never were, but by the end.
    fn close(&mut self) {
        if !self.ended {
            let why = "the last line must be of the kind `end`: the export is not whole";
            self.refuse(self.lines.saturating_sub(1), BadLine::whole(why));
        }
    }

    async fn apply(mut self, pools: &Pools) -> Result<v1::ImportResponse, Status> {
        self.verdict()?;
        let brought = std::mem::take(&mut self.pools).into_iter();
        let mut brought: Vec<_> = brought
            .filter(|(_, facts)| !facts.facts.is_empty())
            .map(|(pool, facts)| (pools.find(&pool), pool, facts))
            .collect();
        let rehearsed = self.pass(&brought, true).await?;
        self.verdict()?;
        if self.rehearse {
            return Ok(self.answer(rehearsed));
        }
        // No pool is made for an import that is refused.
        for (handle, pool, _) in &mut brought {
            let made = pools.find_or_make(pool).await;
            *handle = Some(made.map_err(|why| answer::refusal(&why))?);
        }
        let applied = self.pass(&brought, false).await?;
        // Somebody took a name between the two passes.
        self.verdict()?;
        Ok(self.answer(applied))
    }

    fn answer(self, counts: v1::ImportResponse) -> v1::ImportResponse {
        v1::ImportResponse {
            refused: self.bad.into_iter().map(Bad::told).collect(),
            ..counts
        }
    }

    /// Has every pool judge, or take in, what it is brought.
    async fn pass(
        &mut self,
        brought: &[(Option<Handle>, PoolId, Brought)],
        rehearse: bool,
    ) -> Result<v1::ImportResponse, Status> {
        let mut answer = v1::ImportResponse::default();
        let mut taken = Vec::new();
        for (handle, _, facts) in brought {
            let restored = match handle {
                Some(handle) => self.bring(handle, facts, rehearse).await?,
                // In a pool that is not there everything is new.
                None => Restored {
                    created: facts.timers(),
                    ..Restored::default()
                },
            };
            answer.created += restored.created;
            answer.known += restored.known;
            for (at, name) in restored.taken {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let line = facts.lines.get(at).copied().unwrap_or_default();
                let why = format!("name: another timer has the name {name}");
                taken.push((line, BadLine::whole(why)));
            }
        }
        // With `partial` both passes find the same ones.
        if rehearse || !self.partial {
            self.is_taken = self.bad.is_empty() && !taken.is_empty();
            for (line, why) in taken {
                self.refuse(line, why);
            }
        }
        Ok(answer)
    }

    async fn bring(
        &self,
        handle: &Handle,
        facts: &Brought,
        rehearse: bool,
    ) -> Result<Restored, Status> {
        let mut all = Restored::default();
        for (number, piece) in (0..).zip(facts.facts.chunks(PIECE_FACTS_MAX)) {
            let restore = Restore {
                index: facts.index,
                facts: piece.to_vec(),
                partial: self.partial,
                rehearse,
            };
            let restored = match handle.bring(restore).await {
                Some(Answer::Restored(restored)) => *restored,
                Some(other) => return Err(answer::unexpected(&other)),
                None => return Err(ending()),
            };
            let before = number * PIECE_FACTS_MAX as u64;
            all.created += restored.created;
            all.known += restored.known;
            let taken = restored.taken.into_iter();
            all.taken
                .extend(taken.map(|(at, name)| (before + at, name)));
        }
        Ok(all)
    }

    /// An error if something is bad and nothing is wanted in part.
    fn verdict(&self) -> Result<(), Status> {
        if self.bad.is_empty() || self.partial {
            return Ok(());
        }
        let (code, reason) = match self.is_taken {
            true => (Code::AlreadyExists, "NAME_TAKEN"),
            false => (Code::InvalidArgument, "INVALID_FIELD"),
        };
        let mut details: ErrorDetails = fault::details(reason);
        for bad in self.bad.iter().take(DETAILS_MAX) {
            details.add_bad_request_violation(bad.path(), &bad.why.why);
        }
        let words = match self.bad.first() {
            Some(first) => format!(
                "{} lines cannot be imported, and nothing was changed; the first is {}: {}",
                self.bad.len(),
                first.path(),
                first.why
            ),
            None => String::new(),
        };
        Err(Status::with_error_details(code, words, details))
    }
}

impl Brought {
    fn timers(&self) -> u64 {
        let timers = self.facts.iter();
        timers.filter(|it| matches!(it, Fact::Timer(_))).count() as u64
    }
}

impl Bad {
    fn path(&self) -> String {
        match self.why.column {
            0 => format!("lines[{}]", self.line),
            column => format!("lines[{}]:{column}", self.line),
        }
    }

    fn told(self) -> v1::RefusedLine {
        v1::RefusedLine {
            line: self.line + 1,
            column: self.why.column as u64,
            why: self.why.why,
        }
    }
}
