//! Snapshot files: the image at rest, checksummed, atomic, the last two kept.
//!
//! ```text
//!   file  = "DORMSNAP" frame*              name  = FROM-TO.snapshot, both with twenty digits
//!   frame = len:u32 crc32c:u32 body        body  = version:u8 kind:u8 ..., the crc covers number and body
//!   kinds = B from:u64 | C entry* | E to:u64 entries:u64      one B, any number of C, one E at the end
//! ```
//!
//! A walk is written to a `.partial` file and renamed when it is durable. When to walk, and how
//! far the log must reach, is left to the journal.

use crate::codec::{self, Reader};
use crate::directory::{private, set_aside, sync_dir};
use crate::entry::Bytes;
use crate::error::Error;
use crate::image::Image;
use crate::recover::Span;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DORMSNAP";
const VERSION: u8 = 1;
const BEGIN: u8 = b'B';
const CHUNK: u8 = b'C';
const END: u8 = b'E';
const KEPT: usize = 2;
const SUFFIX: &str = ".snapshot";
const PARTIAL: &str = "walk.partial";

fn frame_checksum(number: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), body)
}

fn name(span: Span) -> String {
    format!("{:020}-{:020}{SUFFIX}", span.from, span.to)
}

fn parse_name(name: &str) -> Option<Span> {
    let (from, to) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(Span {
        from: from.parse().ok()?,
        to: to.parse().ok()?,
    })
}

/// The published snapshots of one directory.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    aside: PathBuf,
    /// Oldest first.
    kept: Vec<Span>,
}

impl Snapshots {
    /// Lists what is published and removes what was not finished.
    pub(crate) fn open(dir: &Path, aside: &Path) -> Result<Self, Error> {
        let mut kept = Vec::new();
        let list = fs::read_dir(dir).map_err(Error::unusable("read directory", dir))?;
        for entry in list {
            let entry = entry.map_err(Error::unusable("read directory", dir))?;
            let file = entry.file_name();
            if let Some(span) = file.to_str().and_then(parse_name) {
                kept.push(span);
            } else if file == PARTIAL {
                fs::remove_file(entry.path()).map_err(Error::unusable("remove", &entry.path()))?;
            }
        }
        kept.sort_unstable();
        Ok(Self {
            dir: dir.to_owned(),
            aside: aside.to_owned(),
            kept,
        })
    }

    pub(crate) fn newest(&self) -> Option<Span> {
        self.kept.last().copied()
    }

    /// The log may be dropped up to here: the older snapshot must stay useful.
    pub(crate) fn floor(&self) -> u64 {
        if self.kept.len() < KEPT {
            0
        } else {
            self.kept[0].from
        }
    }

    fn path(&self, span: Span) -> PathBuf {
        self.dir.join(name(span))
    }

    /// The newest snapshot that reads and that `reaches` accepts. Damaged ones are set aside, but only
    /// when an older one, or the whole log, takes their place.
    pub(crate) fn newest_valid(
        &mut self,
        reaches: impl Fn(Option<Span>) -> Result<(), Error>,
    ) -> Result<(Option<Span>, Image), Error> {
        let mut damaged = Vec::new();
        let mut newest = None;
        while let Some(span) = self.kept.last().copied() {
            match read(&self.path(span), span) {
                Ok(image) => {
                    newest = Some((span, image));
                    break;
                }
                Err(error @ Error::Damaged { .. }) => {
                    tracing::error!(%error, "a snapshot does not read; trying an older one");
                    damaged.push((span, error));
                    self.kept.pop();
                }
                Err(error) => return Err(error),
            }
        }
        let base = newest.as_ref().map(|(span, _)| *span);
        match (reaches(base), damaged.first()) {
            (Ok(()), _) => {}
            (Err(_), Some((_, damage))) => return Err(damage.clone()),
            (Err(error), None) => return Err(error),
        }
        for (span, _) in &damaged {
            set_aside(&self.path(*span), &self.aside)?;
        }
        Ok((base, newest.map(|(_, image)| image).unwrap_or_default()))
    }

    /// Begins the file of a walk that starts after group `from`.
    pub(crate) fn begin(&self, from: u64) -> Result<Walk, Error> {
        let path = self.dir.join(PARTIAL);
        let file = private()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path);
        let out = BufWriter::new(file.map_err(Error::io("create", &path))?);
        let mut walk = Walk {
            out,
            path,
            from,
            cursor: None,
            frames: 0,
            entries: 0,
        };
        walk.out
            .write_all(MAGIC)
            .map_err(Error::io("write", &walk.path))?;
        walk.frame(BEGIN, &from.to_le_bytes())?;
        Ok(walk)
    }

    /// Ends the walk at group `to`, publishes it durably, and removes all but the last two.
    pub(crate) fn publish(&mut self, mut walk: Walk, to: u64) -> Result<(), Error> {
        let span = Span {
            from: walk.from,
            to,
        };
        let mut end = to.to_le_bytes().to_vec();
        end.extend_from_slice(&walk.entries.to_le_bytes());
        walk.frame(END, &end)?;
        walk.sync()?;
        let path = self.path(span);
        fs::rename(&walk.path, &path)
            .and_then(|()| sync_dir(&self.dir))
            .map_err(Error::io("publish", &path))?;
        self.kept.push(span);
        while self.kept.len() > KEPT {
            let oldest = self.kept.remove(0);
            let old = self.path(oldest);
            fs::remove_file(&old).map_err(Error::io("remove", &old))?;
        }
        sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))
    }
}

