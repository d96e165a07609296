//! What may be registered: clients and users are checked when they are written, so that nothing is found out when they are used.

use crate::{
    Urls,
    client::{Authentication, Client},
    policy::{self, Reading},
    scope::{Context, Scope, Scopes},
    user::{Role, User},
};
use serde_json::{Value, json};
use tessera_model::{Definitions, Id};

/// Longest id of a client and name of a user.
const NAME_BYTES_MAX: usize = 128;
/// Longest text of other kinds.
const TEXT_BYTES_MAX: usize = 2048;
/// Most of what there may be several of.
const COUNT_MAX: usize = 50;
/// Most RelatedPersons that a user is: they are read again and again.
const RELATED_PERSONS_MAX: usize = 20;
/// Schemes of URLs that a browser would run, or that lead to files.
const SCHEMES_REFUSED: [&str; 6] = ["javascript", "data", "vbscript", "file", "blob", "about"];

/// Whether a client may be registered so.
///
/// # Errors
/// What is wrong, for the operator.
pub fn check_client(id: &str, client: &Client, reading: Reading<'_>) -> Result<(), String> {
    check_name("a client's id", id)?;
    check_text("the name", &client.name)?;
    let scopes = check_scopes(&client.scopes)?;
    check_authentication(client, &scopes)?;
    policy::check(&client.policy, reading)?;
    if scopes.has_context(Context::System) && client.policy.is_empty() {
        return Err("system/ scopes need a policy: * for everything, or Type?parameters".to_owned());
    }
    for uri in &client.redirect_uris {
        check_redirect_uri(uri)?;
    }
    for url in [&client.launch_url, &client.keys_url()].into_iter().flatten() {
        check_url(url)?;
    }
    for origin in &client.origins {
        check_origin(origin)?;
    }
    let asks_users = scopes.has_context(Context::Patient) || scopes.has_context(Context::User);
    if asks_users && client.redirect_uris.is_empty() {
        return Err("patient/ and user/ scopes need a redirect URI".to_owned());
    }
    if scopes.contains(&Scope::Administer) && !client.administers {
        return Err("tessera/admin is for clients that administer".to_owned());
    }
    if client.id_prefix.as_ref().is_some_and(|prefix| Id::parse(prefix).is_none()) {
        return Err("the prefix of ids is no part of an id".to_owned());
    }
    let counts = [client.redirect_uris.len(), client.origins.len(), client.purposes.len()];
    if counts.iter().any(|count| *count > COUNT_MAX) {
        return Err(format!("there are more than {COUNT_MAX} redirect URIs, origins or purposes"));
    }
    Ok(())
}

/// What the client is to be configured with; `secret`: its new one, which is shown this once.
#[must_use]
pub fn configuration(base: &str, id: &str, client: &Client, secret: Option<&str>) -> Value {
    let urls = Urls::of(base);
    let mut told = json!({
        "fhir_base_url": urls.base,
        "smart_configuration": format!("{}/.well-known/smart-configuration", urls.base),
        "token_endpoint": urls.token(),
        "client_id": id,
        "token_endpoint_auth_method": client.authentication.name(),
        "scope": client.scopes,
    });
    if let Some(secret) = secret {
        told["client_secret"] = secret.into();
    }
    if matches!(client.authentication, Authentication::PrivateKeyJwt(_)) {
        told["assertion_audience"] = urls.token().into();
    }
    if !client.redirect_uris.is_empty() {
        told["redirect_uris"] = json!(client.redirect_uris);
    }
    told
}

/// Whether a user may be kept so.
///
/// # Errors
/// What is wrong, for the operator.
pub fn check_user(name: &str, user: &User, reading: Reading<'_>) -> Result<(), String> {
    check_name("a user's name", name)?;
    check_text("the name", &user.name)?;
    if let Some(reference) = &user.fhir_user {
        let types = ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"];
        let is_one = reference.split_once('/').is_some_and(|(t, id)| types.contains(&t) && Id::parse(id).is_some());
        if !is_one {
            return Err(format!("{reference}: expected a reference such as Practitioner/1, to {}", types.join(", ")));
        }
    }
    if let Some(patient) = user.patients.iter().find(|patient| Id::parse(patient).is_none()) {
        return Err(format!("{patient} is not the id of a patient"));
    }
    if let Some(person) = user.related_persons.iter().find(|person| Id::parse(person).is_none()) {
        return Err(format!("{person} is not the id of a RelatedPerson"));
    }
    if user.patients.len() > COUNT_MAX || user.related_persons.len() > RELATED_PERSONS_MAX {
        return Err(format!("there are more than {COUNT_MAX} patients or {RELATED_PERSONS_MAX} RelatedPersons"));
    }
    match user.role {
        Role::Patient if user.patients.is_empty() && user.related_persons.is_empty() => {
            Err("a patient needs the id of a patient, or of a RelatedPerson".to_owned())
        }
        Role::Patient if user.break_glass => Err("break-glass is for clinicians and administrators".to_owned()),
        _ if user.break_glass && user.fhir_user.is_none() => {
            Err("who may break the glass is a resource, such as Practitioner/1".to_owned())
        }
        Role::Patient if !user.policy.is_empty() => Err("a patient has no policy but their patients".to_owned()),
        Role::Clinician | Role::Administrator if !user.patients.is_empty() || !user.related_persons.is_empty() => {
            Err("patients are for those who are one; whom others see, their policy says".to_owned())
        }
        _ => policy::check(&user.policy, reading),
    }
}

