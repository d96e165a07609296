//! What a token says, wherever it stands: in the token or in what the issuer answers. What is missing is read as nothing, and
//! grants nothing (CORE-5).

use super::digest;
use crate::{
    identity::SUBJECT_BYTES_MAX,
    scope::{Context, Scopes},
};
use serde_json::{Map, Value};
use tessera_model::{Definitions, Id};

/// Longest text of a claim that is kept or recorded.
const TEXT_BYTES_MAX: usize = 255;

/// Where tokens say what. Empty: nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The scopes, separated by spaces or as a list.
    pub scope: String,
    /// The client's id.
    pub client: String,
    /// The id of the patient in context.
    pub patient: String,
    /// The resource that the user is.
    pub fhir_user: String,
    /// The purpose of use. If it has a name, each token must say one.
    pub purpose: String,
    /// The organization. If it has a name, each token must say one.
    pub organization: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let [scope, client, patient, fhir_user] = ["scope", "client_id", "patient", "fhirUser"].map(str::to_owned);
        Self { scope, client, patient, fhir_user, purpose: String::new(), organization: String::new() }
    }
}

/// What a token says.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    /// What the audit record calls it: its `jti`, or its digest.
    pub(super) token: String,
    pub(super) client: String,
    pub(super) subject: Option<String>,
    pub(super) scopes: Scopes,
    pub(super) patient: Option<String>,
    /// Relative to the base.
    pub(super) fhir_user: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) organization: Option<String>,
}

impl Claims {
    /// Reads them.
    ///
    /// # Errors
    /// Why the token is good for nothing.
    pub(super) fn read(
        claims: &Map<String, Value>,
        names: &ClaimNames,
        base: &str,
        token: &str,
    ) -> Result<Self, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| is_text(text));
        let client = text(&names.client).or_else(|| text("azp")).ok_or("there is no client")?;
        if text("azp").is_some_and(|azp| azp != client) {
            return Err("client and azp are not the same");
        }
        let scopes = match claims.get(&names.scope) {
            Some(Value::String(scopes)) => scopes.clone(),
            Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => return Err("there is no scope"),
        };
        let required = |name: &str, missing| match name {
            "" => Ok(None),
            name => text(name).map(|text| Some(text.to_owned())).ok_or(missing),
        };
        let fhir_user = text(&names.fhir_user).and_then(|user| relative(user, base));
        if claims.contains_key(&names.fhir_user) && fhir_user.is_none() {
            return Err("fhirUser is no user of this server");
        }
        let patient = text(&names.patient).filter(|id| Id::parse(id).is_some());
        if claims.contains_key(&names.patient) && patient.is_none() {
            return Err("patient is no id");
        }
        Ok(Self {
            token: text("jti").map_or_else(|| digest(token), str::to_owned),
            client: client.to_owned(),
            subject: text("sub").filter(|subject| subject.len() <= SUBJECT_BYTES_MAX).map(str::to_owned),
            scopes: Scopes::parse(&scopes, Definitions::r4()),
            patient: patient.map(str::to_owned),
            fhir_user,
            purpose: required(&names.purpose, "there is no purpose of use")?,
            organization: required(&names.organization, "there is no organization")?,
        })
    }

    /// Whether it grants what only a user or a patient in context can.
    pub(super) fn has_user_scopes(&self) -> bool {
        self.scopes.has_context(Context::User) || self.scopes.has_context(Context::Patient)
    }
}

fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A reference to a user of this server, as it is kept: without the base.
fn relative(reference: &str, base: &str) -> Option<String> {
    let relative = match reference.strip_prefix(base) {
        Some(rest) => rest.strip_prefix('/')?,
        None => reference,
    };
    let (name, id) = relative.split_once('/')?;
    let types = ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"];
    (types.contains(&name) && Id::parse(id).is_some()).then(|| relative.to_owned())
}
