//! `patient/Observation.rs?category=laboratory`: a scope about resources, in the syntax of SMART 2 or of SMART 1.

use std::fmt;
use tessera_model::{Definitions, Permission, Permissions, ResourceType, definitions::SearchType};

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

/// The letters of a scope, in the order in which they stand there.
const LETTERS: [(char, Permission); 5] = [
    ('c', Permission::Create),
    ('r', Permission::Read),
    ('u', Permission::Update),
    ('d', Permission::Delete),
    ('s', Permission::Search),
];

/// What the words of SMART 1 mean.
fn of_word(word: &str) -> Option<Permissions> {
    match word {
        "read" => Some(Permissions::of(&[Permission::Read, Permission::Search])),
        "write" => Some(Permissions::of(&[Permission::Create, Permission::Update, Permission::Delete])),
        "*" => Some(Permissions::ALL),
        _ => None,
    }
}

fn word_of(permissions: Permissions) -> Option<&'static str> {
    ["read", "write", "*"].into_iter().find(|word| of_word(word) == Some(permissions))
}

/// Reads letters in the order of `cruds`, at least one, each once.
fn of_letters(text: &str) -> Option<Permissions> {
    let (mut permissions, mut rest) = (Permissions::NONE, LETTERS.iter());
    for character in text.chars() {
        let (_, permission) = rest.find(|(letter, _)| *letter == character)?;
        permissions = permissions.union(Permissions::of(&[*permission]));
    }
    (!permissions.is_empty()).then_some(permissions)
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
    pub permissions: Permissions,
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
        let (type_name, written) = rest.split_once('.')?;
        let resource_type = match type_name {
            "*" => None,
            name => Some(definitions.resource_type(name)?),
        };
        let of_version_1 = of_word(written).is_some();
        let permissions = of_word(written).or_else(|| of_letters(written))?;
        let conditions = filter.map_or(Some(Vec::new()), |filter| conditions(filter, resource_type, definitions))?;
        Some(Self { context, resource_type, permissions, conditions, of_version_1 })
    }

    /// What both grant, if that is anything.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let resource_type = match (self.resource_type, other.resource_type) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let permissions = self.permissions.intersection(other.permissions);
        if self.context != other.context || permissions.is_empty() {
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
        let of_version_1 = self.of_version_1 && word_of(permissions).is_some();
        Some(Self { context: self.context, resource_type, permissions, conditions, of_version_1 })
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
        match word_of(self.permissions).filter(|_| self.of_version_1) {
            Some(word) => f.write_str(word)?,
            None => {
                let granted = LETTERS.iter().filter(|(_, permission)| self.permissions.contains(*permission));
                granted.map(|(letter, _)| letter).try_for_each(|letter| write!(f, "{letter}"))?;
            }
        }
        for (n, condition) in self.conditions.iter().enumerate() {
            let between = if n == 0 { '?' } else { '&' };
            write!(f, "{between}{}={}", condition.parameter, condition.values.join(","))?;
        }
        Ok(())
    }
}
