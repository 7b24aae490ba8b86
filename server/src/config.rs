//! What a coordinator is configured with, and the limits of that.

use crate::Error;
use dormouse_edge::listen::Address;
use dormouse_engine::time::Millis;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port by convention.
const PORT: u16 = 7400;
/// A heartbeat comes every third of a lease; shorter ones would be lost to a busy machine.
const LEASE_MIN: Duration = Duration::from_millis(300);
const LEASE_MAX: Duration = Duration::from_secs(3600);
const WAKE_GRACE_MAX: Duration = Duration::from_secs(3600);

/// What a coordinator is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory; made if it does not exist.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: Address,
    /// How long a session lives without renewal: 300 ms to an hour.
    pub lease: Duration,
    /// How long a node that promised to wake is believed alive past its time: up to an hour.
    pub wake_grace: Duration,
    /// Whether it may listen where other machines can reach it, although there is no TLS yet.
    pub insecure: bool,
}

impl Config {
    /// The defaults, with `data` as data directory.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))),
            lease: Duration::from_secs(10),
            wake_grace: Duration::from_secs(2),
            insecure: false,
        }
    }

    /// Whether its values are within their limits.
    ///
    /// # Errors
    /// [`Error::Config`] names the flag.
    pub fn check(&self) -> Result<(), Error> {
        if self.data.as_os_str().is_empty() {
            return Err(Error::Config("--data must name a directory".into()));
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            let why = format!("--lease is {:?}; it must be 300 ms to 1 h", self.lease);
            return Err(Error::Config(why));
        }
        if self.wake_grace > WAKE_GRACE_MAX {
            let why = format!(
                "--wake-grace is {:?}; it must be at most 1 h",
                self.wake_grace
            );
            return Err(Error::Config(why));
        }
        Ok(())
    }
}

pub(crate) fn millis(length: Duration) -> Millis {
    Millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_the_limits_and_bad_values_name_their_flag() {
        let good = Config::new("/tmp/x");
        assert!(good.check().is_ok());
        let bad = [
            (
                Config {
                    lease: Duration::from_millis(299),
                    ..good.clone()
                },
                "--lease",
            ),
            (
                Config {
                    lease: Duration::from_secs(3601),
                    ..good.clone()
                },
                "--lease",
            ),
            (
                Config {
                    wake_grace: Duration::from_secs(3601),
                    ..good.clone()
                },
                "--wake-grace",
            ),
            (
                Config {
                    data: PathBuf::new(),
                    ..good
                },
                "--data",
            ),
        ];
        for (config, flag) in bad {
            let error = config.check().unwrap_err();
            assert!(
                error.to_string().contains(flag) && error.exit_code() == 78,
                "{error}"
            );
        }
    }
}
