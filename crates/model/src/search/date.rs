//! Date search: every value is a range of time. <https://hl7.org/fhir/R4/search.html#date>

use super::{
    escape::Escaped,
    index::{IndexValue, Values},
    prefix::{Comparison, Prefix, of_times},
};
use crate::{
    Error,
    json::Node,
    temporal::{self, BEGINNING, END, Micros, TimeRange},
};

/// Reads a prefix and a date or time; `now` is what `ap` measures the distance from.
pub(super) fn parse(value: &Escaped<'_>, now: Micros) -> Result<Comparison<i64>, Error> {
    let text = value.text();
    let (prefix, text) = Prefix::split(&text);
    let Some(TimeRange { low, high }) = temporal::range(text) else {
        return Err(value.bad("expected a date or time of the calendar, such as ge2013-01-14 or 2013-01-14T10:00:00Z"));
    };
    // "10% of the gap between now and the date"
    let gap = now.abs_diff(low) / 10;
    let widened = (low.saturating_sub_unsigned(gap), high.saturating_add_unsigned(gap));
    Ok(of_times(prefix, low, high, widened))
}

/// The ranges of time in an element.
pub(super) fn extract(node: Node<'_>, type_name: &str, values: &mut Values<'_>) {
    match type_name {
        "Period" => values.extend(period(node)),
        "Timing" => {
            let events = node.get("event").into_iter().flat_map(Node::children).filter_map(range);
            events.for_each(|range| values.push(date(range)));
            values.extend(node.get("repeat").and_then(|repeat| repeat.get("boundsPeriod")).and_then(period));
        }
        _ => values.extend(range(node).map(date)),
    }
}

fn range(node: Node<'_>) -> Option<TimeRange> {
    temporal::range(&node.as_str()?)
}

fn date(TimeRange { low, high }: TimeRange) -> IndexValue {
    IndexValue::Date { low, high }
}

/// A missing end is open. <https://hl7.org/fhir/R4/datatypes.html#Period>
fn period(node: Node<'_>) -> Option<IndexValue> {
    let (start, end) = (node.get("start").and_then(range), node.get("end").and_then(range));
    (start.is_some() || end.is_some())
        .then(|| IndexValue::Date { low: start.map_or(BEGINNING, |r| r.low), high: end.map_or(END, |r| r.high) })
}
