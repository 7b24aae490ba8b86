//! The commands that a node allows: a file of the node's owner, read once at the start.
//!
//! ```toml
//! [command.backup]
//! argv = ["/usr/local/bin/backup", "--keep={1:int}", "{2:path-under:/srv/data}"]
//! directory = "/srv"
//! user = "backup"
//! environment = ["LANG"]
//! timeout = "30m"
//! grace = "5s"
//! output_max = 1024
//! concurrency = 1
//! ```
//!
//! Only `argv` is required. Whether the file may be trusted is `trusted`'s affair, what values may be `placeholder`'s.

use super::placeholder::Arguments;
use super::reason;
use super::trusted::{self, Sight};
use super::user::User;
use super::{Error, file};
use crate::executor::CREDITS_MAX;
use dormouse_engine::id::TimerId;
use dormouse_engine::timer::{HandlerName, Target};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a command may run, unless its entry says otherwise.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The longest that an entry may say: a week.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long a command has between SIGTERM and SIGKILL, unless its entry says otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// The longest that an entry may say.
const GRACE_MAX: Duration = Duration::from_secs(60);
/// The units of a duration, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A command that the node allows.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The place where its runs are delivered.
    pub(super) place: HandlerName,
    /// What is run.
    pub(super) argv: Arguments,
    /// Where it is run.
    pub(super) directory: PathBuf,
    /// As whom; the agent's own user if none.
    pub(super) user: Option<User>,
    /// Variables of the agent that it is given.
    pub(super) environment: Vec<String>,
    /// How long it may run.
    pub(super) timeout: Duration,
    /// How long it has between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Bytes of the end of its standard error that become a failure's reason.
    pub(super) output_max: usize,
    /// How many of it run at once.
    pub(super) concurrency: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    command: BTreeMap<String, Written>,
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    argv: Vec<String>,
    directory: Option<PathBuf>,
    user: Option<String>,
    #[serde(default)]
    environment: Vec<String>,
    timeout: Option<String>,
    grace: Option<String>,
    output_max: Option<usize>,
    concurrency: Option<u32>,
}

/// Reads the file.
///
/// # Errors
/// If it cannot be trusted, or is wrong anywhere: no part of it is used then.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let told = |why| Error::new("the allowlist of commands", path, why);
    let text = trusted::read(path, Sight::Open).map_err(told)?;
    let text = String::from_utf8(text).map_err(|_| told("is not UTF-8".into()))?;
    parse(&text).map_err(|why| told(format!("is wrong: {why}")))
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let file: File = file::read_toml(text)?;
    let entries = file.command.into_iter();
    entries
        .map(|(name, written)| entry(&name, written).map_err(|why| format!("command.{name}.{why}")))
        .collect()
}

fn entry(name: &str, written: Written) -> Result<Entry, String> {
    let id = TimerId::new(name).ok();
    let place = id.and_then(|_| Target::command_place(name));
    let place = place.ok_or(
        "argv: the name of the entry must be up to 63 of a-z, 0-9, '-', '.' and '_', with a letter or digit at both \
         ends",
    )?;
    let directory = written.directory.unwrap_or_else(|| "/".into());
    if !directory.is_absolute() {
        return Err("directory: must be a full path".into());
    }
    let of = |field: &'static str| move |why| format!("{field}: {why}");
    for name in &written.environment {
        variable(name).map_err(of("environment"))?;
    }
    let least = Duration::from_millis(100);
    let timeout = duration(written.timeout.as_deref(), TIMEOUT, (least, TIMEOUT_MAX));
    let grace = duration(written.grace.as_deref(), GRACE, (Duration::ZERO, GRACE_MAX));
    let output_max = written.output_max.unwrap_or(reason::LENGTH_MAX);
    if output_max > reason::LENGTH_MAX {
        return Err(format!("output_max: must be 0 to {}", reason::LENGTH_MAX));
    }
    let concurrency = written.concurrency.unwrap_or(1);
    if !(1..=CREDITS_MAX).contains(&concurrency) {
        return Err(format!("concurrency: must be 1 to {CREDITS_MAX}"));
    }
    Ok(Entry {
        place,
        argv: Arguments::parse(&written.argv).map_err(of("argv"))?,
        directory,
        user: written
            .user
            .map(|it| User::find(&it))
            .transpose()
            .map_err(of("user"))?,
        environment: written.environment,
        timeout: timeout.map_err(of("timeout"))?,
        grace: grace.map_err(of("grace"))?,
        output_max,
        concurrency,
    })
}

