//! Lines in, lines out: each line that is read gets exactly one, flushed before the next is read.
//!
//! Lines are bytes: what is no text is a bad line like any other.

use super::stage::Stage;
use std::io::{self, BufRead, Write};

/// Answers every line until the input ends, or until nobody reads the answers any more.
pub(super) fn answer(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut stage = Stage::default();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let answer = stage.line(&line);
        match writeln!(output, "{answer}").and_then(|()| output.flush()) {
            Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
        line.clear();
    }
    Ok(())
}
