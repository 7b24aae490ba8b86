//! The life of the process: recover, listen, serve, end.

use crate::admin::Admin;
use crate::config::{Config, millis};
use crate::owner::Owner;
use crate::pools::{Ended, Pools};
use crate::session::Sessions;
use crate::{Error, events};
use dormouse_edge::listen::{self, Address, Listening};
use dormouse_edge::timers::Timers;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

/// How long calls in flight may take to end.
const CALLS_END_WITHIN: Duration = Duration::from_secs(2);
/// How long the journals may take to close after that.
const POOLS_END_WITHIN: Duration = Duration::from_secs(2);

/// What health is told of: the whole, and each service by its name.
const SERVICES: [&str; 4] = [
    "",
    "dormouse.v1.TimerService",
    "dormouse.v1.GroupService",
    "dormouse.v1.AdminService",
];

/// A coordinator that is recovered and listens, and serves as soon as it is told to.
pub struct Bound {
    config: Config,
    pools: Pools,
    ended: mpsc::UnboundedReceiver<Ended>,
    socket: Listening,
}

/// Runs a coordinator until `shutdown`; then ends within 5 s.
///
/// # Errors
/// Why it did not start, or ended by itself; [`Error::exit_code`] is for the process.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    bind(config).await?.serve(shutdown).await
}

/// Recovers every pool, then listens.
///
/// # Errors
/// Bad configuration, a data directory that cannot be used, an address that cannot be had.
pub async fn bind(config: Config) -> Result<Bound, Error> {
    config.check()?;
    listen::check(&config.listen, config.insecure)?;
    let (pools, mut ended) = Pools::recover(&config).await?;
    match listen::listen(&config.listen, config.insecure).await {
        Ok(socket) => Ok(Bound {
            config,
            pools,
            ended,
            socket,
        }),
        Err(why) => {
            // How the journals close does not matter beside the reason that is told.
            let _ = close(&pools, &mut ended).await;
            Err(why.into())
        }
    }
}

impl Bound {
    /// Where it listens, with the port that was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.socket.address()
    }

    /// Serves until `shutdown`, or until something cannot be made durable.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self {
            config,
            pools,
            mut ended,
            socket,
        } = self;
        let stopping = CancellationToken::new();
        let (health, router) = router(&config, &pools, &stopping).await;
        events::ready(socket.address(), pools.all().len());
        let mut serving = tokio::spawn(socket.serve(router, stopping.clone().cancelled_owned()));
        tokio::pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            // A pool ends by itself only when it has failed, and then nothing may be answered any more.
            Some(failed) = ended.recv() => return failed,
            served = &mut serving => return served.unwrap_or(Ok(())).map_err(Error::from),
        }
        events::stopping();
        health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        stopping.cancel();
        match tokio::time::timeout(CALLS_END_WITHIN, &mut serving).await {
            Ok(Ok(served)) => served?,
            Ok(Err(_)) | Err(_) => {
                serving.abort();
                events::cut_off();
            }
        }
        end(&pools, &mut ended).await
    }
}

async fn router(
    config: &Config,
    pools: &Pools,
    stopping: &CancellationToken,
) -> (tonic_health::server::HealthReporter, listen::Services) {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in SERVICES {
        health
            .set_service_status(service, ServingStatus::Serving)
            .await;
    }
    let router = listen::builder()
        .add_service(health_service)
        .add_service(Timers::service(Owner {
            pools: pools.clone(),
            stopping: stopping.clone(),
        }))
        .add_service(Sessions::service(pools.clone(), stopping.clone()))
        .add_service(Admin::service(pools.clone(), millis(config.lease)));
    (health, router)
}

/// What was decided is made durable and the journals are closed, if that can be done in time.
async fn close(
    pools: &Pools,
    ended: &mut mpsc::UnboundedReceiver<Ended>,
) -> Result<Ended, Elapsed> {
    let all = async {
        for _ in 0..pools.stop().await {
            if let Some(result) = ended.recv().await {
                result?;
            }
        }
        Ok(())
    };
    tokio::time::timeout(POOLS_END_WITHIN, all).await
}

/// The end of a coordinator that served.
async fn end(pools: &Pools, ended: &mut mpsc::UnboundedReceiver<Ended>) -> Result<(), Error> {
    match close(pools, ended).await {
        Ok(result) => result.inspect(|()| events::stopped()),
        // What was acknowledged is durable already; the journals are whole without being closed.
        Err(_) => {
            events::cut_off();
            Ok(())
        }
    }
}
