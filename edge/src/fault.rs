//! What is wrong with a request, gathered over all its fields, so that its author learns everything at once.
//!
//! Each fault names the path of its field. What is wrong whatever the state comes first, then what this
//! version does not do yet, then what lies too far ahead.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `ErrorInfo` of ours.
pub const DOMAIN: &str = "dormouse";

/// The faults of one request.
#[derive(Debug, Default)]
pub struct Faults {
    invalid: Vec<Fault>,
    unsupported: Vec<Fault>,
    beyond: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    field: String,
    why: String,
}

impl Faults {
    /// The value of `field` is wrong whatever the state.
    pub fn invalid(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.invalid.push(Fault {
            field: field.into(),
            why: why.into(),
        });
    }

    /// The value of `field` is right, but this version does not do it yet.
    pub fn unsupported(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.unsupported.push(Fault {
            field: field.into(),
            why: why.into(),
        });
    }

    /// The time in `field` lies beyond the horizon.
    pub fn beyond(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.beyond.push(Fault {
            field: field.into(),
            why: why.into(),
        });
    }

    /// The same faults, with `prefix` before the path of each field.
    #[must_use]
    pub(crate) fn within(mut self, prefix: &str) -> Self {
        let all = [&mut self.invalid, &mut self.unsupported, &mut self.beyond];
        for fault in all.into_iter().flatten() {
            fault.field.insert_str(0, prefix);
        }
        self
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.unsupported.is_empty() && self.beyond.is_empty()
    }

    /// The value that was built, if nothing was wrong on the way.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, `UNIMPLEMENTED` or `OUT_OF_RANGE`, with every field that is to blame.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Status> {
        if !self.invalid.is_empty() {
            return Err(status(
                Code::InvalidArgument,
                "INVALID_FIELD",
                &self.invalid,
            ));
        }
        if !self.unsupported.is_empty() {
            return Err(status(
                Code::Unimplemented,
                "NOT_SUPPORTED_YET",
                &self.unsupported,
            ));
        }
        if !self.beyond.is_empty() {
            return Err(status(Code::OutOfRange, "BEYOND_HORIZON", &self.beyond));
        }
        Ok(value.expect("whoever leaves a value out names a fault"))
    }
}

/// `INVALID_ARGUMENT` for one field.
#[must_use]
pub fn invalid(field: &str, why: impl Into<String>) -> Status {
    let fault = Fault {
        field: field.into(),
        why: why.into(),
    };
    status(Code::InvalidArgument, "INVALID_FIELD", &[fault])
}

/// `OUT_OF_RANGE` for one field.
#[must_use]
pub fn beyond(field: &str, why: impl Into<String>) -> Status {
    let fault = Fault {
        field: field.into(),
        why: why.into(),
    };
    status(Code::OutOfRange, "BEYOND_HORIZON", &[fault])
}

fn status(code: Code, reason: &str, faults: &[Fault]) -> Status {
    let mut details = details(reason);
    for fault in faults {
        details.add_bad_request_violation(&fault.field, &fault.why);
    }
    let words: Vec<String> = faults
        .iter()
        .map(|f| format!("{} {}", f.field, f.why))
        .collect();
    Status::with_error_details(code, words.join("; "), details)
}

/// Error details that begin with our `ErrorInfo`.
#[must_use]
pub fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}