/// A snapshot that is being written.
pub(crate) struct Walk {
    out: BufWriter<File>,
    path: PathBuf,
    /// The last group before the walk began.
    pub from: u64,
    /// The last key that was written.
    cursor: Option<Bytes>,
    frames: u64,
    entries: u64,
}

impl Walk {
    /// Writes the next chunk of `image`, durably; false if there was none left.
    pub(crate) fn step(&mut self, image: &Image, budget: usize) -> Result<bool, Error> {
        let chunk = image.chunk(self.cursor.as_ref(), budget);
        let Some((last, _)) = chunk.last() else {
            return Ok(false);
        };
        self.cursor = Some(last.clone());
        self.entries += chunk.len() as u64;
        let mut body = Vec::with_capacity(budget);
        for (key, value) in &chunk {
            codec::encode_put(&mut body, key, value);
        }
        self.frame(CHUNK, &body)?;
        // Synced as it grows, so that publishing never keeps a group waiting for the whole file.
        self.sync()?;
        Ok(true)
    }

    fn frame(&mut self, kind: u8, rest: &[u8]) -> Result<(), Error> {
        let mut body = Vec::with_capacity(rest.len() + 2);
        body.extend_from_slice(&[VERSION, kind]);
        body.extend_from_slice(rest);
        let mut head = Vec::with_capacity(8);
        codec::put_u32(&mut head, body.len());
        head.extend_from_slice(&frame_checksum(self.frames, &body).to_le_bytes());
        self.frames += 1;
        let written = self
            .out
            .write_all(&head)
            .and_then(|()| self.out.write_all(&body));
        written.map_err(Error::io("write", &self.path))
    }

    fn sync(&mut self) -> Result<(), Error> {
        let flushed = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all());
        flushed.map_err(Error::io("sync", &self.path))
    }
}

fn read(path: &Path, span: Span) -> Result<Image, Error> {
    let file = File::open(path).map_err(Error::unusable("open", path))?;
    let left = file
        .metadata()
        .map_err(Error::unusable("read", path))?
        .len();
    let mut input = Input {
        file: BufReader::with_capacity(1 << 20, file),
        left,
        frames: 0,
    };
    let flaw = |flaw: Flaw| match flaw {
        Flaw::Io(e) => Error::unusable("read", path)(e),
        Flaw::Damaged(what) => Error::damaged(path, what),
        Flaw::Newer(found) => Error::Newer {
            path: path.to_owned(),
            found: found.into(),
            known: VERSION.into(),
        },
    };
    read_frames(&mut input, span).map_err(flaw)
}

enum Flaw {
    Io(io::Error),
    Damaged(&'static str),
    Newer(u8),
}

struct Input {
    file: BufReader<File>,
    /// Bytes of the file that are not read yet; no stated length above it is believed.
    left: u64,
    frames: u64,
}

impl Input {
    fn take(&mut self, length: u64) -> Result<Vec<u8>, Flaw> {
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(Flaw::Damaged("it is cut off"))?;
        let mut bytes = vec![0; usize::try_from(length).expect("a file fits in memory")];
        self.file.read_exact(&mut bytes).map_err(Flaw::Io)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(
            bytes.try_into().expect("four bytes were taken"),
        ))
    }

    /// The kind of the next frame, and what follows it.
    fn frame(&mut self) -> Result<(u8, Vec<u8>), Flaw> {
        let length = self.u32()?;
        let crc = self.u32()?;
        let mut body = self.take(length.into())?;
        if crc != frame_checksum(self.frames, &body) || body.len() < 2 {
            return Err(Flaw::Damaged("a frame has a wrong checksum"));
        }
        self.frames += 1;
        match body[0] {
            VERSION => {}
            version if version > VERSION => return Err(Flaw::Newer(version)),
            _ => return Err(Flaw::Damaged("a frame has no version")),
        }
        let kind = body[1];
        body.drain(..2);
        Ok((kind, body))
    }
}

fn read_frames(input: &mut Input, span: Span) -> Result<Image, Flaw> {
    if input.take(8)? != MAGIC {
        return Err(Flaw::Damaged("it does not begin as a snapshot"));
    }
    let (kind, body) = input.frame()?;
    if kind != BEGIN || body != span.from.to_le_bytes() {
        return Err(Flaw::Damaged("its beginning is not that of its name"));
    }
    let mut image = Image::default();
    let mut entries = 0_u64;
    loop {
        let (kind, body) = input.frame()?;
        let mut reader = Reader::new(&body);
        match kind {
            CHUNK => entries += read_chunk(&mut reader, &mut image)?,
            END if reader.u64() == Some(span.to) && reader.u64() == Some(entries) => break,
            _ => return Err(Flaw::Damaged("its end is not that of its name")),
        }
    }
    if input.left > 0 {
        return Err(Flaw::Damaged("something follows its end"));
    }
    Ok(image)
}

fn read_chunk(reader: &mut Reader<'_>, image: &mut Image) -> Result<u64, Flaw> {
    let mut entries = 0;
    while !reader.is_empty() {
        let entry = reader
            .entry()
            .ok_or(Flaw::Damaged("an entry does not decode"))?;
        image.apply(std::slice::from_ref(&entry));
        entries += 1;
    }
    Ok(entries)
}
