//! Scopes in plain words, for people who have never heard of FHIR (AUTH-7).

use tessera_auth::scope::{Context, ResourceScope, Scope};
use tessera_model::{Permission, Permissions, ResourceType};

/// A scope on the consent page.
#[derive(Debug)]
pub(super) struct Item {
    /// As it is written.
    pub(super) scope: String,
    pub(super) title: String,
    pub(super) detail: String,
    /// The kinds to which it can be narrowed: tokens and names.
    pub(super) categories: &'static [(&'static str, &'static str)],
}

/// What it is called where types are, of those that are asked for most.
const TYPES: [(&str, &str); 26] = [
    ("AllergyIntolerance", "allergies and intolerances"),
    ("Appointment", "appointments"),
    ("CarePlan", "care plans"),
    ("CareTeam", "care teams"),
    ("Claim", "claims"),
    ("Condition", "conditions and health problems"),
    ("Coverage", "insurance"),
    ("Device", "devices and implants"),
    ("DiagnosticReport", "reports of tests and examinations"),
    ("DocumentReference", "documents and clinical notes"),
    ("Encounter", "visits and hospital stays"),
    ("ExplanationOfBenefit", "statements of insurers"),
    ("Goal", "health goals"),
    ("Immunization", "vaccinations"),
    ("Location", "places of care"),
    ("MedicationAdministration", "medication that was given"),
    ("MedicationRequest", "prescriptions"),
    ("MedicationStatement", "medication that is taken"),
    ("Observation", "measurements, test results and other observations"),
    ("Organization", "organizations"),
    ("Patient", "name, birth date, address and other personal details"),
    ("Practitioner", "doctors and other practitioners"),
    ("Procedure", "operations and other procedures"),
    ("Questionnaire", "questionnaires"),
    ("QuestionnaireResponse", "answers to questionnaires"),
    ("RelatedPerson", "relatives and contacts"),
];

/// <https://hl7.org/fhir/R4/valueset-observation-category.html>
const OBSERVATIONS: [(&str, &str); 9] = [
    ("http://terminology.hl7.org/CodeSystem/observation-category|vital-signs", "Vital signs"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|laboratory", "Laboratory results"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|imaging", "Imaging"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|exam", "Examinations"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|procedure", "From procedures"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|therapy", "From therapies"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|survey", "Surveys and assessments"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|social-history", "Social history"),
    ("http://terminology.hl7.org/CodeSystem/observation-category|activity", "Activity"),
];

/// <https://hl7.org/fhir/us/core/STU6.1/StructureDefinition-us-core-condition-problems-health-concerns.html>
const CONDITIONS: [(&str, &str); 3] = [
    ("http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item", "Problem list"),
    ("http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis", "Diagnoses of visits"),
    ("http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern", "Health concerns"),
];

/// The scope in words. `whose`: the patient in context.
pub(super) fn item(scope: &Scope, whose: &str) -> Item {
    let (title, detail) = match scope {
        Scope::Resource(scope) => (of_resource(scope), of_context(scope, whose)),
        Scope::OpenId => texts("Know who you are", "So that you are logged in to the app."),
        Scope::FhirUser => texts("Know your own entry here", "Such as your name as a patient or practitioner."),
        Scope::Launch => texts("Know what is open", "Such as the patient from whose record you have started the app."),
        Scope::LaunchPatient => texts("Know which patient is chosen", ""),
        Scope::LaunchEncounter => texts("Know which visit is chosen", ""),
        Scope::OfflineAccess => texts(
            "Keep access when you are not there",
            "Without asking again: up to 100 days after its last use and a year altogether, unless you take it back before.",
        ),
        Scope::Administer => texts(
            "Administer this server",
            "Add, change and disable clients and users, and take back what users have allowed.",
        ),
        Scope::OnlineAccess => texts(
            "Keep access while you are logged in here",
            "For 12 hours at most. Otherwise access ends after an hour.",
        ),
    };
    Item { scope: scope.to_string(), title, detail, categories: categories(scope) }
}

fn texts(title: &str, detail: &str) -> (String, String) {
    (title.to_owned(), detail.to_owned())
}

/// The kinds to which a scope can be narrowed that is not narrowed yet.
pub(super) fn categories(scope: &Scope) -> &'static [(&'static str, &'static str)] {
    match scope {
        Scope::Resource(scope) if scope.conditions.is_empty() => match scope.resource_type.map(ResourceType::name) {
            Some("Observation") => &OBSERVATIONS,
            Some("Condition") => &CONDITIONS,
            _ => &[],
        },
        _ => &[],
    }
}

