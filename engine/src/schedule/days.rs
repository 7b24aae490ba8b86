//! The days that a cron expression names: month, day of month and day of week, with their marks.
//!
//! What `L`, `W` and `#` mean on a date is here, and how the two fields of days go together; which days
//! come next is for `calendar` to search.

use jiff::civil::Date;

/// What one field names: plain values, and the marks that need a date to become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Bit n stands for the value n; Sunday is 0.
    pub(super) values: u64,
    /// Bit n stands for n days before the last of the month.
    pub(super) before_last: u32,
    /// Bit n stands for the weekday nearest the nth.
    pub(super) nearest: u32,
    /// The last day of the month from Monday to Friday.
    pub(super) last_weekday: bool,
    /// Which days of the week, the first time in the month, the second time ... the fifth.
    pub(super) nth: [u64; 5],
    /// Which days of the week, the last time in the month.
    pub(super) last: u64,
}

impl Named {
    /// What either names.
    pub(super) fn or(mut self, other: Self) -> Self {
        for (mine, theirs) in self.nth.iter_mut().zip(other.nth) {
            *mine |= theirs;
        }
        Self {
            values: self.values | other.values,
            before_last: self.before_last | other.before_last,
            nearest: self.nearest | other.nearest,
            last_weekday: self.last_weekday | other.last_weekday,
            nth: self.nth,
            last: self.last | other.last,
        }
    }
}

/// The days of an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) months: Named,
    pub(super) of_month: Named,
    pub(super) of_week: Named,
    /// Whether a day must match both of its fields. Vixie's rule: if one of them begins with `*`; a day
    /// matches if either field does otherwise.
    pub(super) both: bool,
}

impl Days {
    /// Whether any day of this month can match.
    pub(super) fn has_month(&self, date: Date) -> bool {
        has(self.months.values, date.month())
    }

    /// Whether this day matches.
    pub(super) fn has(&self, date: Date) -> bool {
        if !self.has_month(date) {
            return false;
        }
        let (by_month, by_week) = (self.of_month.has_day(date), self.of_week.has_weekday(date));
        if self.both {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }
}

impl Named {
    fn has_day(&self, date: Date) -> bool {
        let (day, length) = (date.day(), date.days_in_month());
        has(self.values, day)
            || has(u64::from(self.before_last), length - day)
            || (self.last_weekday && weekday_nearest(date, length) == Some(day))
            || self.is_nearest(date)
    }

    fn is_nearest(&self, date: Date) -> bool {
        // A weekday is moved to by its neighbours, and over a weekend at the ends of a month.
        let around = date.day() - 2..=date.day() + 2;
        self.nearest != 0
            && around.into_iter().any(|wanted| {
                wanted > 0
                    && has(u64::from(self.nearest), wanted)
                    && weekday_nearest(date, wanted) == Some(date.day())
            })
    }

    fn has_weekday(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth = usize::from((date.day().unsigned_abs() - 1) / 7);
        has(self.values, weekday)
            || has(self.nth[nth], weekday)
            || (date.day() + 7 > date.days_in_month() && has(self.last, weekday))
    }
}

/// The day from Monday to Friday nearest this day of the date's month, within the month; none if the month
/// has no such day.
fn weekday_nearest(date: Date, day: i8) -> Option<i8> {
    let length = date.days_in_month();
    if day > length {
        return None;
    }
    let weekday = (date.weekday().to_sunday_zero_offset() + day - date.day()).rem_euclid(7);
    Some(match weekday {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < length => day + 1,
        0 => day - 2,
        _ => day,
    })
}

fn has(set: u64, value: i8) -> bool {
    (0..64).contains(&value) && set >> value & 1 == 1
}
