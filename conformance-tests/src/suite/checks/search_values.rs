//! Dates, numbers and quantities, with their prefixes and their precision: <https://hl7.org/fhir/R4/search.html#prefix>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::resources::{coding, medication_statement, observation, patient, weight, with};
use crate::suite::verdict::Verdict;
use crate::suite::visit::Visit;

const BIRTHDATE: &[Need] = needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "birthdate"));
const QUANTITY: &[Need] =
    needs!("Patient" "create", "Observation" "create" "search-type"; Need::Parameter("Observation", "value-quantity"));
const NUMBER: &[Need] = needs!(
    "Patient" "create", "RiskAssessment" "create" "search-type";
    Need::Parameter("RiskAssessment", "probability")
);

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "date.precision",
        title: "A date matches within the day, the month or the year that it names",
        rule: "eq: the range of the search value fully contains the range of the target value.",
        section: "search.html#date",
        strength: Strength::Shall,
        needs: BIRTHDATE,
        run: |visit| Box::pin(precision(visit)),
    },
    Check {
        id: "date.prefixes",
        title: "gt, lt, ge, le and ne compare dates with the whole range that is searched for",
        rule: "gt, lt, ge, le and ne compare the range of the search value with that of the target.",
        section: "search.html#prefix",
        strength: Strength::Shall,
        needs: BIRTHDATE,
        run: |visit| Box::pin(prefixes(visit)),
    },
    Check {
        id: "date.sa-eb",
        title: "sa and eb find what begins after, or ends before, the whole range",
        rule: "sa: the target starts after the search value; eb: it ends before.",
        section: "search.html#prefix",
        strength: Strength::Shall,
        needs: BIRTHDATE,
        run: |visit| Box::pin(sa_eb(visit)),
    },
    Check {
        id: "date.times",
        title: "Times are compared as instants, whatever their time zone",
        rule: "A dateTime with a time zone is a moment; the search value's time zone counts.",
        section: "search.html#date",
        strength: Strength::Shall,
        needs: needs!("Patient" "create", "Observation" "create" "search-type"; Need::Parameter("Observation", "date")),
        run: |visit| Box::pin(times(visit)),
    },
    Check {
        id: "date.periods",
        title: "Periods are found by what lies within them, open ends included",
        rule: "A Period is a range; a missing bound is open. ge and le match a range that reaches into what is searched for.",
        section: "search.html#date",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "MedicationStatement" "create" "search-type";
            Need::Parameter("MedicationStatement", "effective")
        ),
        run: |visit| Box::pin(periods(visit)),
    },
    Check {
        id: "number.precision",
        title: "A number matches within the precision that it is written with",
        rule: "0.1 matches from 0.05 to 0.15; 0.10 from 0.095 to 0.105.",
        section: "search.html#number",
        strength: Strength::Shall,
        needs: NUMBER,
        run: |visit| Box::pin(number_precision(visit)),
    },
    Check {
        id: "number.prefixes",
        title: "gt, lt, ge and le compare numbers",
        rule: "Prefixes compare the value of the resource with the search value.",
        section: "search.html#prefix",
        strength: Strength::Shall,
        needs: NUMBER,
        run: |visit| Box::pin(number_prefixes(visit)),
    },
    Check {
        id: "quantity.precision",
        title: "A quantity matches within the precision that it is written with",
        rule: "5.4 matches from 5.35 to 5.45, as numbers do.",
        section: "search.html#quantity",
        strength: Strength::Shall,
        needs: QUANTITY,
        run: |visit| Box::pin(quantity_precision(visit)),
    },
    Check {
        id: "quantity.units",
        title: "A quantity is found by number alone, by system and code, and by unit",
        rule: "[number]|[system]|[code]: system and code must match; without the system, the code or the unit.",
        section: "search.html#quantity",
        strength: Strength::Shall,
        needs: QUANTITY,
        run: |visit| Box::pin(quantity_units(visit)),
    },
    Check {
        id: "quantity.prefixes",
        title: "gt, lt, ge, le and ne compare quantities",
        rule: "Prefixes compare the value of the resource with the search value.",
        section: "search.html#prefix",
        strength: Strength::Shall,
        needs: QUANTITY,
        run: |visit| Box::pin(quantity_prefixes(visit)),
    },
    Check {
        id: "quantity.approximately",
        title: "ap finds what is near, and not what is far",
        rule: "ap: the value is approximately the same; 10 % is recommended.",
        section: "search.html#prefix",
        strength: Strength::Shall,
        needs: QUANTITY,
        run: |visit| Box::pin(approximately(visit)),
    },
    Check {
        id: "composite.code-and-value",
        title: "A composite parameter matches parts that belong together",
        rule: "Composite parameters join values that stand in the same element, with $ between them.",
        section: "search.html#composite",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Observation" "create" "search-type";
            Need::Parameter("Observation", "code-value-quantity")
        ),
        run: |visit| Box::pin(composite(visit)),
    },
];

