//! The form of names, checked before anything is sent.
//!
//! The rules are those of the wire; whoever answers checks them again.

use crate::error::Error;

/// The longest id, in characters: that of a DNS label.
const ID_LENGTH_MAX: usize = 63;
/// The longest name of a handler, in characters.
const HANDLER_LENGTH_MAX: usize = 255;

/// Accepts `[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?`.
pub(crate) fn id(field: &str, text: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (1..=ID_LENGTH_MAX).contains(&text.len())
        && text
            .chars()
            .all(|c| plain(c) || matches!(c, '-' | '.' | '_'))
        && text.starts_with(plain)
        && text.ends_with(plain);
    let rule = "must be 1 to 63 characters of a-z, 0-9, '-', '.', '_', with a letter or digit at both ends";
    if good {
        Ok(text.into())
    } else {
        Err(Error::invalid(field, rule))
    }
}

/// Accepts 1 to 255 visible ASCII characters.
pub(crate) fn handler(field: &str, text: &str) -> Result<String, Error> {
    let good = (1..=HANDLER_LENGTH_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_graphic());
    let rule = "must be 1 to 255 visible ASCII characters";
    if good {
        Ok(text.into())
    } else {
        Err(Error::invalid(field, rule))
    }
}

/// Accepts `pools/POOL/timers/TIMER` and `pools/POOL/nodes/NODE/timers/TIMER`.
pub(crate) fn timer_name(text: &str) -> Result<String, Error> {
    let parts: Vec<&str> = text.split('/').collect();
    let ids = match parts.as_slice() {
        ["pools", pool, "timers", timer] => vec![pool, timer],
        ["pools", pool, "nodes", node, "timers", timer] => vec![pool, node, timer],
        _ => {
            let forms = "must be pools/POOL/timers/TIMER or pools/POOL/nodes/NODE/timers/TIMER";
            return Err(Error::invalid("name", forms));
        }
    };
    ids.into_iter()
        .try_for_each(|part| id("name", part).map(drop))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_pass() {
        let longest = "a".repeat(63);
        for good in ["a", "7", "a-b.c_d", "n1", longest.as_str()] {
            assert!(id("f", good).is_ok(), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in [
            "",
            "A",
            "a b",
            "a/b",
            "..",
            "-a",
            "a-",
            "ä",
            "a\0b",
            longer.as_str(),
        ] {
            assert!(id("f", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_full_names_pass_as_timer_names() {
        for good in ["pools/p/timers/t", "pools/p/nodes/n/timers/t"] {
            assert!(timer_name(good).is_ok(), "{good}");
        }
        for bad in [
            "t",
            "pools/p/timers/",
            "pools//timers/t",
            "pools/p/nodes/timers/t",
            "pools/p/timers/t/x",
            "/pools/p/timers/t",
        ] {
            assert!(timer_name(bad).is_err(), "{bad}");
        }
    }
}
