//! From what was seen to the table: due, fired, further launches, early, lost, and how late by which path.
//!
//! Pure: facts in, table out. What was due comes from the demo's own arithmetic, what was launched from the workers.
//! An occurrence on whose nominal time its timer was just being registered or cancelled may run or not, and is not
//! counted as due unless it ran.

#[cfg(test)]
mod tests;

use super::facts::{Facts, Launch, Micros, Promise};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a node that is killed had launched within this time before may not have been committed by anybody: each such
/// occurrence may be launched once more elsewhere. Outcomes are shipped at once; this is ample for a busy machine.
pub(super) const UNCOMMITTED: Micros = 1_000_000;

/// An agent decides by the coordinator's clock, which it reads late by the way of a message: for so long after a nominal
/// time a timer may still be registered for it.
const CLOCK_SLACK: Micros = 100_000;

/// The table, as `-o json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Table {
    /// Occurrences due in the run.
    pub(super) due: usize,
    /// Those of them with an accepted run.
    pub(super) fired: usize,
    /// Launches beyond the first, and launches of what was not due.
    pub(super) duplicates: usize,
    /// Launches before the nominal time.
    pub(super) early: usize,
    /// `due` minus `fired`.
    pub(super) lost: usize,
    pub(super) lateness_ms: Lateness,
    /// Sleepers that woke without being told.
    pub(super) wakeups: usize,
    /// Occurrences of a sleeping home that ran elsewhere while it slept on.
    pub(super) wakeups_avoided: usize,
    pub(super) seconds: f64,
}

/// From nominal time to handler, by path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Lateness {
    /// At its home.
    pub(super) own: Percentiles,
    /// Elsewhere, for a home that sleeps or for the pool.
    pub(super) migrated: Percentiles,
    /// For a home that was dead, or asleep while there was no coordinator to stand in for it.
    pub(super) failover: Percentiles,
}

/// In milliseconds; none if there was nothing on this path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// The table, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Score {
    pub(super) table: Table,
    /// Further launches that the kill allows.
    pub(super) excused: usize,
    /// What may not be, in words; empty if all is well.
    pub(super) faults: Vec<String>,
}

/// How a launch came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Own,
    Migrated,
    Failover,
}

/// From when to when a node slept, by the coordinator's account; rounded to the shorter side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Nap {
    node: String,
    from: Micros,
    until: Micros,
    /// When it was seen awake; it may have slept until then.
    seen_awake: Micros,
    /// It woke without being told.
    woken: bool,
}

/// Judges a run.
pub(super) fn score(facts: &Facts) -> Score {
    let naps = naps(facts);
    let mut tally = Tally::default();
    let mut launches = by_occurrence(&facts.launches);
    for promise in &facts.promises {
        for (nominal, is_certain) in occurrences(promise, facts.span.1) {
            let found = launches.remove(&(promise.uid.as_str(), nominal));
            let found = found.unwrap_or_default();
            if is_certain || !found.is_empty() {
                tally.occurrence((facts, &naps), promise, nominal, &found);
                tally.avoided += usize::from(was_spared(&naps, promise, nominal, &found));
            }
        }
    }
    for ((uid, nominal), stray) in launches {
        tally.further += stray.len();
        let at = super::draw::clock(nominal);
        let name = facts
            .promises
            .iter()
            .find(|promise| promise.uid == uid)
            .map_or(uid, |promise| &promise.name);
        tally
            .faults
            .push(format!("{name} was launched for {at}, when it was not due"));
    }
    let woken = naps.iter().filter(|nap| nap.woken).count();
    tally.close(woken, facts.span)
}

/// The launches of each occurrence, in order.
fn by_occurrence(launches: &[Launch]) -> BTreeMap<(&str, Micros), Vec<&Launch>> {
    let mut grouped: BTreeMap<_, Vec<&Launch>> = BTreeMap::new();
    for launch in launches {
        let of = (launch.uid.as_str(), launch.nominal);
        grouped.entry(of).or_default().push(launch);
    }
    for of_one in grouped.values_mut() {
        of_one.sort_by_key(|launch| launch.seen);
    }
    grouped
}

/// The nominal times of a timer until the end, and whether they were due for certain.
fn occurrences(promise: &Promise, end: Micros) -> Vec<(Micros, bool)> {
    let (asked, acknowledged) = promise.created;
    let (cancelled, gone) = promise.cancelled.unwrap_or((end, end));
    let from = (asked - CLOCK_SLACK).div_euclid(1000) - 1;
    let times = promise.when.times(from, gone.div_euclid(1000) + 1);
    let certain = |time: &Micros| acknowledged < *time && *time < cancelled;
    times
        .into_iter()
        .map(|time| time * 1000)
        .map(|time| (time, certain(&time)))
        .collect()
}

#[derive(Debug, Default)]
struct Tally {
    due: usize,
    fired: usize,
    further: usize,
    excused: usize,
    early: usize,
    avoided: usize,
    late: BTreeMap<Path, Vec<Micros>>,
    faults: Vec<String>,
}

