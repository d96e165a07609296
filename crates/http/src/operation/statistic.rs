//! The statistics of `$stats`. Sums and what is made of them by sorting are exact; roots and powers are floats.
//! <https://hl7.org/fhir/R4/valueset-observation-statistics.html>

use rust_decimal::{Decimal, prelude::ToPrimitive as _};

/// A statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    Average,
    Maximum,
    Minimum,
    Count,
    TotalCount,
    Median,
    StandardDeviation,
    Sum,
    Variance,
    /// The value below which that many percent lie.
    Percentile(&'static str, u32),
    QuartileDeviation,
    Skew,
    Kurtosis,
}

const ALL: [(&str, Statistic); 20] = [
    ("average", Statistic::Average),
    ("maximum", Statistic::Maximum),
    ("minimum", Statistic::Minimum),
    ("count", Statistic::Count),
    ("total-count", Statistic::TotalCount),
    ("median", Statistic::Median),
    ("std-dev", Statistic::StandardDeviation),
    ("sum", Statistic::Sum),
    ("variance", Statistic::Variance),
    ("20-percent", Statistic::Percentile("20-percent", 20)),
    ("80-percent", Statistic::Percentile("80-percent", 80)),
    ("4-lower", Statistic::Percentile("4-lower", 25)),
    ("4-upper", Statistic::Percentile("4-upper", 75)),
    ("4-dev", Statistic::QuartileDeviation),
    ("5-1", Statistic::Percentile("5-1", 20)),
    ("5-2", Statistic::Percentile("5-2", 40)),
    ("5-3", Statistic::Percentile("5-3", 60)),
    ("5-4", Statistic::Percentile("5-4", 80)),
    ("skew", Statistic::Skew),
    ("kurtosis", Statistic::Kurtosis),
];

impl Statistic {
    /// The statistic of that code. `regression` gives two figures, for which R4 has no place; it is not among them.
    pub(super) fn parse(code: &str) -> Option<Self> {
        ALL.iter().find(|(name, _)| *name == code).map(|(_, statistic)| *statistic)
    }

    pub(super) fn code(self) -> &'static str {
        ALL.iter().find(|(_, statistic)| *statistic == self).map_or("", |(name, _)| name)
    }

    /// All codes, for an error's text.
    pub(super) fn codes() -> String {
        ALL.map(|(name, _)| name).join(", ")
    }

    /// Whether it is measured as the values are; others are plain numbers.
    pub(super) fn has_unit(self) -> bool {
        !matches!(self, Self::Count | Self::TotalCount | Self::Skew | Self::Kurtosis)
    }

    /// The figure; `None` if there are too few values for it, or they are beyond what a decimal holds.
    pub(super) fn of(self, values: &[Decimal], total: usize) -> Option<Decimal> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        match self {
            Self::Count => Some(Decimal::from(values.len())),
            Self::TotalCount => Some(Decimal::from(total)),
            Self::Maximum => sorted.last().copied(),
            Self::Minimum => sorted.first().copied(),
            Self::Sum if values.is_empty() => None,
            Self::Sum => sum(values),
            Self::Average => average(values),
            Self::Median => percentile(&sorted, 50),
            Self::Percentile(_, percent) => percentile(&sorted, percent),
            Self::QuartileDeviation => {
                let (upper, lower) = (percentile(&sorted, 75)?, percentile(&sorted, 25)?);
                Some(upper.checked_sub(lower)?.checked_div(Decimal::TWO)?.normalize())
            }
            Self::Variance => moment(values, 2).and_then(rounded),
            Self::StandardDeviation => moment(values, 2).map(f64::sqrt).and_then(rounded),
            Self::Skew => standardized(values, 3).and_then(rounded),
            Self::Kurtosis => standardized(values, 4).and_then(rounded),
        }
    }
}

fn sum(values: &[Decimal]) -> Option<Decimal> {
    values.iter().try_fold(Decimal::ZERO, |sum, value| sum.checked_add(*value))
}

