//! What a process has on its disk: exactly what was committed.

use dormouse_engine::record::Record;
use std::collections::BTreeMap;

/// Facts by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    /// Makes one group durable.
    pub(crate) fn commit(&mut self, records: &[Record]) {
        for record in records {
            match &record.value {
                Some(value) => drop(self.0.insert(record.key.clone(), value.clone())),
                None => drop(self.0.remove(&record.key)),
            }
        }
    }

    pub(crate) fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.clone().into_iter().collect()
    }

    pub(crate) fn wipe(&mut self) {
        self.0.clear();
    }
}
