//! <https://hl7.org/fhir/R4/search.html#date>

use serde_json::json;
use tessera_fixtures::{medication_statement, observation, patient, resource};

use crate::space::{Space, on_each_backend, refused};

/// Patients whose birth dates have every precision that a date may have.
fn births(space: &Space) {
    for (name, date) in [
        ("y1974", "1974"),
        ("m1974-12", "1974-12"),
        ("d24", "1974-12-24"),
        ("d25", "1974-12-25"),
        ("d26", "1974-12-26"),
    ] {
        space.add(name, patient().born(date).build());
    }
    space.add("none", patient().build());
}

// https://hl7.org/fhir/R4/search.html#prefix: eq: the searched range contains the whole stored range
#[test]
fn eq_finds_what_lies_within_the_searched_range() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=1974-12-25", "d25");
        space.finds("Patient?birthdate=eq1974-12-25", "d25");
        space.finds("Patient?birthdate=1974-12", "m1974-12 d24 d25 d26");
        space.finds("Patient?birthdate=1974", "y1974 m1974-12 d24 d25 d26");
        space.finds("Patient?birthdate=1975", "");
    });
}

// https://hl7.org/fhir/R4/search.html#prefix: ne
#[test]
fn ne_finds_what_does_not_lie_within() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=ne1974-12-25", "y1974 m1974-12 d24 d26");
        space.finds("Patient?birthdate=ne1974-12", "y1974");
        space.finds("Patient?birthdate=ne1974", "");
    });
}

// https://hl7.org/fhir/R4/search.html#prefix: gt, lt: the range above (below) overlaps the stored one
#[test]
fn gt_and_lt_find_what_lies_partly_beyond() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=gt1974-12-25", "y1974 m1974-12 d26");
        space.finds("Patient?birthdate=lt1974-12-25", "y1974 m1974-12 d24");
        space.finds("Patient?birthdate=gt1974-12-31", "");
        space.finds("Patient?birthdate=lt1974-12", "y1974");
        space.finds("Patient?birthdate=lt1974", "");
        space.finds("Patient?birthdate=gt1973&birthdate=lt1975", "y1974 m1974-12 d24 d25 d26");
    });
}

// https://hl7.org/fhir/R4/search.html#prefix: ge, le
#[test]
fn ge_and_le_find_the_searched_range_too() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=ge1974-12-25", "y1974 m1974-12 d25 d26");
        space.finds("Patient?birthdate=le1974-12-25", "y1974 m1974-12 d24 d25");
        space.finds("Patient?birthdate=ge1974", "y1974 m1974-12 d24 d25 d26");
        space.finds("Patient?birthdate=ge1974-12-24&birthdate=le1974-12-25", "y1974 m1974-12 d24 d25");
    });
}

// https://hl7.org/fhir/R4/search.html#prefix: sa, eb: the stored range lies wholly above (below)
#[test]
fn sa_and_eb_find_what_lies_wholly_beyond() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=sa1974-12-24", "d25 d26");
        space.finds("Patient?birthdate=eb1974-12-26", "d24 d25");
        space.finds("Patient?birthdate=sa1973", "y1974 m1974-12 d24 d25 d26");
        space.finds("Patient?birthdate=eb1974-12", "");
    });
}

// https://hl7.org/fhir/R4/search.html#prefix: ap: by recommendation a tenth of the time between now and the date
#[test]
fn ap_finds_what_is_near_and_not_what_is_far() {
    on_each_backend(|space| {
        births(space);
        space.add("far", patient().born("1874-12-25").build());
        space.finds(
            "Patient?birthdate=ap1974-12-25&birthdate=ge1974-12-25&birthdate=le1974-12-25",
            "y1974 m1974-12 d25",
        );
        space.finds("Patient?birthdate=ap1974-12-25&birthdate=lt1900", "");
    });
}

// https://hl7.org/fhir/R4/search.html#date: times within a day
#[test]
fn a_day_contains_its_times() {
    on_each_backend(|space| {
        let at = |time: &str| observation().effective(time).build();
        space.add("night", at("2013-01-14T00:00:00Z"));
        space.add("morning", at("2013-01-14T10:00:00Z"));
        space.add("evening", at("2013-01-14T23:59:59.999Z"));
        space.add("next", at("2013-01-15T00:00:00Z"));
        space.add("day", at("2013-01-14"));
        space.finds("Observation?date=2013-01-14", "night morning evening day");
        space.finds("Observation?date=ge2013-01-14&date=lt2013-01-15", "night morning evening day");
        space.finds("Observation?date=gt2013-01-14", "next");
        space.finds("Observation?date=2013-01-14T10:00:00Z", "morning");
        space.finds("Observation?date=2013-01-14T10:00Z", "morning");
        space.finds("Observation?date=gt2013-01-14T10:00:00Z", "evening next day");
        space.finds("Observation?date=lt2013-01-14T10:00:00Z", "night day");
        space.finds("Observation?date=sa2013-01-14T10:00:00Z", "evening next");
    });
}

