//! What the pools keep, out as lines, piece by piece.
//!
//! Each piece is what a pool is in one turn, and the next one is asked for when the last was taken. The lines are
//! written beside the tasks of the pools.

use super::ending;
use crate::pool::Handle;
use dormouse_edge::clock;
use dormouse_edge::transfer::Lines;
use dormouse_engine::ledger::{Exported, Place};
use dormouse_proto::v1;
use futures_util::{Stream, stream};
use tokio::sync::Semaphore;
use tonic::Status;

/// One export after the other writes its lines, so that they take one core at most.
static WRITING: Semaphore = Semaphore::const_new(1);

/// The answers of an export: each piece is asked for when the one before was taken, so that one is in memory at a
/// time.
pub(crate) fn export(
    handles: Vec<Handle>,
) -> impl Stream<Item = Result<v1::ExportResponse, Status>> + Send {
    stream::try_unfold(Export::new(handles), |mut export| async move {
        let answer = export.next().await?;
        Ok(answer.map(|answer| (answer, export)))
    })
}

/// An export on its way.
struct Export {
    /// Pools of which something is left, the current one last.
    handles: Vec<Handle>,
    after: Option<Place>,
    lines: Lines,
    begun: bool,
    ended: bool,
}

impl Export {
    fn new(mut handles: Vec<Handle>) -> Self {
        handles.reverse();
        Self {
            handles,
            after: None,
            lines: Lines::default(),
            begun: false,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<v1::ExportResponse>, Status> {
        if self.ended {
            return Ok(None);
        }
        let mut answer = v1::ExportResponse::default();
        if !self.begun {
            self.begun = true;
            answer.lines_total = self.total().await?;
            answer.lines.push(self.lines.head(clock::now().wall));
        } else if let Some(handle) = self.handles.last() {
            let piece = handle.export(self.after.take()).await.ok_or_else(ending)?;
            self.after.clone_from(&piece.next);
            if piece.next.is_none() {
                self.handles.pop();
            }
            answer.lines = self.write(piece).await?;
        } else {
            self.ended = true;
            answer.lines.push(self.lines.end());
        }
        Ok(Some(answer))
    }

    /// Writes the lines of a piece beside the tasks of the pools: that takes milliseconds, in which nothing due would be
    /// looked at.
    async fn write(&mut self, piece: Exported) -> Result<Vec<String>, Status> {
        let _turn = WRITING.acquire().await;
        let mut lines = std::mem::take(&mut self.lines);
        let written = tokio::task::spawn_blocking(move || {
            let written = lines.piece(piece);
            (lines, written)
        });
        // It fails only when the process ends.
        let (lines, written) = written.await.map_err(|_| ending())?;
        self.lines = lines;
        Ok(written)
    }

    /// How many lines there will be, unless something changes before.
    async fn total(&self) -> Result<u64, Status> {
        let mut total = 2;
        for handle in &self.handles {
            let piece = handle.export(None).await.ok_or_else(ending)?;
            total += 1 + piece.facts_total;
        }
        Ok(total)
    }
}
