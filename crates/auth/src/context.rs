//! A token that is good → what its holder may do (CORE-1). A scope never exceeds the authority of whom it is about (SCP-5), and
//! what is missing denies (CORE-5).

use crate::{
    authorization_server::has_right,
    break_glass,
    client::Client,
    policy::{self, Policy, Reading},
    scope::{Context, ResourceScope, Scopes},
    token::Active,
    user::{Role, User},
};
use tessera_model::{AccessContext, Caller, Filter, Grant, Id, Within};

/// Most grants of a token. They are tried on every type of every statement.
const GRANTS_MAX: usize = 1000;

/// Who holds a token, whoever has issued it.
pub(crate) struct Holder<'a> {
    /// What the audit record calls the token.
    pub(crate) token: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) client: &'a Client,
    /// What the token grants.
    pub(crate) scopes: Scopes,
    /// The purpose of use that the token is for, if it says one.
    pub(crate) purpose: Option<&'a str>,
    /// The organization that it is for.
    pub(crate) organization: Option<&'a str>,
    /// The user and the patient in context; `None`: the client acts by itself.
    pub(crate) user: Option<(&'a User, Option<&'a str>)>,
}

impl<'a> Holder<'a> {
    /// The holder of a token of ours.
    fn of(active: &'a Active) -> Self {
        let client = &active.client.value;
        let organization = client.organization.as_ref();
        let granted = active.granted.as_ref();
        let purpose = match granted {
            None => active.token.value.purpose.as_deref(),
            Some((of, _)) => of.value.context.break_glass.is_some().then_some(break_glass::PURPOSE),
        };
        Self {
            token: &active.token.key,
            client_id: &active.client.key,
            client,
            scopes: active.token.value.scopes(),
            purpose,
            organization: organization.and_then(|o| o.reference.as_deref().or(o.uri.as_deref())),
            user: granted.map(|(of, user)| (&user.value, of.value.context.patient.as_deref())),
        }
    }

    /// What they may do.
    pub(crate) fn access(&self, reading: Reading<'_>) -> AccessContext {
        let client = self.client;
        let (grants, administers) = match self.user {
            None => (self.of_client(reading), client.administers),
            Some((user, patient)) => {
                let administers = client.administers && user.role == Role::Administrator;
                (self.of_user(user, patient, reading), administers)
            }
        };
        let grants = grants.and_then(|grants| match grants.len() > GRANTS_MAX {
            true => Err(format!("a token has at most {GRANTS_MAX} grants")),
            false => Ok(grants),
        });
        let grants = grants.unwrap_or_else(|why| {
            tracing::error!(client = self.client_id, why, "a token grants nothing, since a policy cannot be read");
            Vec::new()
        });
        let access = AccessContext::granted(self.caller(), grants, administers);
        // Users do not choose ids (CMP-8).
        match client.id_prefix.clone().filter(|prefix| self.user.is_none() && !prefix.is_empty()) {
            Some(prefix) => access.with_id_prefix(prefix),
            None => access,
        }
    }

    /// What a user may do who has broken the glass: see one patient, whatever their own policy says; of the client's nothing is
    /// overridden (CNS-7). Reading alone, also if the scopes say more.
    fn through_glass(&self, user: &User, reading: Reading<'_>) -> AccessContext {
        // Who has lost the right loses what they have.
        let patient = self.user.and_then(|(_, patient)| Id::parse(patient?)).filter(|_| has_right(user));
        let narrowed = break_glass::narrowed(&self.scopes);
        let scopes = self.scopes(Context::Patient).into_iter();
        let scopes: Vec<_> =
            scopes.flat_map(|scope| narrowed.resources().filter_map(move |narrow| scope.and(narrow))).collect();
        of_one_patient(self.caller(), patient.as_ref(), &scopes, self.client, reading)
    }

    /// Who they are.
    fn caller(&self) -> Caller {
        let usual = match self.user {
            None => None,
            // "At the request of the individual"
            Some((user, _)) if user.role == Role::Patient => Some("PATRQT"),
            Some(_) => Some(self.client.purposes.first().map_or("TREAT", String::as_str)),
        };
        Caller {
            client: self.client_id.to_owned(),
            user: self.user.and_then(|(user, _)| user.fhir_user.clone()),
            organization: self.organization.map(str::to_owned),
            purpose: self.purpose.or(usual).map(str::to_owned),
            token: Some(self.token.to_owned()),
        }
    }

