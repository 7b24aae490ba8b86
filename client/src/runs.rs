//! What became of runs: the history of a timer, and the dead of a pool.

use crate::client::{Client, request_id};
use crate::convert;
use crate::error::Error;
use crate::id;
use crate::timer_info::{RunRecord, RunState};
use dormouse_proto::v1 as wire;

/// Pages of a timer's runs, the newest first; made by [`Client::runs`].
#[derive(Debug)]
pub struct RunPages {
    client: Client,
    request: Option<wire::ListRunsRequest>,
}

/// Pages of the dead runs of a pool; made by [`Client::dead_runs`].
#[derive(Debug)]
pub struct DeadPages {
    client: Client,
    request: Option<wire::ListDeadRunsRequest>,
}

/// What became of runs.
impl Client {
    /// Reads the runs of a timer, page by page, the newest first; nothing is asked before the first page is. Only runs
    /// in one of `states`, all if there is none.
    ///
    /// ```no_run
    /// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
    /// let mut pages = client.runs("pools/default/timers/report", &[])?;
    /// while let Some(runs) = pages.next().await? {
    ///     for run in runs {
    ///         println!("{:?} {} {}", run.nominal_time, run.state, run.reason);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is no full name.
    pub fn runs(&self, name: &str, states: &[RunState]) -> Result<RunPages, Error> {
        Ok(RunPages {
            client: self.clone(),
            request: Some(convert::runs_request(id::timer_name(name)?, states)),
        })
    }

    /// Reads the dead runs of a pool, page by page, by the names of their timers. An empty pool is the agent's own, at
    /// a coordinator `default`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is no id.
    pub fn dead_runs(&self, pool: &str) -> Result<DeadPages, Error> {
        let pool = match pool {
            "" => String::new(),
            pool => id::id("pool", pool)?,
        };
        Ok(DeadPages {
            client: self.clone(),
            request: Some(convert::dead_request(pool)),
        })
    }

    /// Runs a dead occurrence again, as if it were new. `run` is [`RunRecord::run`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such dead run.
    pub async fn requeue(&self, name: &str, run: &str) -> Result<RunRecord, Error> {
        let request = convert::requeue_request(id::timer_name(name)?, run, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).requeue_dead_run(request).await
        });
        convert::asked_run(response.await?.run)
    }

    /// Forgets a dead occurrence. `run` is [`RunRecord::run`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such dead run.
    pub async fn purge(&self, name: &str, run: &str) -> Result<(), Error> {
        let request = convert::purge_request(id::timer_name(name)?, run, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).purge_dead_run(request).await
        });
        response.await.map(drop)
    }
}

impl RunPages {
    /// The next page; none after the last one. A page may be empty.
    ///
    /// # Errors
    /// As every call; the same page is asked for again by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<RunRecord>>, Error> {
        let Some(request) = self.request.clone() else {
            return Ok(None);
        };
        let response = self.client.call(request, |channel, request| async move {
            Client::timers(channel).list_runs(request).await
        });
        let page = response.await?;
        let runs = convert::run_records(page.runs)?;
        let token = page.next_page_token;
        self.request = self.request.take().filter(|_| !token.is_empty());
        if let Some(request) = &mut self.request {
            request.page_token = token;
        }
        Ok(Some(runs))
    }

    /// Whether there may be a further page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.request.is_some()
    }
}

impl DeadPages {
    /// The next page; none after the last one.
    ///
    /// # Errors
    /// As every call; the same page is asked for again by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<RunRecord>>, Error> {
        let Some(request) = self.request.clone() else {
            return Ok(None);
        };
        let response = self.client.call(request, |channel, request| async move {
            Client::timers(channel).list_dead_runs(request).await
        });
        let page = response.await?;
        let runs = convert::run_records(page.runs)?;
        let token = page.next_page_token;
        self.request = self.request.take().filter(|_| !token.is_empty());
        if let Some(request) = &mut self.request {
            request.page_token = token;
        }
        Ok(Some(runs))
    }

    /// Whether there may be a further page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.request.is_some()
    }
}
