//! date, dateTime and instant as the half-open range of microseconds that their written precision covers.
//! <https://hl7.org/fhir/R4/datatypes.html#dateTime>, <https://hl7.org/fhir/R4/search.html#date>

use jiff::{ToSpan, civil::DateTime, tz::TimeZone};

/// Microseconds since 1970-01-01T00:00:00Z: how times stand in the index.
pub type Micros = i64;

/// Before every time that can be written.
pub const BEGINNING: Micros = i64::MIN;
/// After every time that can be written.
pub const END: Micros = i64::MAX;

/// From `low` (inclusive) to `high` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeRange {
    /// The first microsecond.
    pub low: Micros,
    /// The microsecond after the last.
    pub high: Micros,
}

/// How much of a date and time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `2013`
    Year,
    /// `2013-01`
    Month,
    /// `2013-01-14`
    Day,
    /// `2013-01-14T10:00`: in searches only
    Minute,
    /// `2013-01-14T10:00:00`
    Second,
    /// With a fraction; three digits or more
    Fraction,
}

/// The parts of a written date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// What is written of it.
    pub precision: Precision,
    /// Whether a zone is written.
    pub zoned: bool,
    /// The range covered; a time without zone is read in UTC.
    pub range: TimeRange,
}

/// Reads a date, dateTime or instant of any precision, seconds optional as in searches; `None` if it is not one or no day
/// of the calendar. A second of 60 counts as the last microsecond before the next minute.
#[must_use]
pub fn parse(text: &str) -> Option<Written> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map(|m| number(m, 2)).map_or(Some(None), |m| m.map(Some))?;
    let day = parts.next().map(|d| number(d, 2)).map_or(Some(None), |d| d.map(Some))?;
    if parts.next().is_some() || year == 0 {
        return None;
    }
    let midnight = jiff::civil::date(1, 1, 1).with().year(year).month(i8::try_from(month.unwrap_or(1)).ok()?);
    let start = midnight.day(i8::try_from(day.unwrap_or(1)).ok()?).build().ok()?.at(0, 0, 0, 0);
    let Some(time) = time else {
        let (precision, span) = match (month, day) {
            (None, _) => (Precision::Year, 1.year()),
            (_, None) => (Precision::Month, 1.month()),
            _ => (Precision::Day, 1.day()),
        };
        // What ends with the calendar has no end.
        let high = start.checked_add(span).ok().and_then(|end| micros(end, 0)).unwrap_or(END);
        return Some(Written { precision, zoned: false, range: TimeRange { low: micros(start, 0)?, high } });
    };
    day?;
    let (clock, offset) = split_zone(time)?;
    let (precision, since_midnight, width) = clock_micros(clock)?;
    let low = micros(start, offset.unwrap_or(0))?.checked_add(since_midnight)?;
    Some(Written { precision, zoned: offset.is_some(), range: TimeRange { low, high: low.checked_add(width)? } })
}

/// The range of a written date or time.
#[must_use]
pub fn range(text: &str) -> Option<TimeRange> {
    parse(text).map(|written| written.range)
}

/// `2013-01-14T10:00:00.123Z`: how the server writes an instant. Fractions of a millisecond are cut.
#[must_use]
pub fn format_instant(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).map_or_else(
        |_| "1970-01-01T00:00:00.000Z".to_owned(),
        |at| {
            let at = at.to_zoned(TimeZone::UTC);
            format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minute(),
                at.second(),
                at.millisecond()
            )
        },
    )
}

fn micros(at: DateTime, offset_seconds: i64) -> Option<Micros> {
    // By days, since the library's instants end some hours before the calendar does.
    let days = i64::from(at.date().since(jiff::civil::date(1970, 1, 1)).ok()?.get_days());
    (days * 86_400 - offset_seconds).checked_mul(1_000_000)
}

/// `10:00:00+01:00` → the clock and the offset in seconds.
fn split_zone(time: &str) -> Option<(&str, Option<i64>)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, Some(0)));
    }
    let Some(at) = time.rfind(['+', '-', ' ']) else { return Some((time, None)) };
    let (clock, zone) = time.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (i64::from(number(hours, 2)?), i64::from(number(minutes, 2)?));
    if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
        return None;
    }
    // A `+` that nobody escaped in a URL arrives as a space.
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    Some((clock, Some(sign * (hours * 3600 + minutes * 60))))
}

/// Microseconds since midnight, and how many of them the written precision covers.
fn clock_micros(clock: &str) -> Option<(Precision, Micros, Micros)> {
    let mut parts = clock.splitn(3, ':');
    let hour = i64::from(number(parts.next()?, 2)?);
    let minute = i64::from(number(parts.next()?, 2)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let base = (hour * 60 + minute) * 60_000_000;
    let Some(seconds) = parts.next() else { return Some((Precision::Minute, base, 60_000_000)) };
    let (second, fraction) = seconds.split_once('.').map_or((seconds, None), |(s, f)| (s, Some(f)));
    let second = i64::from(number(second, 2)?);
    if second > 60 {
        return None;
    }
    let (precision, fraction, width) = match fraction {
        None => (Precision::Second, 0, 1_000_000),
        Some(digits) => {
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let kept = &digits[..digits.len().min(6)];
            let unit = 10_i64.pow(6 - u32::try_from(kept.len()).ok()?);
            (Precision::Fraction, kept.parse::<i64>().ok()? * unit, unit)
        }
    };
    if second == 60 {
        return Some((precision, base + 59_999_999, 1));
    }
    Some((precision, base + second * 1_000_000 + fraction, width))
}

fn number(text: &str, digits: usize) -> Option<i16> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_precision_is_a_range() {
        let check = |text: &str, low: &str, high: &str| {
            let instant = |t: &str| parse(t).unwrap().range.low;
            assert_eq!(parse(text).unwrap().range, TimeRange { low: instant(low), high: instant(high) }, "{text}");
        };
        check("2013", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z");
        check("2012-02", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z");
        check("2013-12-31", "2013-12-31T00:00:00Z", "2014-01-01T00:00:00Z");
        check("2013-01-14T10:00", "2013-01-14T10:00:00Z", "2013-01-14T10:01:00Z");
        check("2013-01-14T10:00:00+01:30", "2013-01-14T08:30:00Z", "2013-01-14T08:30:01Z");
        check("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.500000Z", "2013-01-14T10:00:00.600000Z");
        assert_eq!(
            parse("9999-12-31").unwrap().range.high - parse("9999-12-31T23:59:59Z").unwrap().range.high,
            END - 253_402_300_800_000_000
        );
        check("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z", "2017-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "13",
            "2013-1",
            "2013-13",
            "2013-02-30",
            "1900-02-29",
            "0000",
            "2013-01-14T",
            "2013-01-14T24:00:00Z",
            "2013-01T10:00Z",
            "2013-01-14T10",
            "2013-01-14T10:60Z",
            "2013-01-14T10:00:61Z",
            "2013-01-14T10:00:00+15:00",
            "2013-01-14T10:00:00.Z",
            "20130114",
            "2013-01-14 10:00",
            "2013-01-14T10:00:00+1:00",
            "-2013",
            "2013-01-14-02",
        ] {
            assert!(parse(bad).is_none(), "{bad} was accepted");
        }
    }

    #[test]
    fn instants_print_as_they_are_read() {
        let text = "2021-03-04T05:06:07.089Z";
        assert_eq!(format_instant(parse(text).unwrap().range.low), text);
    }
}
