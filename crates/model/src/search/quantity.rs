//! Number and quantity search, units converted by UCUM. <https://hl7.org/fhir/R4/search.html#quantity>

use super::{
    escape::Escaped,
    index::{IndexValue, Quantity, Values},
    prefix::{Comparison, Prefix, of_numbers},
};
use crate::{Error, decimal::Decimal, json::Node};
use rustc_hash::FxHashMap;
use std::{cell::RefCell, rc::Rc};

/// The code system of units that can be converted.
pub const UCUM: &str = "http://unitsofmeasure.org";

/// What a quantity must be.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityValue {
    /// How its number compares, in the unit asked for.
    pub comparison: Comparison<f64>,
    /// Which units count.
    pub unit: Unit,
}

/// Which units count.
#[derive(Clone, Debug, PartialEq)]
pub enum Unit {
    /// Whatever the unit.
    Any,
    /// That code or unit text, in any system: `5.4||mg`.
    Named(String),
    /// That code of that system.
    Coded(String, String),
    /// Any unit of the same dimension; the comparison is in base units.
    Canonical(String),
}

impl QuantityValue {
    /// Whether a stored quantity is that.
    #[must_use]
    pub fn meets(&self, stored: &Quantity) -> bool {
        match &self.unit {
            Unit::Any => self.comparison.holds(stored.low, stored.high),
            Unit::Named(name) => {
                (stored.code == *name || stored.unit == *name) && self.comparison.holds(stored.low, stored.high)
            }
            Unit::Coded(system, code) => {
                stored.system == *system && stored.code == *code && self.comparison.holds(stored.low, stored.high)
            }
            Unit::Canonical(unit) => {
                stored.canonical_unit == *unit && self.comparison.holds(stored.canonical_low, stored.canonical_high)
            }
        }
    }
}

/// Reads `[prefix]number`.
pub(super) fn parse_number(value: &Escaped<'_>) -> Result<QuantityValue, Error> {
    let text = value.text();
    let (prefix, number) = Prefix::split(&text);
    let decimal = Decimal::parse(number).ok_or_else(|| value.bad("expected a number, such as 100, lt5.40 or 1e2"))?;
    Ok(QuantityValue { comparison: of_numbers(prefix, decimal.value, decimal.half_unit), unit: Unit::Any })
}

/// Reads `[prefix]number`, `[prefix]number|system|code` or `[prefix]number||unit`.
pub(super) fn parse(value: &Escaped<'_>) -> Result<QuantityValue, Error> {
    let parts = value.split('|');
    let number = parts[0].text();
    let (prefix, number) = Prefix::split(&number);
    let Some(decimal) = Decimal::parse(number) else {
        return Err(value
            .bad("expected number, number|system|code or number||unit, such as gt5.4|http://unitsofmeasure.org|mg"));
    };
    let as_written = of_numbers(prefix, decimal.value, decimal.half_unit);
    let (system, code) = match &parts[1..] {
        [] => return Ok(QuantityValue { comparison: as_written, unit: Unit::Any }),
        [system, code] if !code.is_empty() => (system.text(), code.text()),
        _ => return Err(value.bad("expected number|system|code or number||unit")),
    };
    if let Some(conversion) = Some(&code).filter(|_| system == UCUM).and_then(|code| conversion(code)) {
        let comparison =
            of_numbers(prefix, conversion.convert(decimal.value), decimal.half_unit * conversion.factor.abs());
        return Ok(QuantityValue { comparison, unit: Unit::Canonical(conversion.base.clone()) });
    }
    let unit = if system.is_empty() { Unit::Named(code) } else { Unit::Coded(system, code) };
    Ok(QuantityValue { comparison: as_written, unit })
}

