//! What a run is delivered to.
//!
//! Every target has a *place*: the name under which nodes say how many runs of it they can take. A handler's is
//! its own name; those of the other targets begin with [`PLACE_PREFIX`], which no handler's name may.

use super::HandlerName;
use crate::op::Refusal;
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the names of places begin with that are not handlers.
pub const PLACE_PREFIX: &str = "dormouse:";

/// What a run is delivered to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Target {
    /// A worker that is attached for the handler of the place's name.
    #[default]
    Handler,
    /// A request over HTTP.
    Http(Box<HttpTarget>),
    /// A command that the node allows.
    Command(CommandTarget),
}

/// A request over HTTP, with the payload as its body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HttpTarget {
    /// `http` or `https`, without credentials.
    pub url: String,
    /// In capitals.
    pub method: String,
    /// Further headers, by name.
    pub headers: BTreeMap<String, String>,
    /// How long the answer may take; none is the attempt's own time.
    pub timeout: Option<Millis>,
    /// Ranges of statuses that are a success, both ends included; none is 200 to 299.
    pub success: Vec<(u16, u16)>,
    /// The name of the node's key that signs the request; empty for none.
    pub signing_key: String,
}

/// An entry of the node's own list of commands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandTarget {
    /// Which entry.
    pub name: String,
    /// For the entry's placeholders, in their order.
    pub args: Vec<String>,
}

impl Target {
    /// About how many bytes it takes in a message.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Handler => 0,
            Self::Http(http) => {
                let headers = http.headers.iter();
                let headers: usize = headers
                    .map(|(key, value)| key.len() + value.len() + 4)
                    .sum();
                64 + http.url.len() + headers + 4 * http.success.len()
            }
            Self::Command(command) => {
                let args = command.args.iter().map(|it| it.len() + 4);
                command.name.len() + args.sum::<usize>()
            }
        }
    }

    /// Whether a timer with this target may be at `place`: a handler's name is no other target's place, or its runs
    /// would go where nobody attached for them.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the field of the handler's name.
    pub(crate) fn check_place(&self, place: &HandlerName) -> Result<(), Refusal> {
        if *self != Self::Handler || !place.is_reserved() {
            return Ok(());
        }
        Err(Refusal::Invalid {
            field: "timer.target.handler.name".into(),
            why: format!("is {place}; must not begin with {PLACE_PREFIX:?}"),
        })
    }

    /// The place of an HTTP target.
    #[must_use]
    pub fn http_place() -> HandlerName {
        HandlerName::new(&format!("{PLACE_PREFIX}http")).expect("the name is short and visible")
    }

    /// The place of a command; none if `name` is empty, too long or not visible ASCII.
    #[must_use]
    pub fn command_place(name: &str) -> Option<HandlerName> {
        let place = HandlerName::new(&format!("{PLACE_PREFIX}command/{name}"))?;
        (!name.is_empty()).then_some(place)
    }
}