/// Names stand in URLs, forms and logs.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@+:/".contains(&byte);
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_good) {
        true => Ok(()),
        false => Err(format!("{what} is 1 to {NAME_BYTES_MAX} letters, digits and -._~@+:/")),
    }
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    let is_good = !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    if is_good { Ok(()) } else { Err(format!("{what} is empty, too long or has control characters")) }
}

fn check_scopes(text: &str) -> Result<Scopes, String> {
    let definitions = Definitions::r4();
    if let Some(bad) = text.split(' ').find(|scope| Scope::parse(scope, definitions).is_none()) {
        return Err(format!("{bad:?} is no scope"));
    }
    let scopes = Scopes::parse(text, definitions);
    if scopes.is_empty() { Err("there are too many scopes".to_owned()) } else { Ok(scopes) }
}

fn check_authentication(client: &Client, scopes: &Scopes) -> Result<(), String> {
    match &client.authentication {
        Authentication::PrivateKeyJwt(keys) => {
            if keys.algorithms.is_empty() || keys.jwks.is_some() == keys.jwks_url.is_some() {
                return Err("private_key_jwt needs algorithms, and either a JWKS or its URL".to_owned());
            }
            let jwks = keys.jwks.as_ref().and_then(|jwks| jwks["keys"].as_array());
            if keys.jwks.is_some() && jwks.is_none_or(Vec::is_empty) {
                return Err("the JWKS has no keys".to_owned());
            }
            // What only the client may know must not be sent to us.
            if jwks.is_some_and(|keys| keys.iter().any(|key| !key["d"].is_null() || !key["k"].is_null())) {
                return Err("the JWKS holds private keys; make new ones and register their public halves".to_owned());
            }
            Ok(())
        }
        _ if scopes.has_context(Context::System) => Err("system/ scopes need private_key_jwt".to_owned()),
        Authentication::None if client.introspects || client.administers => {
            Err("a public client may neither introspect nor administer".to_owned())
        }
        _ => Ok(()),
    }
}

/// https; or http to this machine, for development.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let bad = || Err(format!("{url}: expected an https URL without fragment"));
    if url.len() > TEXT_BYTES_MAX || url.contains(['#', '*', ' ', '\\']) || !url.is_ascii() {
        return bad();
    }
    match host_of(url) {
        Some(("https", host)) if !host.is_empty() => Ok(()),
        Some(("http", host)) if is_loopback(host) => Ok(()),
        _ => bad(),
    }
}

/// The same, or a scheme of a native app's own: <https://www.rfc-editor.org/rfc/rfc8252#section-7.1>
pub(crate) fn check_redirect_uri(uri: &str) -> Result<(), String> {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let is_own = is_scheme && scheme.contains('.') && !SCHEMES_REFUSED.contains(&scheme);
    let is_clean = uri.len() <= TEXT_BYTES_MAX && uri.is_ascii() && !uri.contains(['#', '*', ' ', '\\']);
    if is_own && is_clean { Ok(()) } else { check_url(uri) }
}

fn check_origin(origin: &str) -> Result<(), String> {
    check_url(origin)?;
    let is_bare = host_of(origin).is_some_and(|(scheme, host)| format!("{scheme}://{host}") == origin);
    let is_lower = !origin.bytes().any(|b| b.is_ascii_uppercase());
    if is_bare && is_lower {
        Ok(())
    } else {
        Err(format!("{origin}: expected an origin such as https://app.example.org"))
    }
}

/// Scheme and host with port; `None` if there is none, or a user before it.
pub(crate) fn host_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next()?;
    (!host.contains('@')).then_some((scheme, host))
}

