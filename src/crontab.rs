//! Reads crontab files: user crontabs, and the system form with a user column.
//!
//! A file becomes entries (a schedule, a command, and a timer id that stays the same when other lines
//! move), notes on what was ignored, and problems with their line and column. Whether a schedule is
//! right is for the caller's `validate` to say, and whether a file with problems is applied in part for
//! the caller to decide: nothing is done here.

use crate::source::{Place, Refusal, Remark, fnv1a};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Which of the two forms a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `crontab -e` writes it: five fields or a macro, then the command.
    User,
    /// As in `/etc/crontab` and `/etc/cron.d`: a user's name comes before the command.
    System,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Crontab {
    /// The lines that can become timers, in the order of the file.
    pub(crate) entries: Vec<Entry>,
    /// What was read and ignored.
    pub(crate) notes: Vec<Remark>,
    /// What cannot be imported.
    pub(crate) problems: Vec<Remark>,
}

/// One line that becomes one timer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where the schedule begins.
    pub(crate) place: Place,
    /// The five fields with single blanks between them, or a macro.
    pub(crate) expression: String,
    /// From `CRON_TZ`, or the zone that the caller gave.
    pub(crate) zone: String,
    /// From the user column; only in the system form.
    pub(crate) user: Option<String>,
    /// What to give to a shell on its standard input.
    pub(crate) command: String,
    /// Made of the words of the command and a hash of the whole entry; unique in the file.
    pub(crate) timer_id: String,
}

/// Reads a whole file. `zone` holds until a line sets `CRON_TZ`.
///
/// `validate` is asked about each expression, written as in the file, and its zone.
pub(crate) fn parse(
    text: &str,
    form: Form,
    zone: &str,
    validate: impl Fn(&str, &str) -> Result<(), Refusal>,
) -> Crontab {
    let mut reader = Reader {
        form,
        default_zone: zone,
        zone: zone.to_owned(),
        validate,
        ids: BTreeMap::new(),
        found: Crontab::default(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let line = Line { number, text: line };
        if let Err(problem) = reader.read(line) {
            reader.found.problems.push(problem);
        }
    }
    reader.found
}

struct Reader<'a, V> {
    form: Form,
    default_zone: &'a str,
    zone: String,
    validate: V,
    /// How often each id was given.
    ids: BTreeMap<String, usize>,
    found: Crontab,
}

impl<V: Fn(&str, &str) -> Result<(), Refusal>> Reader<'_, V> {
    fn read(&mut self, line: Line<'_>) -> Result<(), Remark> {
        let Some(first) = line.word(0) else {
            return Ok(());
        };
        if first.text.starts_with('#') {
            return Ok(());
        }
        match line.variable() {
            Some((name, value)) => self.variable(line, name, value),
            None => self.entry(line),
        }
    }

    fn variable(&mut self, line: Line<'_>, name: &str, value: Word<'_>) -> Result<(), Remark> {
        let name = unquoted(name);
        if name == "CRON_TZ" {
            let zone = match unquoted(value.text) {
                "" => self.default_zone,
                zone => zone,
            };
            (self.validate)("0 0 * * *", zone).map_err(|no| line.remark(value.start, no.why))?;
            zone.clone_into(&mut self.zone);
            return Ok(());
        }
        let why = match name {
            "MAILTO" | "MAILFROM" => "no mail is sent; a run's output is its worker's",
            "TZ" => "it would set the command's zone, not the schedule's; CRON_TZ sets that",
            "SHELL" => "the worker chooses the shell",
            _ => "set it where the worker runs, or write it before the command",
        };
        let first = line.word(0).map_or(0, |word| word.start);
        self.note(line.remark(first, format!("{name} is ignored: {why}")));
        Ok(())
    }

    fn entry(&mut self, line: Line<'_>) -> Result<(), Remark> {
        let schedule = self.schedule(line)?;
        (self.validate)(schedule.text, &self.zone)
            .map_err(|no| line.remark_in(schedule, no.offset.unwrap_or(0), no.why))?;
        let (user, command) = self.user_and_command(line, schedule.end())?;
        let expression = schedule
            .text
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let timer_id = self.timer_id(&expression, user, &command);
        self.found.entries.push(Entry {
            place: line.place(schedule.start),
            expression,
            zone: self.zone.clone(),
            user: user.map(str::to_owned),
            command,
            timer_id,
        });
        Ok(())
    }

    /// The five fields, or the macro, that the line begins with.
    fn schedule<'l>(&mut self, line: Line<'l>) -> Result<Word<'l>, Remark> {
        let mut first = line.word(0).unwrap_or(Word { start: 0, text: "" });
        if let Some(rest) = first.text.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            self.note(line.remark(first.start, "`-` (do not log) is ignored".into()));
            first = Word {
                start: first.start + 1,
                text: rest,
            };
        }
        if first.text.eq_ignore_ascii_case("@reboot") {
            let why = "@reboot cannot be imported: a timer belongs to no machine's start; \
                       use the init system, or a one-shot timer made at boot";
            return Err(line.remark(first.start, why.into()));
        }
        if first.text.starts_with('@') {
            return Ok(first);
        }
        let mut last = first;
        for fields in 1..5 {
            last = line.word(last.end()).ok_or_else(|| {
                let why =
                    format!("five fields and a command are expected; here are {fields} fields");
                line.remark(last.start, why)
            })?;
        }
        Ok(Word {
            start: first.start,
            text: &line.text[first.start..last.end()],
        })
    }

    fn user_and_command<'l>(
        &mut self,
        line: Line<'l>,
        mut from: usize,
    ) -> Result<(Option<&'l str>, String), Remark> {
        let mut user = None;
        if self.form == Form::System {
            let word = line
                .word(from)
                .ok_or_else(|| line.remark(from, "a user and a command are missing".into()))?;
            user = Some(word.text);
            from = word.end();
        }
        let first = line
            .word(from)
            .ok_or_else(|| line.remark(from, "a command is missing".into()))?;
        if self.form == Form::User && first.text == "root" {
            let why = "the command begins with `root`; is this a system crontab (--system)?";
            self.note(line.remark(first.start, why.into()));
        }
        Ok((user, command(line, first.start)?))
    }

    /// An id of the words of the command, and a hash of all that makes the entry what it is.
    fn timer_id(&mut self, expression: &str, user: Option<&str>, command: &str) -> String {
        let whole = [expression, &self.zone, user.unwrap_or(""), command].join("\0");
        let id = format!("{}-{:08x}", slug(command), fnv1a(whole.as_bytes()) >> 32);
        let times = self.ids.entry(id.clone()).or_default();
        *times += 1;
        if *times == 1 {
            id
        } else {
            format!("{id}-{times}")
        }
    }

    fn note(&mut self, note: Remark) {
        self.found.notes.push(note);
    }
}

