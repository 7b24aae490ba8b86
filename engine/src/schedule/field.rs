//! One field of a cron expression: its items, and where one of them is wrong.
//!
//! Values, names, ranges, steps, the marks of days, and `H`, which stands for a value that the timer's own
//! seed chooses, so that timers that say the same do not fall due in one instant.

use super::BadSchedule;
use super::days::Named;
use crate::hash;

/// What a field may hold.
pub(super) struct Field {
    name: &'static str,
    /// Its place among the six, which keeps the choices of `H` apart.
    place: u64,
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
    Month,
    DayOfWeek,
}

/// Which of the values that `H` may be it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The one that this seed says.
    Seed(u64),
    /// The one that matches on the fewest dates. If that matches at all, each one does.
    Rarest,
}

/// An item, and which one of its field it is.
#[derive(Clone, Copy)]
struct Item<'a> {
    text: &'a str,
    offset: usize,
    index: u64,
}

const MONTHS: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The last day of the month that `H` chooses by itself: each month has it.
const DAY_CHOSEN_MAX: u32 = 28;

const fn plain(place: u64, name: &'static str, max: u32) -> Field {
    Field {
        name,
        place,
        min: 0,
        max,
        names: &[],
        first_name: 0,
        kind: Kind::Plain,
    }
}

pub(super) const FIELDS: [Field; 6] = [
    plain(0, "second", 59),
    plain(1, "minute", 59),
    plain(2, "hour", 23),
    Field {
        min: 1,
        kind: Kind::DayOfMonth,
        ..plain(3, "day of month", 31)
    },
    Field {
        min: 1,
        names: MONTHS,
        first_name: 1,
        kind: Kind::Month,
        ..plain(4, "month", 12)
    },
    Field {
        names: WEEKDAYS,
        kind: Kind::DayOfWeek,
        ..plain(5, "day of week", 7)
    },
];

impl Field {
    /// What the field names. `offset` is where its text stands in the expression.
    pub(super) fn read(
        &self,
        offset: usize,
        text: &str,
        choice: Choice,
    ) -> Result<Named, BadSchedule> {
        if text == "?" && matches!(self.kind, Kind::DayOfMonth | Kind::DayOfWeek) {
            return Ok(self.values(self.min, self.values_max(), 1));
        }
        let mut named = Named::default();
        let mut at = offset;
        let count = text.split(',').count();
        for (index, item) in (0..).zip(text.split(',')) {
            if item == "*" && count > 1 {
                return Err(self.bad(at, "`*` matches everything, so it stands alone"));
            }
            let upper = item.to_ascii_uppercase();
            let item = Item {
                text: &upper,
                offset: at,
                index,
            };
            named = named.or(self.item(item, choice)?);
            at += item.text.chars().count() + 1;
        }
        Ok(named)
    }

    /// Whether one of the items is an `H`.
    pub(super) fn has_hash(text: &str) -> bool {
        text.split(',').any(|item| item.starts_with(['H', 'h']))
    }

    fn item(&self, item: Item<'_>, choice: Choice) -> Result<Named, BadSchedule> {
        let Item { text, offset, .. } = item;
        if text.is_empty() {
            return Err(self.bad(offset, "a value is missing"));
        }
        if text.starts_with('H') {
            return self.hashed(item, choice);
        }
        if let Some((range, step)) = text.split_once('/') {
            return self.stepped(offset, range, step);
        }
        match self.kind {
            _ if text == "*" => Ok(self.values(self.min, self.values_max(), 1)),
            Kind::DayOfMonth if text.starts_with('L') || text.ends_with('W') => {
                self.day_mark(offset, text)
            }
            _ if text.contains('-') => {
                let (low, high) = self.range(offset, text)?;
                Ok(self.values(low, high, 1))
            }
            Kind::DayOfMonth if text.contains(['L', 'W']) => self.day_mark(offset, text),
            Kind::DayOfWeek if text.contains('#') || text.ends_with('L') => {
                self.weekday_mark(offset, text)
            }
            Kind::Plain | Kind::DayOfMonth | Kind::Month | Kind::DayOfWeek => {
                let value = self.value(offset, text, false)?;
                Ok(self.values(value, value, 1))
            }
        }
    }

    fn values(&self, low: u32, high: u32, step: u32) -> Named {
        let mut values = (low..=high)
            .step_by(step as usize)
            .fold(0, |set, value| set | 1_u64 << value);
        if self.kind == Kind::DayOfWeek {
            values = (values | values >> 7) & 0x7f;
        }
        Named {
            values,
            ..Named::default()
        }
    }

    fn stepped(&self, offset: usize, range: &str, step: &str) -> Result<Named, BadSchedule> {
        let step_offset = offset + range.chars().count() + 1;
        let (low, high) = match range {
            "*" => (self.min, self.values_max()),
            _ if range.contains('-') => self.range(offset, range)?,
            _ => return Err(self.bad(offset, "a step needs a range; write `*/5` or `10-59/5`")),
        };
        let size = self.values_max() - self.min + 1;
        let step = self.step(step_offset, step, size, "field")?;
        Ok(self.values(low, high, step))
    }

