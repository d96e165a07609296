//! Dates, decimals and references: read or refused, and sound when they are read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_model::decimal::Decimal;
use tessera_model::fhirpath::Temporal;
use tessera_model::{Definitions, reference, temporal};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(written) = temporal::parse(text) {
        assert!(written.range.low < written.range.high, "{written:?}");
        let instant = temporal::format_instant(written.range.low);
        assert!(temporal::parse(&instant).is_some() || instant.starts_with('-'), "{instant}");
    }
    if let Some(range) = temporal::range(text) {
        assert!(range.low < range.high, "{range:?}");
    }
    let _ = (Temporal::parse_date(text), Temporal::parse_date_time(text), Temporal::parse_time(text));
    if let Some(decimal) = Decimal::parse(text) {
        assert!(decimal.value.is_finite() && decimal.half_unit >= 0.0, "{decimal:?}");
    }
    let _ = reference::parse(text, "http://localhost/fhir", Definitions::r4());
    let _ = (reference::type_named(text), reference::split_canonical(text));
});