/// The numbers and quantities in an element.
pub(super) fn extract(node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
    let decimal = |of: Node<'_>| of.as_text().and_then(|text| Decimal::parse(&text)).map(|d| d.value);
    match type_name {
        "Range" => {
            let (low, high) = (node.get("low"), node.get("high"));
            let end = |end: Option<Node<'_>>| end.and_then(|q| q.get("value")).and_then(decimal);
            let (from, until) = (end(low), end(high));
            if let Some(unit) = low.or(high).filter(|_| from.is_some() || until.is_some()) {
                values.push(quantity(from.unwrap_or(f64::MIN), until.unwrap_or(f64::MAX), unit, "code"));
            }
        }
        "Money" => {
            if let Some(number) = node.get("value").and_then(decimal) {
                values.push(quantity(number, number, node, "currency"));
            }
        }
        _ => {
            if let Some(number) = node.get("value").or(Some(node)).and_then(decimal) {
                values.push(quantity(number, number, node, "code"));
            }
        }
    }
}

fn quantity(low: f64, high: f64, unit: Node<'_>, code_member: &str) -> IndexValue {
    let text = |name: &str| unit.get_str(name).unwrap_or_default().into_owned();
    let (system, code) = (text("system"), text(code_member));
    let conversion = Some(&code).filter(|_| system == UCUM).and_then(|code| conversion(code));
    let canonical = |value: f64| conversion.as_ref().map_or(0.0, |c| c.convert(value));
    IndexValue::Quantity(Quantity {
        low,
        high,
        canonical_low: canonical(low),
        canonical_high: canonical(high),
        canonical_unit: conversion.as_ref().map_or_else(String::new, |c| c.base.clone()),
        system,
        code,
        unit: text("unit"),
    })
}

/// A length in metres; `None` if the unit is none of length.
pub(super) fn metres(value: f64, unit: &str) -> Option<f64> {
    let (unit, metre) = (conversion(unit)?, conversion("m")?);
    (unit.base == metre.base).then(|| unit.convert(value) / metre.convert(1.0))
}

/// How a unit converts to base units.
struct Conversion {
    factor: f64,
    offset: f64,
    base: String,
}

impl Conversion {
    /// Rounded to 14 digits, so that 1000 mg and 1 g give the same float.
    fn convert(&self, value: f64) -> f64 {
        let converted = value * self.factor + self.offset;
        format!("{converted:.13e}").parse().unwrap_or(converted)
    }
}

/// Units are few and parsing one costs more than a whole resource, so each thread remembers them, up to this many.
const REMEMBERED_UNITS_MAX: usize = 2000;

thread_local! {
    static CONVERSIONS: RefCell<FxHashMap<String, Option<Rc<Conversion>>>> = RefCell::default();
}

fn conversion(code: &str) -> Option<Rc<Conversion>> {
    CONVERSIONS.with_borrow_mut(|known| {
        if let Some(conversion) = known.get(code) {
            return conversion.clone();
        }
        if known.len() >= REMEMBERED_UNITS_MAX {
            known.clear();
        }
        let computed = compute(code).map(Rc::new);
        known.insert(code.to_owned(), computed.clone());
        computed
    })
}

fn compute(code: &str) -> Option<Conversion> {
    // Longer codes are nobody's unit, and the analysis is not free.
    let analysis = octofhir_ucum::analyse(Some(code).filter(|c| c.len() <= 64)?).ok()?;
    let scale = analysis.scale.to_f64();
    let offset = analysis.offset.to_f64();
    // Of the special units (pH, decibel, Celsius) only the temperatures are linear.
    if analysis.special.is_some() && offset == 0.0 {
        return None;
    }
    let factor = analysis.factor.to_f64() * scale;
    let base = format!("{:?}{:?}", analysis.dimension.0, analysis.arbitrary);
    (factor.is_finite() && factor != 0.0).then_some(Conversion { factor, offset, base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ucum_units_convert() {
        let base = |value: f64, code: &str| conversion(code).map(|c| (c.convert(value), c.base.clone()));
        assert_eq!(base(1000.0, "mg"), base(1.0, "g"));
        assert_eq!(base(6.3, "mmol/L"), base(0.0063, "mol/L"));
        assert_eq!(base(37.0, "Cel"), base(310.15, "K"));
        assert_ne!(base(1.0, "[iU]/L").unwrap().1, base(1.0, "/L").unwrap().1);
        assert_eq!(base(1.0, "no unit"), None);
        assert_eq!(base(7.4, "[pH]"), None);
    }
}
