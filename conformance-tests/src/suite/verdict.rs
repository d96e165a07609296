//! How a check ends.

use super::check::Strength;

/// What the function of a check returns; `Ok` means that the server does what is asked.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

/// Why a check ends before its last line.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The server does something else.
    Failed {
        /// What it was to do.
        expected: String,
        /// What it did.
        came: String,
    },
    /// The specification leaves the server the choice, and it has chosen otherwise.
    NotApplicable(String),
}

/// Fails with what was expected and what came.
pub(crate) fn failed<T>(expected: impl Into<String>, came: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed { expected: expected.into(), came: came.into() })
}

/// Ends a check that this server need not pass.
pub(crate) fn not_applicable<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::NotApplicable(why.into()))
}

/// Fails unless it is so.
pub(crate) fn ensure(so: bool, expected: impl Into<String>, came: impl Into<String>) -> Verdict {
    if so { Ok(()) } else { failed(expected, came) }
}

/// What came of a check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server does what is asked.
    Passed,
    /// It does something else, which the specification does not allow.
    Failed {
        /// What it was to do.
        expected: String,
        /// What it did.
        came: String,
    },
    /// It does something else, which the specification advises against.
    Advice {
        /// What it was to do.
        expected: String,
        /// What it did.
        came: String,
    },
    /// It does not state that it can do this, so it was not asked.
    NotStated(String),
    /// It has chosen otherwise, as it may, or it could not be asked.
    NotApplicable(String),
}

impl Outcome {
    /// All names, in the order of reports.
    pub const NAMES: [&str; 5] = ["failed", "advice", "passed", "not stated", "not applicable"];

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::Advice { .. } => "advice",
            Self::Passed => "passed",
            Self::NotStated(_) => "not stated",
            Self::NotApplicable(_) => "not applicable",
        }
    }

    pub(crate) fn of(verdict: Verdict, strength: Strength) -> Self {
        match (verdict, strength) {
            (Ok(()), _) => Self::Passed,
            (Err(Stop::NotApplicable(why)), _) => Self::NotApplicable(why),
            (Err(Stop::Failed { expected, came }), Strength::Shall) => Self::Failed { expected, came },
            (Err(Stop::Failed { expected, came }), Strength::Should) => Self::Advice { expected, came },
        }
    }
}
