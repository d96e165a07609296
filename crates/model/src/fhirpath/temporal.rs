//! Date, DateTime and Time with the precision they are written in: <http://hl7.org/fhirpath/N1/#date>
//!
//! Unlike [`crate::temporal`], which knows the range a search covers, this keeps the parts: FHIRPath compares part by part
//! and adds calendar durations.

use super::quantity::CalendarUnit;
use jiff::{SignedDuration, Span, civil::DateTime};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use std::{cmp::Ordering, fmt};

/// How much of a date and time is written.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    /// Seconds and their fraction are one precision, a decimal number.
    Second,
}

/// Which of the three types a [`Temporal`] is.
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemporalKind {
    Date,
    DateTime,
    Time,
}

/// A Date, DateTime or Time.
#[derive(Clone, Copy, Debug)]
pub struct Temporal {
    /// Which of them it is.
    pub kind: TemporalKind,
    /// What of it is written.
    pub precision: Precision,
    /// Digits of the second's fraction that are written.
    pub(super) fraction: u8,
    /// The zone, in minutes east of UTC.
    pub(super) offset: Option<i16>,
    /// What is not written is the least it could be; a Time stands on an arbitrary day.
    pub(super) at: DateTime,
}

/// Minutes that a written zone may be away from UTC at most; a time without one can be that far away too.
const OFFSET_MAX: i16 = 14 * 60;

