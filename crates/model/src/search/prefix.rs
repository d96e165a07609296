//! The prefixes eq ne gt lt ge le sa eb ap, once for dates, numbers and quantities: each becomes conditions on the two ends
//! of a stored range, which memory and SQL evaluate alike. <https://hl7.org/fhir/R4/search.html#prefix>

/// How a searched value compares with a stored one.
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl Prefix {
    /// The prefix at the start of a value, and the rest. A value without one is `eq`.
    #[must_use]
    pub fn split(value: &str) -> (Self, &str) {
        let prefix = match value.get(..2) {
            Some("eq") => Self::Eq,
            Some("ne") => Self::Ne,
            Some("gt") => Self::Gt,
            Some("lt") => Self::Lt,
            Some("ge") => Self::Ge,
            Some("le") => Self::Le,
            Some("sa") => Self::Sa,
            Some("eb") => Self::Eb,
            Some("ap") => Self::Ap,
            _ => return (Self::Eq, value),
        };
        (prefix, &value[2..])
    }
}

/// Which end of the stored range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Its first value.
    Low,
    /// Its last value (numbers) or the first after it (times).
    High,
}

/// A comparison in the spelling that Rust and SQL share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// Whether it holds of the two.
    pub(super) fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// The spelling.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// `end operator value`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Condition<T> {
    /// Which end.
    pub end: End,
    /// How it compares.
    pub operator: Operator,
    /// With what.
    pub value: T,
}

impl<T: PartialOrd + Copy> Condition<T> {
    fn holds(&self, low: T, high: T) -> bool {
        let stored = if self.end == End::Low { low } else { high };
        self.operator.holds(stored, self.value)
    }
}

/// A prefix with its value, as a disjunction of conjunctions.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison<T>(pub Vec<Vec<Condition<T>>>);

impl<T: PartialOrd + Copy> Comparison<T> {
    /// Whether the stored range satisfies it.
    #[must_use]
    pub fn holds(&self, low: T, high: T) -> bool {
        self.0.iter().any(|all| all.iter().all(|condition| condition.holds(low, high)))
    }
}

fn low<T>(operator: Operator, value: T) -> Condition<T> {
    Condition { end: End::Low, operator, value }
}

fn high<T>(operator: Operator, value: T) -> Condition<T> {
    Condition { end: End::High, operator, value }
}

use Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};

/// Times: the searched and the stored value are half-open ranges. `widened` is the searched range for `ap`.
#[must_use]
pub fn of_times(prefix: Prefix, from: i64, until: i64, widened: (i64, i64)) -> Comparison<i64> {
    Comparison(match prefix {
        // "the range of the search value fully contains the range of the target value"
        Prefix::Eq => vec![vec![low(GreaterOrEqual, from), high(LessOrEqual, until)]],
        Prefix::Ne => vec![vec![low(Less, from)], vec![high(Greater, until)]],
        // "the range above the search value intersects (i.e. overlaps) with the range of the target value"
        Prefix::Gt => vec![vec![high(Greater, until)]],
        Prefix::Lt => vec![vec![low(Less, from)]],
        Prefix::Ge => vec![vec![high(Greater, until)], vec![low(GreaterOrEqual, from), high(LessOrEqual, until)]],
        Prefix::Le => vec![vec![low(Less, from)], vec![low(GreaterOrEqual, from), high(LessOrEqual, until)]],
        // "does not overlap …, and the range above the search value contains the range of the target value"
        Prefix::Sa => vec![vec![low(GreaterOrEqual, until)]],
        Prefix::Eb => vec![vec![high(LessOrEqual, from)]],
        Prefix::Ap => return overlapping(widened.0, widened.1),
    })
}

/// The stored range includes the searched one.
#[must_use]
pub fn including(from: i64, until: i64) -> Comparison<i64> {
    Comparison(vec![vec![low(LessOrEqual, from), high(GreaterOrEqual, until)]])
}

/// The stored range overlaps with the searched one.
#[must_use]
pub fn overlapping(from: i64, until: i64) -> Comparison<i64> {
    Comparison(vec![vec![low(Less, until), high(Greater, from)]])
}

