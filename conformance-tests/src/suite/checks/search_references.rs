//! Searches along references: <https://hl7.org/fhir/R4/search.html#reference>, <https://hl7.org/fhir/R4/search.html#chaining>,
//! <https://hl7.org/fhir/R4/search.html#has>, <https://hl7.org/fhir/R4/search.html#include> and
//! <https://hl7.org/fhir/R4/compartmentdefinition.html>

use serde_json::json;

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::request::escape;
use crate::suite::resources::{allergy, condition, observation, patient, with};
use crate::suite::verdict::{Verdict, ensure, not_applicable};
use crate::suite::visit::{Made, Visit};

const SUBJECT: &[Need] =
    needs!("Patient" "create", "Observation" "create" "search-type"; Need::Parameter("Observation", "subject"));
const COMPARTMENT: &[Need] =
    needs!("Patient" "create", "Observation" "create" "search-type"; Need::Compartment("patient"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "reference.forms",
        title: "A reference is found by id, by type and id, and by its whole URL",
        rule: "[id], [type]/[id] and the absolute URL of a resource on the server mean the same.",
        section: "search.html#reference",
        strength: Strength::Shall,
        needs: SUBJECT,
        run: |visit| Box::pin(forms(visit)),
    },
    Check {
        id: "reference.type",
        title: "A reference is found by the type as a modifier and the id",
        rule: "subject:Patient=[id] names the type of the target.",
        section: "search.html#reference",
        strength: Strength::Shall,
        needs: SUBJECT,
        run: |visit| Box::pin(of_type(visit)),
    },
    Check {
        id: "reference.patient",
        title: "patient finds the resources of a patient, of each of the first types",
        rule: "patient searches the references to Patients among the subjects.",
        section: "search.html#reference",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Condition" "create" "search-type", "AllergyIntolerance" "create" "search-type";
            Need::Parameter("Condition", "patient"), Need::Parameter("AllergyIntolerance", "patient")
        ),
        run: |visit| Box::pin(by_patient(visit)),
    },
    Check {
        id: "reference.identifier",
        title: ":identifier finds references by the identifier that they carry",
        rule: ":identifier searches Reference.identifier, as a token.",
        section: "search.html#reference",
        strength: Strength::Shall,
        needs: SUBJECT,
        run: |visit| Box::pin(by_identifier(visit)),
    },
    Check {
        id: "chain.forward",
        title: "A chain finds by what a reference leads to",
        rule: "subject:Patient.family=… finds what refers to a matching Patient.",
        section: "search.html#chaining",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Observation" "create" "search-type";
            Need::Parameter("Observation", "subject"), Need::Parameter("Patient", "family")
        ),
        run: |visit| Box::pin(chain(visit)),
    },
    Check {
        id: "chain.reverse",
        title: "_has finds by what refers to a resource",
        rule: "_has:Observation:patient:code=… finds the Patients of matching Observations.",
        section: "search.html#has",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type", "Observation" "create";
            Need::Parameter("Observation", "patient"), Need::Parameter("Observation", "code")
        ),
        run: |visit| Box::pin(reverse_chain(visit)),
    },
    Check {
        id: "include.forward",
        title: "_include brings what matches refer to, once, marked as include",
        rule: "Included resources have the search mode include, appear once and do not count in the total.",
        section: "search.html#include",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Observation" "create" "search-type";
            Need::Include("Observation", "Observation:subject")
        ),
        run: |visit| Box::pin(include(visit)),
    },
    Check {
        id: "include.reverse",
        title: "_revinclude brings what refers to matches, marked as include",
        rule: "_revinclude includes resources that refer to the matches.",
        section: "search.html#revinclude",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type", "Observation" "create";
            Need::RevInclude("Patient", "Observation:subject")
        ),
        run: |visit| Box::pin(revinclude(visit)),
    },
    Check {
        id: "compartment.type",
        title: "A search in a patient's compartment finds what is of that patient, and of no other",
        rule: "[base]/Patient/[id]/[type] searches the resources of that type in the compartment.",
        section: "http.html#vsearch",
        strength: Strength::Shall,
        needs: COMPARTMENT,
        run: |visit| Box::pin(compartment(visit)),
    },
    Check {
        id: "compartment.all",
        title: "A search of * in a compartment finds resources of all types in it",
        rule: "[base]/Patient/[id]/* searches all types of the compartment.",
        section: "http.html#vsearch",
        strength: Strength::Shall,
        needs: COMPARTMENT,
        run: |visit| Box::pin(compartment_all(visit)),
    },
    Check {
        id: "compartment.unknown",
        title: "The compartment of a patient that never was has nothing in it",
        rule: "A search in a compartment never finds more than the compartment holds.",
        section: "compartmentdefinition.html",
        strength: Strength::Shall,
        needs: COMPARTMENT,
        run: |visit| Box::pin(compartment_unknown(visit)),
    },
];

/// Two patients, and an observation of each: `a` of the first, `b` of the second.
async fn two(visit: &mut Visit) -> Verdict<(Made, Made)> {
    let first = visit.add("first", patient("Lovelace")).await?;
    let second = visit.add("second", patient("Hopper")).await?;
    visit.add("a", observation(&first.reference)).await?;
    let other = crate::suite::resources::coding("http://loinc.org", "8302-2");
    visit.add("b", with(observation(&second.reference), "code", other)).await?;
    Ok((first, second))
}

