//! <https://hl7.org/fhir/R4/observation-operation-lastn.html> and <https://hl7.org/fhir/R4/observation-operation-stats.html>

use conformance_tests::Reply;
use serde_json::{Value, json};

use crate::space::{Space, on_each_backend, refused, refused_with};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

fn observation(patient: &str, codes: &[&str], time: &str, value: &str) -> Value {
    let codings: Vec<Value> = codes.iter().map(|code| json!({ "system": LOINC, "code": code })).collect();
    let value: Value = serde_json::from_str(value).unwrap();
    json!({
        "resourceType": "Observation", "status": "final", "code": { "coding": codings },
        "category": [{ "coding": [{ "code": "vital-signs" }] }],
        "subject": { "reference": patient }, "effectiveDateTime": time,
        "valueQuantity": { "value": value, "unit": "kg", "system": UCUM, "code": "kg" },
    })
}

fn patient(space: &Space) -> String {
    space.add("patient", json!({ "resourceType": "Patient" }))
}

#[track_caller]
fn lists(space: &Space, query: &str, expected: &str) {
    let reply = space.get(&format!("Observation/$lastn?{query}")).expect_status(200);
    assert_eq!(reply.body["type"], "searchset", "{reply}");
    let mut names = space.names_in(&reply, "match");
    names.sort();
    assert_eq!(names.join(" "), expected, "{query}");
}

#[test]
fn lastn_returns_the_most_recent_of_each_code() {
    on_each_backend(|space| {
        let p = patient(space);
        for (name, codes, time) in [
            ("a1", &["a"][..], "2020-01-01"),
            ("a2", &["a"], "2020-01-02"),
            ("a3", &["a"], "2020-01-03"),
            ("b1", &["b"], "2019-01-01"),
            ("b2", &["b"], "2019-01-02"),
        ] {
            space.add(name, observation(&p, codes, time, "1"));
        }
        space.add("other", observation(&patient(space), &["a"], "2021-01-01", "1"));
        // "If no maximum number is given then only the most recent Observation in each group is returned."
        lists(space, &format!("patient={p}"), "a3 b2");
        lists(space, &format!("patient={p}&max=2"), "a2 a3 b1 b2");
        lists(space, &format!("subject={p}&max=9"), "a1 a2 a3 b1 b2");
        lists(space, &format!("patient={p}&category=vital-signs&code={LOINC}|a"), "a3");
        lists(space, &format!("patient={p}&date=lt2020-01-03&max=1"), "a2 b2");
        lists(space, &format!("patient={p}&category=laboratory"), "");
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "max", "valuePositiveInt": 2 }, { "name": "patient", "valueString": p },
            { "name": "code", "valueString": "b" },
        ] });
        let reply = space.post("Observation/$lastn", &body).expect_status(200);
        // "Sorted from most recent to the oldest"
        assert_eq!(space.names_in(&reply, "match"), ["b2", "b1"], "{reply}");
    });
}

// "In case of a tie - when the effective times for >1 Observations are equal - both will be returned."
#[test]
fn lastn_returns_both_of_a_tie() {
    on_each_backend(|space| {
        let p = patient(space);
        for (name, time) in [("first", "2020-01-01"), ("second", "2020-01-01"), ("earlier", "2019-12-31")] {
            space.add(name, observation(&p, &["a"], time, "1"));
        }
        lists(space, &format!("patient={p}"), "first second");
    });
}

// "The grouping by code SHALL follow the transitive property of equality"
#[test]
fn lastn_takes_codes_of_one_observation_for_equal() {
    on_each_backend(|space| {
        let p = patient(space);
        space.add("a", observation(&p, &["a"], "2020-01-03", "1"));
        space.add("b", observation(&p, &["b"], "2020-01-02", "1"));
        lists(space, &format!("patient={p}"), "a b");
        space.add("both", observation(&p, &["a", "b"], "2020-01-01", "1"));
        lists(space, &format!("patient={p}"), "a");
    });
}

#[test]
fn lastn_needs_a_subject_and_knows_its_parameters() {
    on_each_backend(|space| {
        refused_with(&space.get("Observation/$lastn?category=vital-signs"), 400, "required");
        refused(&space.get("Observation/$lastn?patient=1&unheard-of=1"), &[400]);
        refused_with(&space.get("Observation/$lastn?patient=1&max=0"), 400, "value");
        refused(&space.get("Observation/$lastn?patient=1&_sort=date"), &[400]);
    });
}

/// The figures of the first `statistics`, by code.
fn figure(reply: &Reply, code: &str) -> Value {
    let statistics = &reply.body["parameter"][0];
    assert_eq!(statistics["name"], "statistics", "{reply}");
    let components = statistics["resource"]["component"].as_array().unwrap();
    let component = components.iter().find(|component| component["code"]["coding"][0]["code"] == code);
    component.unwrap_or_else(|| panic!("no {code}: {reply}"))["valueQuantity"].clone()
}

