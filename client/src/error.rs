//! What went wrong, and what the caller may do next.
//!
//! An answer's code and its `google.rpc` details become one variant each here; nothing above this file looks at a
//! `Status`.

use std::error::Error as _;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one. Nothing was sent.
    #[error("bad address {address:?}: {why}")]
    BadAddress {
        /// As it was given.
        address: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The request is wrong whatever the state; nothing changed. Correct it.
    #[error("{}", with_field(.field, .message))]
    InvalidArgument {
        /// The path of the field, such as `timer.schedule.cron.expression`; empty if unknown.
        field: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A time lies beyond the horizon of ten years; nothing changed. Choose another.
    #[error("{}", with_field(.field, .message))]
    OutOfRange {
        /// The path of the field; empty if unknown.
        field: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// There is nothing of that name; nothing changed.
    #[error("{message}")]
    NotFound {
        /// What was looked for.
        message: String,
    },
    /// Another timer has that name; nothing changed.
    #[error("{message}")]
    AlreadyExists {
        /// Which one.
        message: String,
    },
    /// It changed meanwhile (etag, token or epoch is stale); nothing changed. Read it again and decide afresh.
    #[error("{message}")]
    Stale {
        /// What is stale.
        message: String,
    },
    /// The state does not allow it; nothing changed. Change the state first.
    #[error("{message}")]
    Refused {
        /// What stands against it, and what to do.
        message: String,
    },
    /// A bound is reached; nothing changed. Try again after `retry_after`, or, without it, raise the bound.
    #[error("{message}")]
    Exhausted {
        /// Which bound.
        message: String,
        /// When trying again helps; none if it does not.
        retry_after: Option<Duration>,
    },
    /// Nobody can decide it just now, or nobody answered. A change may or may not have happened: whoever was to decide
    /// may have done so before the answer was lost. With `retry_after` trying again then helps.
    #[error("{message}")]
    Unavailable {
        /// Who could not be reached, and why.
        message: String,
        /// When trying again helps; none if unknown.
        retry_after: Option<Duration>,
    },
    /// There was no answer in time. A change may or may not have happened: look.
    #[error("{message}")]
    TimedOut {
        /// What was waited for.
        message: String,
    },
    /// This caller may not do that; nothing changed.
    #[error("{message}")]
    Denied {
        /// What is missing.
        message: String,
    },
    /// Whoever answered does not do that (yet); nothing changed. Ask another (agent or coordinator), or a newer one.
    #[error("{message}")]
    Unimplemented {
        /// What it does not do.
        message: String,
    },
    /// The answer makes no sense to this version of the client. A change may have happened.
    #[error("the answer makes no sense: {message}")]
    BadAnswer {
        /// What is missing or unknown.
        message: String,
    },
    /// Something is broken on the other side. A change may or may not have happened: look, and read its log.
    #[error("{code:?}: {message}")]
    Broken {
        /// The code of the answer.
        code: Code,
        /// In the words of the other side.
        message: String,
    },
}

fn with_field(field: &str, message: &str) -> String {
    if field.is_empty() {
        message.into()
    } else {
        format!("{field}: {message}")
    }
}

/// The first field that is to blame, and what is wrong with it and, after that, with every other one; `otherwise` if
/// it is not said.
fn blame(violations: &[FieldViolation], otherwise: &str) -> Option<(String, String)> {
    let (first, others) = violations.split_first()?;
    if first.description.is_empty() {
        return Some((first.field.clone(), otherwise.into()));
    }
    let others = others
        .iter()
        .map(|it| format!("; {}", with_field(&it.field, &it.description)));
    let message = std::iter::once(first.description.clone()).chain(others);
    Some((first.field.clone(), message.collect()))
}

impl Error {
    /// The request is wrong in one field, as this side found.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::InvalidArgument {
            field: field.into(),
            message: message.into(),
        }
    }

    /// The answer lacks something, or has something unknown.
    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::BadAnswer {
            message: message.into(),
        }
    }

    /// Reads an answer's status; `address` names who was called.
    pub(crate) fn from_status(status: &Status, address: &str) -> Self {
        if let Some(local) = unreachable(status) {
            let message = format!("cannot reach {address}: {local}");
            return Self::Unavailable {
                message,
                retry_after: None,
            };
        }
        let details = status.get_error_details();
        let retry_after = details
            .retry_info()
            .map(|info| info.retry_delay.unwrap_or_default());
        let (field, message) = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .and_then(|violations| blame(violations, status.message()))
            .unwrap_or_else(|| (String::new(), status.message().to_owned()));
        match status.code() {
            Code::InvalidArgument => Self::InvalidArgument { field, message },
            Code::OutOfRange => Self::OutOfRange { field, message },
            Code::NotFound => Self::NotFound { message },
            Code::AlreadyExists => Self::AlreadyExists { message },
            Code::Aborted => Self::Stale { message },
            Code::FailedPrecondition => Self::Refused { message },
            Code::ResourceExhausted => Self::Exhausted {
                message,
                retry_after,
            },
            Code::Unavailable => Self::Unavailable {
                message,
                retry_after,
            },
            Code::DeadlineExceeded | Code::Cancelled => Self::TimedOut { message },
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied { message },
            Code::Unimplemented => Self::Unimplemented { message },
            code => Self::Broken { code, message },
        }
    }

    /// The gRPC code that stands for this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::BadAddress { .. } | Self::InvalidArgument { .. } => Code::InvalidArgument,
            Self::OutOfRange { .. } => Code::OutOfRange,
            Self::NotFound { .. } => Code::NotFound,
            Self::AlreadyExists { .. } => Code::AlreadyExists,
            Self::Stale { .. } => Code::Aborted,
            Self::Refused { .. } => Code::FailedPrecondition,
            Self::Exhausted { .. } => Code::ResourceExhausted,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::TimedOut { .. } => Code::DeadlineExceeded,
            Self::Denied { .. } => Code::PermissionDenied,
            Self::Unimplemented { .. } => Code::Unimplemented,
            Self::BadAnswer { .. } => Code::Internal,
            Self::Broken { code, .. } => *code,
        }
    }

    /// When trying again helps; none if the answer did not say that it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Whether a change may have happened all the same.
    #[must_use]
    pub fn may_have_changed(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::TimedOut { .. }
                | Self::BadAnswer { .. }
                | Self::Broken { .. }
        )
    }
}

