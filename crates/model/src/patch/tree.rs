//! [`Tree`]: a JSON value that can be changed. What is not touched stays a cursor in the document it came from, so its
//! digits, its escapes and the order of its members leave as they came.

use crate::json::{DEPTH_MAX, Kind, Node, write_string};
use std::borrow::Cow;

/// A value of a resource that is being patched.
#[derive(Clone, Debug)]
pub(super) enum Tree<'a> {
    /// As it stands in a document, of the resource or of the patch.
    Whole(Node<'a>),
    /// An array that something was changed in.
    Array(Vec<Tree<'a>>),
    /// An object that something was changed in.
    Object(Vec<Member<'a>>),
    /// The `null` that stands for a value in an array beside one of ids and extensions.
    Null,
}

/// A member of an object: its name and its value.
pub(super) type Member<'a> = (Cow<'a, str>, Tree<'a>);

impl<'a> Tree<'a> {
    /// The value, its own members or items ready to be changed.
    pub(super) fn open(&mut self) -> &mut Self {
        if let Self::Whole(node) = *self {
            match node.kind() {
                Kind::Array => *self = Self::Array(node.children().map(Self::Whole).collect()),
                Kind::Object => *self = Self::Object(node.children().map(|m| (m.name(), Self::Whole(m))).collect()),
                Kind::Null | Kind::Boolean | Kind::Number | Kind::String => {}
            }
        }
        self
    }

    /// The member of that name.
    pub(super) fn member(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self.open() else { return None };
        members.iter_mut().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The item at that index.
    pub(super) fn item(&mut self, index: usize) -> Option<&mut Self> {
        let Self::Array(items) = self.open() else { return None };
        items.get_mut(index)
    }

    /// Whether it is `null`.
    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Whole(node) => node.kind() == Kind::Null,
            Self::Null => true,
            Self::Array(_) | Self::Object(_) => false,
        }
    }

    /// Gives the member of that name another one, in its place.
    pub(super) fn rename(&mut self, name: &str, new: &str) {
        let Self::Object(members) = self.open() else { return };
        for (found, _) in members {
            if found == name {
                *found = Cow::Owned(new.to_owned());
            }
        }
    }

    /// Puts the value under that name: in place of what is there, or as the last member.
    pub(super) fn set(&mut self, name: Cow<'a, str>, value: Self) {
        if let Some(member) = self.member(&name) {
            *member = value;
        } else if let Self::Object(members) = self.open() {
            members.push((name, value));
        }
    }

    /// Takes the member of that name away.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self.open() else { return None };
        let at = members.iter().position(|(found, _)| found == name)?;
        Some(members.remove(at).1)
    }

    /// Whether this is the value at `other`, as JSON sees it: numbers by value, members in any order.
    /// <https://www.rfc-editor.org/rfc/rfc6902#section-4.6>
    pub(super) fn equals(&self, other: Node<'_>) -> bool {
        match self {
            Self::Whole(node) => same(*node, other),
            Self::Null => other.kind() == Kind::Null,
            Self::Array(items) => {
                other.kind() == Kind::Array
                    && items.len() == other.children().count()
                    && items.iter().zip(other.children()).all(|(item, other)| item.equals(other))
            }
            Self::Object(members) => {
                if other.kind() != Kind::Object || members.len() != other.children().count() {
                    return false;
                }
                let mut members: Vec<&Member<'_>> = members.iter().collect();
                members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                let mut paired = members.into_iter().zip(sorted(other));
                paired.all(|((name, value), (other_name, other))| *name == other_name && value.equals(other))
            }
        }
    }

    /// How much a copy of the value takes, as text or in memory, and how deep it nests.
    fn extent(&self) -> Extent {
        let around = |inner: &mut dyn Iterator<Item = &Self>| {
            inner.map(Self::extent).fold(Extent { bytes: 2, depth: 1 }, |all, one| Extent {
                bytes: all.bytes + one.bytes + size_of::<Member<'_>>(),
                depth: all.depth.max(one.depth + 1),
            })
        };
        match self {
            Self::Whole(node) => Extent { bytes: node.raw().len(), depth: depth(*node) },
            Self::Null => Extent { bytes: 4, depth: 0 },
            Self::Array(items) => around(&mut items.iter()),
            Self::Object(members) => around(&mut members.iter().map(|(_, value)| value)),
        }
    }

    /// Writes the value without white space.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Whole(node) => node.write_minified(out),
            Self::Null => out.push_str("null"),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_string(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// How large a value is: bytes, about, and objects and arrays within each other.
struct Extent {
    bytes: usize,
    depth: usize,
}

fn depth(node: Node<'_>) -> usize {
    match node.kind() {
        Kind::Array | Kind::Object => 1 + node.children().map(depth).max().unwrap_or(0),
        Kind::Null | Kind::Boolean | Kind::Number | Kind::String => 0,
    }
}

/// The members of an object by name: sorted, so that large objects are compared in little time.
fn sorted(object: Node<'_>) -> Vec<(Cow<'_, str>, Node<'_>)> {
    let mut members: Vec<_> = object.children().map(|member| (member.name(), member)).collect();
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    members
}

fn same(one: Node<'_>, other: Node<'_>) -> bool {
    if one.kind() != other.kind() {
        return false;
    }
    match one.kind() {
        Kind::Null => true,
        Kind::Boolean => one.raw() == other.raw(),
        Kind::Number => same_number(one.raw(), other.raw()),
        Kind::String => one.as_str() == other.as_str(),
        Kind::Array => {
            one.children().count() == other.children().count()
                && one.children().zip(other.children()).all(|(one, other)| same(one, other))
        }
        Kind::Object => {
            one.children().count() == other.children().count()
                && sorted(one).into_iter().zip(sorted(other)).all(|((a, one), (b, other))| a == b && same(one, other))
        }
    }
}

/// Whether two JSON numbers are the same number, exactly: 1.0 and 1, 1e2 and 100.
fn same_number(one: &str, other: &str) -> bool {
    match (significant(one), significant(other)) {
        (Some(one), Some(other)) => one == other,
        // An exponent beyond any number: then the digits decide.
        _ => one == other,
    }
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
fn significant(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    let without_end = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - without_end.len()).ok()?;
    let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    let digits = without_end.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((unsigned.len() < mantissa.len(), digits.to_owned(), power))
}

/// Bounds what a patch may move and copy, so that a small one cannot make something huge (HTTP-2).
pub(super) struct Allowance {
    bytes: usize,
}

impl Allowance {
    /// For a patch that may carry this many bytes about.
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes }
    }

    /// Lets a value in below `depth` containers.
    pub(super) fn admit(&mut self, value: &Tree<'_>, depth: usize) -> Result<(), String> {
        let extent = value.extent();
        if depth + extent.depth > DEPTH_MAX {
            return Err(format!("it would nest deeper than {DEPTH_MAX} levels"));
        }
        self.bytes = self.bytes.checked_sub(extent.bytes).ok_or("the patch moves and copies too much")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_if_they_are_the_same_number() {
        let check = |one: &str, other: &str, expect: bool| assert_eq!(same_number(one, other), expect, "{one} {other}");
        check("1", "1.0", true);
        check("1e2", "100", true);
        check("-0.50", "-5E-1", true);
        check("-0", "0.00", true);
        check("0", "0e99999999999999999999", false);
        check("1", "-1", false);
        check("9007199254740993", "9007199254740992", false);
        check("0.1", "0.10000000000000000001", false);
    }
}