#[test]
fn stats_calculates_over_the_measurements_of_a_subject() {
    on_each_backend(|space| {
        let p = patient(space);
        for (n, value) in ["0.1", "0.2", "0.30"].iter().enumerate() {
            space.add("v", observation(&p, &["w"], &format!("2020-01-0{}", n + 1), value));
        }
        let mut wrong = observation(&p, &["w"], "2020-01-02", "1000");
        wrong["status"] = json!("entered-in-error");
        space.add("wrong", wrong);
        space.add("other", observation(&patient(space), &["w"], "2020-01-01", "7"));
        let query =
            "statistic=average&statistic=sum&statistic=maximum&statistic=minimum&statistic=count&statistic=median";
        let reply =
            space.get(&format!("Observation/$stats?subject={p}&system={LOINC}&code=w&{query}")).expect_status(200);
        assert!(reply.text.contains(r#""value":0.6"#), "sums are exact: {reply}");
        for (code, value) in [("average", 0.2), ("sum", 0.6), ("maximum", 0.3), ("minimum", 0.1), ("median", 0.2)] {
            let quantity = figure(&reply, code);
            assert_eq!(quantity["value"].as_f64(), Some(value), "{code}: {reply}");
            assert_eq!(quantity["code"], "kg", "{code}: {reply}");
        }
        assert_eq!(figure(&reply, "count")["value"], 3, "{reply}");
        let statistics = &reply.body["parameter"][0]["resource"];
        assert_eq!(statistics["resourceType"], "Observation");
        assert_eq!(statistics["subject"]["reference"], p.as_str(), "{reply}");
        // What comes out is a resource that goes in.
        space.post("Observation", &space.tagged(statistics.clone())).assert_status(201);
    });
}

#[test]
fn stats_keeps_to_the_period_and_returns_its_sources_when_asked() {
    on_each_backend(|space| {
        let p = patient(space);
        for (time, value) in [("2020-01-01", "1"), ("2020-02-01", "2"), ("2020-03-01", "3")] {
            space.add("v", observation(&p, &["w"], time, value));
        }
        let body = |others: Vec<Value>| {
            let mut list = vec![
                json!({ "name": "subject", "valueUri": p }),
                json!({ "name": "coding", "valueCoding": { "system": LOINC, "code": "w" } }),
                json!({ "name": "statistic", "valueCode": "sum" }),
            ];
            list.extend(others);
            json!({ "resourceType": "Parameters", "parameter": list })
        };
        let period = json!({ "name": "period", "valuePeriod": { "start": "2020-01-15", "end": "2020-03-15" } });
        let include = json!({ "name": "include", "valueBoolean": true });
        let reply = space.post("Observation/$stats", &body(vec![period, include])).expect_status(200);
        assert_eq!(figure(&reply, "sum")["value"], 5, "{reply}");
        let sources = reply.body["parameter"].as_array().unwrap().iter().filter(|p| p["name"] == "source");
        assert_eq!(sources.count(), 2, "{reply}");
        let hour = json!({ "name": "duration", "valueDecimal": 1 });
        let reply = space.post("Observation/$stats", &body(vec![hour])).expect_status(200);
        let component = &reply.body["parameter"][0]["resource"]["component"][0];
        assert!(component["dataAbsentReason"].is_object(), "{reply}");
    });
}

// "values … for all the individual observations that are … component observations"
#[test]
fn stats_counts_components_and_ignores_what_is_not_measured_in_ucum() {
    on_each_backend(|space| {
        let p = patient(space);
        let mut panel = observation(&p, &["panel"], "2020-01-01", "1");
        let part = json!({ "code": { "coding": [{ "system": LOINC, "code": "part" }] }, "valueQuantity": { "value": 80, "system": UCUM, "code": "mm[Hg]" } });
        panel["component"] = json!([part]);
        space.add("panel", panel);
        let mut words = observation(&p, &["part"], "2020-01-01", "1");
        words["valueQuantity"] = json!({ "value": 3, "unit": "drops" });
        space.add("words", words);
        let query = "statistic=maximum&statistic=count&statistic=total-count";
        let reply =
            space.get(&format!("Observation/$stats?subject={p}&system={LOINC}&code=part&{query}")).expect_status(200);
        assert_eq!(figure(&reply, "maximum")["value"], 80, "{reply}");
        assert_eq!(figure(&reply, "count")["value"], 1, "{reply}");
        assert_eq!(figure(&reply, "total-count")["value"], 2, "{reply}");
    });
}

#[test]
fn stats_refuses_what_it_cannot_calculate() {
    on_each_backend(|space| {
        let p = patient(space);
        let base = format!("Observation/$stats?subject={p}&system={LOINC}");
        refused_with(&space.get(&format!("{base}&statistic=sum")), 400, "required");
        refused_with(&space.get(&format!("{base}&code=w")), 400, "required");
        refused_with(&space.get(&format!("{base}&code=w&statistic=regression")), 400, "value");
        refused_with(&space.get(&format!("{base}&code=w&statistic=made-up")), 400, "value");
        space.add("kg", observation(&p, &["w"], "2020-01-01", "1"));
        let mut pounds = observation(&p, &["w"], "2020-01-01", "1");
        pounds["valueQuantity"]["code"] = json!("[lb_av]");
        space.add("pounds", pounds);
        refused_with(&space.get(&format!("{base}&code=w&statistic=sum")), 400, "not-supported");
    });
}
