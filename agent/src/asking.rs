//! How the base task is asked, from the API and from the agent's own process.
//!
//! A request waits for room for a moment and is then refused: an overloaded agent says so, and says when to
//! ask again. What is answered is decided by the base.

use crate::task::Ask;
use dormouse_edge::timers::{self, Feed};
use dormouse_engine::base::View;
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, Op, Refusal};
use dormouse_engine::time::Millis;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long a request waits for room among those that wait to be decided.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// When to ask again after that.
const RETRY_AFTER: Millis = Millis(500);

/// Asks the base task; clones ask the same one.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) node: NodeId,
    pub(crate) pool: PoolId,
    pub(crate) feed: Feed,
    /// The agent ends, and streams with it.
    pub(crate) stop: CancellationToken,
}

impl Asking {
    /// Has `op` decided, here or by the owner of the timer.
    pub(crate) async fn decide(&self, op: Op) -> Answer {
        let (reply, answer) = oneshot::channel();
        match self
            .asks
            .send_timeout(Ask::Op(op, reply), ROOM_TIMEOUT)
            .await
        {
            Ok(()) => answer.await.unwrap_or_else(|_| timers::ending()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => timers::ending(),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => overloaded(),
        }
    }

    /// How things are; none if the agent has ended.
    pub(crate) async fn view(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.asks.send(Ask::View(reply)).await.ok()?;
        view.await.ok()
    }
}

fn overloaded() -> Answer {
    let why = "this agent has more requests than it can take; ask again later".into();
    Answer::Refused(Refusal::Unavailable {
        why,
        retry_after: RETRY_AFTER,
    })
}

impl timers::Ask for Asking {
    async fn ask(&self, pool: &PoolId, op: Op) -> Answer {
        if *pool != self.pool {
            let what = format!(
                "pool {pool} at this agent, which serves {}; ask the coordinator",
                self.pool
            );
            return Answer::Refused(Refusal::NotFound { what });
        }
        self.decide(op).await
    }

    fn feed(&self, pool: &PoolId) -> Option<Feed> {
        (*pool == self.pool).then(|| self.feed.clone())
    }

    fn ending(&self) -> impl Future<Output = ()> + Send + use<> + 'static {
        self.stop.clone().cancelled_owned()
    }

    fn own_pool(&self) -> PoolId {
        self.pool.clone()
    }

    fn own_node(&self) -> Option<NodeId> {
        Some(self.node.clone())
    }

    fn pools(&self) -> Vec<PoolId> {
        vec![self.pool.clone()]
    }
}
