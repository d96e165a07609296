//! Tokens and strings: <https://hl7.org/fhir/R4/search.html#token> and <https://hl7.org/fhir/R4/search.html#string>

use serde_json::{Value, json};

use crate::suite::check::{Check, Need, Strength, needs};
use crate::suite::resources::{CODES, coding, condition, observation, patient, with};
use crate::suite::verdict::Verdict;
use crate::suite::visit::Visit;

const CODE: &[Need] =
    needs!("Patient" "create", "Observation" "create" "search-type"; Need::Parameter("Observation", "code"));
const FAMILY: &[Need] = needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "family"));

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "token.code",
        title: "A code alone finds it in any system",
        rule: "[code]: the value is found irrespective of the system.",
        section: "search.html#token",
        strength: Strength::Shall,
        needs: CODE,
        run: |visit| Box::pin(code(visit)),
    },
    Check {
        id: "token.system-and-code",
        title: "system|code finds the code in that system alone",
        rule: "[system]|[code]: both must match.",
        section: "search.html#token",
        strength: Strength::Shall,
        needs: CODE,
        run: |visit| Box::pin(system_and_code(visit)),
    },
    Check {
        id: "token.no-system",
        title: "|code finds the code without a system",
        rule: "|[code]: the code matches and there is no system.",
        section: "search.html#token",
        strength: Strength::Shall,
        needs: CODE,
        run: |visit| Box::pin(no_system(visit)),
    },
    Check {
        id: "token.system",
        title: "system| finds every code of that system",
        rule: "[system]|: any element with that system matches.",
        section: "search.html#token",
        strength: Strength::Shall,
        needs: CODE,
        run: |visit| Box::pin(system(visit)),
    },
    Check {
        id: "token.not",
        title: ":not finds what does not have the code",
        rule: ":not reverses the code matching: what has not the code matches.",
        section: "search.html#modifiers",
        strength: Strength::Shall,
        needs: CODE,
        run: |visit| Box::pin(not(visit)),
    },
    Check {
        id: "token.of-types",
        title: "Tokens search codes, booleans and CodeableConcepts of all first types alike",
        rule: "Tokens search Coding, CodeableConcept, Identifier, code, boolean and others.",
        section: "search.html#token",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create" "search-type";
            Need::Parameter("Patient", "active"), Need::Parameter("Patient", "gender")
        ),
        run: |visit| Box::pin(of_types(visit)),
    },
    Check {
        id: "token.condition",
        title: "Conditions are found by code and clinical status",
        rule: "Condition is searched by code and clinical-status, both tokens.",
        section: "condition.html#search",
        strength: Strength::Shall,
        needs: needs!(
            "Patient" "create", "Condition" "create" "search-type";
            Need::Parameter("Condition", "code"), Need::Parameter("Condition", "clinical-status")
        ),
        run: |visit| Box::pin(conditions(visit)),
    },
    Check {
        id: "string.begins",
        title: "A string matches what begins with it, in any case and with or without accents",
        rule: "A string matches if the field equals or starts with it, ignoring case and accents.",
        section: "search.html#string",
        strength: Strength::Shall,
        needs: FAMILY,
        run: |visit| Box::pin(begins(visit)),
    },
    Check {
        id: "string.exact",
        title: ":exact matches the whole text as it is written",
        rule: ":exact matches the entire string, including case and accents.",
        section: "search.html#string",
        strength: Strength::Shall,
        needs: FAMILY,
        run: |visit| Box::pin(exact(visit)),
    },
    Check {
        id: "string.contains",
        title: ":contains matches anywhere in the text",
        rule: ":contains matches the string anywhere, ignoring case and accents.",
        section: "search.html#string",
        strength: Strength::Shall,
        needs: FAMILY,
        run: |visit| Box::pin(contains(visit)),
    },
    Check {
        id: "string.parts-of-names",
        title: "name matches any part of a name",
        rule: "name of Patient matches any of the string fields of the HumanName.",
        section: "patient.html#search",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "name")),
        run: |visit| Box::pin(parts_of_names(visit)),
    },
    Check {
        id: "string.missing",
        title: ":missing finds what has no value, or has one",
        rule: ":missing=true matches resources without a value, :missing=false those with one.",
        section: "search.html#modifiers",
        strength: Strength::Shall,
        needs: needs!("Patient" "create" "search-type"; Need::Parameter("Patient", "birthdate")),
        run: |visit| Box::pin(missing(visit)),
    },
];

/// Observations with the same code in two systems and in none, and another code.
async fn coded(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let other = format!("{CODES}/other");
    for (name, code) in [
        ("one", coding(CODES, "a")),
        ("two", coding(&other, "a")),
        ("bare", json!({"coding": [{"code": "a"}]})),
        ("b", coding(CODES, "b")),
    ] {
        visit.add(name, with(observation(&made.reference), "code", code)).await?;
    }
    Ok(())
}

