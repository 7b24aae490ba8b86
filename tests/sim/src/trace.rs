//! The record of everything that happened: kept when a story is to be told, else not even written.

use crate::clock::Moment;

/// Lines in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
    /// Folds every event, whether lines are kept or not.
    pub(crate) hash: u64,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            lines: keep.then(Vec::new),
            hash: 0,
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn note(&mut self, at: Moment, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let line = format!("{at}  {}", line());
            self.hash = line.bytes().fold(self.hash, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            lines.push(line);
        }
    }

    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