impl Tally {
    fn occurrence(
        &mut self,
        (facts, naps): (&Facts, &[Nap]),
        promise: &Promise,
        nominal: Micros,
        launches: &[&Launch],
    ) {
        self.due += 1;
        let what = || format!("{} of {}", promise.name, super::draw::clock(nominal));
        let is_done = promise.done_until.is_some_and(|done| done >= nominal);
        match launches.first() {
            Some(first) if is_done => {
                self.fired += 1;
                let late = first.seen - nominal;
                let path = path((facts, naps), promise, first);
                self.late.entry(path).or_default().push(late);
            }
            Some(_) => self
                .faults
                .push(format!("{} ran, but is not on record as done", what())),
            None => self.faults.push(format!("{} never ran", what())),
        }
        let early = launches
            .iter()
            .filter(|it| it.seen < nominal || it.launched < nominal);
        for launch in early {
            self.early += 1;
            let by = nominal - launch.seen.min(launch.launched);
            let place = &launch.node;
            self.faults
                .push(format!("{} ran on {place} {by} µs early", what()));
        }
        self.further(facts, &what(), launches);
    }

    /// Launches after the first; each one that a kill does not account for is a fault.
    fn further(&mut self, facts: &Facts, what: &str, launches: &[&Launch]) {
        let further = launches.len().saturating_sub(1);
        self.further += further;
        let excused = further.min(usize::from(launches.iter().any(|it| may_recur(facts, it))));
        self.excused += excused;
        if further > excused {
            let places: Vec<String> = launches
                .iter()
                .map(|it| format!("{} (attempt {}, token {})", it.node, it.attempt, it.token))
                .collect();
            self.faults.push(format!(
                "{what} was launched again: on {}",
                places.join(", then ")
            ));
        }
    }

    fn close(mut self, woken: usize, (began, ended): (Micros, Micros)) -> Score {
        let mut percentiles = |path| percentiles(self.late.remove(&path).unwrap_or_default());
        let lateness_ms = Lateness {
            own: percentiles(Path::Own),
            migrated: percentiles(Path::Migrated),
            failover: percentiles(Path::Failover),
        };
        let table = Table {
            due: self.due,
            fired: self.fired,
            duplicates: self.further,
            early: self.early,
            lost: self.due - self.fired,
            lateness_ms,
            wakeups: woken,
            wakeups_avoided: self.avoided,
            seconds: tenths(ended - began, 1_000_000),
        };
        Score {
            table,
            excused: self.excused,
            faults: self.faults,
        }
    }
}

/// Whether its node was killed so soon afterwards that nobody may know of this launch.
fn may_recur(facts: &Facts, launch: &Launch) -> bool {
    facts
        .deaths
        .iter()
        .any(|(node, at)| *node == launch.node && (0..=UNCOMMITTED).contains(&(at - launch.seen)))
}

/// By which path a launch came about.
fn path((facts, naps): (&Facts, &[Nap]), promise: &Promise, launch: &Launch) -> Path {
    let home = promise.home.as_ref();
    let is_dead = facts
        .deaths
        .iter()
        .any(|(node, at)| home == Some(node) && *at <= launch.seen);
    let without_coordinator = facts
        .outages
        .iter()
        .any(|(from, until)| (*from..=*until).contains(&launch.nominal));
    let was_asleep = naps.iter().any(|nap| {
        home == Some(&nap.node) && (nap.from..=nap.seen_awake).contains(&launch.nominal)
    });
    // An awake home fires with or without a coordinator; nobody else does without one.
    if is_dead || without_coordinator && (was_asleep || home != Some(&launch.node)) {
        Path::Failover
    } else if home == Some(&launch.node) {
        Path::Own
    } else {
        Path::Migrated
    }
}

/// Whether a sleeping home was not woken for this occurrence, because another node ran it.
fn was_spared(naps: &[Nap], promise: &Promise, nominal: Micros, launches: &[&Launch]) -> bool {
    let (Some(home), Some(first)) = (&promise.home, launches.first()) else {
        return false;
    };
    *home != first.node
        && naps
            .iter()
            .any(|nap| nap.node == *home && nap.from <= nominal && first.seen <= nap.until)
}

/// When each node slept.
fn naps(facts: &Facts) -> Vec<Nap> {
    let mut begun: BTreeMap<&str, Micros> = BTreeMap::new();
    let mut naps = Vec::new();
    for sighting in &facts.sightings {
        let node = sighting.node.as_str();
        if sighting.asleep {
            begun.entry(node).or_insert(sighting.at);
        } else if let Some(from) = begun.remove(node) {
            let was_told = facts
                .roused
                .iter()
                .any(|(roused, at)| roused == node && (from..=sighting.at).contains(at));
            let died = facts
                .deaths
                .iter()
                .any(|(dead, at)| dead == node && (from..=sighting.at).contains(at));
            naps.push(Nap {
                node: node.to_owned(),
                from,
                until: sighting.before,
                seen_awake: sighting.at,
                woken: !was_told && !died,
            });
        }
    }
    naps.extend(begun.into_iter().map(|(node, from)| Nap {
        node: node.to_owned(),
        from,
        until: facts.span.1,
        seen_awake: facts.span.1,
        woken: false,
    }));
    naps
}

fn percentiles(mut late: Vec<Micros>) -> Percentiles {
    late.sort_unstable();
    // The nearest rank: the smallest value that so many percent do not exceed.
    let rank = |percent: usize| {
        let place = (late.len() * percent).div_ceil(100).checked_sub(1)?;
        late.get(place).map(|late| tenths(*late, 1000))
    };
    Percentiles {
        p50: rank(50),
        p99: rank(99),
    }
}

/// A number of `unit`s with one decimal.
#[expect(
    clippy::cast_precision_loss,
    reason = "a day in microseconds is far below 2^52"
)]
fn tenths(micros: Micros, unit: Micros) -> f64 {
    let tenths = (micros * 10 + unit / 2).div_euclid(unit);
    tenths as f64 / 10.0
}