    /// The scopes of a context, as far as the client may still have them.
    fn scopes(&self, context: Context) -> Vec<ResourceScope> {
        let scopes = self.scopes.and(&self.client.allowed(tessera_model::Definitions::r4()));
        scopes.resources().filter(|scope| scope.context == context).cloned().collect()
    }

    /// `system/`: what the client's policy says.
    fn of_client(&self, reading: Reading<'_>) -> Result<Vec<Grant>, String> {
        let policy = Policy::parse(&self.client.policy, reading)?;
        let mut grants = Vec::new();
        for scope in self.scopes(Context::System) {
            add(&mut grants, &Within::Everything, &scope, [&policy, &Policy::everything()], reading)?;
        }
        Ok(grants)
    }

    /// `patient/` and `user/`: what the user may see, and the client's policy if it has one.
    fn of_user(&self, user: &User, in_context: Option<&str>, reading: Reading<'_>) -> Result<Vec<Grant>, String> {
        let [of_user, of_client] = policies(user, self.client, reading)?;
        let policies = [&of_user, &of_client];
        let is_patient = user.role == Role::Patient;
        let mut grants = Vec::new();
        // What the user may no longer see is gone, whatever was granted once.
        let in_context = in_context.filter(|patient| !is_patient || user.may_see().any(|seen| seen == patient));
        if let Some(patient) = in_context.and_then(Id::parse) {
            for scope in self.scopes(Context::Patient) {
                add(&mut grants, &Within::Patient(patient.clone()), &scope, policies, reading)?;
            }
        }
        if user.fhir_user.is_some() {
            let within = within(user);
            for scope in self.scopes(Context::User) {
                for within in &within {
                    add(&mut grants, within, &scope, policies, reading)?;
                }
            }
        }
        Ok(grants)
    }
}

/// What the holder of a token of ours may do.
pub(crate) fn access(active: &Active, reading: Reading<'_>) -> AccessContext {
    let holder = Holder::of(active);
    match &active.granted {
        Some((of, user)) if of.value.context.break_glass.is_some() => holder.through_glass(&user.value, reading),
        _ => holder.access(reading),
    }
}

/// Who holds a token of ours.
pub(crate) fn caller(active: &Active) -> Caller {
    Holder::of(active).caller()
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

/// What of that patient may be looked up before the glass is broken: who they are, and their encounters.
pub(crate) fn behind_glass(client: &Client, patient: &Id, reading: Reading<'_>) -> AccessContext {
    let definitions = tessera_model::Definitions::r4();
    let scopes = ["user/Patient.rs", "user/Encounter.rs"].map(|scope| ResourceScope::parse(scope, definitions));
    let scopes: Vec<_> = scopes.into_iter().flatten().collect();
    of_one_patient(Caller::of_client("break-glass"), Some(patient), &scopes, client, reading)
}

/// What these scopes allow of one patient within the client's policy, whatever the user's is.
fn of_one_patient(
    caller: Caller,
    patient: Option<&Id>,
    scopes: &[ResourceScope],
    client: &Client,
    reading: Reading<'_>,
) -> AccessContext {
    let mut grants = Vec::new();
    let added = of_client_with_users(client, reading).and_then(|of_client| {
        for (patient, scope) in scopes.iter().filter_map(|scope| Some((patient?, scope))) {
            let within = Within::Patient(patient.clone());
            add(&mut grants, &within, scope, [&Policy::everything(), &of_client], reading)?;
        }
        Ok(())
    });
    if let Err(why) = added {
        tracing::error!(why, "nothing of a patient is seen, since a policy cannot be read");
        grants.clear();
    }
    grants.truncate(GRANTS_MAX);
    AccessContext::granted(caller, grants, false)
}

/// The client's policy, if it has one.
fn of_client_with_users(client: &Client, reading: Reading<'_>) -> Result<Policy, String> {
    match client.policy.is_empty() {
        true => Ok(Policy::everything()),
        false => Policy::parse(&client.policy, reading),
    }
}

/// What the user may see, and the client's policy if it has one.
fn policies(user: &User, client: &Client, reading: Reading<'_>) -> Result<[Policy; 2], String> {
    let of_client = of_client_with_users(client, reading)?;
    let of_user = match user.role {
        Role::Patient => Policy::everything(),
        _ => Policy::parse(&user.policy, reading)?,
    };
    Ok([of_user, of_client])
}

/// Within whose records a user sees anything.
fn within(user: &User) -> Vec<Within> {
    match user.role {
        Role::Patient => user.may_see().filter_map(|patient| Id::parse(patient)).map(Within::Patient).collect(),
        _ => vec![Within::Everything],
    }
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
