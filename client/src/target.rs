//! What a timer runs.

use crate::error::Error;
use crate::id;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest address, in bytes.
const URL_LENGTH_MAX: usize = 2048;

/// What a timer runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A worker that has this handler.
    Handler(String),
    /// A request over HTTP, sent by the agent of the node that runs it, with the payload as its body.
    Http(Http),
    /// A command that a node allows, with the payload on its standard input.
    Command {
        /// The entry of the node's own list.
        name: String,
        /// For the entry's placeholders, in their order.
        args: Vec<String>,
    },
    /// Something that this version of the client does not know.
    Unknown,
}

/// A request over HTTP.
///
/// ```
/// use dormouse_client::{Http, Timer};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), dormouse_client::Error> {
/// let call = Http::put("https://example.com/cache")
///     .header("X-Reason", "timer")
///     .timeout(Duration::from_secs(5))
///     .signed_with("k1");
/// let refresh = Timer::every(Duration::from_secs(60))?.http(call)?;
/// let ping = Timer::every(Duration::from_secs(60))?.http("https://example.com/ping")?;
/// # let _ = (refresh, ping);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// `http` or `https`.
    pub url: String,
    /// In capitals.
    pub method: String,
    /// Further headers, by name.
    pub headers: BTreeMap<String, String>,
    /// How long the answer may take; none is the attempt's own time.
    pub timeout: Option<Duration>,
    /// Statuses that are a success; 200 to 299 if empty.
    pub success: Vec<RangeInclusive<u16>>,
    /// The name of the agent's key that signs the request; empty for none.
    pub signing_key: String,
}

impl Http {
    /// A request of this method.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            url: url.into(),
            method: method.into(),
            headers: BTreeMap::new(),
            timeout: None,
            success: Vec::new(),
            signing_key: String::new(),
        }
    }

    /// A POST.
    #[must_use]
    pub fn post(url: &str) -> Self {
        Self::new("POST", url)
    }

    /// A GET.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A PUT.
    #[must_use]
    pub fn put(url: &str) -> Self {
        Self::new("PUT", url)
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// How long the answer may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// These statuses are a success, too; 200 to 299 count only as long as nothing is said.
    #[must_use]
    pub fn success(mut self, statuses: RangeInclusive<u16>) -> Self {
        self.success.push(statuses);
        self
    }

    /// Signed with a key of the agent's configuration.
    #[must_use]
    pub fn signed_with(mut self, key: &str) -> Self {
        self.signing_key = key.into();
        self
    }
}

/// A POST.
impl From<&str> for Http {
    fn from(url: &str) -> Self {
        Self::post(url)
    }
}

pub(crate) fn handler(name: &str) -> Result<Target, Error> {
    Ok(Target::Handler(id::handler(
        "timer.target.handler.name",
        name,
    )?))
}

/// What else is wrong with it is for the answer to say.
pub(crate) fn http(http: Http) -> Result<Target, Error> {
    let known = ["http://", "https://"];
    let begins = known.iter().any(|scheme| {
        let begin = http.url.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    });
    if !begins || http.url.len() > URL_LENGTH_MAX {
        let rule = "must begin with http:// or https:// and have at most 2048 bytes";
        return Err(Error::invalid("timer.target.http.url", rule));
    }
    Ok(Target::Http(http))
}

pub(crate) fn command<S: Into<String>>(
    name: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<Target, Error> {
    Ok(Target::Command {
        name: id::id("timer.target.command.name", name)?,
        args: args.into_iter().map(Into::into).collect(),
    })
}
