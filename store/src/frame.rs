//! One unit of the log as chunks: what stands under each key of sled, and how it is read back.
//!
//! ```text
//!   key   = first:u64be chunk:u32be             so that keys sort as groups were appended
//!   value = version:u8 seal:[8] first:u64 head:u32 crc32c:u32 unit:u32 last:u64 chunks:u32 payload
//! ```
//!
//! `crc32c` covers the key and all but itself, `unit` is the checksum of the whole payload, so that
//! chunks of two attempts never pass as one unit. `first ..= last` are the positions of the groups.
//! What stands up to `head`, its own checksum, is found in the raw bytes of a file by `proof`.

use crate::codec::Reader;

/// The version of a frame that this program writes, and the only one that it reads.
pub(crate) const VERSION: u8 = 1;

/// The longest value, in bytes. A leaf of sled holds up to seventeen values and becomes an unsynced
/// blob file above 128 KiB, so that seventeen of these and their keys must stay below that.
pub(crate) const VALUE_BYTES_MAX: usize = 7 * 1024;

/// Eight random bytes of one log, by which its frames are found in raw bytes.
pub(crate) type Seal = [u8; 8];

/// The part of a header that can be read without its key: version, seal, first position, checksum.
pub(crate) const SEALED_BYTES: usize = 1 + 8 + 8 + 4;

/// Where the checksum of key and value stands.
const CRC_AT: usize = SEALED_BYTES;
const HEADER_BYTES: usize = SEALED_BYTES + 4 + 4 + 8 + 4;
const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX - HEADER_BYTES;

/// The key of a chunk.
pub(crate) type Key = [u8; 12];

pub(crate) fn key(first: u64, chunk: u32) -> Key {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The first position and the number of the chunk under `key`, or `None` if it is no key of ours.
pub(crate) fn parse_key(key: &[u8]) -> Option<(u64, u32)> {
    let (first, chunk) = key.split_at_checked(8)?;
    Some((
        u64::from_be_bytes(first.try_into().ok()?),
        u32::from_be_bytes(chunk.try_into().ok()?),
    ))
}

/// The first position in a sealed head, or `None` if the bytes are not one that we wrote.
pub(crate) fn sealed_first(head: &[u8]) -> Option<u64> {
    let (body, crc) = head.split_at_checked(SEALED_BYTES - 4)?;
    let crc = u32::from_le_bytes(crc.try_into().ok()?);
    let first = u64::from_le_bytes(body[9..].try_into().ok()?);
    (body[0] == VERSION && crc == crc32c::crc32c(body)).then_some(first)
}

fn sealed_head(seal: Seal, first: u64) -> Vec<u8> {
    let mut head = vec![VERSION];
    head.extend_from_slice(&seal);
    head.extend_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&head);
    head.extend_from_slice(&crc.to_le_bytes());
    head
}

/// The keys and values of one unit, in the order in which they are written.
pub(crate) fn split(seal: Seal, first: u64, last: u64, payload: &[u8]) -> Vec<(Key, Vec<u8>)> {
    let unit = crc32c::crc32c(payload);
    let chunks = payload.len().div_ceil(PAYLOAD_BYTES_MAX).max(1);
    let count = u32::try_from(chunks).expect("a unit has less than 2^32 chunks");
    let part = |chunk: u32| {
        let begin = chunk as usize * PAYLOAD_BYTES_MAX;
        &payload[begin..payload.len().min(begin + PAYLOAD_BYTES_MAX)]
    };
    (0..count)
        .map(|chunk| {
            let key = key(first, chunk);
            let mut value = sealed_head(seal, first);
            value.extend_from_slice(&[0; 4]);
            value.extend_from_slice(&unit.to_le_bytes());
            value.extend_from_slice(&last.to_le_bytes());
            value.extend_from_slice(&count.to_le_bytes());
            value.extend_from_slice(part(chunk));
            let crc = checksum(&key, &value);
            value[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
            (key, value)
        })
        .collect()
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), &value[..CRC_AT]);
    crc32c::crc32c_append(crc, &value[CRC_AT + 4..])
}

/// Why a chunk or a unit does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A newer program wrote it.
    Newer(u8),
    /// Chunks are missing: at the end of the log, a write that was never acknowledged.
    Incomplete,
    /// The bytes are not the ones that were written.
    Damaged(&'static str),
}

/// One chunk that is as it was written.
struct Chunk<'a> {
    number: u32,
    unit: u32,
    last: u64,
    count: u32,
    payload: &'a [u8],
}

