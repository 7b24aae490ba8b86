//! What the raw bytes of sled's file prove: every group before the newest frame in it was durable.
//!
//! ```text
//!   frame in the file = version:u8 seal:[8] first:u64 crc32c:u32 ...      proves: `first - 1` was durable
//! ```
//!
//! sled takes the first byte of its newest segment that does not read for the end of the log, and blanks
//! what follows. One unit is in flight, so a frame is only ever written when all groups before it are
//! durable; that holds for stale bytes too, and for a torn write. The seal is random and of this log
//! alone, so that no payload can pass for a frame. What follows from a proof is left to `disk`.

use crate::frame::{SEALED_BYTES, Seal, sealed_first};
use memchr::memmem::Finder;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

const WINDOW_BYTES: usize = 1 << 20;

/// The last position that was durable for certain, from one reading of the file at `path`.
pub(crate) fn durable_position(path: &Path, seal: Seal) -> io::Result<u64> {
    newest_proof(File::open(path)?, seal, WINDOW_BYTES)
}

fn newest_proof(mut input: impl Read, seal: Seal, window_bytes: usize) -> io::Result<u64> {
    let seal = Finder::new(&seal);
    let mut window = vec![0; SEALED_BYTES + window_bytes];
    let (mut kept, mut proven) = (0, 0);
    loop {
        let read = match input.read(&mut window[kept..]) {
            Ok(0) => return Ok(proven),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let filled = kept + read;
        proven = proven.max(newest_first(&seal, &window[..filled]).saturating_sub(1));
        // A frame that is not whole yet is seen again with the next bytes.
        kept = filled.min(SEALED_BYTES - 1);
        window.copy_within(filled - kept..filled, 0);
    }
}

/// The highest first position of the frames in `bytes`; 0 if there is none.
fn newest_first(seal: &Finder<'_>, bytes: &[u8]) -> u64 {
    // The version stands before the seal.
    let frames = seal.find_iter(bytes).filter_map(|at| {
        let begin = at.checked_sub(1)?;
        sealed_first(bytes.get(begin..begin + SEALED_BYTES)?)
    });
    frames.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    const SEAL: Seal = *b"\x01sealed\x01";

    fn proof(bytes: &[u8], window_bytes: usize) -> u64 {
        newest_proof(bytes, SEAL, window_bytes).unwrap()
    }

    #[test]
    fn a_frame_is_found_wherever_it_stands_and_however_the_file_is_read() {
        let frame = &frame::split(SEAL, 7, 9, b"payload")[0].1;
        for before in 0..70 {
            let bytes = [&vec![1; before], &frame[..], &[0; 9]].concat();
            for window_bytes in [1, 2, 7, 20, 64, 4096] {
                assert_eq!(proof(&bytes, window_bytes), 6, "{before} {window_bytes}");
            }
        }
    }

    #[test]
    fn the_newest_frame_counts_whatever_the_order_and_a_torn_one_is_none() {
        let frame = |first| frame::split(SEAL, first, first, b"x").remove(0).1;
        let whole = [frame(5), frame(8), frame(2)].concat();
        assert_eq!(proof(&whole, 64), 7);
        let torn = [&frame(5)[..], &frame(8)[..SEALED_BYTES - 1]].concat();
        assert_eq!(proof(&torn, 64), 4);
        assert_eq!(proof(&frame(0), 64), 0);
        assert_eq!(proof(&[], 64), 0);
    }

    #[test]
    fn a_damaged_or_foreign_frame_proves_nothing() {
        let frame = frame::split(SEAL, 8, 8, b"x").remove(0).1;
        for byte in 0..SEALED_BYTES {
            let mut flipped = frame.clone();
            flipped[byte] ^= 4;
            assert_eq!(proof(&flipped, 64), 0, "byte {byte}");
        }
        let foreign = frame::split(*b"another!", 8, 8, b"x").remove(0).1;
        assert_eq!(proof(&foreign, 64), 0);
    }
}
