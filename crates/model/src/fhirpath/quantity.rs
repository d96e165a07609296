//! Quantities: a decimal and a unit, of UCUM or of the calendar. <http://hl7.org/fhirpath/N1/#quantity>

use octofhir_ucum::{Number, UnitAnalysis};
use rust_decimal::{Decimal, RoundingStrategy};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, cell::RefCell, cmp::Ordering, fmt, rc::Rc};

/// The calendar's units, shortest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CalendarUnit {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl CalendarUnit {
    /// The keyword, singular or plural.
    pub(super) fn keyword(text: &str) -> Option<Self> {
        Some(match text.strip_suffix('s').unwrap_or(text) {
            "millisecond" => Self::Millisecond,
            "second" => Self::Second,
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The UCUM unit of the same, fixed length; years and months of the calendar have none.
    fn of_ucum(code: &str) -> Option<Self> {
        Some(match code {
            "ms" => Self::Millisecond,
            "s" => Self::Second,
            "min" => Self::Minute,
            "h" => Self::Hour,
            "d" => Self::Day,
            "wk" => Self::Week,
            _ => return None,
        })
    }

    fn ucum(self) -> Option<&'static str> {
        Some(match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "wk",
            Self::Month | Self::Year => return None,
        })
    }

    /// `amount` of this in the longer unit `into`: 1 year is 12 months or 365 days, 1 month is 30 days.
    pub(super) fn convert(self, amount: Decimal, into: Self) -> Decimal {
        if (self, into) == (Self::Month, Self::Year) {
            return amount / Decimal::from(12);
        }
        let milliseconds = |unit| {
            let day = 86_400_000_i64;
            Decimal::from(match unit {
                Self::Millisecond => 1,
                Self::Second => 1000,
                Self::Minute => 60_000,
                Self::Hour => 3_600_000,
                Self::Day => day,
                Self::Week => 7 * day,
                Self::Month => 30 * day,
                Self::Year => 365 * day,
            })
        };
        amount.checked_mul(milliseconds(self)).map_or(amount, |total| total / milliseconds(into))
    }
}

/// A number with a unit.
#[derive(Clone, Debug)]
pub struct Quantity<'a> {
    /// The number.
    pub value: Decimal,
    /// A UCUM code, or a keyword of the calendar: `year`, `days`.
    pub unit: Cow<'a, str>,
}

impl Quantity<'_> {
    /// The calendar unit to add to a date: a keyword, or a UCUM unit of fixed length up to weeks.
    pub(super) fn duration(&self) -> Option<CalendarUnit> {
        CalendarUnit::keyword(&self.unit).or_else(|| CalendarUnit::of_ucum(&self.unit))
    }

    /// Whether its unit is a year or month of the calendar, which has no fixed length.
    pub(super) fn is_calendar(&self) -> bool {
        CalendarUnit::keyword(&self.unit).is_some_and(|unit| unit >= CalendarUnit::Month)
    }

    /// The code to convert by; `None` for years and months of the calendar.
    fn code(&self) -> Option<&str> {
        match CalendarUnit::keyword(&self.unit) {
            Some(calendar) => calendar.ucum(),
            None => Some(&self.unit),
        }
    }

    /// Whether the units measure the same.
    pub(super) fn comparable(&self, other: &Quantity<'_>) -> bool {
        self.in_base(other).is_some() || self.same_unit(other)
    }

    fn same_unit(&self, other: &Quantity<'_>) -> bool {
        self.unit == other.unit
            || CalendarUnit::keyword(&self.unit).is_some_and(|u| Some(u) == CalendarUnit::keyword(&other.unit))
    }

    /// Both in base units, if they measure the same.
    fn in_base(&self, other: &Quantity<'_>) -> Option<(Number, Number)> {
        let (a, b) = (analysis(self.code()?)?, analysis(other.code()?)?);
        let same = a.dimension == b.dimension && a.arbitrary == b.arbitrary;
        (same && linear(&a) && linear(&b)).then(|| Some((base(self.value, &a)?, base(other.value, &b)?)))?
    }

    /// Compares, units converted. `None`: they do not measure the same, or months with days.
    pub(super) fn compare(&self, other: &Quantity<'_>) -> Option<Ordering> {
        if self.same_unit(other) {
            return Some(self.value.cmp(&other.value));
        }
        if let (Some(a), Some(b)) = (CalendarUnit::keyword(&self.unit), CalendarUnit::keyword(&other.unit))
            && (a >= CalendarUnit::Month && b >= CalendarUnit::Month)
        {
            let months = |value: Decimal, unit| {
                if unit == CalendarUnit::Year { value.checked_mul(Decimal::from(12)) } else { Some(value) }
            };
            return Some(months(self.value, a)?.cmp(&months(other.value, b)?));
        }
        self.in_base(other).map(|(a, b)| a.cmp(&b))
    }

    /// Whether they are equal when both are rounded to the precision of the less precise, in the larger unit.
    /// <http://hl7.org/fhirpath/N1/#equivalent>
    pub(super) fn equivalent(&self, other: &Quantity<'_>) -> bool {
        if self.same_unit(other) {
            return equivalent(self.value, other.value);
        }
        let (a, b) = (self.nearest_code(), other.nearest_code());
        let larger = match (analysis(a), analysis(b)) {
            (Some(of_a), Some(of_b)) if of_a.factor >= of_b.factor => a,
            _ => b,
        };
        match (convert(self.value, a, larger), convert(other.value, b, larger)) {
            (Some(left), Some(right)) => equivalent(left, right),
            _ => false,
        }
    }

    /// The UCUM code, for years and months too: a calendar year is equivalent to 'a', though not equal.
    fn nearest_code(&self) -> &str {
        match CalendarUnit::keyword(&self.unit) {
            Some(CalendarUnit::Year) => "a",
            Some(CalendarUnit::Month) => "mo",
            Some(other) => other.ucum().unwrap_or_default(),
            None => &self.unit,
        }
    }

    /// The same as the JSON of a FHIR Quantity.
    pub(crate) fn to_json(&self) -> String {
        let code = self.nearest_code();
        // The code of another system comes with it.
        let (system, code) = code.split_once('|').unwrap_or(("http://unitsofmeasure.org", code));
        let [unit, system, code] = [&self.unit, system, code].map(serde_json::Value::from);
        format!(r#"{{"value":{},"unit":{unit},"system":{system},"code":{code}}}"#, self.value)
    }

    /// The same in another unit, if it measures the same.
    pub(super) fn convert_to<'b>(&self, unit: &str) -> Option<Quantity<'b>> {
        let target = Quantity { value: Decimal::ONE, unit: Cow::Borrowed(unit) };
        let value =
            if self.same_unit(&target) { self.value } else { convert(self.value, self.code()?, target.code()?)? };
        Some(Quantity { value, unit: Cow::Owned(unit.to_owned()) })
    }

    /// The sum or difference, in the smaller unit.
    pub(super) fn plus<'b>(&self, other: &Quantity<'_>, negative: bool) -> Option<Quantity<'b>> {
        let smaller = self.same_unit(other) || analysis(self.code()?)?.factor <= analysis(other.code()?)?.factor;
        let unit = if smaller { &self.unit } else { &other.unit };
        let (a, b) = (self.convert_to(unit)?.value, other.convert_to(unit)?.value);
        let value = if negative { a.checked_sub(b) } else { a.checked_add(b) }?;
        Some(Quantity { value, unit: Cow::Owned(unit.clone().into_owned()) })
    }

    /// The product or quotient, its unit composed of both.
    pub(super) fn times<'b>(&self, other: &Quantity<'_>, divide: bool) -> Option<Quantity<'b>> {
        let value = if divide { self.value.checked_div(other.value) } else { self.value.checked_mul(other.value) }?;
        let (a, b) = (self.code()?, other.code()?);
        let unit = match (a, b, divide) {
            (a, "1", _) => a.to_owned(),
            ("1", b, false) => b.to_owned(),
            (a, b, true) if a == b => "1".to_owned(),
            (a, b, false) => format!("({a}).({b})"),
            (a, b, true) => format!("({a})/({b})"),
        };
        Some(Quantity { value, unit: Cow::Owned(unit) })
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CalendarUnit::keyword(&self.unit) {
            Some(_) => write!(f, "{} {}", self.value, self.unit),
            None => write!(f, "{} '{}'", self.value, self.unit),
        }
    }
}