// https://hl7.org/fhir/R4/search.html#date: with a zone it is the instant that counts
#[test]
fn zones_are_converted() {
    on_each_backend(|space| {
        space.add("berlin", observation().effective("2015-02-07T13:28:17+02:00").build());
        space.add("utc", observation().effective("2015-02-07T11:28:17Z").build());
        space.add("tokyo", observation().effective("2015-02-07T13:28:17+09:00").build());
        space.finds("Observation?date=2015-02-07T11:28:17Z", "berlin utc");
        space.finds("Observation?date=2015-02-07T12:28:17%2B01:00", "berlin utc");
        space.finds("Observation?date=lt2015-02-07T11:28:17Z", "tokyo");
        space.finds("Observation?date=2015-02-07T06:28:17-05:00", "berlin utc");
    });
}

// https://hl7.org/fhir/R4/search.html#date: fractions of a second
#[test]
fn fractions_of_a_second_may_be_there_or_not() {
    on_each_backend(|space| {
        let issued = |time: &str| observation().issued(time).set("effectiveInstant", time).build();
        space.add("whole", issued("2020-05-05T10:00:00Z"));
        space.add("tenth", issued("2020-05-05T10:00:00.100Z"));
        space.add("next", issued("2020-05-05T10:00:01Z"));
        space.finds("Observation?date=2020-05-05T10:00:00Z", "whole tenth");
        space.finds("Observation?date=2020-05-05T10:00:00.100Z", "tenth");
        space.finds("Observation?date=2020-05-05T10:00:00.1Z", "tenth");
        space.finds("Observation?date=sa2020-05-05T10:00:00.1Z", "next");
    });
}

// https://hl7.org/fhir/R4/search.html#date: a Period without start or end is open
#[test]
fn a_period_is_its_range_and_open_where_an_end_is_missing() {
    on_each_backend(|space| {
        let taken = |start: &str, end| medication_statement().effective_period(start, end).build();
        space.add("march", taken("2013-03-01", Some("2013-03-31")));
        space.add("ongoing", taken("2013-02-10", None));
        space.add("until", medication_statement().set("effectivePeriod", json!({ "end": "2013-01-31" })).build());
        space.finds("MedicationStatement?effective=2013-03", "march");
        space.finds("MedicationStatement?effective=2013", "march");
        space.finds("MedicationStatement?effective=gt2013-03-20", "march ongoing");
        space.finds("MedicationStatement?effective=gt2050", "ongoing");
        space.finds("MedicationStatement?effective=lt1950", "until");
        space.finds("MedicationStatement?effective=sa2013-02-20", "march");
        space.finds("MedicationStatement?effective=eb2013-04-01", "march until");
        space.finds("MedicationStatement?effective=ge2013-03-15&effective=le2013-03-15", "march ongoing");
    });
}

// https://hl7.org/fhir/R4/search.html#date: a Timing is its outer limits
#[test]
fn a_timing_is_the_range_of_its_events() {
    on_each_backend(|space| {
        let mut order = resource("ServiceRequest").set("status", "active").set("intent", "order").build();
        order["subject"] = json!({ "reference": "Patient/example" });
        order["occurrenceTiming"] = json!({ "event": ["2014-06-01T08:00:00Z", "2014-06-20T08:00:00Z"] });
        space.add("timed", order);
        space.finds("ServiceRequest?occurrence=2014-06", "timed");
        space.finds("ServiceRequest?occurrence=2014-07", "");
        space.finds("ServiceRequest?occurrence=sa2014-05-31&occurrence=eb2014-06-21", "timed");
    });
}

// https://hl7.org/fhir/R4/search.html#combining
#[test]
fn dates_combine_by_and_and_or() {
    on_each_backend(|space| {
        births(space);
        space.finds("Patient?birthdate=1974-12-24,1974-12-26", "d24 d26");
        space.finds("Patient?birthdate=lt1974-12-25,gt1974-12-25&birthdate=1974-12", "m1974-12 d24 d26");
        space.finds("Patient?birthdate:missing=true", "none");
        space.finds("Patient?birthdate:missing=false", "y1974 m1974-12 d24 d25 d26");
    });
}

// https://hl7.org/fhir/R4/search.html#date: what is no date
#[test]
fn what_is_no_date_is_refused() {
    on_each_backend(|space| {
        for value in [
            "2013-02-30",
            "2013-13",
            "13",
            "2013-1-1",
            "T10:00",
            "2013-01-14T25:00:00Z",
            "2013-01-14T10:00:00%2B99:00",
            "xx2013",
            "gt",
            "ge gt2013",
        ] {
            println!("{value}");
            refused(&space.get(&format!("Observation?date={value}")), &[400]);
        }
    });
}

// https://hl7.org/fhir/R4/search.html#date: dates of all centuries
#[test]
fn dates_far_away_are_found() {
    on_each_backend(|space| {
        space.add("early", patient().born("0001-01-01").build());
        space.add("leap", patient().born("2000-02-29").build());
        space.add("late", patient().born("9999-12-31").build());
        space.finds("Patient?birthdate=lt1000", "early");
        space.finds("Patient?birthdate=2000-02-29", "leap");
        space.finds("Patient?birthdate=gt9000", "late");
        space.finds("Patient?birthdate=9999", "late");
        space.lists("Patient?_sort=birthdate", "early leap late");
    });
}
