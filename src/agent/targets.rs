//! The flags about what an agent delivers to by itself: requests over HTTP, and commands of its node.
//!
//! A flag or its variable stands instead of what the configuration file says. What all of it means, and whether the
//! files may be trusted, is the agent's affair.

use clap::Args;
use dormouse_agent::targets::{self, Network};
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
pub(crate) struct Targets {
    /// A configuration file for what the agent delivers to by itself (docs/targets.md).
    #[arg(long, env = "DORMOUSE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The allowlist of commands; without it no timer runs one.
    #[arg(long, env = "DORMOUSE_COMMANDS", value_name = "FILE")]
    commands: Option<PathBuf>,

    /// How many HTTP requests of timers at once; 0: none, another node sends them [default: 64].
    #[arg(long, env = "DORMOUSE_HTTP_CONCURRENCY", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    http_concurrency: Option<u32>,

    /// Addresses that are not public and that requests may go to, such as 10.0.0.0/8; may be given more than once.
    #[arg(
        long,
        env = "DORMOUSE_HTTP_ALLOW",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    http_allow: Vec<Network>,

    /// Certificate authorities besides those of the machine, in PEM form.
    #[arg(long, env = "DORMOUSE_HTTP_CA", value_name = "FILE")]
    http_ca: Option<PathBuf>,

    /// A key that requests may be signed with: its name and its file; may be given more than once.
    #[arg(long, env = "DORMOUSE_HTTP_KEY", value_name = "NAME=FILE", value_parser = key, value_delimiter = ',')]
    http_key: Vec<(String, PathBuf)>,
}

impl Targets {
    /// What the file and the flags say together.
    ///
    /// # Errors
    /// If the configuration file is wrong or cannot be trusted.
    pub(crate) fn read(self) -> Result<targets::Targets, targets::Error> {
        let file = self.config.as_deref().map(targets::Targets::read);
        let mut targets = file.transpose()?.unwrap_or_default();
        if let Some(concurrency) = self.http_concurrency {
            targets.http.concurrency = concurrency;
        }
        if !self.http_allow.is_empty() {
            targets.http.allow = self.http_allow;
        }
        if !self.http_key.is_empty() {
            targets.http.keys = self.http_key.into_iter().collect();
        }
        targets.http.ca = self.http_ca.or(targets.http.ca);
        targets.commands = self.commands.or(targets.commands);
        Ok(targets)
    }

    /// The flags again, for a process of its own.
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let files = [
            ("--config", &self.config),
            ("--commands", &self.commands),
            ("--http-ca", &self.http_ca),
        ];
        let files = files.into_iter().filter_map(|(flag, file)| {
            let file = file.as_ref()?.as_os_str();
            Some((flag, file.to_owned()))
        });
        let count = self.http_concurrency.map(|it| it.to_string().into());
        let count = count.map(|count| ("--http-concurrency", count));
        let allow = self.http_allow.iter();
        let allow = allow.map(|it| ("--http-allow", it.to_string().into()));
        let keys = self.http_key.iter().map(|(name, file)| {
            let mut key = OsString::from(format!("{name}="));
            key.push(file);
            ("--http-key", key)
        });
        let flags = files.chain(count).chain(allow).chain(keys);
        flags
            .flat_map(|(flag, value)| [flag.into(), value])
            .collect()
    }
}

fn key(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.into(), file.into()))
        }
        _ => Err(format!("{text:?} is not NAME=FILE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        targets: Targets,
    }

    fn parse(words: &[OsString]) -> Targets {
        let words = [OsString::from("x")]
            .into_iter()
            .chain(words.iter().cloned());
        Line::parse_from(words).targets
    }

    #[test]
    fn a_flag_stands_instead_of_what_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        let text = "commands = \"c\"\n[http]\nconcurrency = 3\nallow = [\"10.0.0.0/8\"]\n[http.keys]\na = \"a\"\n";
        std::fs::write(&file, text).unwrap();
        let config = [OsString::from("--config"), file.into()];
        let read = parse(&config).read().unwrap();
        assert_eq!(read.http.concurrency, 3);
        assert_eq!(read.commands, Some(dir.path().join("c")));
        let flags = [
            "--http-concurrency=0",
            "--http-allow=::1,fd00::/8",
            "--http-key=b=x",
            "--commands=d",
        ];
        let words: Vec<_> = config
            .into_iter()
            .chain(flags.map(OsString::from))
            .collect();
        let read = parse(&words).read().unwrap();
        assert_eq!(read.http.concurrency, 0);
        assert_eq!(
            read.http.allow,
            ["::1", "fd00::/8"].map(|it| it.parse().unwrap())
        );
        assert_eq!(read.http.keys, [("b".into(), "x".into())].into());
        assert_eq!(read.commands, Some("d".into()));
    }

    #[test]
    fn an_agent_of_its_own_is_given_the_same() {
        let flags = [
            "--config=/c",
            "--commands=/d",
            "--http-concurrency=7",
            "--http-allow=::1",
            "--http-key=a=/b=c",
            "--http-ca=/e",
        ];
        let targets = parse(&flags.map(OsString::from));
        let again = parse(&targets.flags());
        assert_eq!(format!("{targets:?}"), format!("{again:?}"));
        assert!(parse(&[]).flags().is_empty());
    }
}