fn of_resource(scope: &ResourceScope) -> String {
    let what = match scope.resource_type.map(ResourceType::name) {
        None => "all records, of every kind, now and in future".to_owned(),
        Some(name) => match TYPES.iter().find(|(known, _)| *known == name) {
            Some((_, words)) => (*words).to_owned(),
            None => format!("{} records", spaced(name)),
        },
    };
    format!("{} {what}", verbs(scope.permissions))
}

/// `ServiceRequest`: service request
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

fn verbs(permissions: Permissions) -> String {
    let reads = permissions.contains(Permission::Read) || permissions.contains(Permission::Search);
    let others = [(Permission::Create, "add"), (Permission::Update, "change"), (Permission::Delete, "delete")];
    let others = others.into_iter().filter(|(permission, _)| permissions.contains(*permission)).map(|(_, verb)| verb);
    let mut verbs: Vec<&str> = reads.then_some("see").into_iter().chain(others).collect();
    let last = verbs.pop().unwrap_or_default();
    let text = if verbs.is_empty() { last.to_owned() } else { format!("{} and {last}", verbs.join(", ")) };
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn of_context(scope: &ResourceScope, whose: &str) -> String {
    let within = match scope.context {
        Context::Patient => format!("In the record of {whose}."),
        Context::User => "In all records that you may see.".to_owned(),
        Context::System => String::new(),
    };
    let known = |value: &str| {
        let ends = |token: &str| token == value || token.split_once('|').is_some_and(|(_, code)| code == value);
        let name = OBSERVATIONS.iter().chain(&CONDITIONS).find(|(token, _)| ends(token));
        name.map_or_else(|| value.to_owned(), |(_, name)| name.to_lowercase())
    };
    let only = scope.conditions.iter().map(|condition| {
        let values: Vec<String> = condition.values.iter().map(|value| known(value)).collect();
        format!(" Only where {} is {}.", condition.parameter, values.join(" or "))
    });
    format!("{within}{}", only.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_auth::scope::Scopes;
    use tessera_model::Definitions;

    #[test]
    fn auth_7_scopes_are_put_in_plain_words() {
        let words = |scope: &str| {
            let scopes = Scopes::parse(scope, Definitions::r4());
            let item = item(scopes.iter().next().unwrap(), "Ann");
            assert_eq!(item.scope, scope);
            format!("{}. {}", item.title, item.detail)
        };
        assert_eq!(words("patient/Condition.rs"), "See conditions and health problems. In the record of Ann.");
        assert_eq!(
            words("user/ServiceRequest.cud"),
            "Add, change and delete service request records. In all records that you may see."
        );
        assert_eq!(
            words("patient/*.*"),
            "See, add, change and delete all records, of every kind, now and in future. In the record of Ann."
        );
        let only =
            "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
        assert!(words(only).ends_with("In the record of Ann. Only where category is laboratory results."));
        assert!(words("offline_access").contains("100 days"));
    }

    #[test]
    fn auth_7_every_category_makes_a_scope() {
        for (name, categories) in [("Observation", &OBSERVATIONS[..]), ("Condition", &CONDITIONS[..])] {
            for (token, _) in categories {
                let scope = format!("patient/{name}.rs?category={token}");
                assert_eq!(Scopes::parse(&scope, Definitions::r4()).to_string(), scope);
            }
        }
    }
}
