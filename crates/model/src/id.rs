//! What names a resource: its type, logical id, version id, and the pair "Patient/123".
//! <https://hl7.org/fhir/R4/resource.html#id>

use std::fmt;

/// One of the resource types of [`crate::Definitions`]; only they make one.
#[derive(Clone, Copy)]
pub struct ResourceType {
    number: u16,
    name: &'static str,
}

impl ResourceType {
    pub(crate) const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }

    /// The small stable number that databases hold instead of the name.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.number as i64
    }

    /// The name, as in `resourceType`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl PartialEq for ResourceType {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for ResourceType {}
impl PartialOrd for ResourceType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ResourceType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}
impl std::hash::Hash for ResourceType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}
impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A logical id: 1 to 64 of `A-Z a-z 0-9 - .`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Box<str>);

impl Id {
    /// The id, or `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the text is a valid `id`: <https://hl7.org/fhir/R4/datatypes.html#id>
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// A version of a resource: 1, 2, 3 … without gaps (REL-4).
pub type VersionId = i64;

/// Type and id: what identifies a resource within this server.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The resource type.
    pub resource_type: ResourceType,
    /// The logical id.
    pub id: Id,
}

impl Key {
    /// The key of that type and id.
    #[must_use]
    pub fn new(resource_type: ResourceType, id: Id) -> Self {
        Self { resource_type, id }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_1_to_64_letters_digits_dots_and_hyphens() {
        for good in ["1", "a-b.C", &"x".repeat(64)] {
            assert!(Id::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a b", "a/b", "a_b", "é", "$validate", &"x".repeat(65)] {
            assert!(Id::parse(bad).is_none(), "{bad}");
        }
    }
}
