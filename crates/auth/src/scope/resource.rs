//! `patient/Observation.rs?category=laboratory`: a scope about resources, in the syntax of SMART 2 or of SMART 1.

use std::fmt;
use tessera_model::{Definitions, ResourceType, definitions::SearchType};

/// The search parameters that may narrow a scope (SCP-2): tokens whose meaning nobody argues about.
const PARAMETERS: [&str; 8] = ["category", "code", "status", "clinical-status", "class", "type", "intent", "_security"];

/// Whose data a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Those of the patient in context.
    Patient,
    /// Those that the user may see.
    User,
    /// Those that the client may see by itself.
    System,
}

impl Context {
    const ALL: [Self; 3] = [Self::Patient, Self::User, Self::System];

    /// Its name in a scope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// The letters that say what may be done: a set of `cruds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Letters(u8);

impl Letters {
    /// Create.
    pub const CREATE: Self = Self(1);
    /// Read.
    pub const READ: Self = Self(2);
    /// Update.
    pub const UPDATE: Self = Self(4);
    /// Delete.
    pub const DELETE: Self = Self(8);
    /// Search.
    pub const SEARCH: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    const NAMED: [(char, Self); 5] =
        [('c', Self::CREATE), ('r', Self::READ), ('u', Self::UPDATE), ('d', Self::DELETE), ('s', Self::SEARCH)];
    /// The words of SMART 1.
    const WORDS: [(&'static str, Self); 3] = [("read", Self(2 | 16)), ("write", Self(1 | 4 | 8)), ("*", Self::ALL)];

    /// Whether these letters are all among them.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Reads letters in the order of `cruds`, at least one, each once.
    fn parse(text: &str) -> Option<Self> {
        let (mut letters, mut rest) = (Self(0), Self::NAMED.iter());
        for character in text.chars() {
            let (_, letter) = rest.find(|(name, _)| *name == character)?;
            letters.0 |= letter.0;
        }
        (letters.0 > 0).then_some(letters)
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::NAMED.iter().filter(|(_, letter)| self.contains(*letter)).try_for_each(|(name, _)| write!(f, "{name}"))
    }
}

/// A condition on resources: one of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A search parameter.
    pub parameter: String,
    /// Tokens: `code`, `system|code` or `|code`.
    pub values: Vec<String>,
}

/// A scope about resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceScope {
    /// Whose data.
    pub context: Context,
    /// Of which type; `None`: of all, now and in future.
    pub resource_type: Option<ResourceType>,
    /// What may be done.
    pub letters: Letters,
    /// What must hold of a resource, all of it, each parameter once.
    pub conditions: Vec<Condition>,
    /// Written with a word of SMART 1, and so written again.
    of_version_1: bool,
}

impl ResourceScope {
    /// Reads a whole scope; `None` if it grants nothing.
    #[must_use]
    pub fn parse(text: &str, definitions: &Definitions) -> Option<Self> {
        let (head, filter) = match text.split_once('?') {
            Some((head, filter)) => (head, Some(filter)),
            None => (text, None),
        };
        let (context, rest) = head.split_once('/')?;
        let context = Context::ALL.into_iter().find(|known| known.name() == context)?;
        let (type_name, permissions) = rest.split_once('.')?;
        let resource_type = match type_name {
            "*" => None,
            name => Some(definitions.resource_type(name)?),
        };
        let word = Letters::WORDS.into_iter().find(|(word, _)| *word == permissions);
        let letters = word.map(|(_, letters)| letters).or_else(|| Letters::parse(permissions))?;
        let conditions = filter.map_or(Some(Vec::new()), |filter| conditions(filter, resource_type, definitions))?;
        Some(Self { context, resource_type, letters, conditions, of_version_1: word.is_some() })
    }

    /// What both grant, if that is anything.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let resource_type = match (self.resource_type, other.resource_type) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let letters = self.letters.and(other.letters);
        if self.context != other.context || letters == Letters::default() {
            return None;
        }
        let mut conditions = self.conditions.clone();
        for theirs in &other.conditions {
            match conditions.iter_mut().find(|ours| ours.parameter == theirs.parameter) {
                // As they are written: `code` also matches `system|code`, but says more than that.
                Some(ours) => ours.values.retain(|value| theirs.values.contains(value)),
                None => conditions.push(theirs.clone()),
            }
        }
        if conditions.iter().any(|condition| condition.values.is_empty()) {
            return None;
        }
        let of_version_1 = self.of_version_1 && Letters::WORDS.iter().any(|(_, word)| *word == letters);
        Some(Self { context: self.context, resource_type, letters, conditions, of_version_1 })
    }

    /// The parameters of a search for what it is about.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        self.conditions.iter().map(|condition| (condition.parameter.clone(), condition.values.join(","))).collect()
    }
}

/// Reads `category=a,b&status=c`.
fn conditions(text: &str, resource_type: Option<ResourceType>, definitions: &Definitions) -> Option<Vec<Condition>> {
    let mut conditions: Vec<Condition> = Vec::new();
    for pair in text.split('&') {
        let (parameter, values) = pair.split_once('=')?;
        let types = resource_type.as_ref().map_or_else(|| definitions.resource_types(), std::slice::from_ref);
        let is_token = |t: &ResourceType| {
            definitions.specified_parameter(*t, parameter).is_some_and(|p| p.search_type == SearchType::Token)
        };
        let known = PARAMETERS.contains(&parameter) && types.iter().all(is_token);
        if !known || conditions.iter().any(|condition| condition.parameter == parameter) {
            return None;
        }
        let values: Vec<String> = values.split(',').map(str::to_owned).collect();
        if !values.iter().all(|value| is_token_value(value)) {
            return None;
        }
        conditions.push(Condition { parameter: parameter.to_owned(), values });
    }
    Some(conditions)
}

/// `code`, `system|code` or `|code`, without what has a meaning in URLs and searches and could be read in two ways.
fn is_token_value(text: &str) -> bool {
    let code = text.split_once('|').map_or(text, |(_, code)| code);
    !code.is_empty() && !code.contains('|') && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\%$+".contains(&b))
}

impl fmt::Display for ResourceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.", self.context.name(), self.resource_type.map_or("*", ResourceType::name))?;
        match Letters::WORDS.iter().find(|(_, word)| self.of_version_1 && *word == self.letters) {
            Some((word, _)) => f.write_str(word)?,
            None => self.letters.fmt(f)?,
        }
        for (n, condition) in self.conditions.iter().enumerate() {
            let between = if n == 0 { '?' } else { '&' };
            write!(f, "{between}{}={}", condition.parameter, condition.values.join(","))?;
        }
        Ok(())
    }
}
