//! `near`: places within a distance of a point. <https://hl7.org/fhir/R4/location.html#search>
//!
//! A position is held as a point on a sphere, in whole centimetres: the straight distance of two points grows with the one
//! over ground, and comparing it takes whole numbers only, so that memory and both databases cannot disagree.

use super::{
    escape::Escaped,
    index::{IndexValue, Values},
    quantity,
};
use crate::{Error, decimal::Decimal, json::Node};
use std::f64::consts::FRAC_PI_2;

/// The earth's mean radius in centimetres.
const RADIUS: f64 = 637_100_880.0;
/// "If the distance is omitted, then the server can use its own discretion": kilometres.
const DISTANCE_DEFAULT: f64 = 50.0;

/// A point and how far from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// The point, in centimetres from the middle of the earth.
    pub point: [i64; 3],
    /// The greatest distance along each axis.
    pub reach: i64,
    /// The greatest distance, squared.
    pub reach_squared: i64,
}

impl Near {
    /// Whether a stored position is that near.
    #[must_use]
    pub fn meets(&self, stored: [i64; 3]) -> bool {
        let squares = self.point.iter().zip(stored).map(|(a, b)| (b - a) * (b - a));
        squares.sum::<i64>() <= self.reach_squared
    }
}

/// Degrees → a point; `None` where there is no such place.
#[expect(clippy::cast_possible_truncation, reason = "no further than the radius")]
fn point(latitude: f64, longitude: f64) -> Option<[i64; 3]> {
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return None;
    }
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    let axes = [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()];
    Some(axes.map(|axis| (axis * RADIUS).round() as i64))
}

/// Reads `latitude|longitude`, `latitude|longitude|distance` or `latitude|longitude|distance|unit`.
pub(super) fn parse(value: &Escaped<'_>) -> Result<Near, Error> {
    let parts = value.split('|');
    let number = |n: usize| parts.get(n).and_then(|part| Decimal::parse(&part.text())).map(|decimal| decimal.value);
    let expected = || value.bad("expected latitude|longitude|distance|unit, such as 42.25|-83.69|11.2|km");
    let (latitude, longitude) = number(0).zip(number(1)).filter(|_| parts.len() <= 4).ok_or_else(expected)?;
    let point = point(latitude, longitude)
        .ok_or_else(|| value.bad("a latitude is from -90 to 90, a longitude from -180 to 180"))?;
    let distance = match parts.len() {
        2 => DISTANCE_DEFAULT,
        _ => number(2).filter(|distance| *distance >= 0.0).ok_or_else(expected)?,
    };
    // "If the units are omitted, then kms should be assumed"
    let unit = parts.get(3).map_or_else(|| "km".to_owned(), Escaped::text);
    let metres = quantity::metres(distance, &unit)
        .ok_or_else(|| value.bad("the unit is no UCUM unit of length, such as km, m or [mi_i]"))?;
    Ok(within(point, metres * 100.0))
}

#[expect(clippy::cast_possible_truncation, reason = "no further than twice the radius")]
fn within(point: [i64; 3], centimetres: f64) -> Near {
    let straight = 2.0 * RADIUS * (centimetres / (2.0 * RADIUS)).min(FRAC_PI_2).sin();
    Near { point, reach: straight.ceil() as i64, reach_squared: (straight * straight).floor() as i64 }
}

/// The position in an element.
pub(super) fn extract(node: Node<'_>, values: &mut Values<'_>) {
    let degrees = |name: &str| node.get(name)?.as_text().and_then(|text| Decimal::parse(&text)).map(|d| d.value);
    let position = degrees("latitude").zip(degrees("longitude"));
    values.extend(position.and_then(|(latitude, longitude)| point(latitude, longitude)).map(IndexValue::Position));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_over_ground() {
        // Boston, and places at known distances from it.
        let check = |searched: &str, (latitude, longitude): (f64, f64), expect: bool| {
            let near = parse(&Escaped::new("near", searched)).unwrap();
            assert_eq!(near.meets(point(latitude, longitude).unwrap()), expect, "{searched} {latitude} {longitude}");
        };
        check("42.36|-71.06|306|km", (40.71, -74.01), false);
        check("42.36|-71.06|307|km", (40.71, -74.01), true);
        check("42.36|-71.06|307000|m", (40.71, -74.01), true);
        check("42.36|-71.06|191|[mi_i]", (40.71, -74.01), true);
        check("42.36|-71.06|190|[mi_i]", (40.71, -74.01), false);
        check("42.36|-71.06", (42.36, -71.6), true);
        check("42.36|-71.06", (42.36, -72.0), false);
        check("42.36|-71.06|0", (42.36, -71.06), true);
        check("0|179.99|3", (0.0, -179.99), true);
        check("90|0|1", (90.0, 123.0), true);
        check("0|0|20015", (0.0, 180.0), false);
        check("0|0|20016", (0.0, 180.0), true);
        check("0|0|1e9", (-12.0, 100.0), true);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for bad in
            ["", "1", "91|0", "0|181", "a|b", "0|0|-1", "0|0|1|mg", "0|0|1|", "0|0||km", "0|0|1|km|x", "42.3:-71"]
        {
            assert!(parse(&Escaped::new("near", bad)).is_err(), "{bad}");
        }
    }
}
