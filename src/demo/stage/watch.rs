//! Who sees what happens: a worker at each agent, and one look after the other at the coordinator.
//!
//! They write down facts and decide nothing. A worker's launch is taken by its own clock, when its handler is called.

use crate::demo::facts::{Launch, Sighting, micros, now};
use dormouse_client::{Client, NodeState, Run};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// The handlers of every worker: the demo's own timers, and the imported lines.
pub(super) const HANDLERS: [&str; 2] = ["task", "cron"];
/// How many runs at once: one node may have to serve all nine.
const CONCURRENCY: u32 = 64;
/// Between two looks at the coordinator.
const LOOK: Duration = Duration::from_millis(50);
/// How long the coordinator may take to answer a look.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// What was seen so far; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Notebook(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) launches: Vec<Launch>,
    pub(super) sightings: Vec<Sighting>,
}

impl Notebook {
    pub(super) fn open(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker at `node`, whose agent `agent` is.
    pub(super) fn worker(&self, node: &str, agent: &Client) -> AbortOnDropHandle<()> {
        let mut worker = agent.worker().concurrency(CONCURRENCY);
        for handler in HANDLERS {
            let (notes, node) = (self.clone(), node.to_owned());
            worker = worker.handle(handler, move |run| {
                notes.write_down(&node, &run);
                std::future::ready(Ok(()))
            });
        }
        AbortOnDropHandle::new(tokio::spawn(async move {
            // It ends only by being dropped; what it refuses is refused at the first attempt and seen as silence.
            if let Err(error) = worker.run().await {
                tracing::error!(%error, "a worker of the demo ended");
            }
        }))
    }

    fn write_down(&self, node: &str, run: &Run) {
        let launch = Launch {
            seen: now(),
            uid: run.uid.clone(),
            node: node.to_owned(),
            nominal: micros(run.nominal_time),
            launched: micros(run.launched_time),
            attempt: run.attempt,
            token: run.token,
        };
        self.open().launches.push(launch);
    }

    /// Looks again and again at how the coordinator sees the nodes.
    pub(super) fn observer(&self, coordinator: &Client) -> AbortOnDropHandle<()> {
        let coordinator = coordinator.clone().attempts(1).timeout(LOOK_LIMIT);
        let notes = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut known = BTreeMap::new();
            let mut before = now();
            loop {
                // While there is no coordinator nobody sees anything; the next look covers that time too.
                if let Ok(nodes) = coordinator.nodes(None).await {
                    let at = now();
                    for node in nodes {
                        let asleep = node.state == NodeState::Idle;
                        if known.insert(node.node.clone(), asleep) != Some(asleep) {
                            let node = node.node;
                            notes.open().sightings.push(Sighting {
                                node,
                                asleep,
                                at,
                                before,
                            });
                        }
                    }
                    before = at;
                }
                tokio::time::sleep(LOOK).await;
            }
        }))
    }
}