async fn code(visit: &mut Visit) -> Verdict {
    coded(visit).await?;
    visit.finds("Observation?code=a", "one two bare").await?;
    visit.finds("Observation?code=a,b", "one two bare b").await?;
    visit.finds("Observation?code=c", "").await
}

async fn system_and_code(visit: &mut Visit) -> Verdict {
    coded(visit).await?;
    visit.finds(&format!("Observation?code={CODES}|a"), "one").await?;
    visit.finds(&format!("Observation?code={CODES}|a,{CODES}|b"), "one b").await?;
    visit.finds(&format!("Observation?code={CODES}/none|a"), "").await
}

async fn no_system(visit: &mut Visit) -> Verdict {
    coded(visit).await?;
    visit.finds("Observation?code=|a", "bare").await
}

async fn system(visit: &mut Visit) -> Verdict {
    coded(visit).await?;
    visit.finds(&format!("Observation?code={CODES}|"), "one b").await
}

async fn not(visit: &mut Visit) -> Verdict {
    coded(visit).await?;
    visit.finds_or_refuses(&format!("Observation?code:not={CODES}|a"), "two bare b").await
}

async fn of_types(visit: &mut Visit) -> Verdict {
    visit.add("ada", patient("Chalmers")).await?;
    let inactive = with(with(patient("Chalmers"), "active", json!(false)), "gender", json!("male"));
    visit.add("bob", inactive).await?;
    visit.finds("Patient?active=true", "ada").await?;
    visit.finds("Patient?active=false", "bob").await?;
    visit.finds("Patient?gender=female", "ada").await?;
    visit.finds("Patient?gender=http://hl7.org/fhir/administrative-gender|male", "bob").await
}

async fn conditions(visit: &mut Visit) -> Verdict {
    let made = visit.patient().await?;
    let clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    visit.add("active", condition(&made.reference)).await?;
    let resolved = with(condition(&made.reference), "clinicalStatus", coding(clinical, "resolved"));
    visit.add("resolved", with(resolved, "abatementDateTime", json!("2020-01-01"))).await?;
    visit.finds("Condition?clinical-status=active", "active").await?;
    visit.finds(&format!("Condition?clinical-status={clinical}|resolved"), "resolved").await?;
    visit.finds("Condition?code=http://snomed.info/sct|44054006", "active resolved").await?;
    visit.finds("Condition?code=http://snomed.info/sct|73211009", "").await
}

async fn families(visit: &mut Visit) -> Verdict {
    for (name, family) in [("soren", "Sørén"), ("sorensen", "Sorensen"), ("anders", "Anderson")] {
        visit.add(name, patient(family)).await?;
    }
    Ok(())
}

async fn begins(visit: &mut Visit) -> Verdict {
    for (name, family) in [("munoz", "Muñoz"), ("munozera", "Munozera"), ("other", "Amunoz")] {
        visit.add(name, patient(family)).await?;
    }
    visit.finds("Patient?family=munoz", "munoz munozera").await?;
    visit.finds("Patient?family=MUN", "munoz munozera").await?;
    visit.finds("Patient?family=Muñoz", "munoz munozera").await?;
    visit.finds("Patient?family=noz", "").await
}

async fn exact(visit: &mut Visit) -> Verdict {
    families(visit).await?;
    visit.finds_or_refuses("Patient?family:exact=Sorensen", "sorensen").await?;
    visit.finds("Patient?family:exact=sorensen", "").await?;
    visit.finds("Patient?family:exact=Soren", "").await
}

async fn contains(visit: &mut Visit) -> Verdict {
    families(visit).await?;
    visit.finds_or_refuses("Patient?family:contains=erso", "anders").await?;
    visit.finds("Patient?family:contains=ORENS", "sorensen").await?;
    visit.finds("Patient?family:contains=xyz", "").await
}

async fn parts_of_names(visit: &mut Visit) -> Verdict {
    let name = |family: &str, given: &str| -> Value { json!([{"family": family, "given": [given]}]) };
    visit.add("family", with(patient("-"), "name", name("Lovelace", "Ada"))).await?;
    visit.add("given", with(patient("-"), "name", name("Hopper", "Lovelace"))).await?;
    visit.add("neither", with(patient("-"), "name", name("Hopper", "Grace"))).await?;
    visit.finds("Patient?name=lovel", "family given").await
}

async fn missing(visit: &mut Visit) -> Verdict {
    visit.add("with", patient("Chalmers")).await?;
    let mut body = patient("Chalmers");
    if let Some(members) = body.as_object_mut() {
        members.remove("birthDate");
    }
    visit.add("without", body).await?;
    visit.finds_or_refuses("Patient?birthdate:missing=true", "without").await?;
    visit.finds("Patient?birthdate:missing=false", "with").await
}
