//! How the base task is asked, from the API and from the agent's own process.
//!
//! A request that finds too many before it is refused at once: an overloaded agent says so, and says when to ask
//! again. What is answered is decided by the base.

use crate::task::Ask;
use dormouse_edge::shell::{Lane, Mailbox};
use dormouse_edge::timers::{self, Feed};
use dormouse_engine::base::View;
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, Op, Refusal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Asks the base task; clones ask the same one.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) asks: Mailbox<Ask>,
    pub(crate) node: NodeId,
    pub(crate) pool: PoolId,
    pub(crate) feed: Feed,
    /// The agent ends, and streams with it.
    pub(crate) stop: CancellationToken,
}

impl Asking {
    /// Has `op` decided, here or by the owner of the timer.
    pub(crate) async fn decide(&self, op: Op) -> Answer {
        let refuse = || timers::overloaded("this agent");
        timers::ask(&self.asks, op, Ask::Op, refuse).await
    }

    /// How things are; none if the agent has ended.
    pub(crate) async fn view(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.asks.post_always(Lane::Lease, Ask::View(reply));
        view.await.ok()
    }
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