async fn forms(visit: &mut Visit) -> Verdict {
    let (first, second) = two(visit).await?;
    visit.finds(&format!("Observation?subject={}", first.id), "a").await?;
    visit.finds(&format!("Observation?subject={}", first.reference), "a").await?;
    let whole = escape(&format!("{}/{}", visit.base(), second.reference));
    visit.finds(&format!("Observation?subject={whole}"), "b").await?;
    visit.finds(&format!("Observation?subject={},{}", first.reference, second.reference), "a b").await?;
    visit.finds(&format!("Observation?subject=Patient/{}", visit.tag), "").await
}

async fn of_type(visit: &mut Visit) -> Verdict {
    let (first, _) = two(visit).await?;
    visit.finds(&format!("Observation?subject:Patient={}", first.id), "a").await?;
    visit.finds(&format!("Observation?subject:Group={}", first.id), "").await
}

async fn by_patient(visit: &mut Visit) -> Verdict {
    let first = visit.add("first", patient("Lovelace")).await?;
    let second = visit.add("second", patient("Hopper")).await?;
    visit.add("condition1", condition(&first.reference)).await?;
    visit.add("condition2", condition(&second.reference)).await?;
    visit.add("allergy1", allergy(&first.reference)).await?;
    visit.add("allergy2", allergy(&second.reference)).await?;
    visit.finds(&format!("Condition?patient={}", first.reference), "condition1").await?;
    visit.finds(&format!("AllergyIntolerance?patient={}", second.id), "allergy2").await
}

async fn by_identifier(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let reference =
        |value: &str| json!({"identifier": {"system": "https://example.org/conformance/ids", "value": value}});
    visit.add("a", with(observation(&made.reference), "subject", reference("a"))).await?;
    visit.add("b", with(observation(&made.reference), "subject", reference("b"))).await?;
    visit.finds_or_refuses("Observation?subject:identifier=https://example.org/conformance/ids|a", "a").await
}

async fn chain(visit: &mut Visit) -> Verdict {
    two(visit).await?;
    visit.finds_or_refuses("Observation?subject:Patient.family=Lovelace", "a").await?;
    visit.finds("Observation?subject:Patient.family=Hopper", "b").await?;
    visit.finds("Observation?subject:Patient.family=Turing", "").await
}

async fn reverse_chain(visit: &mut Visit) -> Verdict {
    two(visit).await?;
    visit.finds_or_refuses("Patient?_has:Observation:patient:code=http://loinc.org|8302-2", "second").await?;
    visit.finds("Patient?_has:Observation:patient:code=http://loinc.org|none", "").await
}

async fn include(visit: &mut Visit) -> Verdict {
    let (first, _) = two(visit).await?;
    visit.add("c", observation(&first.reference)).await?;
    let page = visit.search(&format!("Observation?subject={}&_include=Observation:subject", first.reference)).await?;
    let mut matches = visit.names(&page, "match");
    matches.sort();
    ensure(matches == ["a", "c"], "the matches a and c", matches.join(", "))?;
    let included = visit.names(&page, "include");
    ensure(included == ["first"], "the patient first, once, marked as include", included.join(", "))?;
    let total = &page.body["total"];
    ensure(total.is_null() || *total == 2, "the total 2, or none", total.to_string())
}

async fn revinclude(visit: &mut Visit) -> Verdict {
    let (first, _) = two(visit).await?;
    let page = visit.search(&format!("Patient?_id={}&_revinclude=Observation:subject", first.id)).await?;
    let matches = visit.names(&page, "match");
    ensure(matches == ["first"], "the match first", matches.join(", "))?;
    let included = visit.names(&page, "include");
    ensure(included == ["a"], "the observation a, marked as include", included.join(", "))
}

async fn compartment(visit: &mut Visit) -> Verdict {
    let (first, second) = two(visit).await?;
    for (made, expected) in [(first, "a"), (second, "b")] {
        let page = visit.get(&format!("{}/Observation", made.reference)).await?;
        page.expect_bundle("searchset")?;
        let found = visit.all_pages(page).await?;
        ensure(found == [expected], format!("the observation {expected}"), found.join(", "))?;
    }
    Ok(())
}

async fn compartment_all(visit: &mut Visit) -> Verdict {
    let (first, _) = two(visit).await?;
    visit.add("condition", condition(&first.reference)).await?;
    let page = visit.get(&format!("{}/*", first.reference)).await?;
    if page.is_refusal() {
        return not_applicable(format!("the server does not search all types: {}", page.in_short()));
    }
    page.expect_bundle("searchset")?;
    let found = visit.all_pages(page).await?;
    for expected in ["a", "condition"] {
        ensure(found.iter().any(|name| name == expected), format!("{expected} among the matches"), found.join(", "))?;
    }
    ensure(!found.iter().any(|name| name == "b"), "nothing of the other patient", found.join(", "))
}

async fn compartment_unknown(visit: &mut Visit) -> Verdict {
    let (first, _) = two(visit).await?;
    let page = visit.get(&format!("{}/Observation", first.reference)).await?;
    page.expect_bundle("searchset")?;
    let found = visit.names(&page, "match");
    ensure(found == ["a"], "the observation a in the compartment of its patient", found.join(", "))?;
    let page = visit.get(&format!("Patient/{}/Observation", visit.tag)).await?;
    if matches!(page.status, 404 | 410) {
        return Ok(());
    }
    page.expect_bundle("searchset")?;
    let found = visit.names(&page, "match");
    ensure(found.is_empty(), "nothing, or 404", found.join(", "))
}
