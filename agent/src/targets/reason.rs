//! What a target says about its failure, made fit to be kept and shown.
//!
//! It comes from outside and may be anything: it is cut, bytes that are no text are replaced, and so are control
//! characters, which could play with the terminal of whoever reads them.

/// The longest reason, in bytes.
pub(super) const LENGTH_MAX: usize = 1_024;

/// Which part of what was said counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Its beginning.
    First,
    /// Its end.
    Last,
}

/// A summary of ours, and as much of the target's words as fits.
pub(super) fn reason(summary: &str, said: &[u8], part: Part) -> String {
    let said = String::from_utf8_lossy(said);
    let said: String = said.trim().chars().map(visible).collect();
    if said.is_empty() {
        return first(summary, LENGTH_MAX).to_owned();
    }
    let summary = format!("{summary}: ");
    let room = LENGTH_MAX.saturating_sub(summary.len());
    let said = match part {
        Part::First => first(&said, room),
        Part::Last => last(&said, room),
    };
    first(&format!("{summary}{said}"), LENGTH_MAX).to_owned()
}

fn visible(character: char) -> char {
    match character {
        '\n' | '\t' | '\r' => ' ',
        other if other.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

fn first(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

fn last(text: &str, length: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(length))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_cut_at_the_end_that_does_not_count() {
        let said = format!("<{}>", "ö".repeat(1_000));
        let begins = reason("why", said.as_bytes(), Part::First);
        let ends = reason("why", said.as_bytes(), Part::Last);
        assert!(
            begins.starts_with("why: <ö") && begins.ends_with('ö'),
            "{begins}"
        );
        assert!(ends.starts_with("why: ö") && ends.ends_with("ö>"), "{ends}");
        for reason in [begins, ends, reason(&said, b"more", Part::Last)] {
            assert!(
                (1_022..=LENGTH_MAX).contains(&reason.len()),
                "{}",
                reason.len()
            );
        }
    }

    #[test]
    fn what_is_no_plain_text_is_replaced() {
        let said = b" \x1b[31mred\xff\r\n\tdone\x00 \n";
        assert_eq!(
            reason("why", said, Part::First),
            "why: \u{fffd}[31mred\u{fffd}   done\u{fffd}"
        );
        assert_eq!(reason("why", b" \n", Part::Last), "why");
    }
}