/// Reads a decimal. What has more digits than can be kept is rounded, what is larger than can be kept becomes the largest.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !valid {
        return None;
    }
    if !text.contains(['e', 'E']) {
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let whole = text.trim_start_matches(['-', '+']).split('.').next().unwrap_or_default().trim_start_matches('0');
        let digits = text.bytes().any(|b| b.is_ascii_digit());
        return (digits && whole.len() >= 29).then_some(largest(text));
    }
    let number: f64 = text.parse().ok()?;
    Decimal::from_scientific(text).ok().or_else(|| Some(if number.abs() < 1.0 { Decimal::ZERO } else { largest(text) }))
}

fn largest(text: &str) -> Decimal {
    if text.starts_with('-') { Decimal::MIN } else { Decimal::MAX }
}

/// Equal when rounded to the fewer decimals of both, zeros at the end aside.
pub(super) fn equivalent(a: Decimal, b: Decimal) -> bool {
    let places = a.normalize().scale().min(b.normalize().scale());
    let round = |d: Decimal| d.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    round(a) == round(b)
}

fn convert(value: Decimal, from: &str, to: &str) -> Option<Decimal> {
    let (a, b) = (analysis(from)?, analysis(to)?);
    if a.dimension != b.dimension || a.arbitrary != b.arbitrary || !linear(&a) || !linear(&b) {
        return None;
    }
    let in_base = base(value, &a)?.checked_sub(b.offset)?;
    decimal(&in_base.checked_div(b.factor.checked_mul(b.scale)?)?.to_string())
}

fn base(value: Decimal, unit: &UnitAnalysis) -> Option<Number> {
    let factor = unit.factor.checked_mul(unit.scale)?;
    Number::parse(&value.to_string())?.checked_mul(factor)?.checked_add(unit.offset)
}

/// Of the special units (pH, decibel, Celsius) only the temperatures are linear.
fn linear(unit: &UnitAnalysis) -> bool {
    unit.special.is_none() || !unit.offset.is_zero()
}

/// Units are few and analysing one costs more than an expression, so each thread remembers them, up to this many.
const REMEMBERED_MAX: usize = 1000;

/// Longer codes are nobody's unit, and the analysis is not free.
const UNIT_LENGTH_MAX: usize = 64;

thread_local! {
    static ANALYSES: RefCell<FxHashMap<String, Option<Rc<UnitAnalysis>>>> = RefCell::default();
}

fn analysis(code: &str) -> Option<Rc<UnitAnalysis>> {
    if code.len() > UNIT_LENGTH_MAX {
        return None;
    }
    ANALYSES.with_borrow_mut(|known| {
        if let Some(found) = known.get(code) {
            return found.clone();
        }
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let computed = octofhir_ucum::analyse(code).ok().map(Rc::new);
        known.insert(code.to_owned(), computed.clone());
        computed
    })
}
