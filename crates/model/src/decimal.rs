//! A decimal as it is written, and the range its written precision covers: `5.4` is [5.35, 5.45), `5.40` is [5.395, 5.405).
//! <https://hl7.org/fhir/R4/search.html#number>

/// A number and half the unit of its last written digit. The index holds 64-bit floats, so do these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    /// The number.
    pub value: f64,
    /// Half of the last written digit's unit: 0.05 for `5.4`, 0.5 for `100`, 50 for `1e2`.
    pub half_unit: f64,
}

impl Decimal {
    /// Reads a decimal in FHIR's lexical form; `None` if it is not one or is beyond what a float can hold.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let dangling = digits.ends_with('.');
        if whole.is_empty() || dangling || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
        let last_digit = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        // Through text, so that the bound is the float nearest to the decimal one.
        let half_unit: f64 = format!("5e{}", last_digit.checked_sub(1)?).parse().ok()?;
        half_unit.is_finite().then_some(Self { value, half_unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_precision_is_a_range() {
        let check = |text: &str, value: f64, half_unit: f64| {
            assert_eq!(Decimal::parse(text), Some(Decimal { value, half_unit }), "{text}");
        };
        check("100", 100.0, 0.5);
        check("100.00", 100.0, 0.005);
        check("5.4", 5.4, 0.05);
        check("-5.40", -5.4, 0.005);
        check("1e2", 100.0, 50.0);
        check("1.5E-3", 0.0015, 0.00005);
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for bad in ["", "a", "1.", ".5", "1e", "--1", "1 ", "NaN", "inf", "1e999", "0x1", "1_0", "1e99999999999"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }
}
