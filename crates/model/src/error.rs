//! Every way in which a request or a resource can be malformed, with the place where it is.

use crate::{
    json::SyntaxError,
    operation_outcome::{Issue, IssueCode},
    xml::XmlError,
};

/// What is wrong with what the client sent. It carries no HTTP status: `tessera-http` knows those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not acceptable JSON.
    #[error("the body is not acceptable JSON: {0}")]
    Json(#[from] SyntaxError),
    /// The body is not acceptable XML.
    #[error("the body is not acceptable XML: {0}")]
    Xml(#[from] XmlError),
    /// The body is JSON, but no resource.
    #[error("{reason}")]
    NotAResource {
        /// Where it is.
        expression: String,
        /// Why not.
        reason: String,
    },
    /// Validation has found something.
    #[error("the resource is not valid")]
    Invalid(Vec<Issue>),
    /// A patch that is none of its format.
    #[error("{0}")]
    BadPatch(String),
    /// A patch that cannot be applied to this resource, or that would make it invalid.
    #[error("the patch cannot be applied")]
    PatchFailed(Vec<Issue>),
    /// The URL names a resource type that R4 does not have.
    #[error("{name} is not a resource type of FHIR R4{}", suggestion(.similar.as_deref()))]
    UnknownType {
        /// The name.
        name: String,
        /// One that looks like it.
        similar: Option<String>,
    },
    /// The URL means nothing to a FHIR server.
    #[error("{0}")]
    NoSuchPath(String),
    /// The URL is one of this server, but not with this method.
    #[error("{method} is not possible here; use {}", allowed.join(", "))]
    MethodNotAllowed {
        /// The method.
        method: String,
        /// What is.
        allowed: Vec<&'static str>,
    },
    /// A search parameter that the type does not have.
    #[error("{} has no search parameter \"{name}\"{}", scope, suggestion(.similar.as_deref()))]
    UnknownParameter {
        /// The type, or "the system level".
        scope: String,
        /// The name.
        name: String,
        /// One that looks like it.
        similar: Option<String>,
    },
    /// A parameter whose value is not what its type wants.
    #[error("{parameter}: {reason}")]
    BadParameter {
        /// The parameter as it was given.
        parameter: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A code system, value set or concept map that is neither stored nor bundled here.
    #[error("this server has no {what} {canonical}")]
    UnknownCanonical {
        /// What it would be.
        what: &'static str,
        /// Its name.
        canonical: String,
    },
    /// Something the specification has and this server does not.
    #[error("{0}")]
    NotSupported(String),
    /// A stored search parameter that would not find everything yet.
    #[error(
        "the search parameter {code} is being indexed for what was stored before it ({done} % done); try again later"
    )]
    NotIndexed {
        /// Its name.
        code: String,
        /// How much is indexed, in percent.
        done: u8,
    },
    /// A request over one of the limits on what a search may cost.
    #[error("{0}")]
    TooCostly(String),
}

fn suggestion(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |similar| format!("; did you mean \"{similar}\"?"))
}

impl Error {
    /// The error as issues of an OperationOutcome.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        let code = match self {
            Self::Invalid(issues) | Self::PatchFailed(issues) => return issues.clone(),
            Self::NotAResource { expression, .. } => {
                return vec![Issue::error(IssueCode::Structure, self.to_string()).at(expression.clone())];
            }
            Self::Xml(error) if !error.expression.is_empty() => {
                return vec![Issue::error(IssueCode::Structure, self.to_string()).at(error.expression.clone())];
            }
            Self::Json(_) | Self::Xml(_) | Self::BadPatch(_) => IssueCode::Structure,
            Self::UnknownType { .. }
            | Self::UnknownParameter { .. }
            | Self::MethodNotAllowed { .. }
            | Self::NotSupported(_) => IssueCode::NotSupported,
            Self::NoSuchPath(_) | Self::UnknownCanonical { .. } => IssueCode::NotFound,
            Self::BadParameter { .. } => IssueCode::Value,
            Self::NotIndexed { .. } => IssueCode::Transient,
            Self::TooCostly(_) => IssueCode::TooCostly,
        };
        vec![Issue::error(code, self.to_string())]
    }
}

/// The name that differs least from `name`, if it differs by few letters.
pub(crate) fn similar<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = 1 + name.len() / 4;
    let near = candidates.map(|candidate| (distance(name, candidate), candidate)).min()?;
    (near.0 <= limit).then(|| near.1.to_owned())
}

/// How many letters must be changed, added or taken away (Levenshtein), without regard to case.
fn distance(left: &str, right: &str) -> usize {
    // Names are short; anything longer than these is no misspelling.
    let right: Vec<char> = right.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().take(64).flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let best = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(l != *r));
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_looks_alike() {
        let check = |name: &str, expect: Option<&str>| {
            let found = similar(name, ["birthdate", "gender", "name", "identifier"].into_iter());
            assert_eq!(found.as_deref(), expect, "{name}");
        };
        check("birthDate", Some("birthdate"));
        check("gendr", Some("gender"));
        check("nam", Some("name"));
        check("organization", None);
    }
}
