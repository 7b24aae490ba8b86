//! What a process costs: its CPU time and its memory, from `/proc`.

use anyhow::Context as _;
use std::time::Duration;

/// The kernel counts CPU time in these, whatever its own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gauge {
    /// User and system time of all threads since its start.
    pub(crate) cpu: Duration,
    /// Resident memory now, in KiB.
    pub(crate) rss_kib: u64,
    /// The most that it ever was, in KiB.
    pub(crate) peak_kib: u64,
}

impl Gauge {
    /// Reads a process of this machine.
    pub(crate) fn read(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            cpu: cpu(&stat).context("/proc/PID/stat has another form")?,
            rss_kib: field(&status, "VmRSS:").context("there is no VmRSS")?,
            peak_kib: field(&status, "VmHWM:").context("there is no VmHWM")?,
        })
    }
}

/// Fields 14 and 15, counted after the name, which may have spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 10 0 0 0 123 45 0 0 20 0 3 0 100";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1680)));
    }

    #[test]
    fn this_process_can_be_read() {
        let gauge = Gauge::read(std::process::id()).unwrap();
        assert!(gauge.rss_kib > 0 && gauge.peak_kib >= gauge.rss_kib);
    }
}