/// Accepts the name of a variable that a command may be given.
fn variable(name: &str) -> Result<(), String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("{name:?} is no name of a variable"));
    }
    if name.starts_with("DORMOUSE_") {
        return Err(format!("{name:?} is set for each run, or the agent's own"));
    }
    Ok(())
}

/// A duration such as `500ms`, `90s`, `15m`, `2h` or `1d`, within bounds.
fn duration(
    text: Option<&str>,
    default: Duration,
    (least, most): (Duration, Duration),
) -> Result<Duration, String> {
    let Some(text) = text else {
        return Ok(default);
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = UNITS
        .iter()
        .find(|(name, _)| *name == &text[digits.len()..]);
    let millis = unit.and_then(|(_, size)| digits.parse::<u64>().ok()?.checked_mul(*size));
    let duration = millis.map(Duration::from_millis);
    duration
        .filter(|it| (least..=most).contains(it))
        .ok_or_else(|| {
            format!("{text:?} must be from {least:?} to {most:?}, written like 500ms, 90s, 15m, 2h or 1d")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(fields: &str) -> Result<Entry, String> {
        let text = format!("[command.backup]\nargv = [\"/bin/true\"]\n{fields}");
        parse(&text).map(|mut entries| entries.remove(0))
    }

    #[test]
    fn an_entry_has_what_is_written_and_defaults() {
        let entry = one("").unwrap();
        assert_eq!(entry.place.as_str(), "dormouse:command/backup");
        assert_eq!(entry.directory, Path::new("/"));
        assert_eq!((entry.timeout, entry.grace), (TIMEOUT, GRACE));
        assert_eq!((entry.output_max, entry.concurrency), (1_024, 1));
        assert!(entry.user.is_none() && entry.environment.is_empty());
        let entry = one(
            "timeout = \"90s\"\ngrace = \"500ms\"\nenvironment = [\"LANG\"]\nconcurrency = 7\noutput_max = 0",
        );
        let entry = entry.unwrap();
        assert_eq!(entry.timeout, Duration::from_secs(90));
        assert_eq!(entry.grace, Duration::from_millis(500));
        assert_eq!((entry.output_max, entry.concurrency), (0, 7));
        assert_eq!(entry.environment, ["LANG"]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let cases = [
            ("timout = \"1s\"", "command.backup.timout", "unknown field"),
            (
                "concurrency = \"1\"",
                "command.backup.concurrency",
                "invalid type",
            ),
            ("concurrency = 0", "command.backup.concurrency", "1 to"),
            ("output_max = 1025", "command.backup.output_max", "1024"),
            ("timeout = \"8d\"", "command.backup.timeout", "15m"),
            ("timeout = \"1\"", "command.backup.timeout", "15m"),
            (
                "timeout = \"99999999999999999999s\"",
                "command.backup.timeout",
                "15m",
            ),
            ("grace = \"2m\"", "command.backup.grace", "15m"),
            (
                "directory = \"here\"",
                "command.backup.directory",
                "full path",
            ),
            (
                "environment = [\"A=B\"]",
                "command.backup.environment",
                "no name",
            ),
            (
                "environment = [\"DORMOUSE_DATA\"]",
                "command.backup.environment",
                "agent",
            ),
            (
                "user = \"nobody-of-this-name\"",
                "command.backup.user",
                "nobody-of-this-name",
            ),
        ];
        for (fields, path, words) in cases {
            let why = one(fields).unwrap_err();
            assert!(
                why.starts_with(path) && why.contains(words),
                "{fields}: {why}"
            );
        }
        for (text, words) in [
            ("[commands.x]\nargv = []", "unknown field"),
            ("[command.x]\nargv = [\"x\"]", "full path"),
            ("[command.x]", "missing field"),
            ("[command.X]\nargv = [\"/x\"]", "a-z"),
            ("[command.x", "line 1"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
