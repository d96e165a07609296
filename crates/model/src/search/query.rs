//! [`Query`]: a parsed, checked search. The only one there is: the planner, the compiler to SQL, `matches` and the access
//! rules all read this.

use super::{
    near::Near, prefix::Comparison, reference::ReferenceValue, string::StringMode, token::TokenValue, uri::UriValue,
};
use crate::{
    Id, Key, ResourceType,
    definitions::{ParameterId, SearchType},
    search::quantity::QuantityValue,
};

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The types searched; empty: every type.
    pub types: Vec<ResourceType>,
    /// What must hold of a match.
    pub filter: Filter,
    /// The order; the order of creation where this does not decide.
    pub sort: Vec<Sort>,
    /// Matches a page.
    pub count: u32,
    /// Whether the total is wanted.
    pub total: Total,
    /// `_summary`
    pub summary: Summary,
    /// `_elements`; empty: all.
    pub elements: Vec<String>,
    /// `_contained`
    pub contained: Contained,
    /// `_containedType`
    pub contained_type: ContainedType,
    /// `_include` and `_revinclude`
    pub includes: Vec<Include>,
    /// `_explain`: how it would be searched, instead of the search.
    pub explain: bool,
}

/// A condition on a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them hold; of none: always.
    All(Vec<Filter>),
    /// One of them holds; of none: never.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The resource is of one of these types.
    Type(Vec<ResourceType>),
    /// Its id is one of these.
    Id(Vec<Id>),
    /// `meta.lastUpdated` satisfies one of these.
    LastUpdated(Vec<Comparison<i64>>),
    /// It has a value for one of the parameters (one for each type searched).
    Present(Vec<ParameterId>, SearchType),
    /// It has a value for one of the parameters that meets the criterion.
    Value(Vec<ParameterId>, Criterion),
    /// All these words stand there; the empty word: any do.
    Words(Place, Vec<String>),
    /// One of its elements meets, for one alternative, all the components.
    Composite(Vec<Vec<(ParameterId, Criterion)>>),
    /// One of its references under the parameters leads to a resource of `target` that meets the filter.
    Chain {
        /// The reference parameters.
        parameters: Vec<ParameterId>,
        /// The type at the other end.
        target: ResourceType,
        /// What must hold there.
        filter: Box<Filter>,
    },
    /// A resource of `source` that meets the filter refers to it under the parameter (`_has`).
    Has {
        /// The type at the other end.
        source: ResourceType,
        /// The reference parameter there.
        parameter: ParameterId,
        /// What must hold there.
        filter: Box<Filter>,
    },
    /// It belongs to the record of this patient and of no other.
    OfPatient(Key),
    /// It belongs to nobody's record.
    OfNoPatient,
    /// It has references under the parameters, and all of them lead to resources held here that meet the filter.
    Every {
        /// The reference parameters.
        parameters: Vec<ParameterId>,
        /// What must hold there.
        filter: Box<Filter>,
    },
}

impl Query {
    /// Which rows the matches are rows of: contained resources only if they themselves are returned.
    #[must_use]
    pub fn returned(&self) -> Contained {
        match self.contained_type {
            ContainedType::Container => Contained::False,
            ContainedType::Contained => self.contained,
        }
    }
}

impl Filter {
    /// Holds of every resource.
    #[must_use]
    pub const fn always() -> Self {
        Self::All(Vec::new())
    }

    /// Whether it holds of every resource, as can be seen without looking at one.
    #[must_use]
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(all) if all.iter().all(Self::is_always))
    }
}

/// Where words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The narrative: `_text`.
    Narrative,
    /// The whole resource: `_content`.
    Content,
}

impl Place {
    pub(super) fn of(code: &str) -> Option<Self> {
        match code {
            "_text" => Some(Self::Narrative),
            "_content" => Some(Self::Content),
            _ => None,
        }
    }

    /// What stands before each word in the index.
    pub(super) const fn letter(self) -> char {
        match self {
            Self::Narrative => 't',
            Self::Content => 'c',
        }
    }

    /// The word as the index holds it: one letter before it says where it stands.
    #[must_use]
    pub fn indexed(self, word: &str) -> String {
        format!("{}{word}", self.letter())
    }
}

/// What a value must be: one of the alternatives.
#[derive(Clone, Debug, PartialEq)]
pub enum Criterion {
    /// A string.
    String(StringMode, Vec<String>),
    /// A token.
    Token(Vec<TokenValue>),
    /// A time.
    Date(Vec<Comparison<i64>>),
    /// A number or quantity.
    Quantity(Vec<QuantityValue>),
    /// A reference.
    Reference(Vec<ReferenceValue>),
    /// A URI.
    Uri(Vec<UriValue>),
    /// A position near one of these.
    Near(Vec<Near>),
    /// A value of that kind which is something else.
    Other(Box<Criterion>),
}

/// One key of `_sort`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// What is compared.
    pub key: SortKey,
    /// Whether the largest come first. Resources without a value come last either way.
    pub descending: bool,
}

/// What `_sort` compares.
#[derive(Clone, Debug, PartialEq)]
pub enum SortKey {
    /// The logical id.
    Id,
    /// `meta.lastUpdated`
    LastUpdated,
    /// The least value (ascending) or the greatest (descending) of a parameter.
    Parameter(Vec<ParameterId>, SearchType),
}

/// `_total`: <https://hl7.org/fhir/R4/search.html#total>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Not asked for: given where it costs nothing.
    Unspecified,
    /// Not wanted.
    None,
    /// Wanted, exact or not; this server counts.
    Accurate,
}

/// `_summary`: <https://hl7.org/fhir/R4/search.html#summary>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    False,
    True,
    Text,
    Data,
    Count,
}

/// `_contained`, where matches are looked for: <https://hl7.org/fhir/R4/search.html#contained>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contained {
    /// Not among contained resources.
    False,
    /// Among contained resources alone.
    True,
    /// Among all.
    Both,
}

/// `_containedType`, what is returned of a match that is contained: <https://hl7.org/fhir/R4/search.html#contained>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainedType {
    /// What contains it.
    Container,
    /// Itself.
    Contained,
}

/// `_include` or `_revinclude`: <https://hl7.org/fhir/R4/search.html#include>
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// `_revinclude`: resources that refer to the matches, not those the matches refer to.
    pub reverse: bool,
    /// Also from what was included.
    pub iterate: bool,
    /// The type that holds the reference; `None`: any.
    pub source: Option<ResourceType>,
    /// Its reference parameters; empty: all of them.
    pub parameters: Vec<ParameterId>,
    /// The type it must lead to; `None`: any.
    pub target: Option<ResourceType>,
}
