//! What a stretch of the log folds to, in bounded memory: full stretches are sorted and put down as runs.
//!
//! ```text
//!   units --push--> page (32 MiB at most) --full--> sorted --> run 1, run 2, ...     sources: runs, then page
//! ```
//!
//! A run is a file of blocks without a name: it is unlinked as soon as it is made, so that any death frees
//! its space. Which units are pushed is left to `replay`.

use crate::blocks::{BlockReader, BlockWriter, PAGE_BYTES};
use crate::directory::private;
use crate::error::Error;
use crate::merge::Source;
use crate::page::Page;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What the entries of a fold may take in memory before they become a run, in bytes; sorting them takes a
/// few bytes for each of them in addition.
const MEMORY_BYTES: usize = 32 << 20;

/// The newest entry of each key among those pushed.
pub(crate) struct Fold {
    page: Page,
    /// Oldest first.
    runs: Vec<File>,
    /// The name that a run has for a moment.
    path: PathBuf,
    memory_bytes: usize,
}

impl Fold {
    /// One whose runs are in the directory of `path`, which is used by no other at the same time.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            page: Page::default(),
            runs: Vec::new(),
            path: path.to_owned(),
            memory_bytes: MEMORY_BYTES,
        }
    }

    /// Folds in a unit of the log and answers how many groups it has; `None` if it does not decode.
    ///
    /// # Errors
    /// A run could not be written.
    pub(crate) fn push(&mut self, unit: &[u8]) -> Result<Option<u64>, Error> {
        let groups = self.page.push_unit(unit);
        if self.page.weight() > self.memory_bytes {
            self.put_down()?;
        }
        Ok(groups)
    }

    /// The runs and the rest as sources of a merge, oldest first.
    pub(crate) fn into_sources(mut self) -> Result<Vec<Source>, Error> {
        let mut sources = Vec::new();
        for run in self.runs {
            sources.push(Source::new(BlockReader::new(run, &self.path, 0)?)?);
        }
        self.page.sort();
        sources.push(Source::new(std::iter::once(Ok(self.page)))?);
        Ok(sources)
    }

    fn put_down(&mut self) -> Result<(), Error> {
        let mut full = std::mem::take(&mut self.page);
        full.sort();
        let mut options = private();
        let made = options.create(true).truncate(true).read(true).write(true);
        let file = made.open(&self.path);
        let file = file.map_err(Error::io("create", &self.path))?;
        fs::remove_file(&self.path).map_err(Error::io("unlink", &self.path))?;
        let mut out = BlockWriter::begin(file, &self.path, 0)?;
        let mut page = Page::default();
        for nth in 0..full.len() {
            page.push(full.key(nth), full.value(nth));
            if page.bytes().len() >= PAGE_BYTES {
                out.page(&std::mem::take(&mut page))?;
            }
        }
        out.page(&page)?;
        self.runs.push(out.end()?.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_unit;
    use crate::entry::Entry;
    use crate::merge::Merge;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_folds_the_same_whatever_it_puts_down_and_leaves_no_file(
            entries in prop::collection::vec((0..20_u8, prop::option::of(0..900_u16)), 0..80),
            memory_bytes in prop_oneof![Just(1_usize), 100..4_000_usize, Just(1 << 20)],
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut fold = Fold { memory_bytes, ..Fold::new(&dir.path().join("run")) };
            let mut model = BTreeMap::new();
            for (key, length) in entries {
                let value = length.map(|length| vec![key; usize::from(length)]);
                let entry = match &value {
                    Some(value) => Entry::put([key], value.clone()),
                    None => Entry::delete([key]),
                };
                prop_assert_eq!(fold.push(&encode_unit(&[vec![entry], vec![]])).unwrap(), Some(2));
                model.insert(vec![key], value);
                prop_assert!(fold.page.weight() <= memory_bytes.max(1));
            }
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
            let mut found = Vec::new();
            for page in Merge::new(fold.into_sources().unwrap()) {
                let page = page.unwrap();
                found.extend(page.live().map(|(key, value)| (key.to_vec(), value.to_vec())));
            }
            let model = model.into_iter().filter_map(|(key, value)| Some((key, value?)));
            prop_assert_eq!(found, model.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_unit_that_does_not_decode_folds_to_nothing() {
        let mut fold = Fold::new(Path::new("nowhere"));
        assert_eq!(fold.push(&[1, 0, 0, 0]).unwrap(), None);
        assert!(fold.page.is_empty());
    }
}