async fn births(visit: &mut Visit, dates: &[(&str, &str)]) -> Verdict {
    for (name, date) in dates {
        visit.add(name, with(patient("Chalmers"), "birthDate", json!(date))).await?;
    }
    Ok(())
}

const DAYS: [(&str, &str); 4] =
    [("april", "1980-04-30"), ("may1", "1980-05-01"), ("may31", "1980-05-31"), ("june", "1980-06-01")];

async fn precision(visit: &mut Visit) -> Verdict {
    births(visit, &DAYS).await?;
    visit.add("month", with(patient("Chalmers"), "birthDate", json!("1980-05"))).await?;
    visit.finds("Patient?birthdate=1980-05-31", "may31").await?;
    visit.finds("Patient?birthdate=1980-05", "may1 may31 month").await?;
    visit.finds("Patient?birthdate=eq1980", "april may1 may31 june month").await?;
    visit.finds("Patient?birthdate=1981", "").await
}

async fn prefixes(visit: &mut Visit) -> Verdict {
    births(visit, &DAYS).await?;
    visit.finds("Patient?birthdate=gt1980-05", "june").await?;
    visit.finds("Patient?birthdate=lt1980-05", "april").await?;
    visit.finds("Patient?birthdate=ge1980-05", "may1 may31 june").await?;
    visit.finds("Patient?birthdate=le1980-05", "april may1 may31").await?;
    visit.finds("Patient?birthdate=ne1980-05", "april june").await?;
    visit.finds("Patient?birthdate=ge1980-05-01&birthdate=lt1980-05-31", "may1").await
}

async fn sa_eb(visit: &mut Visit) -> Verdict {
    births(visit, &DAYS).await?;
    visit.finds("Patient?birthdate=sa1980-05", "june").await?;
    visit.finds("Patient?birthdate=eb1980-05", "april").await
}

async fn times(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    for (name, time) in
        [("early", "2020-03-01T08:00:00Z"), ("ten", "2020-03-01T12:00:00+02:00"), ("late", "2020-03-01T11:30:00Z")]
    {
        visit.add(name, with(observation(&made.reference), "effectiveDateTime", json!(time))).await?;
    }
    visit.finds("Observation?date=2020-03-01T10:00:00Z", "ten").await?;
    visit.finds("Observation?date=2020-03-01T05:00:00-05:00", "ten").await?;
    visit.finds("Observation?date=lt2020-03-01T10:00:00Z", "early").await?;
    visit.finds("Observation?date=gt2020-03-01T13:00:00%2B02:00", "late").await
}

async fn periods(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    for (name, period) in [
        ("march", json!({"start": "2020-03-01", "end": "2020-03-31"})),
        ("from-april", json!({"start": "2020-04-01"})),
        ("till-january", json!({"end": "2020-01-31"})),
    ] {
        visit.add(name, with(medication_statement(&made.reference), "effectivePeriod", period)).await?;
    }
    visit.finds("MedicationStatement?effective=2020-03", "march").await?;
    visit.finds("MedicationStatement?effective=gt2021-01-01", "from-april").await?;
    visit.finds("MedicationStatement?effective=lt2019-01-01", "till-january").await?;
    visit.finds("MedicationStatement?effective=ge2020-03-15", "march from-april").await?;
    visit.finds("MedicationStatement?effective=le2020-03-15", "march till-january").await
}