    fn step(&self, at: usize, step: &str, size: u32, of: &str) -> Result<u32, BadSchedule> {
        let is_number = step.bytes().all(|byte| byte.is_ascii_digit());
        match step.parse::<u32>() {
            Ok(0) => Err(self.bad(at, "a step is at least 1")),
            Ok(step) if is_number && step <= size => Ok(step),
            _ if is_number && !step.is_empty() => {
                let why =
                    format!("the step {step} is larger than the {of}, which has {size} values");
                Err(self.bad(at, why))
            }
            _ => Err(self.bad(at, format!("{step:?} is not a step; write a number"))),
        }
    }

    /// `H`, `H(0-29)`, `H/15`, `H(0-29)/10`: one value, or one place to begin to step from.
    fn hashed(&self, item: Item<'_>, choice: Choice) -> Result<Named, BadSchedule> {
        let rest = &item.text[1..];
        let after = item.offset + 1;
        let (span, rest) = match rest.strip_prefix('(').map(|rest| rest.split_once(')')) {
            None => (None, rest),
            Some(Some((span, rest))) => (Some(span), rest),
            Some(None) => return Err(self.bad(after, "this parenthesis is not closed")),
        };
        let (low, high) = match span {
            None if self.kind == Kind::DayOfMonth => (self.min, DAY_CHOSEN_MAX),
            None => (self.min, self.values_max()),
            Some(span) if !span.contains('-') => {
                return Err(self.bad(after + 1, "a range stands here, such as `0-29`"));
            }
            Some(span) => self.range(after + 1, span)?,
        };
        let at = after + span.map_or(0, |span| span.chars().count() + 2);
        let size = high - low + 1;
        let candidate = |start: u32, step: u32| self.values(low + start, high, step);
        if rest.is_empty() {
            let chosen = self.choose(item.index, choice, size, |n| {
                self.values(low + n, low + n, 1)
            });
            return Ok(chosen);
        }
        let Some(step) = rest.strip_prefix('/') else {
            return Err(self.bad(at, "after `H` comes nothing, `(0-29)`, `/15` or both"));
        };
        let step = self.step(at + 1, step, size, "range")?;
        Ok(self.choose(item.index, choice, step, |start| candidate(start, step)))
    }

    /// One of `count` candidates.
    fn choose(
        &self,
        index: u64,
        choice: Choice,
        count: u32,
        candidate: impl Fn(u32) -> Named,
    ) -> Named {
        match choice {
            Choice::Seed(seed) => {
                let drawn = hash::fold(&[seed, self.place, index]) % u64::from(count);
                candidate(u32::try_from(drawn).expect("it is below a number of 32 bits"))
            }
            Choice::Rarest => (0..count)
                .map(candidate)
                .max_by_key(|named| self.rarity(*named))
                .expect("a range has a value"),
        }
    }

    /// Higher for what matches on fewer dates: a later day of the month, a shorter month.
    fn rarity(&self, named: Named) -> u32 {
        match self.kind {
            Kind::DayOfMonth => named.values.trailing_zeros(),
            Kind::Month => {
                let long = named.values & 0b1_0101_1010_1010 != 0;
                let february_only = named.values == 1 << 2;
                u32::from(!long) + u32::from(february_only)
            }
            Kind::Plain | Kind::DayOfWeek => 0,
        }
    }

    fn range(&self, offset: usize, range: &str) -> Result<(u32, u32), BadSchedule> {
        let (low, high) = range.split_once('-').unwrap_or((range, ""));
        let high_offset = offset + low.chars().count() + 1;
        let low = self.value(offset, low, false)?;
        let high = self.value(high_offset, high, true)?;
        if low > high {
            let why = format!("the range {low}-{high} runs backwards; write it as two");
            return Err(self.bad(offset, why));
        }
        Ok((low, high))
    }

    /// `L`, `L-3`, `LW`, `15W`.
    fn day_mark(&self, offset: usize, item: &str) -> Result<Named, BadSchedule> {
        let mut named = Named::default();
        match (item, item.strip_prefix("L-"), item.strip_suffix('W')) {
            ("L", ..) => named.before_last = 1,
            ("LW", ..) => named.last_weekday = true,
            (_, Some(days), _) => match days.parse::<u32>() {
                Ok(count @ 1..=30) if !days.starts_with('+') => named.before_last = 1 << count,
                _ => {
                    let why = "after `L-` comes how many days before the last, 1 to 30";
                    return Err(self.bad(offset + 2, why));
                }
            },
            (_, None, Some(day)) => named.nearest = 1 << self.value(offset, day, false)?,
            _ => {
                let why = "write `L` for the last day, `L-3` for three days before it, `LW` for the last weekday, \
                           `15W` for the weekday nearest the 15th";
                return Err(self.bad(offset, why));
            }
        }
        Ok(named)
    }

    /// `5#2`, `5L`.
    fn weekday_mark(&self, offset: usize, item: &str) -> Result<Named, BadSchedule> {
        let (day, nth) = match item.split_once('#') {
            Some((day, "1" | "2" | "3" | "4" | "5")) => (day, item.bytes().last()),
            Some((day, _)) => {
                let at = offset + day.chars().count() + 1;
                return Err(self.bad(at, "after `#` comes which of the month's, 1 to 5"));
            }
            None => (item.trim_end_matches('L'), None),
        };
        if day.is_empty() {
            return Err(self.bad(offset, "a day is missing; write `5L` for the last Friday"));
        }
        let value = self.value(offset, day, false)?;
        let days = self.values(value, value, 1).values;
        let mut named = Named::default();
        match nth {
            Some(digit) => named.nth[usize::from(digit - b'1')] = days,
            None => named.last = days,
        }
        Ok(named)
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
