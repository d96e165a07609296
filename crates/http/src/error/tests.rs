//! Each error: what it is answered with, and that [`docs/errors.md`](../../../../docs/errors.md) says what to do about it.

use super::*;
use std::collections::BTreeSet;
use tessera_model::{Definitions, Id, Resource, validate::validate_fully};

const PAGE: &str = include_str!("../../../../docs/errors.md");

/// One of each.
fn errors() -> Vec<Error> {
    use tessera_store::Error as Store;
    let patient = Definitions::r4().resource_type("Patient").unwrap();
    let key = || Key::new(patient, Id::parse("1").unwrap());
    vec![
        tessera_model::Error::Json(tessera_model::json::Document::parse("{").unwrap_err()).into(),
        tessera_model::xml::read(b"<Patient/>", Definitions::r4()).unwrap_err().into(),
        tessera_model::Error::NotAResource {
            expression: String::new(),
            reason: "the resource has no resourceType".into(),
        }
        .into(),
        tessera_model::Error::Invalid(vec![
            Issue::error(IssueCode::Structure, "Patient has no element \"x\"").at("Patient.x"),
        ])
        .into(),
        tessera_model::Error::Invalid(vec![Issue::error(IssueCode::Value, "expected a date").at("Patient.birthDate")])
            .into(),
        tessera_model::Error::BadPatch("a JSON Patch is an array".into()).into(),
        tessera_model::Error::PatchFailed(vec![Issue::error(IssueCode::Processing, "there is nothing at /name/3")])
            .into(),
        tessera_model::Error::UnknownType { name: "Patiant".into(), similar: Some("Patient".into()) }.into(),
        tessera_model::Error::NoSuchPath("nothing is at Patient/[id]/nme".into()).into(),
        tessera_model::Error::MethodNotAllowed { method: "POST".into(), allowed: vec!["GET"] }.into(),
        tessera_model::Error::UnknownParameter {
            scope: "Patient".into(),
            name: "nam".into(),
            similar: Some("name".into()),
        }
        .into(),
        tessera_model::Error::BadParameter { parameter: "birthdate=x".into(), reason: "expected a date".into() }.into(),
        tessera_model::Error::UnknownCanonical { what: "value set", canonical: "http://x|1".into() }.into(),
        tessera_model::Error::NotSupported("_query: named queries are not supported by this server".into()).into(),
        tessera_model::Error::TooCostly("more than 5 keys in _sort".into()).into(),
        tessera_model::Error::NotIndexed { code: "race".into(), done: 40 }.into(),
        Store::VersionConflict { current: 2 }.into(),
        Store::NothingToMatch.into(),
        Store::Exists { current: 2 }.into(),
        Store::NotFound(key()).into(),
        Store::Gone(key()).into(),
        Store::NoMatch(patient).into(),
        Store::MultipleMatches(patient).into(),
        Store::UnresolvedReference { reference: "Patient?x=1".into(), matches: "no" }.into(),
        Store::IdMismatch { body: "2".into() }.into(),
        Store::SameIdentity { entries: (0, 3), key: key() }.into(),
        Store::Forbidden.into(),
        Store::TooCostly.into(),
        Store::Busy.into(),
        Store::BadCursor.into(),
        Store::KeyReused.into(),
        Store::Unrecorded.into(),
        Store::ParameterTaken { code: "race".into(), resource_type: patient }.into(),
        Store::Backend("secret".into()).into(),
        Store::Entry { entry: 4, error: Box::new(Store::Exists { current: 2 }) }.into(),
        Denied::Misdirected.into(),
        Denied::NoToken.into(),
        Denied::BadToken.into(),
        Denied::Failed(Store::Busy.into()).into(),
        Denied::Failed(tessera_auth::Error::Unavailable("the identity provider does not answer")).into(),
        Denied::Failed(tessera_auth::Error::BadRecord).into(),
        Error::NotFound(key()),
        Error::VersionNotFound(key()),
        Error::Gone(key()),
        Error::Forbidden,
        Error::WrongType { found: "Patient", expected: "Observation" },
        Error::BadId("the body has no id"),
        Error::BadHeader("expected an entity tag"),
        Error::BadRequest("the entry has no request".into()),
        Error::BadInput { code: IssueCode::Required, text: "graph needs the parameter graph".into() },
        Error::NoBody,
        Error::Subsetted,
        Error::UnsupportedMediaType("text/plain".into()),
        Error::UnsupportedEncoding("compress".into()),
        Error::UnsupportedBody("a body is in UTF-8".into()),
        Error::UnsupportedPatch("application/xml-patch+xml".into()),
        Error::NotAcceptable,
        Error::NotAsXml(tessera_model::xml::XmlError {
            message: "a character that XML does not have".into(),
            line: None,
            expression: "Patient.language".into(),
        }),
        Error::TooLarge(5),
        Error::SlowBody,
        Error::Inflated,
        Error::NoRoom,
        Error::Throttled { seconds: 3 },
        Error::Timeout,
        Error::SameFullUrl { entries: (1, 2) },
        Error::Entry { entry: 1, error: Box::new(Error::NoBody) },
        Error::Entry {
            entry: 1,
            error: Box::new(
                tessera_model::Error::MethodNotAllowed { method: "POST".into(), allowed: vec!["GET"] }.into(),
            ),
        },
    ]
}

