//! Scopes: what a client may ask for. A scope that is not exactly one of these grants nothing, and none is ever read as a
//! broader one (SCP-1). <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>

mod resource;

pub use resource::{Condition, Context, ResourceScope};

use std::fmt;
use tessera_model::Definitions;

/// Longest list of scopes.
const SCOPES_BYTES_MAX: usize = 8 * 1024;
/// Most scopes of a list.
const SCOPES_MAX: usize = 100;

/// One scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Access to resources.
    Resource(ResourceScope),
    /// `openid`: an id_token.
    OpenId,
    /// `fhirUser`: which resource the user is.
    FhirUser,
    /// `launch`: the context of the EHR that launches the app.
    Launch,
    /// `launch/patient`: a patient is to be chosen.
    LaunchPatient,
    /// `launch/encounter`: an encounter is to be chosen.
    LaunchEncounter,
    /// `offline_access`: a refresh token that outlives the user's session.
    OfflineAccess,
    /// `online_access`: a refresh token that ends with the user's session.
    OnlineAccess,
    /// `tessera/admin`: clients, users and what users have authorized. Not of SMART, whose scopes about resources begin with
    /// `patient/`, `user/` or `system/`, and those that do not have no slash or begin with `launch`.
    Administer,
}

/// Those that are not about resources.
const OTHERS: [(&str, Scope); 8] = [
    ("openid", Scope::OpenId),
    ("fhirUser", Scope::FhirUser),
    ("launch", Scope::Launch),
    ("launch/patient", Scope::LaunchPatient),
    ("launch/encounter", Scope::LaunchEncounter),
    ("offline_access", Scope::OfflineAccess),
    ("online_access", Scope::OnlineAccess),
    ("tessera/admin", Scope::Administer),
];

impl Scope {
    /// Reads one; `None` if it grants nothing.
    #[must_use]
    pub fn parse(text: &str, definitions: &Definitions) -> Option<Self> {
        match OTHERS.iter().find(|(name, _)| *name == text) {
            Some((_, scope)) => Some(scope.clone()),
            None => ResourceScope::parse(text, definitions).map(Self::Resource),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(scope) => scope.fmt(f),
            other => f.write_str(OTHERS.iter().find(|(_, scope)| scope == other).map_or("", |(name, _)| name)),
        }
    }
}

/// A list of scopes, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads a list. Those that grant nothing are left out; a list that is too long grants nothing.
    #[must_use]
    pub fn parse(text: &str, definitions: &Definitions) -> Self {
        let mut scopes = Self::default();
        if text.len() <= SCOPES_BYTES_MAX && text.split(' ').count() <= SCOPES_MAX {
            // RFC 6749 section 3.3: separated by single spaces
            text.split(' ').filter_map(|scope| Scope::parse(scope, definitions)).for_each(|scope| scopes.add(scope));
        }
        scopes
    }

    fn add(&mut self, scope: Scope) {
        if !self.0.contains(&scope) {
            self.0.push(scope);
        }
    }

    /// The scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Those about resources.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceScope> {
        self.0.iter().filter_map(|scope| if let Scope::Resource(scope) = scope { Some(scope) } else { None })
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this scope is among them.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether one of them is of this context.
    #[must_use]
    pub fn has_context(&self, context: Context) -> bool {
        self.resources().any(|scope| scope.context == context)
    }

    /// Those that a filter keeps.
    #[must_use]
    pub fn retain(mut self, keep: impl FnMut(&Scope) -> bool) -> Self {
        self.0.retain(keep);
        self
    }

    /// What both grant: no more than either. More scopes than a list may have grant nothing.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for scope in &self.0 {
            match scope {
                Scope::Resource(wanted) => {
                    other
                        .resources()
                        .filter_map(|allowed| wanted.and(allowed))
                        .for_each(|s| both.add(Scope::Resource(s)));
                }
                scope if other.contains(scope) => both.add(scope.clone()),
                _ => {}
            }
        }
        if both.0.len() > SCOPES_MAX { Self::default() } else { both }
    }

    /// Whether each of these is, as it is written, granted by the others too.
    #[must_use]
    pub fn are_within(&self, others: &Self) -> bool {
        let both = self.and(others);
        self.0.iter().all(|scope| both.contains(scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all = Self::default();
        scopes.into_iter().for_each(|scope| all.add(scope));
        all
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.0.iter().enumerate() {
            write!(f, "{}{scope}", if n > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
