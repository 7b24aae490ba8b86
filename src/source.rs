//! What an import reads: a file as text, places in it, and what there is to say about them.
//!
//! Every form of file shares this; what a line or a document means is for the reader of that form.

use crate::failure::Failure;
use dormouse_agent::engine::schedule::{Cron, Schedule};
use dormouse_agent::engine::time::WallTime;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

/// A file that is longer than this was not written by people.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Line and column, counted in characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Something to tell about a place in the file; shown as `LINE:COLUMN: text`, for a file's name in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) place: Place,
    pub(crate) text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}",
            self.place.line, self.place.column, self.text
        )
    }
}

/// Why `validate` refuses a schedule.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The character of the expression that is wrong, counted from 0, if it is one.
    pub(crate) offset: Option<usize>,
    pub(crate) why: String,
}

/// What the engine says of an expression in a zone.
pub(crate) fn validate(expression: &str, zone: &str) -> Result<(), Refusal> {
    let now = WallTime(crate::output::millis(SystemTime::now()));
    let judged = Cron::parse(expression, zone).and_then(|cron| Schedule::Cron(cron).check(now));
    judged.map_err(|why| Refusal {
        offset: why.offset(),
        why: why.to_string(),
    })
}

/// Reads a file, or standard input for `-`; `kind` is what it should be, such as `crontab`.
pub(crate) fn read(file: &Path, kind: &str) -> Result<String, Failure> {
    let bytes = bytes(file, kind)?;
    String::from_utf8(bytes).map_err(|_| refused(file, "it is not UTF-8"))
}

/// The same for what may not be text.
pub(crate) fn bytes(file: &Path, kind: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(file, error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(
            file,
            format!("it is above 4 MiB, which is no {kind}"),
        ));
    }
    Ok(bytes)
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(file: &Path) -> Result<Box<dyn std::io::Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let opened = std::fs::File::open(file).map_err(|error| refused(file, error))?;
    Ok(Box::new(opened))
}

pub(crate) fn refused(file: &Path, why: impl fmt::Display) -> Failure {
    Failure::failed(format!("cannot read {}: {why}", file.display()))
}

/// The FNV-1a hash of 64 bits: short, and the same for ever, unlike the hashes of the standard library.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_judges_expressions_and_zones() {
        assert!(validate("*/5 * * * *", "Europe/Berlin").is_ok());
        let wrong = validate("0 99 * * *", "UTC").unwrap_err();
        assert_eq!(wrong.offset, Some(2), "{wrong:?}");
        assert!(validate("0 0 30 2 *", "UTC").is_err());
        assert!(validate("0 0 * * *", "Mars/Base").is_err());
    }
}