/// Risk assessments with these probabilities, by their digits.
async fn risks(visit: &mut Visit, digits: &[&str]) -> Verdict {
    let made = visit.patient().await?;
    for digits in digits {
        let number: Value = serde_json::from_str(digits).unwrap_or(Value::Null);
        let body = json!({
            "resourceType": "RiskAssessment",
            "status": "final",
            "subject": {"reference": made.reference},
            "prediction": [{"outcome": coding("http://snomed.info/sct", "44054006"), "probabilityDecimal": number}],
        });
        visit.add(digits, body).await?;
    }
    Ok(())
}

async fn number_precision(visit: &mut Visit) -> Verdict {
    risks(visit, &["0.04", "0.07", "0.1", "0.104", "0.16"]).await?;
    visit.finds("RiskAssessment?probability=0.1", "0.07 0.1 0.104").await?;
    visit.finds("RiskAssessment?probability=0.10", "0.1 0.104").await?;
    visit.finds("RiskAssessment?probability=0.100", "0.1").await
}

async fn number_prefixes(visit: &mut Visit) -> Verdict {
    risks(visit, &["0.1", "0.2", "0.3"]).await?;
    visit.finds("RiskAssessment?probability=gt0.2", "0.3").await?;
    visit.finds("RiskAssessment?probability=lt0.2", "0.1").await?;
    visit.finds("RiskAssessment?probability=ge0.2", "0.2 0.3").await?;
    visit.finds("RiskAssessment?probability=le0.2", "0.1 0.2").await
}

/// Observations of these kilograms, by their digits.
async fn weights(visit: &mut Visit, digits: &[&str]) -> Verdict {
    let made = visit.patient().await?;
    for digits in digits {
        visit.add(digits, weight(&made.reference, digits)).await?;
    }
    Ok(())
}

const UCUM: &str = "http://unitsofmeasure.org";

async fn quantity_precision(visit: &mut Visit) -> Verdict {
    weights(visit, &["5.3", "5.38", "5.4", "5.44", "5.5"]).await?;
    visit.finds(&format!("Observation?value-quantity=5.4|{UCUM}|kg"), "5.38 5.4 5.44").await?;
    visit.finds(&format!("Observation?value-quantity=5.40|{UCUM}|kg"), "5.4").await
}

async fn quantity_units(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    visit.add("kg", weight(&made.reference, "5.4")).await?;
    let pounds = json!({"value": 5.4, "unit": "lbs", "system": UCUM, "code": "[lb_av]"});
    visit.add("pounds", with(observation(&made.reference), "valueQuantity", pounds)).await?;
    visit.finds(&format!("Observation?value-quantity=5.4|{UCUM}|kg"), "kg").await?;
    visit.finds("Observation?value-quantity=5.4", "kg pounds").await?;
    visit.finds("Observation?value-quantity=5.4||kg", "kg").await?;
    visit.finds("Observation?value-quantity=5.4||lbs", "pounds").await?;
    visit.finds(&format!("Observation?value-quantity=5.4|{UCUM}|m"), "").await
}

async fn quantity_prefixes(visit: &mut Visit) -> Verdict {
    weights(visit, &["60", "70", "80"]).await?;
    let search = |value: &str| format!("Observation?value-quantity={value}|{UCUM}|kg");
    visit.finds(&search("gt70"), "80").await?;
    visit.finds(&search("lt70"), "60").await?;
    visit.finds(&search("ge70"), "70 80").await?;
    visit.finds(&search("le70"), "60 70").await?;
    visit.finds(&search("ne70"), "60 80").await
}

async fn approximately(visit: &mut Visit) -> Verdict {
    weights(visit, &["70", "700"]).await?;
    visit.finds_or_refuses(&format!("Observation?value-quantity=ap70|{UCUM}|kg"), "70").await
}

async fn composite(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let other = coding("http://loinc.org", "8302-2");
    visit.add("weight70", weight(&made.reference, "70")).await?;
    visit.add("weight90", weight(&made.reference, "90")).await?;
    visit.add("other90", with(weight(&made.reference, "90"), "code", other)).await?;
    let search = |value: &str| format!("Observation?code-value-quantity=http://loinc.org|29463-7${value}|{UCUM}|kg");
    visit.finds(&search("90"), "weight90").await?;
    visit.finds(&search("gt60"), "weight70 weight90").await
}
