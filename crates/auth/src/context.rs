//! A token that is good → what its holder may do (CORE-1). A scope never exceeds the authority of whom it is about (SCP-5), and
//! what is missing denies (CORE-5).

use crate::{
    authorization::Authorization,
    client::Client,
    policy::{self, Policy, Reading},
    scope::{Context, ResourceScope},
    token::Active,
    user::{Role, User},
};
use tessera_model::{AccessContext, Caller, Filter, Grant, Id, Within};

/// Most grants of a token. They are tried on every type of every statement.
const GRANTS_MAX: usize = 1000;

/// What the holder of a token may do.
pub(crate) fn access(active: &Active, reading: Reading<'_>) -> AccessContext {
    let client = &active.client.value;
    let caller = caller(active);
    let (grants, administers) = match &active.granted {
        None => (of_client(active, client, reading), client.administers),
        Some((authorization, user)) => {
            let administers = client.administers && user.value.role == Role::Administrator;
            (of_user(active, &authorization.value, &user.value, reading), administers)
        }
    };
    let grants = grants.and_then(|grants| match grants.len() > GRANTS_MAX {
        true => Err(format!("a token has at most {GRANTS_MAX} grants")),
        false => Ok(grants),
    });
    let grants = grants.unwrap_or_else(|why| {
        tracing::error!(client = active.client.key, why, "a token grants nothing, since a policy cannot be read");
        Vec::new()
    });
    let access = AccessContext::granted(caller, grants, administers);
    // Users do not choose ids (CMP-8).
    match client.id_prefix.clone().filter(|prefix| active.granted.is_none() && !prefix.is_empty()) {
        Some(prefix) => access.with_id_prefix(prefix),
        None => access,
    }
}

/// Who holds a token.
pub(crate) fn caller(active: &Active) -> Caller {
    let client = &active.client.value;
    let organization = client.organization.as_ref();
    let purpose = match &active.granted {
        None => active.token.value.purpose.clone(),
        // "At the request of the individual"
        Some((_, user)) if user.value.role == Role::Patient => Some("PATRQT".to_owned()),
        Some(_) => client.purposes.first().cloned().or_else(|| Some("TREAT".to_owned())),
    };
    Caller {
        client: active.client.key.clone(),
        user: active.granted.as_ref().and_then(|(_, user)| user.value.fhir_user.clone()),
        organization: organization.and_then(|o| o.reference.clone().or_else(|| o.uri.clone())),
        purpose,
        token: Some(active.token.key.clone()),
    }
}

/// The scopes of a context, as far as the client may still have them.
fn scopes(active: &Active, context: Context) -> Vec<ResourceScope> {
    let allowed = active.client.value.allowed(tessera_model::Definitions::r4());
    let scopes = active.token.value.scopes().and(&allowed);
    scopes.resources().filter(|scope| scope.context == context).cloned().collect()
}

/// `system/`: what the client's policy says.
fn of_client(active: &Active, client: &Client, reading: Reading<'_>) -> Result<Vec<Grant>, String> {
    let policy = Policy::parse(&client.policy, reading)?;
    let mut grants = Vec::new();
    for scope in scopes(active, Context::System) {
        add(&mut grants, &Within::Everything, &scope, [&policy, &Policy::everything()], reading)?;
    }
    Ok(grants)
}

/// What a user may see of patients and encounters, to choose one for a client (AUTH-5).
pub(crate) fn choosable(user: &User, client: &Client, reading: Reading<'_>) -> AccessContext {
    let mut grants = Vec::new();
    let definitions = tessera_model::Definitions::r4();
    let scopes = ["user/Patient.rs", "user/Encounter.rs"].map(|scope| ResourceScope::parse(scope, definitions));
    let added = policies(user, client, reading).and_then(|[of_user, of_client]| {
        for scope in scopes.iter().flatten() {
            for within in within(user) {
                add(&mut grants, &within, scope, [&of_user, &of_client], reading)?;
            }
        }
        Ok(())
    });
    if let Err(why) = added {
        tracing::error!(why, "a user may choose nothing, since a policy cannot be read");
        grants.clear();
    }
    AccessContext::granted(Caller::of_client("picker"), grants, false)
}

/// What the user may see, and the client's policy if it has one.
fn policies(user: &User, client: &Client, reading: Reading<'_>) -> Result<[Policy; 2], String> {
    let of_client = match client.policy.is_empty() {
        true => Policy::everything(),
        false => Policy::parse(&client.policy, reading)?,
    };
    let of_user = match user.role {
        Role::Patient => Policy::everything(),
        _ => Policy::parse(&user.policy, reading)?,
    };
    Ok([of_user, of_client])
}

/// Within whose records a user sees anything.
fn within(user: &User) -> Vec<Within> {
    match user.role {
        Role::Patient => user.patients.iter().filter_map(|patient| Id::parse(patient)).map(Within::Patient).collect(),
        _ => vec![Within::Everything],
    }
}

/// `patient/` and `user/`: what the user may see, and the client's policy if it has one.
fn of_user(
    active: &Active,
    authorization: &Authorization,
    user: &User,
    reading: Reading<'_>,
) -> Result<Vec<Grant>, String> {
    let [of_user, of_client] = policies(user, &active.client.value, reading)?;
    let policies = [&of_user, &of_client];
    let is_patient = user.role == Role::Patient;
    let mut grants = Vec::new();
    let in_context = authorization.context.patient.as_ref();
    // What the user may no longer see is gone, whatever was granted once.
    let in_context = in_context.filter(|patient| !is_patient || user.patients.contains(patient));
    if let Some(patient) = in_context.and_then(|patient| Id::parse(patient)) {
        for scope in scopes(active, Context::Patient) {
            add(&mut grants, &Within::Patient(patient.clone()), &scope, policies, reading)?;
        }
    }
    if user.fhir_user.is_some() {
        let within = within(user);
        for scope in scopes(active, Context::User) {
            for within in &within {
                add(&mut grants, within, &scope, policies, reading)?;
            }
        }
    }
    Ok(grants)
}

/// Adds what a scope and both policies allow.
fn add(
    grants: &mut Vec<Grant>,
    within: &Within,
    scope: &ResourceScope,
    policies: [&Policy; 2],
    reading: Reading<'_>,
) -> Result<(), String> {
    let types: Vec<_> = scope.resource_type.into_iter().collect();
    let of_scope = policy::filter(&types, &scope.parameters(), reading)?;
    let [first, second] = policies;
    for (resource_type, of_first) in first.of(scope.resource_type) {
        for (resource_type, of_second) in second.of(resource_type) {
            let filters = [&of_scope, of_first, of_second].into_iter().filter(|filter| !filter.is_always());
            let filter = Filter::All(filters.cloned().collect());
            let grant = Grant { within: within.clone(), resource_type, permissions: scope.permissions, filter };
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