/// The origin of an https URL.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    host_of(url)
        .filter(|(scheme, host)| *scheme == "https" && !host.is_empty())
        .map(|(scheme, host)| format!("{scheme}://{host}"))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading<'_> = Reading { base: "http://h/fhir", now: 0 };

    fn client(change: &Value) -> Result<(), String> {
        let mut client = json!({
            "name": "App", "authentication": "none", "scopes": "openid patient/*.rs", "enabled": true,
            "redirect_uris": ["https://app.example.org/cb"],
        });
        for (name, member) in change.as_object().unwrap() {
            client[name] = member.clone();
        }
        check_client("app", &serde_json::from_value(client).unwrap(), READING)
    }

    #[test]
    fn auth_20_what_may_be_registered() {
        let keys = json!({"private_key_jwt": {"jwks_url": "https://app/jwks", "algorithms": ["ES384"]}});
        let inline = |key: Value| json!({"private_key_jwt": {"jwks": {"keys": [key]}, "algorithms": ["RS384"]}});
        let uris = |uri: &str| json!({"redirect_uris": [uri]});
        for good in [
            json!({}),
            json!({"authentication": keys, "scopes": "system/*.rs", "policy": ["*"], "redirect_uris": []}),
            json!({"authentication": inline(json!({"kid": "a"}))}),
            uris("http://127.0.0.1:8000/cb"),
            uris("http://[::1]:1/cb"),
            uris("org.example.app:/cb"),
            json!({"origins": ["https://app.example.org", "http://localhost:3000"]}),
            json!({"id_prefix": "lab-"}),
        ] {
            assert_eq!(client(&good), Ok(()), "{good}");
        }
        for bad in [
            json!({"scopes": ""}),
            json!({"scopes": "patient/*.rs  openid"}),
            json!({"scopes": "patient/Observaton.rs"}),
            json!({"scopes": "system/*.rs", "policy": ["*"]}),
            json!({"authentication": keys, "scopes": "system/*.rs"}),
            json!({"policy": ["Patient?nonsense=1"]}),
            json!({"redirect_uris": []}),
            json!({"introspects": true}),
            json!({"administers": true}),
            json!({"scopes": "openid tessera/admin"}),
            json!({"name": " "}),
            json!({"name": "a\nb"}),
            json!({"id_prefix": "no id"}),
            json!({"launch_url": "http://app/launch"}),
            json!({"authentication": {"private_key_jwt": {"algorithms": ["ES384"]}}}),
            json!({"authentication": {"private_key_jwt": {"jwks_url": "https://app/jwks", "algorithms": []}}}),
            json!({"authentication": {"private_key_jwt": {"jwks_url": "http://app/jwks", "algorithms": ["ES384"]}}}),
            json!({"authentication": {"private_key_jwt": {"jwks": {"keys": []}, "algorithms": ["ES384"]}}}),
            json!({"authentication": inline(json!({"kid": "a", "d": "secret"}))}),
        ] {
            assert!(client(&bad).is_err(), "{bad}");
        }
        for bad in [
            "http://app/cb",
            "https://",
            "https://app/cb#x",
            "https://*.app/cb",
            "https://user@app/cb",
            "http://127.0.0.1@evil/cb",
            "http://localhost.evil/cb",
            "javascript:alert(1)",
            "data:x",
            "app:/cb",
            "",
            "/cb",
        ] {
            assert!(client(&uris(bad)).is_err(), "{bad}");
        }
        for bad in ["*", "null", "https://app/", "https://App", "http://app", "app"] {
            assert!(client(&json!({"origins": [bad]})).is_err(), "{bad}");
        }
        for id in ["", "a b", "a\u{e4}", &"x".repeat(129)] {
            assert!(check_name("x", id).is_err(), "{id}");
        }
    }

    #[test]
    fn users_are_patients_or_have_a_policy() {
        let user = |change: Value| {
            let mut user = json!({
                "name": "U", "role": "clinician", "fhir_user": "Practitioner/1", "policy": ["*"], "password": null,
                "enabled": true,
            });
            for (name, member) in change.as_object().unwrap() {
                user[name] = member.clone();
            }
            check_user("u", &serde_json::from_value(user).unwrap(), READING)
        };
        assert_eq!(user(json!({})), Ok(()));
        assert_eq!(user(json!({"role": "patient", "patients": ["1"], "policy": []})), Ok(()));
        assert_eq!(user(json!({"role": "patient", "related_persons": ["1"], "policy": []})), Ok(()));
        for bad in [
            json!({"role": "patient", "policy": []}),
            json!({"role": "patient", "patients": ["1"]}),
            json!({"patients": ["1"]}),
            json!({"role": "patient", "patients": ["no id"], "policy": []}),
            json!({"policy": ["nonsense"]}),
            json!({"role": "patient", "patients": ["1"], "policy": [], "break_glass": true}),
            json!({"fhir_user": null, "break_glass": true}),
            json!({"related_persons": ["1"]}),
            json!({"role": "patient", "related_persons": ["no id"], "policy": []}),
            json!({"role": "patient", "related_persons": vec!["1"; 21], "policy": []}),
            json!({"fhir_user": "Organization/1"}),
            json!({"fhir_user": "Practitioner"}),
            json!({"fhir_user": "https://elsewhere/Practitioner/1"}),
        ] {
            assert!(user(bad.clone()).is_err(), "{bad}");
        }
    }
}
