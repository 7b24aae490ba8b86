//! The words of a cron expression: fields, lists, ranges, steps, names and marks.
//!
//! croner parses them in the end, but it says neither where an error is nor that it passed over
//! something (`JANFEB` is December to it, `15W3` is `15W`). So every item is read here first, its
//! offset at hand, and croner is given plain numbers.

use super::BadSchedule;
use super::refusal::EXPRESSION_LENGTH_MAX;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CronComponent, CronPattern};

/// What makes a timer due: see [`super::cron`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Each matching reading of the clock, once.
    FixedTimes,
    /// Each instant at which the clock matches.
    ElapsedTime,
}

/// What a field may hold.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `first_name` on.
    names: &'static [&'static str],
    first_name: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    DayOfMonth,
    DayOfWeek,
}

const MONTHS: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn plain(name: &'static str, max: u32) -> Field {
    Field {
        name,
        min: 0,
        max,
        names: &[],
        first_name: 0,
        kind: Kind::Plain,
    }
}

const FIELDS: [Field; 6] = [
    plain("second", 59),
    plain("minute", 59),
    plain("hour", 23),
    Field {
        min: 1,
        kind: Kind::DayOfMonth,
        ..plain("day of month", 31)
    },
    Field {
        min: 1,
        names: MONTHS,
        first_name: 1,
        ..plain("month", 12)
    },
    Field {
        names: WEEKDAYS,
        kind: Kind::DayOfWeek,
        ..plain("day of week", 7)
    },
];

/// Parses an expression into the pattern of its days and times, and what it follows.
pub(super) fn parse(expression: &str) -> Result<(CronPattern, Follows), BadSchedule> {
    if expression.len() > EXPRESSION_LENGTH_MAX {
        return Err(BadSchedule::TooLong(expression.len()));
    }
    let words = words(expression);
    let words = match words.as_slice() {
        [(_, name)] if name.starts_with('@') => self::words(expand_macro(name)?),
        _ => words,
    };
    let with_seconds = match words.len() {
        5 => false,
        6 => true,
        count => return Err(BadSchedule::FieldCount(count)),
    };
    let mut fields = vec![];
    for (field, (offset, word)) in FIELDS[usize::from(!with_seconds)..].iter().zip(&words) {
        fields.push(field.normalise(*offset, word)?);
    }
    if !with_seconds {
        fields.insert(0, "0".to_owned());
    }
    let follows = if fields[1].starts_with('*') || fields[2].starts_with('*') {
        Follows::ElapsedTime
    } else {
        Follows::FixedTimes
    };
    Ok((hand_over(&fields)?, follows))
}

/// Has croner parse what is known to be well-formed.
fn hand_over(fields: &[String]) -> Result<CronPattern, BadSchedule> {
    // Vixie's rule: a day must match both of its fields if one of them begins with `*`, one of them
    // otherwise. croner by itself looks for a field that is `*` and nothing else.
    let both = fields[3].starts_with('*') || fields[5].starts_with('*');
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .dom_and_dow(both)
        .build();
    let mut pattern = parser
        .parse(&fields.join(" "))
        .map_err(|refusal| BadSchedule::Field {
            field: "expression",
            offset: 0,
            why: refusal.to_string(),
        })?
        .pattern;
    // Five kilobytes of years that nobody looks at, once per timer.
    pattern.years = CronComponent::new(0, 0, 0, 0);
    Ok(pattern)
}

/// The words between blanks, each with its offset in characters.
fn words(expression: &str) -> Vec<(usize, &str)> {
    let mut words = vec![];
    let mut offset = 0;
    for word in expression.split([' ', '\t']) {
        if !word.is_empty() {
            words.push((offset, word));
        }
        offset += word.chars().count() + 1;
    }
    words
}

fn expand_macro(name: &str) -> Result<&'static str, BadSchedule> {
    let why = match name.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => return Ok("0 0 1 1 *"),
        "@monthly" => return Ok("0 0 1 * *"),
        "@weekly" => return Ok("0 0 * * 0"),
        "@daily" | "@midnight" => return Ok("0 0 * * *"),
        "@hourly" => return Ok("0 * * * *"),
        "@reboot" => {
            "a timer belongs to no machine's start; start a one-shot from the boot instead"
        }
        "@every" => "give an interval schedule instead",
        _ => "write @hourly, @daily, @weekly, @monthly or @yearly",
    };
    Err(BadSchedule::Macro {
        name: name.to_owned(),
        why,
    })
}

impl Field {
    /// Checks a field, and writes it in numbers for croner.
    fn normalise(&self, offset: usize, text: &str) -> Result<String, BadSchedule> {
        if text == "?" && self.kind != Kind::Plain {
            return Ok("*".to_owned());
        }
        let mut items = vec![];
        let mut at = offset;
        let count = text.split(',').count();
        for item in text.split(',') {
            if item == "*" && count > 1 {
                return Err(self.bad(at, "`*` matches everything, so it stands alone"));
            }
            items.push(self.item(at, &item.to_ascii_uppercase())?);
            at += item.chars().count() + 1;
        }
        let holds = |wanted: &str| items.iter().any(|item| item == wanted);
        if holds("L") && holds("LW") {
            return Err(self.bad(offset, "`L` and `LW` do not go together in one list"));
        }
        Ok(items.join(","))
    }

