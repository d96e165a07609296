use super::*;
use crate::{
    Kept, authorization::Authorization, break_glass::Glass, launch::LaunchContext, testing::with, token::Token,
};
use serde_json::{Value, json};
use tessera_model::{Definitions, Permission, ResourceType, Visible};

const READING: Reading<'_> = Reading { base: "http://h/fhir", now: 0 };

fn resource_type(name: &str) -> ResourceType {
    Definitions::r4().resource_type(name).unwrap()
}

fn client(change: &Value) -> Kept<Client> {
    let all = "system/*.cruds user/*.cruds patient/*.cruds";
    let client = json!({"name": "C", "authentication": "none", "scopes": all, "enabled": true});
    Kept::new("c", "", 0, serde_json::from_value(with(client, change)).unwrap())
}

fn token(scopes: &str) -> Kept<Token> {
    let token =
        Token { client: "c".into(), scopes: scopes.into(), authorization: None, issued: 0, purpose: Some("X".into()) };
    Kept::new("t", "", 0, token)
}

/// Of a client by itself.
fn system(scopes: &str, change: &Value) -> AccessContext {
    access(&Active { token: token(scopes), client: client(change), granted: None }, READING)
}

/// Of a user in the context of a patient.
fn user(scopes: &str, patient: Option<&str>, change: &Value, of_client: &Value) -> AccessContext {
    let context = LaunchContext { patient: patient.map(str::to_owned), ..LaunchContext::default() };
    of_context(scopes, context, change, of_client)
}

/// Of a user in this context.
fn of_context(scopes: &str, context: LaunchContext, change: &Value, of_client: &Value) -> AccessContext {
    let user = json!({
        "name": "U", "role": "clinician", "fhir_user": "Practitioner/1", "policy": ["*"], "password": null, "enabled": true,
    });
    let user = Kept::new("u", "", 0, serde_json::from_value(with(user, change)).unwrap());
    let authorization = Authorization {
        client: "c".into(),
        user: "u".into(),
        scopes: scopes.into(),
        context,
        session: String::new(),
        since: 0,
        authenticated: 0,
        live: None,
    };
    let granted = Some((Kept::new("a", "u", 0, authorization), user));
    access(&Active { token: token(scopes), client: client(of_client), granted }, READING)
}

/// What may be seen of these types.
fn seen(access: &AccessContext, types: &[&str]) -> Vec<&'static str> {
    let seen = types.iter().map(|name| match access.visible(Permission::Read, resource_type(name)) {
        Visible::All => "all",
        Visible::None => "none",
        Visible::If(_) => "some",
    });
    seen.collect()
}

const TYPES: [&str; 3] = ["Patient", "Observation", "Organization"];
/// What is within one patient's record: of them alone, and what is nobody's.
const OF_ONE: [&str; 3] = ["some", "some", "all"];

#[test]
fn scp_5_system_scopes_are_limited_by_the_clients_policy() {
    let check = |scopes: &str, policy: Value, expect: [&str; 3]| {
        assert_eq!(seen(&system(scopes, &json!({"policy": policy})), &TYPES), expect, "{scopes} {policy}");
    };
    check("system/*.rs", json!(["*"]), ["all", "all", "all"]);
    check("system/Patient.rs", json!(["*"]), ["all", "none", "none"]);
    check("system/*.cs", json!(["*"]), ["none", "none", "none"]);
    check("system/*.rs", json!(["Patient?organization=1", "Observation"]), ["some", "all", "none"]);
    check("system/Patient.rs", json!(["Patient?organization=1", "Patient"]), ["all", "none", "none"]);
    check("system/Observation.rs?status=final", json!(["*"]), ["none", "some", "none"]);
    check("user/*.rs patient/*.rs", json!(["*"]), ["none", "none", "none"]);
}

#[test]
fn core_5_what_is_missing_denies() {
    let nothing = ["none"; 3];
    assert_eq!(seen(&system("system/*.rs", &json!({})), &TYPES), nothing, "no policy");
    assert_eq!(seen(&system("system/*.rs", &json!({"policy": ["*", "Patient?nonsense=1"]})), &TYPES), nothing);
    assert_eq!(seen(&system("", &json!({"policy": ["*"]})), &TYPES), nothing);
    assert_eq!(seen(&user("patient/*.rs", None, &json!({}), &json!({})), &TYPES), nothing, "no patient");
    assert_eq!(seen(&user("patient/*.rs", Some("no id!"), &json!({}), &json!({})), &TYPES), nothing);
    let nobody = json!({"fhir_user": null});
    assert_eq!(seen(&user("user/*.rs", None, &nobody, &json!({})), &TYPES), nothing, "no fhirUser");
    assert_eq!(seen(&user("user/*.rs", None, &json!({"policy": []}), &json!({})), &TYPES), nothing, "no policy");
    assert_eq!(seen(&user("user/*.rs", None, &json!({"policy": ["x"]}), &json!({})), &TYPES), nothing);
    let client = json!({"policy": ["x"]});
    assert_eq!(seen(&user("user/*.rs", None, &json!({}), &client), &TYPES), nothing);
    assert_eq!(seen(&user("system/*.rs", Some("1"), &json!({}), &json!({})), &TYPES), nothing);
}

