//! OperationOutcome: how every error, warning and hint reaches the client.
//! <https://hl7.org/fhir/R4/operationoutcome.html>

use serde::Serialize;

/// The resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "resourceType")]
pub struct OperationOutcome {
    /// What there is to say; at least one.
    pub issue: Vec<Issue>,
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: IssueCode,
    /// Words that help; nothing about SQL, paths of files or other people's data.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diagnostics: String,
    /// Where: a FHIRPath of simple elements and indices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expression: Vec<String>,
}

/// <https://hl7.org/fhir/R4/valueset-issue-severity.html>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Information,
}

/// <https://hl7.org/fhir/R4/valueset-issue-type.html>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueCode {
    Invalid,
    Structure,
    Required,
    Value,
    Invariant,
    Security,
    Login,
    Forbidden,
    Processing,
    NotSupported,
    Duplicate,
    MultipleMatches,
    NotFound,
    Deleted,
    TooLong,
    CodeInvalid,
    Extension,
    TooCostly,
    BusinessRule,
    Conflict,
    Transient,
    Timeout,
    Throttled,
    Exception,
    Informational,
}

impl Issue {
    /// An error of that kind.
    #[must_use]
    pub fn error(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, diagnostics: diagnostics.into(), expression: Vec::new() }
    }

    /// A warning of that kind.
    #[must_use]
    pub fn warning(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, diagnostics) }
    }

    /// A remark.
    #[must_use]
    pub fn information(diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Information, ..Self::error(IssueCode::Informational, diagnostics) }
    }

    /// The same at a place; the whole has no name.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        let expression = expression.into();
        self.expression = if expression.is_empty() { Vec::new() } else { vec![expression] };
        self
    }

    /// The same, its places seen from outside: `Patient.name` → `Bundle.entry[3].resource.name`.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        if self.expression.is_empty() {
            self.expression.push(prefix.to_owned());
        } else {
            for expression in &mut self.expression {
                let inner = expression.split_once('.').map_or(String::new(), |(_, rest)| format!(".resource.{rest}"));
                *expression = format!("{prefix}{inner}");
            }
        }
        self
    }
}

impl From<Vec<Issue>> for OperationOutcome {
    fn from(issue: Vec<Issue>) -> Self {
        Self { issue }
    }
}
