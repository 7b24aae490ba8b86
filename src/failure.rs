//! Why a command did not do what was asked: an exit code, a message, and a hint at what to do.
//!
//! Everything ends as one of these, and `main` alone prints it.

use dormouse_client::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How the process ends, and what it says.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

/// The exit codes of the program.
mod code {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const NOT_FOUND: u8 = 3;
    pub(super) const UNAVAILABLE: u8 = 4;
}

impl Failure {
    /// It was refused, or did not work.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::with_code(code::FAILED, message)
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::with_code(code::USAGE, message)
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::with_code(code::NOT_FOUND, message)
    }

    /// As a role says that the process should end.
    pub(crate) fn with_code(code: u8, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: None,
        }
    }

    /// What to do about it, instead of what was there.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong, without the hint.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Tells it on standard error, and gives the code to exit with. If nobody reads standard output any more there
    /// is nothing to tell.
    pub(crate) fn tell(&self) -> ExitCode {
        let mut stderr = io::stderr().lock();
        // Nobody may read standard error either, and then the code has to do.
        if !self.message.is_empty() {
            let _ = writeln!(stderr, "error: {}", self.message);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

/// What went wrong with standard output or a file.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::failed(""),
            _ => Self::failed(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::with_code(exit_code(&error), words(&error));
        match hint(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn words(error: &Error) -> String {
    let words = error.to_string();
    match error {
        // That is all that a server says of a service that it does not have.
        Error::Unimplemented { .. } if words.is_empty() => {
            "whoever answers there does not know such a request".into()
        }
        _ => words,
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::BadAddress { .. } => code::USAGE,
        Error::NotFound { .. } => code::NOT_FOUND,
        Error::Unavailable { .. } | Error::TimedOut { .. } => code::UNAVAILABLE,
        _ => code::FAILED,
    }
}

fn hint(error: &Error) -> Option<String> {
    let hint = match error {
        Error::BadAddress { .. } => {
            "write --addr http://127.0.0.1:7400 or --addr unix:/run/dormouse/agent.sock, or set DORMOUSE_ADDR"
        }
        Error::AlreadyExists { .. } => {
            "`dormouse timer rearm` moves the one that exists, `dormouse timer update` changes it"
        }
        Error::Stale { .. } => "it changed meanwhile: read it again and decide afresh",
        Error::Unavailable {
            retry_after: Some(wait),
            ..
        }
        | Error::Exhausted {
            retry_after: Some(wait),
            ..
        } => {
            let changed = match error.may_have_changed() {
                true => "a change may or may not have happened: look, and",
                false => "nothing was changed;",
            };
            return Some(format!("{changed} try again after {wait:?}"));
        }
        Error::Unavailable { .. } => {
            "is `dormouse server` or `dormouse agent` running there? --addr or DORMOUSE_ADDR says whom to ask; \
             `dormouse dev` starts both"
        }
        Error::TimedOut { .. } => "a change may or may not have happened: look before trying again",
        Error::Unimplemented { .. } => {
            "coordinators know all nodes, agents run workers: does --addr name the right one of the two?"
        }
        Error::BadAnswer { .. } | Error::Broken { .. } => {
            "a change may or may not have happened; the log of whoever answered says more"
        }
        _ => return None,
    };
    Some(hint.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nothing_is_said_to_be_unchanged_that_may_have_changed() {
        let (message, retry_after) = (String::new(), Some(Duration::from_secs(1)));
        let unknown = Error::Unavailable {
            message: message.clone(),
            retry_after,
        };
        let refused = Error::Exhausted {
            message,
            retry_after,
        };
        let hint = |error| hint(&error).expect("it says what to do");
        assert_eq!(hint(refused), "nothing was changed; try again after 1s");
        assert_eq!(
            hint(unknown),
            "a change may or may not have happened: look, and try again after 1s"
        );
    }

    #[test]
    fn every_kind_of_failure_has_its_exit_code() {
        let message = || "m".to_owned();
        let unavailable = Error::Unavailable {
            message: message(),
            retry_after: None,
        };
        let refused = Error::Refused { message: message() };
        let cases = [
            (Failure::from(unavailable), 4),
            (Failure::from(Error::TimedOut { message: message() }), 4),
            (Failure::from(Error::NotFound { message: message() }), 3),
            (Failure::from(refused), 1),
            (Failure::usage("m"), 2),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.code, code, "{failure:?}");
        }
    }
}
