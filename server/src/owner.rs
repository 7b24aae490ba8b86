//! Who decides about timers at a coordinator: the pool that the timer's name begins with.

use crate::pools::{Pools, default_pool};
use dormouse_edge::timers::{Ask, Feed};
use dormouse_engine::id::{NodeId, PoolId};
use dormouse_engine::op::{Answer, Op, Refusal};
use tokio_util::sync::CancellationToken;

/// The coordinator's side of TimerService.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) pools: Pools,
    /// The process ends, and streams with it.
    pub(crate) stopping: CancellationToken,
}

impl Ask for Owner {
    async fn ask(&self, pool: &PoolId, op: Op) -> Answer {
        if matches!(op, Op::Create(_)) {
            return match self.pools.find_or_make(pool).await {
                Ok(handle) => handle.ask(op).await,
                Err(refusal) => Answer::Refused(refusal),
            };
        }
        match self.pools.find(pool) {
            Some(handle) => handle.ask(op).await,
            None => Answer::Refused(Refusal::NotFound {
                what: missing(pool, &op),
            }),
        }
    }

    fn feed(&self, pool: &PoolId) -> Option<Feed> {
        self.pools.find(pool).map(|handle| handle.feed())
    }

    fn ending(&self) -> impl Future<Output = ()> + Send + use<> + 'static {
        self.stopping.clone().cancelled_owned()
    }

    fn own_pool(&self) -> PoolId {
        default_pool()
    }

    fn own_node(&self) -> Option<NodeId> {
        None
    }

    fn pools(&self) -> Vec<PoolId> {
        self.pools
            .all()
            .iter()
            .map(|handle| handle.pool().clone())
            .collect()
    }
}

fn missing(pool: &PoolId, op: &Op) -> String {
    match op {
        Op::Look { name } | Op::Change { name, .. } | Op::Runs { name, .. } => name.to_string(),
        Op::Create(_)
        | Op::List { .. }
        | Op::Kept { .. }
        | Op::Dead { .. }
        | Op::News { .. }
        | Op::Activity { .. } => format!("pool {pool}"),
    }
}
