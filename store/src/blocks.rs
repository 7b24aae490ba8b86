//! The file of blocks that a snapshot and a run are: sorted entries, checksummed, read and written forward.
//!
//! ```text
//!   file  = "DORMSNAP" block*
//!   block = len:u32 crc32c:u32 body        body  = version:u8 kind:u8 ..., the crc covers number and body
//!   kinds = B at:u64 | C entry* | E at:u64 entries:u64 bytes:u64      one B, any number of C, one E at the end
//! ```
//!
//! A block of entries is about 256 KiB. Where such files are and what they mean is left to `snapshot` and `fold`.

use crate::codec::{self, Reader};
use crate::error::Error;
use crate::page::Page;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DORMSNAP";
/// The version of a block that this program writes, and the only one that it reads.
pub(crate) const VERSION: u8 = 2;
const BEGIN: u8 = b'B';
const CHUNK: u8 = b'C';
const END: u8 = b'E';
/// Version and kind.
const PREFIX_BYTES: usize = 2;
/// A page is written when it has this many bytes.
pub(crate) const PAGE_BYTES: usize = 256 << 10;
/// A file is synced as it grows, so that little of it is ever in the way of the log's fdatasync.
const SYNC_BYTES: usize = 4 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub entries: u64,
    /// Keys and values, and what is around them.
    pub bytes: u64,
}

fn checksum(number: u64, parts: [&[u8]; 2]) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    parts.into_iter().fold(crc, crc32c::crc32c_append)
}

/// A file of blocks that is being written.
pub(crate) struct BlockWriter {
    out: BufWriter<File>,
    path: PathBuf,
    at: u64,
    blocks: u64,
    totals: Totals,
    unsynced: usize,
}

impl BlockWriter {
    /// Begins the file of what is folded up to group `at`. `path` is for errors.
    pub(crate) fn begin(file: File, path: &Path, at: u64) -> Result<Self, Error> {
        let mut writer = Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            at,
            blocks: 0,
            totals: Totals::default(),
            unsynced: 0,
        };
        let begun = writer.out.write_all(MAGIC);
        begun.map_err(|e| writer.failed(e))?;
        writer.block(BEGIN, &at.to_le_bytes())?;
        Ok(writer)
    }

    /// Appends the entries of `page`, which begin after those of the page before.
    pub(crate) fn page(&mut self, page: &Page) -> Result<(), Error> {
        self.totals.entries += page.len() as u64;
        self.totals.bytes += page.bytes().len() as u64;
        self.block(CHUNK, page.bytes())
    }

    /// Makes what is written so far durable, if it is enough to be worth it.
    pub(crate) fn sync_now_and_then(&mut self) -> Result<(), Error> {
        if self.unsynced < SYNC_BYTES {
            return Ok(());
        }
        self.unsynced = 0;
        let flushed = self.out.flush();
        let synced = flushed.and_then(|()| self.out.get_ref().sync_data());
        synced.map_err(|e| self.failed(e))
    }

    /// Writes the end. Durable only when the file that is answered has been synced.
    pub(crate) fn end(mut self) -> Result<(File, Totals), Error> {
        let numbers = [self.at, self.totals.entries, self.totals.bytes];
        let end: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        self.block(END, &end)?;
        let failed = Error::io("write", &self.path);
        let file = self.out.into_inner();
        file.map(|file| (file, self.totals))
            .map_err(|e| failed(e.into_error()))
    }

    fn block(&mut self, kind: u8, rest: &[u8]) -> Result<(), Error> {
        let prefix = [VERSION, kind];
        let mut head = Vec::with_capacity(8 + PREFIX_BYTES);
        codec::put_u32(&mut head, PREFIX_BYTES + rest.len());
        head.extend_from_slice(&checksum(self.blocks, [&prefix, rest]).to_le_bytes());
        head.extend_from_slice(&prefix);
        self.blocks += 1;
        self.unsynced += head.len() + rest.len();
        let written = self.out.write_all(&head);
        let written = written.and_then(|()| self.out.write_all(rest));
        written.map_err(|e| self.failed(e))
    }

    fn failed(&self, e: io::Error) -> Error {
        Error::io("write", &self.path)(e)
    }
}

