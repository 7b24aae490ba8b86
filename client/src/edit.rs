//! Changes of a timer that exists: fields, a new time, pause and resume, a run at once.

use crate::client::{Client, request_id};
use crate::convert;
use crate::error::Error;
use crate::id;
use crate::policy::{self, Policy};
use crate::target::{self, Http, Target};
use crate::timer::{NewTime, Scheduled, When};
use crate::timer_info::{RunRecord, TimerInfo};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// New values for fields of a timer; made by [`Client::update`], done by [`Edit::send`].
///
/// ```no_run
/// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
/// use dormouse_client::{Overlap, Retry, Timer};
///
/// let read = client.get("pools/default/timers/report").await?;
/// client
///     .update(&read.name)?
///     .schedule(Timer::cron_in("0 7 * * MON-FRI", "Europe/Berlin"))
///     .overlap(Overlap::BufferOne)
///     .retry(Retry::attempts(3))
///     .only_if(&read.etag)
///     .send()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an edit is done by send()"]
pub struct Edit {
    client: Client,
    pub(crate) name: String,
    pub(crate) fields: BTreeSet<&'static str>,
    pub(crate) when: Option<When>,
    pub(crate) target: Option<Target>,
    pub(crate) payload: Bytes,
    pub(crate) content_type: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) paused: bool,
    pub(crate) policy: Policy,
    pub(crate) etag: String,
    pub(crate) or_create: bool,
}

policy::choices!(Edit);

impl Edit {
    /// Another schedule.
    pub fn schedule(mut self, schedule: Scheduled) -> Self {
        self.fields.insert("schedule");
        self.when = Some(schedule.into_when());
        self
    }

    /// Runs at the workers that have this handler.
    ///
    /// # Errors
    /// As [`Scheduled::handler`].
    pub fn handler(self, name: &str) -> Result<Self, Error> {
        Ok(self.target(target::handler(name)?))
    }

    /// Runs as a request over HTTP.
    ///
    /// # Errors
    /// As [`Scheduled::http`].
    pub fn http(self, http: impl Into<Http>) -> Result<Self, Error> {
        Ok(self.target(target::http(http.into())?))
    }

    /// Runs as a command.
    ///
    /// # Errors
    /// As [`Scheduled::command`].
    pub fn command<S: Into<String>>(
        self,
        name: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Self, Error> {
        Ok(self.target(target::command(name, args)?))
    }

    fn target(mut self, target: Target) -> Self {
        self.fields.insert("target");
        self.target = Some(target);
        self
    }

    /// Another payload.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.fields.insert("payload");
        self.payload = payload.into();
        self
    }

    /// Another media type of the payload.
    pub fn content_type(mut self, media_type: &str) -> Self {
        self.fields.insert("content_type");
        self.content_type = media_type.into();
        self
    }

    /// These labels instead of those that it has.
    pub fn labels<K: Into<String>, V: Into<String>>(
        mut self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.fields.insert("labels");
        let labels = labels.into_iter();
        self.labels = labels.map(|(k, v)| (k.into(), v.into())).collect();
        self
    }

    /// Paused, or not.
    pub fn paused(mut self, paused: bool) -> Self {
        self.fields.insert("paused");
        self.paused = paused;
        self
    }

    /// Takes every bound away: start, end, the number of occurrences, and when it expires.
    pub fn unbounded(mut self) -> Self {
        let policy = self.choose(&["start_time", "end_time", "max_occurrences", "expire_time"]);
        policy.start = None;
        policy.end = None;
        policy.occurrences_max = None;
        policy.expires = None;
        self
    }

    /// Only if the timer is still as it was read; otherwise [`Error::Stale`].
    pub fn only_if(mut self, etag: &str) -> Self {
        self.etag = etag.into();
        self
    }

    /// Creates the timer if there is none; schedule and target must be said then.
    pub fn or_create(mut self) -> Self {
        self.or_create = true;
        self
    }

    /// Has it done.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::Stale`] if it has changed; [`Error::InvalidArgument`] for what
    /// does not go together.
    pub async fn send(self) -> Result<TimerInfo, Error> {
        if self.fields.is_empty() {
            return Err(Error::invalid("update_mask", "say what is to change"));
        }
        let client = self.client.clone();
        let request = convert::update_request(self, request_id());
        let response = client.call(request, |channel, request| async move {
            Client::timers(channel).update_timer(request).await
        });
        convert::timer_info(Box::pin(response).await?.timer)
    }

