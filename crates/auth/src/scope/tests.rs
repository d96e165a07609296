use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tessera_model::Permission;

fn scope(text: &str) -> Option<Scope> {
    Scope::parse(text, Definitions::r4())
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text, Definitions::r4())
}

#[test]
fn scp_1_the_whole_token_must_match() {
    for text in [
        "openid",
        "fhirUser",
        "launch",
        "launch/patient",
        "launch/encounter",
        "offline_access",
        "online_access",
        "patient/Observation.rs",
        "user/*.cruds",
        "system/Patient.r",
        "patient/*.read",
        "patient/*.*",
        "user/Condition.write",
        "patient/Observation.rs?category=laboratory",
        "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
        "patient/Condition.cruds?category=a,|b,s|c&clinical-status=active",
        "patient/*.rs?_security=N",
    ] {
        assert_eq!(scope(text).map(|scope| scope.to_string()).as_deref(), Some(text));
    }
    for text in [
        "",
        " ",
        "patient",
        "patient/",
        "patient/Observation",
        "patient/Observation.",
        "patient/Observation.dus",
        "patient/Observation.rr",
        "patient/Observation.sr",
        "patient/Observation.rsx",
        "patient/Observation.Read",
        "patient/Observation.readwrite",
        "patient/Observation.read,write",
        "patient/Observation.*s",
        "patient/Observation.rs ",
        "patient/Observaton.rs",
        "patient/observation.rs",
        "patient/Observation.rs.rs",
        "patient/DomainResource.rs",
        "patient/HumanName.rs",
        "Patient/Observation.rs",
        "patients/Observation.rs",
        "xpatient/Observation.rs",
        "patient//Observation.rs",
        "patient/Observation/rs",
        "patient/*Observation.rs",
        "patient/**.rs",
        "system/*.rs\n",
        "openid2",
        "launch/Patient",
        "launch/practitioner",
        "fhiruser",
        "profile",
        "__proto__",
    ] {
        assert_eq!(scope(text), None, "{text:?}");
    }
}

#[test]
fn scp_2_conditions_are_of_listed_token_parameters_and_nothing_else() {
    for filter in [
        "",
        "category",
        "category=",
        "=laboratory",
        "category=laboratory&",
        "category=laboratory&category=vital-signs",
        "category=laboratory,",
        "category=,laboratory",
        "category=s|",
        "category=a|b|c",
        "category:not=laboratory",
        "category:in=x",
        "category=laboratory&_filter=x",
        "_filter=status eq final",
        "subject:Patient.name=x",
        "subject=Patient/1",
        "_has:Observation:patient:code=x",
        "_include=x",
        "_id=1",
        "date=ge2020",
        "clinical-status=active",
        "value-concept=x",
        "category=laboratory?status=final",
        "category=%6caboratory",
        "category=a\\,b",
        "category=\"a\"",
        "Category=laboratory",
        "category=l\u{e4}b",
    ] {
        let text = format!("patient/Observation.rs?{filter}");
        // A question mark within a value is one of the value.
        let expected = filter.contains("=laboratory?").then(|| text.clone());
        assert_eq!(scope(&text).map(|scope| scope.to_string()), expected, "{text}");
    }
    assert_eq!(scope("patient/*.rs?category=laboratory"), None, "not every type has a category");
    for t in ["Condition", "Observation"] {
        assert!(scope(&format!("patient/{t}.rs?category=a")).is_some(), "{t}");
    }
}

#[test]
fn scp_1_what_grants_nothing_is_left_out_of_a_list() {
    let list = scopes("openid patient/Observaton.rs patient/Observation.rs  system/Patient.rx openid");
    assert_eq!(list.to_string(), "openid patient/Observation.rs");
    assert!(scopes("").is_empty());
    assert!(scopes(&"openid ".repeat(101)).is_empty());
    assert!(scopes(&format!("openid {}", "x".repeat(9000))).is_empty());
}

#[test]
fn scp_3_what_two_lists_grant_is_no_more_than_either() {
    let check = |asked: &str, allowed: &str, granted: &str| {
        assert_eq!(scopes(asked).and(&scopes(allowed)).to_string(), granted, "{asked} and {allowed}");
    };
    check("system/*.rs", "system/Patient.rs system/Observation.r", "system/Patient.rs system/Observation.r");
    check("system/Patient.cruds", "system/*.rs", "system/Patient.rs");
    check("system/Patient.rs", "user/Patient.rs", "");
    check("system/Patient.c", "system/Patient.rs", "");
    check("patient/Patient.read openid launch", "patient/*.* openid", "patient/Patient.read openid");
    check("patient/Patient.*", "patient/Patient.rs", "patient/Patient.read");
    check("patient/Patient.read", "patient/Patient.r", "patient/Patient.r");
    let (all, lab) = ("patient/Observation.rs", "patient/Observation.rs?category=laboratory");
    check(all, lab, lab);
    check(lab, all, lab);
    check(
        "patient/Observation.rs?category=a,b",
        "patient/Observation.rs?category=b,c",
        "patient/Observation.rs?category=b",
    );
    check("patient/Observation.rs?category=a", "patient/Observation.rs?category=b", "");
    check(
        "patient/Observation.rs?category=a",
        "patient/Observation.rs?status=final",
        "patient/Observation.rs?category=a&status=final",
    );
    assert!(scopes("system/Patient.r").are_within(&scopes("system/*.rs")));
    assert!(!scopes("system/Patient.cr").are_within(&scopes("system/*.rs")));
    assert!(!scopes("system/*.r").are_within(&scopes("system/Patient.rs")));
    assert!(!scopes(all).are_within(&scopes(lab)));
    assert!(scopes(lab).are_within(&scopes(all)));
}