fn average(values: &[Decimal]) -> Option<Decimal> {
    Some(sum(values)?.checked_div(Decimal::from(values.len()))?.round_dp(12).normalize())
}

/// The value at that place among the sorted, between two of them in proportion.
fn percentile(sorted: &[Decimal], percent: u32) -> Option<Decimal> {
    let place = Decimal::from(sorted.len().checked_sub(1)?).checked_mul(Decimal::from(percent))? / Decimal::ONE_HUNDRED;
    let (below, part) = (place.floor().to_usize()?, place.fract());
    let (low, high) = (*sorted.get(below)?, *sorted.get(below + 1).or(sorted.last())?);
    if part.is_zero() {
        return Some(low);
    }
    Some(low.checked_add(high.checked_sub(low)?.checked_mul(part)?)?.normalize())
}

/// The mean of that power of the distances from the mean: of the sample for the variance (divided by n − 1).
fn moment(values: &[Decimal], power: i32) -> Option<f64> {
    let mean = average(values)?.to_f64()?;
    let distances: Option<Vec<f64>> = values.iter().map(|value| Some((value.to_f64()? - mean).powi(power))).collect();
    let count = Decimal::from(values.len()).to_f64()?;
    let divisor = if power == 2 { count - 1.0 } else { count };
    (divisor > 0.0).then_some(distances?.iter().sum::<f64>() / divisor)
}

/// A moment in units of the population's standard deviation.
fn standardized(values: &[Decimal], power: i32) -> Option<f64> {
    let count = Decimal::from(values.len()).to_f64()?;
    let deviation = (moment(values, 2)? * (count - 1.0) / count).sqrt();
    (deviation > 0.0).then_some(moment(values, power)? / deviation.powi(power))
}

/// As many digits as are worth something.
fn rounded(value: f64) -> Option<Decimal> {
    Some(Decimal::from_f64_retain(value)?.round_sf(12)?.normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, values: &str, expect: &str) {
        let values: Vec<Decimal> = values.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let found = Statistic::parse(code).unwrap().of(&values, values.len() + 1);
        assert_eq!(found.map_or_else(String::new, |value| value.to_string()), expect, "{code} of {values:?}");
    }

    #[test]
    fn sums_and_averages_are_exact() {
        check("sum", "0.1 0.2", "0.3");
        check("average", "0.1 0.2", "0.15");
        check("average", "1 2 2", "1.666666666667");
        check("maximum", "1.50 1.4 -3", "1.50");
        check("minimum", "1.50 1.4 -3", "-3");
        check("count", "1 2", "2");
        check("total-count", "1 2", "3");
    }

    #[test]
    fn places_among_the_sorted() {
        check("median", "3 1 2", "2");
        check("median", "4 1 2 3", "2.5");
        check("4-lower", "1 2 3 4 5", "2");
        check("4-upper", "1 2 3 4 5", "4");
        check("4-dev", "1 2 3 4 5", "1");
        check("20-percent", "1 2 3 4 5 6", "2");
        check("5-4", "1 2 3 4 5 6", "5");
    }

    #[test]
    fn how_values_spread() {
        check("variance", "2 4 4 4 5 5 7 9", "4.57142857143");
        check("std-dev", "1 3", "1.41421356237");
        check("skew", "1 2 3", "0");
        check("kurtosis", "1 2 3", "1.5");
    }

    #[test]
    fn too_few_values_have_no_figure() {
        for code in ["average", "maximum", "median", "sum", "std-dev", "variance", "skew"] {
            check(code, "", "");
        }
        check("std-dev", "1", "");
        check("skew", "2 2", "");
        check("count", "", "0");
    }

    #[test]
    fn codes_are_found_by_their_statistic() {
        assert!(ALL.iter().all(|(code, statistic)| statistic.code() == *code));
        assert_eq!(Statistic::parse("regression"), None);
    }
}