impl Temporal {
    /// Reads a Date: `2015`, `2015-02` or `2015-02-04`.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<Self> {
        let (precision, at) = date_parts(text)?;
        Some(Self { kind: TemporalKind::Date, precision, fraction: 0, offset: None, at })
    }

    /// Reads a DateTime: a date, or a date and a time down to any part, with or without a zone.
    #[must_use]
    pub fn parse_date_time(text: &str) -> Option<Self> {
        let Some((date, time)) = text.split_once('T') else {
            return Self::parse_date(text).map(|date| Self { kind: TemporalKind::DateTime, ..date });
        };
        let (day, date) = date_parts(date)?;
        if time.is_empty() {
            return Some(Self { kind: TemporalKind::DateTime, precision: day, fraction: 0, offset: None, at: date });
        }
        if day != Precision::Day {
            return None;
        }
        let (clock, offset) = split_zone(time)?;
        let (precision, fraction, time) = clock_parts(clock)?;
        Some(Self { kind: TemporalKind::DateTime, precision, fraction, offset, at: date.date().to_datetime(time) })
    }

    /// Reads a Time: `14`, `14:30`, `14:30:14.559`, without a zone.
    #[must_use]
    pub fn parse_time(text: &str) -> Option<Self> {
        let (precision, fraction, time) = clock_parts(text)?;
        let at = jiff::civil::date(2000, 1, 1).to_datetime(time);
        Some(Self { kind: TemporalKind::Time, precision, fraction, offset: None, at })
    }

    /// The instant as a DateTime in UTC, to the millisecond.
    #[must_use]
    pub fn of_micros(micros: crate::temporal::Micros) -> Option<Self> {
        Self::parse_date_time(&crate::temporal::format_instant(micros))
    }

    /// The same moment as a Date or DateTime.
    pub(super) fn to_kind(self, kind: TemporalKind) -> Self {
        match kind {
            TemporalKind::Date => {
                let precision = self.precision.min(Precision::Day);
                Self { kind, precision, fraction: 0, offset: None, at: self.at.date().at(0, 0, 0, 0) }
            }
            TemporalKind::DateTime | TemporalKind::Time => Self { kind, ..self },
        }
    }

    /// How many digits of it are written: `2014` has 4, a DateTime with milliseconds 17.
    pub(super) fn digits(self) -> i32 {
        let of_date = match self.precision {
            Precision::Year => 4,
            Precision::Month => 6,
            Precision::Day => 8,
            Precision::Hour => 10,
            Precision::Minute => 12,
            Precision::Second => 14 + i32::from(self.fraction),
        };
        if self.kind == TemporalKind::Time { of_date - 8 } else { of_date }
    }

    /// Compares part by part; `None` if that ends where only one of them goes on, or if an unknown zone could turn it round.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        if (self.kind == TemporalKind::Time) != (other.kind == TemporalKind::Time) {
            return None;
        }
        let timed = |t: Self| t.precision > Precision::Day;
        if self.kind != TemporalKind::Time && timed(self) && timed(other) {
            match (self.offset, other.offset) {
                (Some(_), Some(_)) => return self.in_utc().compare_parts(other.in_utc()),
                (None, None) => {}
                (Some(_), None) => return other.compare_uncertain(self).map(Ordering::reverse),
                (None, Some(_)) => return self.compare_uncertain(other),
            }
        }
        self.compare_parts(other)
    }

    /// `self` has no zone, `zoned` has one: decided only if every zone on Earth gives the same answer.
    fn compare_uncertain(self, zoned: Self) -> Option<Ordering> {
        let with = |offset| Self { offset: Some(offset), ..self }.in_utc().compare_parts(zoned.in_utc());
        let (earliest, latest) = (with(OFFSET_MAX)?, with(-OFFSET_MAX)?);
        (earliest == latest).then_some(earliest)
    }

    fn compare_parts(self, other: Self) -> Option<Ordering> {
        let (a, b) = (self.at, other.at);
        let parts = [
            (Precision::Year, a.year().cmp(&b.year())),
            (Precision::Month, a.month().cmp(&b.month())),
            (Precision::Day, a.day().cmp(&b.day())),
            (Precision::Hour, a.hour().cmp(&b.hour())),
            (Precision::Minute, a.minute().cmp(&b.minute())),
            (Precision::Second, (a.second(), a.subsec_nanosecond()).cmp(&(b.second(), b.subsec_nanosecond()))),
        ];
        let last = self.precision.min(other.precision);
        let different = parts.iter().find(|(part, ordering)| *part <= last && ordering.is_ne());
        match different {
            Some((_, ordering)) => Some(*ordering),
            None => (self.precision == other.precision).then_some(Ordering::Equal),
        }
    }

    fn in_utc(self) -> Self {
        let minutes = i64::from(self.offset.unwrap_or(0));
        let at = self.at.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(self.at);
        Self { offset: Some(0), at, ..self }
    }

    /// This plus `amount` of `unit`; `None` if the calendar ends before. `Err`: a unit that this type has not.
    pub(super) fn plus(self, amount: Decimal, unit: CalendarUnit) -> Result<Option<Self>, &'static str> {
        use CalendarUnit as Unit;
        if self.kind == TemporalKind::Time && unit >= Unit::Day {
            return Err("a Time is moved by hours, minutes, seconds or milliseconds");
        }
        // Fractions count from seconds on: <http://hl7.org/fhirpath/N1/#addition-1>
        let amount = if unit <= Unit::Second { amount } else { amount.trunc() };
        let unit_of = |precision| match precision {
            Precision::Year => Unit::Year,
            Precision::Month => Unit::Month,
            Precision::Day => Unit::Day,
            Precision::Hour => Unit::Hour,
            Precision::Minute => Unit::Minute,
            Precision::Second => Unit::Millisecond,
        };
        // What is finer than this value is first made as coarse as it is: @2014 + 23 months = @2015.
        let own = unit_of(self.precision);
        let (amount, unit) = if unit < own { (unit.convert(amount, own).trunc(), own) } else { (amount, unit) };
        let Some(at) = self.shift(amount, unit) else { return Ok(None) };
        let fraction = if at.subsec_nanosecond() != 0 { self.fraction.max(3) } else { self.fraction };
        Ok(Some(Self { at, fraction, ..self }))
    }

    /// The first or last moment it can mean, to a precision and so many digits of a second's fraction. Without a zone the
    /// first moment is that of the easternmost zone, the last that of the westernmost.
    pub(super) fn boundary(self, precision: Precision, fraction: u8, high: bool) -> Self {
        let mut at = self.at;
        if high {
            let date = at.date();
            let written = self.precision;
            let month = if written < Precision::Month { 12 } else { date.month() };
            let first = jiff::civil::Date::new(date.year(), month, 1).unwrap_or(date);
            let day = if written < Precision::Day { first.days_in_month() } else { date.day() };
            let date = jiff::civil::Date::new(date.year(), month, day).unwrap_or(date);
            let hour = if written < Precision::Hour { 23 } else { at.hour() };
            let minute = if written < Precision::Minute { 59 } else { at.minute() };
            let second = if written < Precision::Second { 59 } else { at.second() };
            let nanos = match (written, self.fraction) {
                (Precision::Second, 3..) => at.subsec_nanosecond(),
                (Precision::Second, digits) => at.subsec_nanosecond() + 10_i32.pow(9 - u32::from(digits)) - 1,
                _ => 999_999_999,
            };
            let time = jiff::civil::Time::new(hour, minute, second, nanos).unwrap_or(at.time());
            at = date.to_datetime(time);
        }
        let zoneless = self.kind == TemporalKind::DateTime && self.offset.is_none() && precision > Precision::Day;
        let offset = if zoneless { Some(if high { -12 * 60 } else { OFFSET_MAX }) } else { self.offset };
        let offset = offset.filter(|_| precision > Precision::Day);
        Self { kind: self.kind, precision, fraction, offset, at }
    }

    fn shift(self, amount: Decimal, unit: CalendarUnit) -> Option<DateTime> {
        use CalendarUnit as Unit;
        let whole = amount.trunc().to_i64()?;
        let nanos = |per: i64| amount.checked_mul(Decimal::from(per))?.trunc().to_i64();
        let duration = match unit {
            Unit::Year => return self.at.checked_add(Span::new().try_years(whole).ok()?).ok(),
            Unit::Month => return self.at.checked_add(Span::new().try_months(whole).ok()?).ok(),
            Unit::Week => return self.at.checked_add(Span::new().try_weeks(whole).ok()?).ok(),
            Unit::Day => return self.at.checked_add(Span::new().try_days(whole).ok()?).ok(),
            Unit::Hour => SignedDuration::try_from_hours(whole)?,
            Unit::Minute => SignedDuration::try_from_mins(whole)?,
            Unit::Second => SignedDuration::from_nanos(nanos(1_000_000_000)?),
            Unit::Millisecond => SignedDuration::from_nanos(nanos(1_000_000)?),
        };
        let moved = self.at.checked_add(duration).ok()?;
        // A Time goes round the clock.
        Some(if self.kind == TemporalKind::Time { self.at.date().to_datetime(moved.time()) } else { moved })
    }
}