/// Why there was no answer, if the status was made on this side because the connection failed.
fn unreachable(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
        return None;
    }
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn the_field_of_a_bad_request_is_kept() {
        let details = ErrorDetails::with_bad_request_violation("timer.schedule", "is missing");
        let status = Status::with_error_details(Code::InvalidArgument, "bad", details);
        let error = Error::from_status(&status, "there");
        assert_eq!(error, Error::invalid("timer.schedule", "is missing"));
        assert_eq!(error.to_string(), "timer.schedule: is missing");
    }

    #[test]
    fn every_field_of_a_bad_request_is_told_of() {
        let mut details = ErrorDetails::with_bad_request_violation("timer.schedule", "is missing");
        details.add_bad_request_violation("timer.jitter", "is too long");
        let status = Status::with_error_details(Code::InvalidArgument, "bad", details);
        let error = Error::from_status(&status, "there");
        assert_eq!(
            error.to_string(),
            "timer.schedule: is missing; timer.jitter: is too long"
        );
    }

    #[test]
    fn only_retry_info_makes_an_error_worth_retrying_and_it_does_not_say_that_nothing_changed() {
        let told = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::Unavailable, "wait", told);
        assert_eq!(
            Error::from_status(&status, "").retry_after(),
            Some(Duration::from_secs(2))
        );
        let bare = Error::from_status(&Status::unavailable("down"), "");
        assert_eq!(bare.retry_after(), None);
        assert!(bare.may_have_changed());
        assert!(Error::from_status(&status, "").may_have_changed());
    }

    #[test]
    fn every_code_survives_the_translation() {
        for number in 1..=16 {
            let status = Status::new(Code::from_i32(number), "text");
            let back = Error::from_status(&status, "").code();
            match status.code() {
                Code::Cancelled => assert_eq!(back, Code::DeadlineExceeded),
                Code::Unauthenticated => assert_eq!(back, Code::PermissionDenied),
                code => assert_eq!(back, code),
            }
        }
    }
}