/// One line an error: a change of the table is seen in review.
#[test]
fn the_error_table() {
    let line = |error: &Error| {
        let (status, outcome) = error.answer();
        let issue = &outcome.issue[0];
        format!("{status} {:?} {} {:?}", issue.code, issue.diagnostics, issue.expression)
    };
    insta::assert_snapshot!(errors().iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// What a code is in JSON.
fn name(code: IssueCode) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}

/// The rows of the page's sections whose headings begin so: the heading's rest, the code and the words.
fn rows(heading: &str) -> BTreeSet<(String, String, String)> {
    let sections = PAGE.split("\n## ").filter_map(|section| section.strip_prefix(heading)?.split_once('\n'));
    let mut found = BTreeSet::new();
    for (title, text) in sections {
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let line = line.replace("\\|", "\u{0}");
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
            let [_, code, words, advice, _] = &cells[..] else { panic!("{line}") };
            assert!(!advice.is_empty(), "{line} does not say what to do");
            let row = (title.to_owned(), code.trim_matches('`').to_owned(), words.clone());
            assert!(found.insert(row), "{line} stands there twice");
        }
    }
    found
}

#[track_caller]
fn same(documented: &BTreeSet<(String, String, String)>, answered: &BTreeSet<(String, String, String)>) {
    let missing: Vec<_> = answered.difference(documented).collect();
    let stale: Vec<_> = documented.difference(answered).collect();
    assert!(missing.is_empty() && stale.is_empty(), "docs/errors.md lacks {missing:#?}\nand has {stale:#?}");
}

/// What the compiler cannot say of a list: that it has every variant.
#[test]
fn no_error_is_left_out() {
    let here = include_str!("tests.rs");
    let sources = [
        include_str!("../error.rs"),
        include_str!("../../../model/src/error.rs"),
        include_str!("../../../store/src/error.rs"),
    ];
    // Of the store's, those that end a try and not a request, and those of commands.
    let never_answered = ["Retry", "Redefined", "RecordChanged", "Archive"];
    let mut variants = 0;
    for source in sources {
        let (_, body) = source.split_once("enum Error {\n").unwrap();
        let lines = body.split("\n}").next().unwrap().lines().filter_map(|line| line.strip_prefix("    "));
        for line in lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())) {
            let variant = line.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            let is_listed = here.contains(&format!("::{variant}")) || here.contains(&format!("{variant}::"));
            assert!(is_listed || never_answered.contains(&variant), "{variant} is not among the errors here");
            variants += 1;
        }
    }
    assert!(variants > 50, "{variants}");
}