impl fmt::Display for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        if self.kind != TemporalKind::Time {
            write!(f, "{:04}", at.year())?;
            if self.precision >= Precision::Month {
                write!(f, "-{:02}", at.month())?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{:02}", at.day())?;
            }
        }
        if self.precision <= Precision::Day {
            return Ok(());
        }
        if self.kind == TemporalKind::DateTime {
            f.write_str("T")?;
        }
        write!(f, "{:02}", at.hour())?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", at.minute())?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", at.second())?;
            if self.fraction > 0 {
                let digits = format!("{:09}", at.subsec_nanosecond());
                write!(f, ".{}", &digits[..usize::from(self.fraction).min(9)])?;
            }
        }
        match self.offset {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}

fn date_parts(text: &str) -> Option<(Precision, DateTime)> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(None), |m| number(m, 2).map(Some))?;
    let day = parts.next().map_or(Some(None), |d| number(d, 2).map(Some))?;
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let small = |number: Option<i16>| i8::try_from(number.unwrap_or(1)).ok();
    let date = jiff::civil::Date::new(year, small(month)?, small(day)?).ok()?;
    let precision = match (month, day) {
        (None, _) => Precision::Year,
        (_, None) => Precision::Month,
        _ => Precision::Day,
    };
    Some((precision, date.at(0, 0, 0, 0)))
}

fn clock_parts(text: &str) -> Option<(Precision, u8, jiff::civil::Time)> {
    let mut parts = text.splitn(3, ':');
    let hour = i8::try_from(number(parts.next()?, 2)?).ok()?;
    let time = |minute: i16, second: i16, nanos: i32| {
        let (minute, second) = (i8::try_from(minute).ok()?, i8::try_from(second).ok()?);
        jiff::civil::Time::new(hour, minute, second, nanos).ok()
    };
    let Some(minute) = parts.next() else { return Some((Precision::Hour, 0, time(0, 0, 0)?)) };
    let minute = number(minute, 2)?;
    let Some(seconds) = parts.next() else { return Some((Precision::Minute, 0, time(minute, 0, 0)?)) };
    let (second, fraction) = seconds.split_once('.').map_or((seconds, None), |(s, f)| (s, Some(f)));
    let second = number(second, 2)?;
    let (nanos, digits) = match fraction {
        None => (0, 0),
        Some(digits) => {
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let kept = &digits[..digits.len().min(9)];
            let length = u8::try_from(kept.len()).ok()?;
            (kept.parse::<i32>().ok()? * 10_i32.pow(9 - u32::from(length)), length)
        }
    };
    // A leap second counts as the last moment before the next minute, as in searches.
    let (second, nanos) = if second == 60 { (59, 999_999_999) } else { (second, nanos) };
    Some((Precision::Second, digits, time(minute, second, nanos)?))
}

/// `10:00:00+01:00` → the clock and the zone in minutes.
fn split_zone(time: &str) -> Option<(&str, Option<i16>)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, Some(0)));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, None)) };
    let (clock, zone) = time.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let total = hours * 60 + minutes;
    if minutes > 59 || total > OFFSET_MAX {
        return None;
    }
    Some((clock, Some(if zone.starts_with('-') { -total } else { total })))
}

fn number(text: &str, digits: usize) -> Option<i16> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
