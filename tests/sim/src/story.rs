//! The story of a timer: every line of the trace that names it, and what happened last, made short.
//!
//! The trace is written by `Debug`; here times are made relative and timers, runs and names cut down to what a
//! reader follows a story by.

use crate::clock::BEGIN;
use dormouse_engine::id::Uid;
use std::fmt::Write;

/// How many lines of a story, and of the end of the trace, are shown.
const LINES_MAX: usize = 400;
const TAIL: usize = 60;

/// The story of one timer, and the end of the trace.
pub(crate) fn of(lines: &[String], uid: Option<Uid>) -> String {
    let mut story = String::new();
    if let Some(uid) = uid {
        let marks = [format!("Uid({})", uid.0), format!("t{:x}\"", uid.0)];
        let about: Vec<&String> = lines
            .iter()
            .filter(|line| marks.iter().any(|mark| line.contains(mark)))
            .collect();
        let _ = writeln!(
            story,
            "\nthe story of timer {} ({} events):",
            marks[0],
            about.len()
        );
        for line in about.iter().skip(about.len().saturating_sub(LINES_MAX)) {
            let _ = writeln!(story, "{}", shorten(line));
        }
    }
    let _ = writeln!(story, "\nwhat happened last:");
    for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
        let _ = writeln!(story, "{}", shorten(line));
    }
    story
}

/// One line, made short.
pub(crate) fn shorten(line: &str) -> String {
    let line = cut(
        line,
        "Timer { uid: ",
        &[
            "uid",
            "home",
            "generation",
            "revision",
            "phase",
            "token",
            "last",
        ],
    );
    let line = cut(
        &line,
        "Run { uid: ",
        &["uid", "generation", "nominal", "due", "attempt", "token"],
    );
    let line = cut(
        &line,
        "NewTimer { pool: ",
        &["uid", "when", "placement", "durability"],
    );
    let line = cut(&line, "TimerName { pool: ", &["timer"]);
    let line = cut(
        &line,
        "LastRun { nominal: ",
        &["nominal", "ending", "token"],
    );
    let line = cut(&line, "Occurrence { nominal: ", &["nominal", "attempt"]);
    let mut line = relative(&line);
    for (long, short) in [
        ("NodeId(\"", ""),
        ("RackId(\"", ""),
        ("TimerId(\"", ""),
        ("PoolId(\"", ""),
        ("HandlerName(\"", ""),
    ] {
        line = unwrap(&line, long, short);
    }
    drop_empty(line)
}

/// Lists without anything in them say nothing.
fn drop_empty(mut line: String) -> String {
    for name in [
        "changed",
        "gone",
        "handed",
        "outcomes",
        "accepted",
        "declined",
        "taken",
        "answers",
        "held",
        "pending",
        "refused",
        "interrupted",
    ] {
        line = line
            .replace(&format!("{name}: [], "), "")
            .replace(&format!("{name}: []"), "");
    }
    for name in ["armed", "capacity", "eligible", "resumed", "last"] {
        line = line
            .replace(&format!("{name}: None, "), "")
            .replace(&format!("{name}: None"), "");
    }
    line
}

/// `NodeId("n0")` is `n0`.
fn unwrap(line: &str, open: &str, with: &str) -> String {
    let mut parts = line.split(open);
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        short.push_str(with);
        match part.split_once("\")") {
            Some((name, rest)) => {
                short.push_str(name);
                short.push_str(rest);
            }
            None => short.push_str(part),
        }
    }
    short
}

/// `WallTime(1800000016480)` is `@16480`: milliseconds since the beginning.
fn relative(line: &str) -> String {
    let mut parts = line.split("WallTime(");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(')').unwrap_or((part, ""));
        let since = number
            .parse::<i64>()
            .map(|number| number - BEGIN)
            .unwrap_or_default();
        let _ = write!(short, "@{since}{rest}");
    }
    short
}

/// Replaces each struct that begins with `open` by a few of its fields.
fn cut(line: &str, open: &str, fields: &[&str]) -> String {
    let mut rest = line;
    let mut short = String::new();
    while let Some(at) = rest
        .find(open)
        .filter(|at| !rest[..*at].ends_with(char::is_alphanumeric))
    {
        let begin = at + open.find('{').unwrap_or(0);
        let Some(length) = closing(&rest[begin..]) else {
            break;
        };
        let body = &rest[begin + 1..begin + length];
        let kept: Vec<String> = fields
            .iter()
            .filter_map(|field| value(body, field))
            .collect();
        short.push_str(&rest[..at]);
        let _ = write!(short, "[{}]", kept.join(" "));
        rest = &rest[begin + length + 1..];
    }
    short.push_str(rest);
    short
}

/// Where the brace that opens `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, char)| {
        depth += match char {
            '{' | '(' | '[' => 1,
            '}' | ')' | ']' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    })
}

/// The value of a field on the outermost level.
fn value(body: &str, field: &str) -> Option<String> {
    let mark = format!("{field}: ");
    let mut depth = 0;
    let mut begin = None;
    for (at, char) in body.char_indices() {
        match char {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                if let Some(begin) = begin {
                    return Some(body[begin..at].to_owned());
                }
            }
            _ if depth == 0
                && begin.is_none()
                && body[at..].starts_with(&mark)
                && body[..at].ends_with(' ') =>
            {
                begin = Some(at + mark.len());
            }
            _ => {}
        }
    }
    begin.map(|begin| body[begin..].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_down_to_what_a_story_needs() {
        let line = "n0 -> Launch { run: Run { uid: Uid(7), name: TimerName { pool: PoolId(\"p\"), timer: TimerId(\"t7\") }, \
                    generation: 1, due: WallTime(1800000000250), attempt: 1, token: Token(9), labels: {} }, until: BootTime(3) }";
        let short = shorten(line);
        assert_eq!(
            short,
            "n0 -> Launch { run: [Uid(7) 1 @250 1 Token(9)], until: BootTime(3) }"
        );
    }
}