#[test]
fn every_error_is_documented_with_what_to_do() {
    // What is refused before anybody knows what FHIR makes of it.
    let [head, router] = [include_str!("../head.rs"), include_str!("../router.rs")];
    let outside = [
        (head, 414, "too-long", "the URL is longer than 8192 bytes"),
        (head, 431, "too-long", "the headers are more than 100, or longer than 16384 bytes"),
        (router, 404, "not-found", "there is nothing here; FHIR begins at /fhir"),
        (router, 500, "exception", "the server has failed; what went wrong is in its log"),
    ];
    let mut answered = BTreeSet::new();
    for (source, status, code, words) in outside {
        assert!(source.contains(words), "{words}");
        answered.insert((status.to_string(), code.to_owned(), words.to_owned()));
    }
    for error in errors() {
        let (status, outcome) = error.answer();
        // What validation says is in a section of its own, what is said of an entry is that of the request it stands for.
        let is_invalid = matches!(error, Error::Model(tessera_model::Error::Invalid(_)));
        let is_entry = matches!(error, Error::Entry { .. } | Error::Store(tessera_store::Error::Entry { .. }));
        if !is_invalid && !is_entry {
            let issue = &outcome.issue[0];
            answered.insert((status.to_string(), name(issue.code), issue.diagnostics.clone()));
        }
    }
    let documented = rows("").into_iter().filter_map(|(title, code, words)| {
        let status = title.split_once(' ').map_or(title.as_str(), |(status, _)| status);
        status.parse::<u16>().is_ok().then(|| (status.to_owned(), code, words))
    });
    same(&documented.collect(), &answered);
}

#[test]
fn every_kind_of_issue_of_validation_is_documented() {
    let wrong = [
        r#"{"resourceType": "Patient", "nam": "x"}"#,
        r#"{"resourceType": "Patient", "name": {"family": "x"}}"#,
        r#"{"resourceType": "Patient", "name": []}"#,
        r#"{"resourceType": "Patient", "birthDate": "yesterday"}"#,
        r#"{"resourceType": "Patient", "gender": "f"}"#,
        r#"{"resourceType": "Patient", "managingOrganization": {"reference": "Patient/1"}}"#,
        r##"{"resourceType": "Patient", "managingOrganization": {"reference": "#1"}}"##,
        r#"{"resourceType": "Patient", "contact": [{"gender": "female"}]}"#,
        r#"{"resourceType": "Observation", "code": {"text": "x"}}"#,
        r#"{"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}"#,
    ];
    let contained = vec![r#"{"resourceType": "Organization", "id": "o", "name": "x"}"#; 1001].join(",");
    let many = format!(r#"{{"resourceType": "Patient", "contained": [{contained}]}}"#);
    let definitions = Definitions::r4();
    let texts = wrong.into_iter().chain([many.as_str()]);
    let issues = texts.flat_map(|text| validate_fully(&Resource::parse(text, definitions).unwrap(), definitions));
    let said = issues.filter(|issue| issue.severity == tessera_model::operation_outcome::Severity::Error);
    same(&rows("Validation"), &said.map(|issue| (String::new(), name(issue.code), issue.diagnostics)).collect());
}

#[test]
fn every_error_of_the_authorization_server_is_documented() {
    use tessera_auth::Error as E;
    let errors = [
        E::InvalidRequest(""),
        E::InvalidClient(""),
        E::InvalidGrant(""),
        E::UnauthorizedClient(""),
        E::UnsupportedGrantType,
        E::InvalidScope(""),
        E::AccessDenied(""),
        E::TooManyAttempts,
        E::BadRecord,
    ];
    let documented: BTreeSet<String> = rows("At `/auth`").into_iter().map(|(_, code, _)| code).collect();
    for error in errors {
        assert!(documented.contains(error.code()), "docs/errors.md lacks {}", error.code());
    }
}
