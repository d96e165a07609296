//! Elements as JSON has them: repeated ones as arrays, ids and extensions of primitives in a member with underscore beside.
//! <https://hl7.org/fhir/R4/json.html#primitive>

use super::tree::Tree;
use crate::{
    Definitions,
    definitions::{TypeId, TypeTable},
    json::{Kind, Node},
};
use std::borrow::Cow;

/// One value of an element: what stands under its name, and what under the name with underscore. At least one is there.
#[derive(Debug, Default)]
pub(super) struct Pair<'a> {
    pub(super) value: Option<Tree<'a>>,
    pub(super) extras: Option<Tree<'a>>,
}

/// A member, and if it is an array which of its items.
pub(super) type Step<'a> = (Cow<'a, str>, Option<usize>);

/// Where an element stands.
pub(super) struct Place<'a> {
    /// From the root to the object that has the element.
    pub(super) parent: Vec<Step<'a>>,
    /// The type of that object.
    pub(super) owner: TypeId,
    /// The member's name, without underscore.
    pub(super) name: Cow<'a, str>,
    /// Which of its values.
    pub(super) index: usize,
}

impl<'a> Place<'a> {
    /// Where the element at that position of the root's document stands; `None` for the root itself.
    pub(super) fn of(position: u32, root: Node<'a>, root_type: TypeId, definitions: &Definitions) -> Option<Self> {
        let types = definitions.types();
        let (mut here, mut owner, mut parent) = (root, root_type, Vec::new());
        loop {
            let member = at_or_before(here, position)?.1;
            let name = member.name();
            let (index, value) = match member.kind() {
                Kind::Array => at_or_before(member, position).map(|(index, item)| (Some(index), item))?,
                _ => (None, member),
            };
            let bare = without_underscore(&name);
            if value.position() == position {
                return Some(Self { parent, owner, name: bare, index: index.unwrap_or(0) });
            }
            owner = match name.starts_with('_') {
                true => types.named("Element")?,
                false => actual_type(value, types[owner].property(&name)?.type_id, types),
            };
            parent.push((name, index));
            here = value;
        }
    }

    /// Whether both are values of one element.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.parent == other.parent && self.name == other.name
    }

    /// The path to the object that this element is, or, with underscore, to that of its id and extensions.
    pub(super) fn inside(&self, extras: bool, repeats: bool) -> Vec<Step<'a>> {
        let name = if extras { Cow::Owned(format!("_{}", self.name)) } else { self.name.clone() };
        let mut path = self.parent.clone();
        path.push((name, repeats.then_some(self.index)));
        path
    }
}

/// The child that holds the position, and its number.
fn at_or_before(node: Node<'_>, position: u32) -> Option<(usize, Node<'_>)> {
    node.children().enumerate().take_while(|(_, child)| child.position() <= position).last()
}

fn actual_type(node: Node<'_>, type_id: TypeId, types: &TypeTable) -> TypeId {
    let named = || node.get_str("resourceType").and_then(|name| types.named(&name));
    if type_id == types.any_resource() { named().unwrap_or(type_id) } else { type_id }
}

pub(super) fn without_underscore<'a>(name: &Cow<'a, str>) -> Cow<'a, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix('_').unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.strip_prefix('_').unwrap_or(name).to_owned()),
    }
}

/// The object at a path.
pub(super) fn object_at<'t, 'a>(root: &'t mut Tree<'a>, path: &[Step<'a>]) -> Option<&'t mut Tree<'a>> {
    let mut here = root;
    for (name, index) in path {
        here = here.member(name)?;
        if let Some(index) = index {
            here = here.item(*index)?;
        }
    }
    Some(here)
}

/// Lets `edit` change the values of an element of the object.
pub(super) fn change<'a, T>(
    object: &mut Tree<'a>,
    name: &str,
    repeats: bool,
    edit: impl FnOnce(&mut Vec<Pair<'a>>) -> Result<T, String>,
) -> Result<T, String> {
    let underscored = format!("_{name}");
    let mut values = list(object.member(name));
    let mut extras = list(object.member(&underscored));
    let count = values.len().max(extras.len());
    values.resize_with(count, || None);
    extras.resize_with(count, || None);
    let mut pairs = values.into_iter().zip(extras).map(|(value, extras)| Pair { value, extras }).collect();
    let result = edit(&mut pairs);
    let (values, extras) = pairs.into_iter().map(|pair| (pair.value, pair.extras)).unzip();
    put(object, name, repeats, values);
    put(object, &underscored, repeats, extras);
    result
}

/// Appends a value to the element; to one that does not repeat only if it has none.
pub(super) fn append<'a>(object: &mut Tree<'a>, name: &str, repeats: bool, pair: Pair<'a>) -> Result<(), String> {
    // The many values of a large element one by one: the list is not taken apart for each.
    if repeats
        && pair.extras.is_none()
        && object.member(&format!("_{name}")).is_none()
        && let (Some(Tree::Array(items)), Some(_)) = (object.member(name).map(Tree::open), &pair.value)
    {
        items.extend(pair.value);
        return Ok(());
    }
    change(object, name, repeats, |pairs| {
        if !repeats && !pairs.is_empty() {
            return Err(format!("there is a {name} already, and it does not repeat; replace it"));
        }
        pairs.push(pair);
        Ok(())
    })
}

/// Takes away what has become empty, from the object at the path outwards: "objects are never empty".
pub(super) fn prune<'a>(root: &mut Tree<'a>, path: &[Step<'a>]) -> Result<(), String> {
    let mut path = path;
    while let Some(((name, index), outer)) = path.split_last() {
        let empty = matches!(object_at(root, path), Some(Tree::Object(members)) if members.is_empty());
        let Some(object) = object_at(root, outer).filter(|_| empty) else { return Ok(()) };
        let (bare, at) = (without_underscore(name), index.unwrap_or(0));
        change(object, &bare, index.is_some(), |pairs| {
            if let Some(pair) = pairs.get_mut(at) {
                if name.starts_with('_') {
                    pair.extras = None;
                } else {
                    pair.value = None;
                }
                if pair.value.is_none() && pair.extras.is_none() {
                    pairs.remove(at);
                }
            }
            Ok(())
        })?;
        path = outer;
    }
    Ok(())
}

/// The values of a member, taken out of it; `null` is none.
fn list<'a>(member: Option<&mut Tree<'a>>) -> Vec<Option<Tree<'a>>> {
    let Some(member) = member else { return Vec::new() };
    member.open();
    match std::mem::replace(member, Tree::Null) {
        Tree::Array(items) => items.into_iter().map(|item| Some(item).filter(|item| !item.is_null())).collect(),
        value => vec![Some(value)],
    }
}

/// Puts the values where [`list`] took them from; without any there is no member.
fn put<'a>(object: &mut Tree<'a>, name: &str, repeats: bool, values: Vec<Option<Tree<'a>>>) {
    if values.iter().all(Option::is_none) {
        object.take(name);
        return;
    }
    let mut values = values.into_iter().map(|value| value.unwrap_or(Tree::Null));
    let value = if repeats { Some(Tree::Array(values.collect())) } else { values.next() };
    if let Some(value) = value {
        object.set(name.to_owned().into(), value);
    }
}