/// What a scope grants: (type, letter, condition text), told by means of its own from the grammar of SCP-1.
fn oracle(text: &str) -> BTreeSet<(String, char, String)> {
    let nothing = BTreeSet::new();
    let Some((context, rest)) = text.split_once('/') else { return nothing };
    let (head, filter) = rest.find('?').map_or((rest, ""), |at| (&rest[..at], &rest[at..]));
    let types = ["*", "Patient", "Observation", "Condition"];
    let Some(name) = types.iter().find(|name| head.starts_with(&format!("{name}."))) else { return nothing };
    let permissions = &head[name.len() + 1..];
    let letters: String = match permissions {
        "read" => "rs".into(),
        "write" => "cud".into(),
        "*" => "cruds".into(),
        letters => {
            let in_order =
                (1..32).map(|n| "cruds".chars().enumerate().filter(move |(i, _)| n >> i & 1 == 1).map(|(_, c)| c));
            match in_order.map(String::from_iter).find(|subset| subset == letters) {
                Some(subset) => subset,
                None => return nothing,
            }
        }
    };
    let known = ["", "?category=a", "?category=a,b", "?status=final", "?category=a&status=final"];
    if !["patient", "user", "system"].contains(&context) || !known.contains(&filter) {
        return nothing;
    }
    if !filter.is_empty() && (*name == "*" || *name == "Patient" || (*name == "Condition" && filter.contains("status")))
    {
        return nothing;
    }
    letters.chars().map(|letter| (format!("{context}/{name}"), letter, filter.to_owned())).collect()
}

fn granted(scope: &ResourceScope) -> BTreeSet<(String, char, String)> {
    let text = scope.to_string();
    let filter = text.find('?').map_or("", |at| &text[at..]);
    let place = format!("{}/{}", scope.context.name(), scope.resource_type.map_or("*", |t| t.name()));
    let letter = |p: &Permission| format!("{p:?}").to_lowercase().remove(0);
    let letters = Permission::ALL.iter().filter(|p| scope.permissions.contains(**p)).map(letter);
    letters.map(|letter| (place.clone(), letter, filter.to_owned())).collect()
}

/// Texts near scopes: right parts, wrong parts, and noise between.
fn near_scopes() -> impl Strategy<Value = String> {
    let context = prop::sample::select(vec!["patient", "user", "system", "Patient", "", "launch", "patient/patient"]);
    let slash = prop::sample::select(vec!["/", "/", "/", "/", "//", "", "."]);
    let name =
        prop::sample::select(vec!["*", "Patient", "Observation", "Condition", "observation", "Observaton", "**", ""]);
    let dot = prop::sample::select(vec![".", ".", ".", ".", "..", "", "/"]);
    let letters = prop_oneof![
        prop::sample::select(vec!["read", "write", "*", "cruds", "rs", "r", "dus", "rr", ""]).prop_map(str::to_owned),
        "[cruds]{0,4}",
    ];
    let filters = [
        "",
        "",
        "",
        "?category=a",
        "?category=a,b",
        "?status=final",
        "?category=a&status=final",
        "?",
        "?category=",
        "?category:not=a",
    ];
    let filter = prop::sample::select(filters.to_vec());
    let noise = prop_oneof![8 => Just(String::new()), 1 => "[ -~]{1,2}", 1 => Just("\u{0}".to_owned())];
    (context, slash, name, dot, letters, filter, noise)
        .prop_map(|(c, s, n, d, l, f, noise)| format!("{c}{s}{n}{d}{l}{f}{noise}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scp_1_a_scope_never_grants_more_than_is_written(text in near_scopes()) {
        let written = oracle(&text);
        match ResourceScope::parse(&text, Definitions::r4()) {
            // Noise within a value makes another value, which the oracle does not know.
            Some(scope) if written.is_empty() => {
                prop_assert_eq!(scope.to_string(), text.clone());
                prop_assert!(text.contains('?'));
            }
            Some(scope) => prop_assert_eq!(granted(&scope), written),
            None => prop_assert!(written.is_empty(), "{}", text),
        }
    }

    #[test]
    fn scp_3_no_intersection_grants_more_than_either(a in near_scopes(), b in near_scopes()) {
        let (a, b) = (ResourceScope::parse(&a, Definitions::r4()), ResourceScope::parse(&b, Definitions::r4()));
        if let (Some(a), Some(b)) = (a, b) {
            for both in [a.and(&b), b.and(&a)].into_iter().flatten() {
                for permission in Permission::ALL {
                    let of_both = a.permissions.contains(permission) && b.permissions.contains(permission);
                    prop_assert_eq!(both.permissions.contains(permission), of_both);
                }
                for side in [&a, &b] {
                    prop_assert_eq!(side.context, both.context);
                    prop_assert!(side.resource_type.is_none() || side.resource_type == both.resource_type);
                    for condition in &side.conditions {
                        let ours = both.conditions.iter().find(|c| c.parameter == condition.parameter);
                        prop_assert!(ours.is_some_and(|c| c.values.iter().all(|v| condition.values.contains(v))));
                    }
                }
            }
            prop_assert_eq!(a.and(&a), Some(a.clone()));
        }
    }
}