#[test]
fn scp_5_user_scopes_are_limited_by_what_the_user_may_see() {
    let patient = |patients: Value| json!({"role": "patient", "fhir_user": "Patient/1", "patients": patients});
    let check = |scopes: &str, user_is: &Value, expect: [&str; 3]| {
        assert_eq!(seen(&user(scopes, None, user_is, &json!({})), &TYPES), expect, "{scopes} {user_is}");
    };
    check("user/*.rs", &patient(json!(["1"])), OF_ONE);
    check("user/*.rs", &patient(json!(["1", "2"])), OF_ONE);
    check("user/*.rs", &patient(json!([])), ["none"; 3]);
    check("user/*.rs", &json!({}), ["all"; 3]);
    check("user/*.rs", &json!({"policy": ["Patient?general-practitioner=Practitioner/1"]}), ["some", "none", "none"]);
    let two = user("user/Patient.r", None, &patient(json!(["1", "2"])), &json!({}));
    let Visible::If(Filter::Any(both)) = two.visible(Permission::Read, resource_type("Patient")) else { panic!() };
    assert_eq!(both.len(), 2);
}

#[test]
fn scp_5_patient_scopes_are_within_the_patients_that_the_user_may_still_see() {
    let patient = |patients: Value| json!({"role": "patient", "fhir_user": "Patient/1", "patients": patients});
    let check = |in_context: &str, user_is: &Value, of_client: Value, expect: [&str; 3]| {
        let access = user("patient/*.rs", Some(in_context), user_is, &of_client);
        assert_eq!(seen(&access, &TYPES), expect, "{in_context} {user_is} {of_client}");
    };
    check("1", &patient(json!(["1", "2"])), json!({}), OF_ONE);
    check("3", &patient(json!(["1", "2"])), json!({}), ["none"; 3]);
    check("1", &json!({}), json!({}), OF_ONE);
    check("1", &json!({"policy": ["Observation"]}), json!({}), ["none", "some", "none"]);
    check("1", &json!({}), json!({"policy": ["Organization", "Patient?active=true"]}), ["some", "none", "all"]);
}

#[test]
fn what_a_client_may_no_longer_have_is_gone() {
    let access = system("system/*.cruds", &json!({"policy": ["*"], "scopes": "system/Patient.r"}));
    assert_eq!(seen(&access, &TYPES), ["all", "none", "none"]);
    assert!(!access.allows(Permission::Search, resource_type("Patient")));
}

#[test]
fn cmp_8_only_clients_by_themselves_choose_ids_and_only_with_their_prefix() {
    let prefix = json!({"policy": ["*"], "id_prefix": "lab-"});
    let id = |text: &str| Id::parse(text).unwrap();
    let access = system("system/*.cruds", &prefix);
    assert!(access.may_choose(&id("lab-1")) && !access.may_choose(&id("x-1")));
    assert!(!system("system/*.cruds", &json!({"policy": ["*"], "id_prefix": ""})).may_choose(&id("x")));
    assert!(!user("user/*.cruds", None, &json!({}), &prefix).may_choose(&id("lab-1")));
}

#[test]
fn the_caller_is_who_asks_for_what() {
    let organization = json!({"organization": {"name": "O", "reference": "Organization/1", "uri": "https://o"}});
    let access = system("system/*.rs", &organization);
    let expect = Caller {
        client: "c".into(),
        user: None,
        organization: Some("Organization/1".into()),
        purpose: Some("X".into()),
        token: Some("t".into()),
    };
    assert_eq!(*access.caller(), expect);
    let caller = user("user/*.rs", None, &json!({}), &json!({})).caller().clone();
    assert_eq!((caller.user.as_deref(), caller.purpose.as_deref()), (Some("Practitioner/1"), Some("TREAT")));
    let patient = json!({"role": "patient", "fhir_user": "Patient/1", "patients": ["1"]});
    let caller = user("user/*.rs", None, &patient, &json!({})).caller().clone();
    assert_eq!(caller.purpose.as_deref(), Some("PATRQT"));
}

#[test]
fn an_administrator_is_one_in_both_respects() {
    let administers = json!({"administers": true});
    assert!(system("", &administers).administers());
    assert!(!system("", &json!({})).administers());
    let admin = json!({"role": "administrator"});
    assert!(user("", None, &admin, &administers).administers());
    assert!(!user("", None, &admin, &json!({})).administers());
    assert!(!user("", None, &json!({}), &administers).administers());
}

#[test]
fn cns_7_behind_the_glass_is_what_reads_of_one_patient_whatever_the_token_says() {
    let glass = Glass { id: "g".into(), until: 1 };
    let behind = |change: Value| {
        let context =
            LaunchContext { patient: Some("1".into()), break_glass: Some(glass.clone()), ..LaunchContext::default() };
        of_context("patient/*.cruds user/*.cruds", context, &change, &json!({}))
    };
    let access = behind(json!({"break_glass": true, "policy": []}));
    assert_eq!(seen(&access, &TYPES), OF_ONE);
    for permission in Permission::ALL {
        let is_allowed = access.allows(permission, resource_type("Observation"));
        assert_eq!(is_allowed, !permission.writes(), "{permission:?}");
    }
    assert_eq!(seen(&behind(json!({})), &TYPES), ["none"; 3], "the right is gone");
}