/// A line of the file and its number.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

/// A part of a line; `start` and `end` are offsets in bytes.
#[derive(Clone, Copy)]
struct Word<'a> {
    start: usize,
    text: &'a str,
}

impl Word<'_> {
    fn end(self) -> usize {
        self.start + self.text.len()
    }
}

impl<'a> Line<'a> {
    /// The first word at or after an offset.
    fn word(self, from: usize) -> Option<Word<'a>> {
        let rest = self.text[from..].trim_start();
        let start = self.text.len() - rest.len();
        let text = rest.split_whitespace().next()?;
        Some(Word { start, text })
    }

    /// Name and value, if this line sets a variable. No field of a schedule looks like that.
    fn variable(self) -> Option<(&'a str, Word<'a>)> {
        let (name, value) = self.text.split_once('=')?;
        let bare = unquoted(name.trim());
        let is_name = !bare.is_empty()
            && !bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let text = value.trim();
        let start = self.text.len() - value.trim_start().len();
        is_name.then_some((name.trim(), Word { start, text }))
    }

    fn place(self, offset: usize) -> Place {
        Place {
            line: self.number,
            column: self.text[..offset].chars().count() + 1,
        }
    }

    fn remark(self, offset: usize, text: String) -> Remark {
        let place = self.place(offset);
        Remark { place, text }
    }

    /// A remark on a character of a part of the line.
    fn remark_in(self, part: Word<'_>, characters: usize, text: String) -> Remark {
        let mut place = self.place(part.start);
        place.column += characters;
        Remark { place, text }
    }
}

/// The command from an offset to the end of the line, with `\%` as `%`.
fn command(line: Line<'_>, from: usize) -> Result<String, Remark> {
    let text = line.text[from..].trim_end();
    let mut command = String::with_capacity(text.len());
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '%' if escaped => {
                command.pop();
            }
            '%' => {
                let why = "cron ends the command at `%` and gives the rest as its input, which is not \
                           supported; write `\\%` for a percent sign, and printf and a pipe for input";
                return Err(line.remark(from + at, why.into()));
            }
            _ if c.is_control() && c != '\t' => {
                return Err(line.remark(from + at, format!("the command has the character {c:?}")));
            }
            _ => {}
        }
        escaped = c == '\\';
        command.push(c);
    }
    Ok(command)
}

fn unquoted(text: &str) -> &str {
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// The letters and digits of a command, as the beginning of an id; its first word without folders.
fn slug(command: &str) -> String {
    let (first, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    let program = first.rsplit('/').next().unwrap_or(first);
    let mut slug = String::new();
    for c in program.chars().chain([' ']).chain(rest.chars()) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == 32 {
            break;
        }
    }
    match slug.trim_end_matches('-') {
        "" => "cron".to_owned(),
        slug => slug.to_owned(),
    }
}
