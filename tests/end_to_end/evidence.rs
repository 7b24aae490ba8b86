//! What workers printed, with the time at which the test read it: the evidence of runs.
//!
//! A line is printed where a run happens, so that nothing here relies on what coordinator or agent believe. How a run
//! is judged (late, early, doubled, by whom) is here too; what is expected is each test's own.

use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// How late a run may be printed on a machine that is busy with other tests; benches measure closer.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(500);

/// One line of a worker.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) timer: String,
    pub(crate) node: String,
    pub(crate) nominal_time: Timestamp,
    pub(crate) token: u64,
    #[serde(default)]
    pub(crate) launched_time: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) printed: Timestamp,
}

impl Run {
    /// The id of the timer, without pool and node.
    pub(crate) fn id(&self) -> &str {
        self.timer.rsplit('/').next().expect("a split has one part")
    }

    /// From its nominal time to when the test read its line.
    pub(crate) fn lateness(&self) -> Duration {
        let late = self.printed.duration_since(self.nominal_time);
        Duration::try_from(late).expect("nothing is printed before its time")
    }
}

/// All lines of all workers of a stage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    runs: Arc<Mutex<Vec<Run>>>,
    news: Arc<Notify>,
}

impl Evidence {
    /// Reads what a worker prints, as long as the stage stands.
    pub(crate) fn follow(&self, mut lines: mpsc::UnboundedReceiver<String>) {
        let evidence = self.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                evidence.add(&line);
            }
        });
    }

    fn add(&self, line: &str) {
        let mut run: Run = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a worker printed {line:?}: {error}"));
        run.printed = Timestamp::now();
        self.runs.lock().unwrap().push(run);
        self.news.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    /// The runs of one timer, by its id.
    pub(crate) fn of(&self, id: &str) -> Vec<Run> {
        let mut runs = self.all();
        runs.retain(|run| run.id() == id);
        runs
    }

    /// Waits until `enough` says so of the runs of one timer.
    pub(crate) async fn until(
        &self,
        id: &str,
        limit: Duration,
        enough: impl Fn(&[Run]) -> bool,
    ) -> Vec<Run> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                let runs = self.of(id);
                if enough(&runs) {
                    return runs;
                }
                news.await;
            }
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.unwrap_or_else(|_| panic!("not enough runs of {id} in {limit:?}: {:#?}", self.all()))
    }

    /// The first run of a timer.
    pub(crate) async fn first(&self, id: &str, limit: Duration) -> Run {
        self.until(id, limit, |runs| !runs.is_empty())
            .await
            .swap_remove(0)
    }

    /// Nothing ran before its time, and no occurrence ran twice.
    pub(crate) fn check_once_and_never_early(&self) {
        let mut seen = BTreeMap::new();
        for run in self.all() {
            if let Some(launched) = run.launched_time {
                assert!(launched >= run.nominal_time, "early: {run:?}");
            }
            let occurrence = (run.timer.clone(), run.nominal_time);
            if let Some(other) = seen.insert(occurrence, run.clone()) {
                panic!("twice: {other:?} and {run:?}");
            }
        }
    }
}

/// Prints how late these runs were, and requires that none was later than [`LATE_MAX`].
pub(crate) fn check_punctual(what: &str, runs: &[Run]) {
    assert!(!runs.is_empty(), "{what}: nothing ran");
    let mut late: Vec<Duration> = runs.iter().map(Run::lateness).collect();
    late.sort();
    let (median, worst) = (late[late.len() / 2], late[late.len() - 1]);
    eprintln!(
        "{what}: {} runs, late by {median:?} in the median, {worst:?} at worst",
        late.len()
    );
    assert!(worst <= LATE_MAX, "{what}: too late: {runs:#?}");
}
