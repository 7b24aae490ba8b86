//! The messages between a node and its coordinator, from the engine's types to the wire's and back.
//!
//! Both ways are total: whatever the engine says can be sent, and whatever arrives is either a message or an
//! [`Unread`] with the path of the field. What a message means is the machines' affair.

mod coordinator;
mod node;
mod parts;

pub use coordinator::{read_coordinator, write_coordinator};
pub use node::{read_node, write_node};

use crate::fault;
use tonic::Status;

/// A message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Unread {
    /// The path of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Unread {
    fn new(field: &str, why: impl ToString) -> Self {
        Self {
            field: field.into(),
            why: why.to_string(),
        }
    }

    /// A field that has to be there is not.
    fn missing(field: &str) -> Self {
        Self::new(field, "must be set")
    }

    fn within(self, path: &str) -> Self {
        Self {
            field: format!("{path}.{}", self.field),
            why: self.why,
        }
    }
}

impl From<Unread> for Status {
    fn from(unread: Unread) -> Self {
        fault::invalid(&unread.field, unread.why)
    }
}
