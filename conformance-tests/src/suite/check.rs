//! What a check is.

use std::pin::Pin;

use super::{verdict::Verdict, visit::Visit};

/// Where the pages of the specification are.
const SPECIFICATION: &str = "https://hl7.org/fhir/R4/";

/// A check on its way.
pub(crate) type Running<'v> = Pin<Box<dyn Future<Output = Verdict> + Send + 'v>>;

/// One thing that a server must or should do.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, such as `read.unknown-id`; the part before the dot is its group.
    pub id: &'static str,
    /// What a server that passes does.
    pub title: &'static str,
    /// What the section says, in short.
    pub rule: &'static str,
    /// The section: a page of the specification and an anchor, or a whole URL.
    pub section: &'static str,
    /// Whether the specification demands it.
    pub strength: Strength,
    /// What the server must state, or else the check is not asked.
    pub needs: &'static [Need],
    pub(crate) run: fn(&mut Visit) -> Running<'_>,
}

impl Check {
    /// The group: the id's part before the dot.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(group, _)| group)
    }

    /// The address of the section.
    #[must_use]
    pub fn link(&self) -> String {
        if self.section.starts_with("https://") {
            self.section.to_owned()
        } else {
            format!("{SPECIFICATION}{}", self.section)
        }
    }

    /// Whether it asks nothing that a server would want a token for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.group(), "capabilities" | "smart")
    }
}

/// What the specification says of servers that do not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strength {
    /// They do not conform: SHALL, or a plain statement of what happens.
    Shall,
    /// They may have their reasons: SHOULD, and "should" and "is appropriate" in running text.
    Should,
}

/// Something that a CapabilityStatement states. The first text is a resource type, where there are two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// An interaction with a type, such as `vread`.
    Interaction(&'static str, &'static str),
    /// An interaction with the whole, such as `transaction`.
    System(&'static str),
    /// A search parameter of a type, or of all.
    Parameter(&'static str, &'static str),
    /// A value of `_include`, such as `Observation:subject`.
    Include(&'static str, &'static str),
    /// A value of `_revinclude`.
    RevInclude(&'static str, &'static str),
    /// An operation on a type, or on all.
    Operation(&'static str, &'static str),
    /// A compartment, such as `patient`.
    Compartment(&'static str),
    /// XML among the formats.
    Xml,
    /// A media type of patches.
    Patch(&'static str),
    /// That versions of a type are kept apart.
    Versions(&'static str),
    /// Update as create.
    UpdateCreate(&'static str),
    /// Conditional create.
    ConditionalCreate(&'static str),
    /// Conditional read: `not-match` or `modified-since`.
    ConditionalRead(&'static str, &'static str),
    /// Conditional update.
    ConditionalUpdate(&'static str),
    /// Conditional delete.
    ConditionalDelete(&'static str),
    /// SMART on FHIR.
    Smart,
}

/// What a check needs: interactions with types, and more. `needs!("Patient" "create" "read"; Need::Versions("Patient"))`
macro_rules! needs {
    ($($kind:literal $($interaction:literal)+),+ $(; $($more:expr),+)?) => {
        &[$($(Need::Interaction($kind, $interaction)),+),+ $(, $($more),+)?]
    };
}
pub(super) use needs;
