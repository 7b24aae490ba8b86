//! What a schedule means, as whoever would keep it says: its next times, with what changes of the clocks do.

use crate::client::Client;
use crate::convert;
use crate::error::Error;
use crate::timer::Scheduled;
use std::time::SystemTime;

/// Which times of a schedule are wanted; the default is the next ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PreviewWindow {
    /// Times strictly after this; if none, after now.
    pub after: Option<SystemTime>,
    /// How many, up to 1000; ten if 0.
    pub count: u16,
    /// What becomes of local times that do not exist.
    pub gap: Gap,
    /// What becomes of local times that exist twice.
    pub repeated: Repeated,
}

/// What becomes of a local time that does not exist because the clock was put forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gap {
    /// It is due once, when the gap ends.
    #[default]
    Shift,
    /// It is left out.
    Skip,
}

/// When a local time is due that exists twice because the clock was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeated {
    /// The first time.
    #[default]
    First,
    /// The second time.
    Last,
    /// Both times.
    Both,
}

/// One time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedTime {
    /// The instant.
    pub time: SystemTime,
    /// The same with offset and zone, such as `2026-03-29T03:00:00+02:00[Europe/Berlin]`.
    pub local_time: String,
    /// What a change of the clocks did to it, or to a time right before it, in words; mostly nothing.
    pub note: Option<String>,
}

impl Client {
    /// The next times of a schedule, earliest first; fewer than asked for if there are no more. Nothing is created.
    ///
    /// ```no_run
    /// # async fn example(client: dormouse_client::Client) -> Result<(), dormouse_client::Error> {
    /// let nightly = dormouse_client::Timer::cron_in("30 2 * * *", "Europe/Berlin");
    /// for time in client.preview(nightly, Default::default()).await? {
    ///     println!("{} {}", time.local_time, time.note.unwrap_or_default());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] and [`Error::OutOfRange`] for a schedule that no timer could have.
    pub async fn preview(
        &self,
        schedule: Scheduled,
        window: PreviewWindow,
    ) -> Result<Vec<PreviewedTime>, Error> {
        let request = convert::preview_request(schedule, window);
        let response = self.call(request, |channel, request| async move {
            Self::timers(channel).preview_schedule(request).await
        });
        convert::previewed(response.await?)
    }
}