fn read_chunk<'a>(key: &[u8], value: &'a [u8]) -> Result<Chunk<'a>, Flaw> {
    let (_, number) = parse_key(key).ok_or(Flaw::Damaged("a key that is not ours"))?;
    match value.first() {
        Some(&VERSION) => {}
        Some(&version) if version > VERSION => return Err(Flaw::Newer(version)),
        _ => return Err(Flaw::Damaged("a chunk without a version")),
    }
    let short = Flaw::Damaged("a chunk that is too short");
    let mut reader = Reader::new(value.get(CRC_AT..).unwrap_or_default());
    let header = (reader.u32(), reader.u32(), reader.u64(), reader.u32());
    let (Some(crc), Some(unit), Some(last), Some(count)) = header else {
        return Err(short);
    };
    if crc != checksum(key, value) {
        return Err(Flaw::Damaged("a chunk with a wrong checksum"));
    }
    Ok(Chunk {
        number,
        unit,
        last,
        count,
        payload: &value[HEADER_BYTES..],
    })
}

/// The last position of a unit, and its payload, from its chunks in key order.
pub(crate) fn join<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    chunks: &[(K, V)],
) -> Result<(u64, Vec<u8>), Flaw> {
    let read: Vec<Chunk<'_>> = chunks
        .iter()
        .map(|(key, value)| read_chunk(key.as_ref(), value.as_ref()))
        .collect::<Result<_, _>>()?;
    let Some(head) = read.first() else {
        return Err(Flaw::Incomplete);
    };
    let of_one_write =
        |c: &Chunk<'_>| (c.unit, c.last, c.count) == (head.unit, head.last, head.count);
    if !read.iter().all(of_one_write) {
        return Err(Flaw::Damaged(
            "chunks of different writes under one position",
        ));
    }
    let in_order = (0..head.count).eq(read.iter().map(|chunk| chunk.number));
    if !in_order {
        return Err(Flaw::Incomplete);
    }
    let length = read.iter().map(|chunk| chunk.payload.len()).sum();
    let mut payload = Vec::with_capacity(length);
    for chunk in &read {
        payload.extend_from_slice(chunk.payload);
    }
    if crc32c::crc32c(&payload) != head.unit {
        return Err(Flaw::Damaged("a unit with a wrong checksum"));
    }
    Ok((head.last, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = *b"a seal!!";

    fn unit() -> Vec<(Key, Vec<u8>)> {
        let payload: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        split(SEAL, 7, 9, &payload)
    }

    #[test]
    fn chunks_join_to_what_was_split() {
        for length in [0, 1, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 1 << 20] {
            let payload = vec![5; length];
            let chunks = split(SEAL, 3, 4, &payload);
            assert!(
                chunks
                    .iter()
                    .all(|(_, value)| value.len() <= VALUE_BYTES_MAX)
            );
            assert!(chunks.is_sorted_by_key(|(key, _)| *key));
            assert_eq!(join(&chunks), Ok((4, payload)));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let chunks = split(SEAL, 1, 1, b"some payload");
        for byte in 0..chunks[0].1.len() {
            for bit in 0..8 {
                let mut flipped = chunks.clone();
                flipped[0].1[byte] ^= 1 << bit;
                assert!(join(&flipped).is_err(), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_missing_chunk_makes_a_unit_incomplete() {
        for gone in 0..unit().len() {
            let mut chunks = unit();
            chunks.remove(gone);
            assert_eq!(join(&chunks), Err(Flaw::Incomplete));
        }
    }

    #[test]
    fn chunks_of_two_writes_do_not_mix() {
        let mut chunks = unit();
        let other = split(SEAL, 7, 9, &vec![1; 20_000]);
        chunks[1] = other[1].clone();
        assert!(matches!(join(&chunks), Err(Flaw::Damaged(_))));
    }

    #[test]
    fn a_chunk_at_another_key_is_damaged() {
        let mut chunks = split(SEAL, 7, 7, b"x");
        chunks[0].0 = key(8, 0);
        assert!(matches!(join(&chunks), Err(Flaw::Damaged(_))));
    }

    #[test]
    fn a_newer_frame_says_so() {
        let mut chunks = split(SEAL, 7, 7, b"x");
        chunks[0].1[0] = VERSION + 1;
        assert_eq!(join(&chunks), Err(Flaw::Newer(VERSION + 1)));
    }
}