enum Flaw {
    Io(io::Error),
    Damaged(&'static str),
    Version(u8),
}

/// A file of blocks that is being read, from its beginning to its end.
pub(crate) struct BlockReader {
    file: BufReader<File>,
    path: PathBuf,
    at: u64,
    /// Bytes of the file that are not read yet; no stated length above it is believed.
    left: u64,
    blocks: u64,
    done: bool,
}

impl BlockReader {
    /// Reads the file of what is folded up to group `at`. `path` is for errors.
    pub(crate) fn new(mut file: File, path: &Path, at: u64) -> Result<Self, Error> {
        let left = file.rewind().and_then(|()| file.metadata());
        Ok(Self {
            left: left.map_err(Error::unusable("read", path))?.len(),
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            at,
            blocks: 0,
            done: false,
        })
    }

    /// Reads the whole file and says what it holds, if every byte of it is as it was written.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what a caller can do without if there is another file.
    pub(crate) fn verify(mut self) -> Result<Totals, Error> {
        let mut bytes = 0;
        let totals = loop {
            match self.block().map_err(|flaw| self.error(flaw))? {
                Block::Chunk(body) => bytes += (body.len() - PREFIX_BYTES) as u64,
                Block::End(totals) => break totals,
            }
        };
        if totals.bytes != bytes {
            return Err(self.error(WRONG_END));
        }
        Ok(totals)
    }

    fn block(&mut self) -> Result<Block, Flaw> {
        if self.blocks == 0 {
            if self.take(8)? != MAGIC {
                return Err(Flaw::Damaged("it does not begin as a snapshot"));
            }
            let (kind, body) = self.frame()?;
            if kind != BEGIN || body[PREFIX_BYTES..] != self.at.to_le_bytes() {
                return Err(Flaw::Damaged("its beginning is not that of its name"));
            }
        }
        let (kind, body) = self.frame()?;
        match kind {
            CHUNK => Ok(Block::Chunk(body)),
            END => self.end(&body),
            _ => Err(WRONG_END),
        }
    }

    fn end(&self, body: &[u8]) -> Result<Block, Flaw> {
        let mut reader = Reader::new(&body[PREFIX_BYTES..]);
        let numbers = (reader.u64(), reader.u64(), reader.u64());
        let (Some(at), Some(entries), Some(bytes)) = numbers else {
            return Err(WRONG_END);
        };
        if at != self.at {
            return Err(WRONG_END);
        }
        if self.left > 0 {
            return Err(Flaw::Damaged("something follows its end"));
        }
        Ok(Block::End(Totals { entries, bytes }))
    }

    /// The kind of the next block, and its body with the prefix.
    fn frame(&mut self) -> Result<(u8, Vec<u8>), Flaw> {
        let length = self.u32()?;
        let crc = self.u32()?;
        let body = self.take(length.into())?;
        if body.len() < PREFIX_BYTES || crc != checksum(self.blocks, [&body, &[]]) {
            return Err(Flaw::Damaged("a block has a wrong checksum"));
        }
        self.blocks += 1;
        match body[0] {
            VERSION => Ok((body[1], body)),
            version => Err(Flaw::Version(version)),
        }
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, Flaw> {
        let left = self.left.checked_sub(length);
        self.left = left.ok_or(Flaw::Damaged("it is cut off"))?;
        let mut bytes = vec![0; usize::try_from(length).expect("a file fits in memory")];
        self.file.read_exact(&mut bytes).map_err(Flaw::Io)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        let bytes = self.take(4)?.try_into();
        Ok(u32::from_le_bytes(bytes.expect("four bytes were taken")))
    }

    fn error(&self, flaw: Flaw) -> Error {
        match flaw {
            Flaw::Io(e) => Error::unusable("read", &self.path)(e),
            Flaw::Damaged(what) => Error::damaged(&self.path, what),
            Flaw::Version(found) => Error::version(&self.path, found.into(), VERSION.into()),
        }
    }
}

enum Block {
    Chunk(Vec<u8>),
    End(Totals),
}

const WRONG_END: Flaw = Flaw::Damaged("its end is not that of its name");

/// The pages of the file in order; nothing follows an error.
impl Iterator for BlockReader {
    type Item = Result<Page, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let read = self.block().and_then(|block| match block {
            Block::Chunk(body) => Page::read(body, PREFIX_BYTES)
                .map(Some)
                .ok_or(Flaw::Damaged("an entry does not decode")),
            Block::End(_) => Ok(None),
        });
        self.done = !matches!(read, Ok(Some(_)));
        read.map_err(|flaw| self.error(flaw)).transpose()
    }
}