    fn item(&self, offset: usize, item: &str) -> Result<String, BadSchedule> {
        if item.is_empty() {
            return Err(self.bad(offset, "a value is missing"));
        }
        if item.starts_with('H') {
            return Err(self.bad(
                offset,
                "`H` (a value chosen by hash) is not supported yet; write a number",
            ));
        }
        if let Some((range, step)) = item.split_once('/') {
            return self.stepped(offset, range, step);
        }
        match self.kind {
            _ if item == "*" => Ok(item.to_owned()),
            _ if item.contains('-') => self.range(offset, item),
            Kind::DayOfMonth if item.contains(['L', 'W']) => self.day_mark(offset, item),
            Kind::DayOfWeek if item.contains('#') || item.ends_with('L') => {
                self.weekday_mark(offset, item)
            }
            _ => Ok(self.value(offset, item, false)?.to_string()),
        }
    }

    fn stepped(&self, offset: usize, range: &str, step: &str) -> Result<String, BadSchedule> {
        let step_offset = offset + range.chars().count() + 1;
        let span = match range {
            "*" => range.to_owned(),
            _ if range.contains('-') => self.range(offset, range)?,
            _ => return Err(self.bad(offset, "a step needs a range; write `*/5` or `10-59/5`")),
        };
        let size = u64::from(self.values_max() - self.min + 1);
        let is_number = step.bytes().all(|byte| byte.is_ascii_digit());
        match step.parse::<u64>() {
            Ok(0) => Err(self.bad(step_offset, "a step is at least 1")),
            Ok(step) if is_number && step <= size => Ok(format!("{span}/{step}")),
            _ if is_number && !step.is_empty() => {
                let why =
                    format!("the step {step} is larger than the field, which has {size} values");
                Err(self.bad(step_offset, why))
            }
            _ => Err(self.bad(
                step_offset,
                format!("{step:?} is not a step; write a number"),
            )),
        }
    }

    fn range(&self, offset: usize, range: &str) -> Result<String, BadSchedule> {
        let (low, high) = range.split_once('-').unwrap_or((range, ""));
        let high_offset = offset + low.chars().count() + 1;
        let low = self.value(offset, low, false)?;
        let high = self.value(high_offset, high, true)?;
        if low > high {
            let why = format!("the range {low}-{high} runs backwards; write it as two");
            return Err(self.bad(offset, why));
        }
        Ok(format!("{low}-{high}"))
    }

    /// `L`, `LW`, `15W`.
    fn day_mark(&self, offset: usize, item: &str) -> Result<String, BadSchedule> {
        match item.strip_suffix('W') {
            _ if item == "L" || item == "LW" => Ok(item.to_owned()),
            Some(day) => Ok(format!("{}W", self.value(offset, day, false)?)),
            None => Err(self.bad(
                offset,
                "write `L` for the last day, `LW` for the last weekday, `15W` for the weekday nearest the 15th",
            )),
        }
    }

    /// `5#2`, `5L`.
    fn weekday_mark(&self, offset: usize, item: &str) -> Result<String, BadSchedule> {
        let (day, mark) = match item.split_once('#') {
            Some((day, nth @ ("1" | "2" | "3" | "4" | "5"))) => (day, format!("#{nth}")),
            Some((day, _)) => {
                let at = offset + day.chars().count() + 1;
                return Err(self.bad(at, "after `#` comes which of the month's, 1 to 5"));
            }
            None => (item.trim_end_matches('L'), "L".to_owned()),
        };
        if day.is_empty() {
            return Err(self.bad(offset, "a day is missing; write `5L` for the last Friday"));
        }
        Ok(format!("{}{mark}", self.value(offset, day, false)?))
    }

    /// A number, or a name; Sunday is 7 where a range ends in it.
    fn value(&self, offset: usize, text: &str, ends_range: bool) -> Result<u32, BadSchedule> {
        if let Some(place) = (0..).zip(self.names).find(|(_, name)| **name == text) {
            let value = self.first_name + place.0;
            let sunday_last = self.kind == Kind::DayOfWeek && value == 0 && ends_range;
            return Ok(if sunday_last { 7 } else { value });
        }
        if text.is_empty() {
            return Err(self.bad(offset, "a value is missing"));
        }
        if let Some(place) = text.chars().position(|c| !c.is_ascii_digit()) {
            let at = offset + place;
            let why = match text.chars().nth(place) {
                Some(c) if place > 0 || self.names.is_empty() => {
                    format!("{c:?} does not belong here; write a number {}", self.span())
                }
                _ => format!("{text:?} is no name and no number {}", self.span()),
            };
            return Err(self.bad(at, why));
        }
        match text.parse() {
            Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => Err(self.bad(offset, format!("{text} is not {}", self.span()))),
        }
    }

    fn span(&self) -> String {
        format!("from {} to {}", self.min, self.max)
    }

    /// The highest value that is not another name of a lower one: a week has seven days.
    fn values_max(&self) -> u32 {
        if self.kind == Kind::DayOfWeek {
            6
        } else {
            self.max
        }
    }

    fn bad(&self, offset: usize, why: impl Into<String>) -> BadSchedule {
        BadSchedule::Field {
            field: self.name,
            offset,
            why: why.into(),
        }
    }
}
