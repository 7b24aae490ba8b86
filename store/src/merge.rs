//! Sorted sources made one: of several entries of a key the one of the newest source holds.
//!
//! ```text
//!   snapshot  a1    c1 d1      \
//!   run          b2 c2          >  a1 b2 c2 e3        (d is deleted by the newest)
//!   the rest           d3- e3  /
//! ```
//!
//! A page of each source is in memory, and the one that is being filled. What is done with the pages is
//! left to `snapshots` and `records`.

use crate::blocks::PAGE_BYTES;
use crate::error::Error;
use crate::page::Page;

type Pages = Box<dyn Iterator<Item = Result<Page, Error>> + Send>;

/// Pages in key order, read up to a place.
pub(crate) struct Source {
    rest: Pages,
    page: Page,
    nth: usize,
}

impl Source {
    pub(crate) fn new(
        pages: impl Iterator<Item = Result<Page, Error>> + Send + 'static,
    ) -> Result<Self, Error> {
        let mut source = Self {
            rest: Box::new(pages),
            page: Page::default(),
            nth: 0,
        };
        source.turn()?;
        Ok(source)
    }

    /// Takes the next page that is not empty, or an empty one at the end.
    fn turn(&mut self) -> Result<(), Error> {
        while self.nth == self.page.len() {
            self.nth = 0;
            match self.rest.next() {
                Some(page) => self.page = page?,
                None => {
                    self.page = Page::default();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        (self.nth < self.page.len()).then(|| self.page.key(self.nth))
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.nth += 1;
        self.turn()
    }
}

/// The live entries of all sources as pages in key order; a deleted key is left out.
pub(crate) struct Merge {
    /// Oldest first.
    sources: Vec<Source>,
    failed: bool,
}

impl Merge {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            failed: false,
        }
    }

    fn page(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        while page.bytes().len() < PAGE_BYTES {
            let Some(newest) = self.next_source() else {
                break;
            };
            for older in 0..newest {
                if self.sources[older].key() == self.sources[newest].key() {
                    self.sources[older].advance()?;
                }
            }
            let Source {
                page: from, nth, ..
            } = &self.sources[newest];
            if let Some(value) = from.value(*nth) {
                page.push(from.key(*nth), Some(value));
            }
            self.sources[newest].advance()?;
        }
        Ok(page)
    }

    /// The source of the next entry: of those with the lowest key the newest.
    fn next_source(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(nth, source)| Some((source.key()?, nth)));
        let lowest = heads.reduce(|best, head| if head.0 <= best.0 { head } else { best });
        lowest.map(|(_, nth)| nth)
    }
}

/// Nothing follows an error, nor the last page.
impl Iterator for Merge {
    type Item = Result<Page, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.page() {
            Ok(page) if page.is_empty() => None,
            Ok(page) => Some(Ok(page)),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Map = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    /// The entries of a map as a source of pages with `size` entries each, some of which are empty.
    fn source(map: &Map, size: usize) -> Source {
        let entries: Vec<_> = map.iter().collect();
        let pages = entries.chunks(size).flat_map(|entries| {
            let mut page = Page::default();
            for (key, value) in entries {
                page.push(key, value.as_deref());
            }
            [Ok(Page::default()), Ok(page)]
        });
        Source::new(pages.collect::<Vec<_>>().into_iter()).unwrap()
    }

    proptest! {
        #[test]
        fn the_newest_source_holds_and_what_it_deletes_is_gone(
            maps in vec(prop::collection::btree_map(
                vec(0..3_u8, 0..3), prop::option::of(vec(any::<u8>(), 0..3)), 0..20), 0..5),
            size in 1..5_usize,
        ) {
            let merged = Merge::new(maps.iter().map(|map| source(map, size)).collect());
            let mut found = Vec::new();
            for page in merged {
                let page = page.unwrap();
                found.extend(page.live().map(|(key, value)| (key.to_vec(), value.to_vec())));
            }
            let mut model = Map::new();
            maps.into_iter().for_each(|map| model.extend(map));
            let model = model.into_iter().filter_map(|(key, value)| Some((key, value?)));
            prop_assert_eq!(found, model.collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_follows_an_error_and_no_page_is_much_too_big() {
        let page = || {
            let mut page = Page::default();
            (0..600_u16).for_each(|n| page.push(&n.to_be_bytes(), Some(&[0; 1_000])));
            Ok(page)
        };
        let torn = [page(), Err(Error::Closed)].into_iter();
        let mut merge = Merge::new(vec![Source::new(torn).unwrap()]);
        assert!(merge.next().is_some_and(|page| page.unwrap().len() < 300));
        assert!(merge.any(|page| page.is_err()));
        assert!(merge.next().is_none());
    }
}