/// Numbers: the stored value is a point, or a Range with both ends included. `half_unit` is the searched value's implicit
/// precision, which only `eq`, `ne` and `ap` look at.
/// <https://hl7.org/fhir/R4/search.html#number>
#[must_use]
pub fn of_numbers(prefix: Prefix, value: f64, half_unit: f64) -> Comparison<f64> {
    let (from, until) = (decimal_digits(value - half_unit), decimal_digits(value + half_unit));
    // "10% of the stated value", and never narrower than what eq finds.
    let around = (value.abs() * 0.1).max(half_unit);
    Comparison(match prefix {
        Prefix::Eq => vec![vec![low(GreaterOrEqual, from), high(Less, until)]],
        Prefix::Ne => vec![vec![low(Less, from)], vec![high(GreaterOrEqual, until)]],
        Prefix::Gt => vec![vec![high(Greater, value)]],
        Prefix::Lt => vec![vec![low(Less, value)]],
        Prefix::Ge => vec![vec![high(GreaterOrEqual, value)]],
        Prefix::Le => vec![vec![low(LessOrEqual, value)]],
        Prefix::Sa => vec![vec![low(Greater, value)]],
        Prefix::Eb => vec![vec![high(Less, value)]],
        Prefix::Ap => vec![vec![low(LessOrEqual, value + around), high(GreaterOrEqual, value - around)]],
    })
}

/// Rounded to 15 digits: 5.4 − 0.05 is 5.35, not the 5.3500000000000005 of binary subtraction.
fn decimal_digits(value: f64) -> f64 {
    format!("{value:.14e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::range;

    #[test]
    fn times_compare_as_ranges() {
        let check = |searched: &str, stored: &str, expect: bool| {
            let (prefix, text) = Prefix::split(searched);
            let (searched_range, stored_range) = (range(text).unwrap(), range(stored).unwrap());
            let comparison =
                of_times(prefix, searched_range.low, searched_range.high, (searched_range.low, searched_range.high));
            assert_eq!(comparison.holds(stored_range.low, stored_range.high), expect, "{searched} {stored}");
        };
        check("2013-01-14", "2013-01-14T10:00:00Z", true);
        check("2013-01-14", "2013-01", false);
        check("eq2013", "2013-01", true);
        check("ne2013-01-14", "2013-01-15", true);
        check("ne2013", "2013-01", false);
        check("gt2013-01-14", "2013-01-14T23:59:59Z", false);
        check("gt2013-01-14", "2013-01-15", true);
        check("gt2013-01-14", "2013", true);
        check("lt2013-01-14", "2013-01-13", true);
        check("lt2013-01-14", "2013-01-14", false);
        check("ge2013-03-14", "2013-03-14", true);
        check("ge2013-03-14", "2013", true);
        check("ge2013-03-14", "2013-03-13", false);
        check("le2013-03-14", "2013-03-14T12:00:00Z", true);
        check("sa2013-03-14", "2013-03-15", true);
        check("sa2013-03-14", "2013", false);
        check("eb2013-03-14", "2013-03-13", true);
        check("eb2013-03-14", "2013", false);
    }

    #[test]
    fn numbers_compare_with_the_precision_as_written() {
        let check = |searched: &str, stored: f64, expect: bool| {
            let (prefix, text) = Prefix::split(searched);
            let decimal = crate::decimal::Decimal::parse(text).unwrap();
            assert_eq!(
                of_numbers(prefix, decimal.value, decimal.half_unit).holds(stored, stored),
                expect,
                "{searched} {stored}"
            );
        };
        check("100", 99.5, true);
        check("100", 100.5, false);
        check("100.00", 99.996, true);
        check("100.00", 99.99, false);
        check("5.4", 5.35, true);
        check("5.40", 5.39, false);
        check("ne100", 100.5, true);
        check("ne100", 100.4, false);
        check("gt100", 100.2, true);
        check("gt100", 100.0, false);
        check("ge100", 100.0, true);
        check("lt100", 99.99, true);
        check("le100", 100.0, true);
        check("sa100", 100.1, true);
        check("eb100", 100.0, false);
        check("ap100", 109.9, true);
        check("ap100", 111.0, false);
        check("ap-100", -95.0, true);
    }
}
