//! The agent's configuration file, as far as it is about targets.
//!
//! ```toml
//! commands = "commands.toml"
//!
//! [http]
//! concurrency = 64
//! allow = ["10.0.0.0/8"]
//! ca = "ca.pem"
//!
//! [http.keys]
//! billing = "billing.key"
//! ```
//!
//! Everything may be left out. Files are looked for in the directory of this one. What it names is read later.

use super::trusted::{self, Sight};
use super::{Error, Http, Network, Targets};
use crate::executor::CREDITS_MAX;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    commands: Option<PathBuf>,
    #[serde(default)]
    http: WrittenHttp,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WrittenHttp {
    concurrency: Option<u32>,
    allow: Vec<String>,
    ca: Option<PathBuf>,
    keys: BTreeMap<String, PathBuf>,
}

impl Targets {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be trusted, or is wrong anywhere.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let told = |why| Error::new("the configuration", path, why);
        let text = trusted::read(path, Sight::Open).map_err(told)?;
        let text = String::from_utf8(text).map_err(|_| told("is not UTF-8".into()))?;
        let beside = path.parent().unwrap_or(Path::new(""));
        parse(&text, beside).map_err(|why| told(format!("is wrong: {why}")))
    }
}

fn parse(text: &str, beside: &Path) -> Result<Targets, String> {
    let Written { commands, http } = read_toml(text)?;
    let default = Http::default();
    let concurrency = http.concurrency.unwrap_or(default.concurrency);
    if concurrency > CREDITS_MAX {
        return Err(format!("http.concurrency: must be 0 to {CREDITS_MAX}"));
    }
    let allow = http.allow.iter().map(|network| network.parse());
    let allow: Result<Vec<Network>, String> = allow.collect();
    let keys = http.keys.into_iter();
    Ok(Targets {
        commands: commands.map(|path| beside.join(path)),
        http: Http {
            concurrency,
            allow: allow.map_err(|why| format!("http.allow: {why}"))?,
            ca: http.ca.map(|path| beside.join(path)),
            keys: keys.map(|(name, path)| (name, beside.join(path))).collect(),
        },
    })
}

/// Reads TOML; an error begins with the path of the field.
pub(super) fn read_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let document = toml::Deserializer::parse(text).map_err(|error| error.to_string())?;
    serde_path_to_error::deserialize(document)
        .map_err(|error| format!("{}: {}", error.path(), error.inner().message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_differs_from_the_defaults() {
        let nothing = parse("", Path::new("/etc")).unwrap();
        assert_eq!(nothing.http.concurrency, 64);
        assert!(nothing.commands.is_none() && nothing.http.allow.is_empty());
        let text = "commands = \"c.toml\"\n[http]\nconcurrency = 0\nallow = [\"10.0.0.0/8\"]\nca = \"/x/ca\"\n[http.keys]\nk = \"k.key\"";
        let targets = parse(text, Path::new("/etc")).unwrap();
        assert_eq!(targets.commands.as_deref(), Some(Path::new("/etc/c.toml")));
        assert_eq!(targets.http.concurrency, 0);
        assert_eq!(targets.http.allow, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(targets.http.ca.as_deref(), Some(Path::new("/x/ca")));
        assert_eq!(targets.http.keys["k"], Path::new("/etc/k.key"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (text, path, words) in [
            ("x = 1", "x", "unknown field"),
            ("[http]\nalow = []", "http.alow", "unknown field"),
            ("[http]\nallow = [\"ten\"]", "http.allow", "10.0.0.0/8"),
            ("[http]\nconcurrency = 10001", "http.concurrency", "10000"),
            (
                "[http]\nconcurrency = -1",
                "http.concurrency",
                "invalid value",
            ),
            ("[http.keys]\nk = 1", "http.keys.k", "invalid type"),
        ] {
            let why = parse(text, Path::new("")).unwrap_err();
            assert!(
                why.starts_with(path) && why.contains(words),
                "{text}: {why}"
            );
        }
    }
}
