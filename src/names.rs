//! Names on the command line: bare ids, and the full names that they stand for.
//!
//! The form of an id is the engine's; it is checked here, so that a wrong one is wrong usage and never sent.

use clap::Args;
use dormouse_agent::engine::id::{NodeId, PoolId, RackId, TimerId, TimerName};

/// The pool of whoever names none.
pub(crate) const POOL: &str = "default";

/// Which timer.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// A full name, pools/POOL/timers/ID or pools/POOL/nodes/NODE/timers/ID, or only the ID.
    #[arg(value_name = "NAME", value_parser = timer)]
    name: Spelling,

    /// The pool, if NAME is only an id.
    #[arg(long, env = "DORMOUSE_POOL", default_value = POOL, value_name = "POOL", value_parser = pool)]
    pool: PoolId,

    /// The home by which the timer is named, if NAME is only an id and the timer is not a replicated one.
    #[arg(long, value_name = "NODE", value_parser = node)]
    node: Option<NodeId>,
}

/// How a timer was named.
#[derive(Debug, Clone)]
pub(crate) enum Spelling {
    Id(TimerId),
    Full(TimerName),
}

impl Named {
    /// The same id among the timers that carry `node`'s name, if only the id was given.
    pub(crate) fn at(&self, node: &str) -> Option<String> {
        let node = NodeId::new(node).ok()?;
        match &self.name {
            Spelling::Id(timer) if self.node.is_none() => {
                Some(full(&self.pool, Some(&node), timer))
            }
            Spelling::Id(_) | Spelling::Full(_) => None,
        }
    }

    /// The full name.
    pub(crate) fn full(&self) -> String {
        match &self.name {
            Spelling::Full(name) => name.to_string(),
            Spelling::Id(timer) => full(&self.pool, self.node.as_ref(), timer),
        }
    }
}

fn full(pool: &PoolId, node: Option<&NodeId>, timer: &TimerId) -> String {
    TimerName::new(pool.clone(), node.cloned(), timer.clone()).to_string()
}

/// Reads an id or a full name of a timer.
pub(crate) fn timer(text: &str) -> Result<Spelling, String> {
    if text.contains('/') {
        let name = TimerName::parse(text).map_err(|why| format!("{text:?} {why}"))?;
        return Ok(Spelling::Full(name));
    }
    let id = TimerId::new(text).map_err(|why| format!("{text:?} {why}"))?;
    Ok(Spelling::Id(id))
}

/// Reads the id of a node.
pub(crate) fn node(text: &str) -> Result<NodeId, String> {
    NodeId::new(text).map_err(|why| format!("{text:?} {why}"))
}

/// Reads the id of a pool.
pub(crate) fn pool(text: &str) -> Result<PoolId, String> {
    PoolId::new(text).map_err(|why| format!("{text:?} {why}"))
}

/// Reads the id of a rack.
pub(crate) fn rack(text: &str) -> Result<RackId, String> {
    RackId::new(text).map_err(|why| format!("{text:?} {why}"))
}

/// Reads the name of a handler.
pub(crate) fn handler(text: &str) -> Result<String, String> {
    let good = (1..=255).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if good {
        Ok(text.to_owned())
    } else {
        Err("a handler's name has 1 to 255 visible ASCII characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        named: Named,
    }

    fn resolve(line: &str) -> Result<String, String> {
        let words = ["x"].into_iter().chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(line.named.full())
    }

    #[test]
    fn an_id_stands_for_a_name_in_a_pool() {
        assert_eq!(resolve("a").unwrap(), "pools/default/timers/a");
        assert_eq!(resolve("a --pool p").unwrap(), "pools/p/timers/a");
        assert_eq!(
            resolve("a --node n1").unwrap(),
            "pools/default/nodes/n1/timers/a"
        );
    }

    #[test]
    fn a_full_name_stands_for_itself() {
        for name in ["pools/p/timers/a", "pools/p/nodes/n/timers/a"] {
            assert_eq!(resolve(name).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        for bad in [
            "A",
            "a/b",
            "..",
            "pools/p/timers/",
            "/a",
            "pools/p/timers/a/",
        ] {
            let why = resolve(bad).expect_err(bad);
            assert!(why.contains("invalid value"), "{why}");
        }
    }
}
