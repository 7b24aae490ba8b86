//! Every pool of the coordinator: recovered at the start, made when a node or a timer first names it.

use crate::config::{Config, millis};
use crate::data::DataDir;
use crate::pool::{self, Handle, Mail, Task};
use crate::{Error, events};
use dormouse_engine::id::PoolId;
use dormouse_engine::op::Refusal;
use dormouse_engine::pool::Config as PoolConfig;
use dormouse_engine::time::Millis;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

/// The most pools of one coordinator: each has a journal and a task of its own.
const POOLS_MAX: usize = 64;
/// Members of a group.
const GROUP_CAPACITY: u8 = 8;

/// The pool of those who name none; it always exists.
pub(crate) fn default_pool() -> PoolId {
    PoolId::new("default").expect("it is of lower-case letters")
}

/// How a pool's task ended.
pub(crate) type Ended = Result<(), Error>;

/// All pools. Clones are handles of the same ones.
#[derive(Clone)]
pub(crate) struct Pools(Arc<Shared>);

struct Shared {
    data: DataDir,
    lease: Millis,
    wake_grace: Millis,
    open: RwLock<BTreeMap<PoolId, Handle>>,
    /// Held while a pool is made, so that it is made once.
    making: Mutex<()>,
    ended: mpsc::UnboundedSender<Ended>,
}

impl Pools {
    /// Recovers every pool of the data directory. How tasks end is told on the channel.
    pub(crate) async fn recover(
        config: &Config,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Ended>), Error> {
        let data = DataDir::open(&config.data)?;
        let known = data.pools()?;
        let (ended, receiver) = mpsc::unbounded_channel();
        let pools = Self(Arc::new(Shared {
            data,
            lease: millis(config.lease),
            wake_grace: millis(config.wake_grace),
            open: RwLock::default(),
            making: Mutex::default(),
            ended,
        }));
        // All of them are read before one of them acts: a start that is refused changes nothing outside.
        let mut opened = Vec::new();
        for pool in known {
            opened.push(pools.read(&pool).await?);
        }
        if !opened
            .iter()
            .any(|(handle, _)| *handle.pool() == default_pool())
        {
            opened.push(pools.read(&default_pool()).await?);
        }
        for (handle, task) in opened {
            pools.begin(handle, task);
        }
        Ok((pools, receiver))
    }

    /// How long a lease lasts after each renewal.
    pub(crate) fn lease(&self) -> Millis {
        self.0.lease
    }

    /// The pool, if there is one.
    pub(crate) fn find(&self, pool: &PoolId) -> Option<Handle> {
        self.0
            .open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(pool)
            .cloned()
    }

    /// The pool, which is made if there is none.
    ///
    /// # Errors
    /// Why it cannot be made; nothing was changed.
    pub(crate) async fn find_or_make(&self, pool: &PoolId) -> Result<Handle, Refusal> {
        if let Some(handle) = self.find(pool) {
            return Ok(handle);
        }
        let _alone = self.0.making.lock().await;
        if let Some(handle) = self.find(pool) {
            return Ok(handle);
        }
        if self.all().len() >= POOLS_MAX {
            let why = format!(
                "pool {pool} would be one more than the {POOLS_MAX} that are allowed; use one of those"
            );
            return Err(Refusal::Exhausted { why });
        }
        let (handle, task) = self.read(pool).await.map_err(|error| {
            events::pool_failed(pool, &error);
            let why = format!("pool {pool} cannot be opened: {error}");
            Refusal::Unavailable {
                why,
                retry_after: Millis(5_000),
            }
        })?;
        self.begin(handle.clone(), task);
        Ok(handle)
    }

    /// Every pool, in order.
    pub(crate) fn all(&self) -> Vec<Handle> {
        self.0
            .open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Tells every pool to end, and returns how many there are.
    pub(crate) async fn stop(&self) -> usize {
        let _alone = self.0.making.lock().await;
        let pools = self.all();
        for pool in &pools {
            pool.tell(Mail::Stop);
        }
        pools.len()
    }

    async fn read(&self, pool: &PoolId) -> Result<(Handle, Task), Error> {
        let config = PoolConfig {
            pool: pool.clone(),
            ledger: Uuid::now_v7().as_u128(),
            lease: self.0.lease,
            wake_grace: self.0.wake_grace,
            group_capacity: GROUP_CAPACITY,
            message: Default::default(),
        };
        pool::open(config, self.0.data.pool(pool)).await
    }

    fn begin(&self, handle: Handle, task: Task) {
        let pool = handle.pool().clone();
        self.0
            .open
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pool.clone(), handle);
        let ended = self.0.ended.clone();
        tokio::spawn(async move {
            let result = match tokio::spawn(task.run()).await {
                Ok(result) => result,
                // The process ends, and its runtime has dropped what still ran.
                Err(end) if end.is_cancelled() => Ok(()),
                Err(panic) => Err(Error::Task {
                    pool: pool.clone(),
                    why: panic.to_string(),
                }),
            };
            if let Err(error) = &result {
                events::pool_failed(&pool, error);
            }
            // Nobody listens only when the process is ending anyway.
            let _ = ended.send(result);
        });
    }
}
