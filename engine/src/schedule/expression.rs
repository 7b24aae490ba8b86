//! The words of a cron expression: five or six fields, or a macro that stands for them.
//!
//! What one field holds is read in `field`; here is what needs more than one of them.

use super::BadSchedule;
use super::calendar::Calendar;
use super::days::{Days, Named};
use super::field::{Choice, FIELDS, Field};
use super::refusal::EXPRESSION_LENGTH_MAX;

/// What makes a timer due: see [`super::cron`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Each matching reading of the clock, as the policy for changes of the clock says.
    FixedTimes,
    /// Each instant at which the clock matches.
    ElapsedTime,
}

/// An expression, read.
pub(super) struct Expression {
    /// The days and times that it names.
    pub(super) calendar: Calendar,
    pub(super) follows: Follows,
    /// Whether it has an `H`.
    pub(super) uses_hash: bool,
}

/// Reads an expression; `H` is what `choice` makes of it.
pub(super) fn parse(expression: &str, choice: Choice) -> Result<Expression, BadSchedule> {
    if expression.len() > EXPRESSION_LENGTH_MAX {
        return Err(BadSchedule::TooLong(expression.len()));
    }
    let words = words(expression);
    let mut words = match words.as_slice() {
        [(_, name)] if name.starts_with('@') => self::words(expand_macro(name)?),
        _ => words,
    };
    match words.len() {
        5 => words.insert(0, (0, "0")),
        6 => {}
        count => return Err(BadSchedule::FieldCount(count)),
    }
    let mut named = [Named::default(); 6];
    for ((field, (offset, word)), named) in FIELDS.iter().zip(&words).zip(&mut named) {
        *named = field.read(*offset, word, choice)?;
    }
    let [seconds, minutes, hours, of_month, months, of_week] = named;
    let is_open = |place: usize| words[place].1.starts_with(['*', '?']);
    let days = Days {
        months,
        of_month,
        of_week,
        both: is_open(3) || is_open(5),
    };
    Ok(Expression {
        calendar: Calendar::new([seconds, minutes, hours].map(|it| it.values), days),
        follows: if is_open(1) || is_open(2) {
            Follows::ElapsedTime
        } else {
            Follows::FixedTimes
        },
        uses_hash: words.iter().any(|(_, word)| Field::has_hash(word)),
    })
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