    fn choose(&mut self, fields: &[&'static str]) -> &mut Policy {
        self.fields.extend(fields);
        &mut self.policy
    }
}

/// A new time for a timer, and what it means for the old one.
///
/// ```no_run
/// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
/// use dormouse_client::{NewTime, Rearm};
/// use std::time::Duration;
///
/// let soon = NewTime::After(Duration::from_secs(5));
/// let name = "pools/default/timers/index";
/// client.rearm(name, soon).await?; // debounce: the new time replaces the old one
/// client.rearm(name, Rearm::to(soon).keep_time().payload("newest")).await?; // throttle
/// client.rearm(name, Rearm::to(soon).drop_if_armed()).await?; // first wins
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a timer is moved by Client::rearm"]
pub struct Rearm {
    pub(crate) time: NewTime,
    pub(crate) mode: RearmMode,
    pub(crate) payload: Option<Bytes>,
}

/// What wins if the timer waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RearmMode {
    /// The new time.
    #[default]
    Replace,
    /// The old time; the new payload counts.
    KeepTime,
    /// The old time; nothing changes.
    Drop,
}

impl Rearm {
    /// To this time, which replaces the old one.
    pub fn to(time: NewTime) -> Self {
        Self {
            time,
            mode: RearmMode::Replace,
            payload: None,
        }
    }

    /// What wins if the timer waits already.
    pub fn mode(mut self, mode: RearmMode) -> Self {
        self.mode = mode;
        self
    }

    /// If it waits already it keeps its time.
    pub fn keep_time(self) -> Self {
        self.mode(RearmMode::KeepTime)
    }

    /// If it waits already nothing changes.
    pub fn drop_if_armed(self) -> Self {
        self.mode(RearmMode::Drop)
    }

    /// What is delivered from now on.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = Some(payload.into());
        self
    }
}

impl From<NewTime> for Rearm {
    fn from(time: NewTime) -> Self {
        Self::to(time)
    }
}

/// Changes of timers.
impl Client {
    /// Begins an edit of the timer of this full name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is no full name.
    pub fn update(&self, name: &str) -> Result<Edit, Error> {
        Ok(Edit {
            client: self.clone(),
            name: id::timer_name(name)?,
            fields: BTreeSet::new(),
            when: None,
            target: None,
            payload: Bytes::new(),
            content_type: String::new(),
            labels: BTreeMap::new(),
            paused: false,
            policy: Policy::default(),
            etag: String::new(),
            or_create: false,
        })
    }

    /// Moves the next firing of a timer: one call instead of cancel and create. A recurring timer goes on by its
    /// schedule after that.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::Unavailable`] if its home holds it and does not answer.
    pub async fn rearm(&self, name: &str, to: impl Into<Rearm>) -> Result<TimerInfo, Error> {
        let request = convert::rearm_request(id::timer_name(name)?, to.into(), request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).rearm_timer(request).await
        });
        convert::timer_info(response.await?.timer)
    }

    /// Stops the occurrences of a timer until it is resumed. Those in between are not missed.
    ///
    /// # Errors
    /// As [`Client::rearm`]; [`Error::Refused`] if it has ended.
    pub async fn pause(&self, name: &str) -> Result<TimerInfo, Error> {
        let request = convert::pause_request(id::timer_name(name)?, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).pause_timer(request).await
        });
        convert::timer_info(response.await?.timer)
    }

    /// Goes on with the first occurrence after now.
    ///
    /// # Errors
    /// As [`Client::rearm`].
    pub async fn resume(&self, name: &str) -> Result<TimerInfo, Error> {
        let request = convert::resume_request(id::timer_name(name)?, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).resume_timer(request).await
        });
        convert::timer_info(response.await?.timer)
    }

    /// Runs a timer at once, besides its schedule. The answer does not wait for the end of the run.
    ///
    /// # Errors
    /// As [`Client::rearm`].
    pub async fn run_now(&self, name: &str) -> Result<RunRecord, Error> {
        let request = convert::run_request(id::timer_name(name)?, request_id());
        let response = self.call(request, |channel, request| async move {
            Client::timers(channel).run_timer(request).await
        });
        convert::asked_run(response.await?.run)
    }
}
