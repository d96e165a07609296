//! From an element to those within it: choices by the element's name (`value`, not `valueQuantity`), primitives together
//! with their ids and extensions. <https://hl7.org/fhir/R4/fhirpath.html#polymorphism>

use super::value::{Element, Value};
use crate::{
    definitions::{Property, TypeDefinition, TypeId, TypeKind, TypeTable},
    json::{Kind, Node},
};
use std::borrow::Cow;

/// The object whose members an element's elements are, and its type: of a primitive the member with underscore.
fn object<'a>(element: Element<'a>, types: &TypeTable) -> Option<(Node<'a>, TypeId)> {
    match types[element.type_id()].kind {
        TypeKind::Primitive(_) => Some((element.extras()?, types.named("Element")?)),
        TypeKind::Complex | TypeKind::Resource(_) | TypeKind::AnyResource => Some((element.node(), element.type_id())),
    }
}

/// Appends the elements of that name.
pub(super) fn members<'a>(item: &Value<'a>, name: &str, types: &TypeTable, found: &mut Vec<Value<'a>>) {
    match item {
        Value::Element(element) => of_element(*element, name, types, found),
        Value::Quantity(quantity) => match name {
            "value" => found.push(Value::Decimal(quantity.value)),
            "unit" | "code" => found.push(Value::String(quantity.unit.clone())),
            _ => {}
        },
        Value::Type(namespace, type_name) => match name {
            "namespace" => found.push(Value::String(Cow::Borrowed(namespace))),
            "name" => found.push(Value::String(type_name.clone())),
            _ => {}
        },
        Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::String(_) | Value::Temporal(_) => {}
    }
}

fn of_element<'a>(element: Element<'a>, name: &str, types: &TypeTable, found: &mut Vec<Value<'a>>) {
    let Some((object, type_id)) = object(element, types) else { return };
    let definition = &types[type_id];
    if let Some(property) = definition.property(name)
        && !definition.elements[property.element].choice
    {
        return values(object, name, property.type_id, types, found);
    }
    let Some(choice) = definition.elements.iter().position(|e| e.choice && &*e.name == name) else { return };
    for (bare, property) in distinct_members(object, definition) {
        if property.element == choice {
            values(object, &bare, property.type_id, types, found);
        }
    }
}

/// Appends everything within the element, one level deep, in the order of the document.
pub(super) fn children<'a>(element: Element<'a>, types: &TypeTable, found: &mut Vec<Value<'a>>) {
    let Some((object, type_id)) = object(element, types) else { return };
    for (bare, property) in distinct_members(object, &types[type_id]) {
        values(object, &bare, property.type_id, types, found);
    }
}

/// Calls `visit` for each member of the element: its JSON name, the element it is of which type, and its values.
pub(crate) fn each_member<'a>(
    element: Element<'a>,
    types: &TypeTable,
    mut visit: impl FnMut(&Cow<'a, str>, (TypeId, usize), &[Value<'a>]),
) {
    let Some((object, type_id)) = object(element, types) else { return };
    let mut found = Vec::new();
    for (bare, property) in distinct_members(object, &types[type_id]) {
        values(object, &bare, property.type_id, types, &mut found);
        visit(&bare, (type_id, property.element), &found);
        found.clear();
    }
}

/// Everything within the element with its JSON name, by name: what two equal elements have in common.
pub(super) fn content<'a>(element: Element<'a>, types: &TypeTable) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut found = Vec::new();
    each_member(element, types, |name, _, values| {
        found.extend(values.iter().map(|value| (name.clone(), value.clone())));
    });
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// The members that are elements, each once: `_birthDate` only where there is no `birthDate`.
fn distinct_members<'a>(
    object: Node<'a>,
    definition: &TypeDefinition,
) -> impl Iterator<Item = (Cow<'a, str>, Property)> {
    object.children().filter_map(move |member| {
        let name = member.name();
        let bare = match &name {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix('_').unwrap_or(name)),
            Cow::Owned(name) => Cow::Owned(name.strip_prefix('_').unwrap_or(name).to_owned()),
        };
        let property = definition.property(&bare)?;
        (bare.len() == name.len() || object.get(&bare).is_none()).then_some((bare, property))
    })
}

/// Appends the value or values of one member.
fn values<'a>(object: Node<'a>, name: &str, type_id: TypeId, types: &TypeTable, found: &mut Vec<Value<'a>>) {
    if !matches!(types[type_id].kind, TypeKind::Primitive(_)) {
        let nodes = object.get(name).into_iter().flat_map(Node::items).filter(|node| node.kind() == Kind::Object);
        return found.extend(nodes.map(|node| Value::Element(Element::new(node, type_id, types))));
    }
    let (mut value, mut extras) = (None, None);
    for member in object.children() {
        let found = member.name();
        if found == name {
            value = Some(member);
        } else if found.strip_prefix('_') == Some(name) {
            extras = Some(member);
        }
    }
    let present = |node: &Node<'a>| node.kind() != Kind::Null;
    let repeats = |node: Option<Node<'a>>| node.is_some_and(|node| node.kind() == Kind::Array);
    if !repeats(value) && !repeats(extras) {
        let element = Element::primitive(value.filter(present), extras.filter(present), type_id);
        return found.extend(element.map(Value::Element));
    }
    let mut values = value.into_iter().flat_map(Node::items);
    let mut extras = extras.into_iter().flat_map(Node::items);
    loop {
        let (value, extra) = (values.next(), extras.next());
        if value.is_none() && extra.is_none() {
            return;
        }
        let element = Element::primitive(value.filter(present), extra.filter(present), type_id);
        found.extend(element.map(Value::Element));
    }
}

/// The nearest resource around `node`, contained ones aside: the one whose `contained` a `#id` means.
/// <https://hl7.org/fhir/R4/references.html#contained>
pub(super) fn container(node: Node<'_>) -> Node<'_> {
    let mut here = node.document().root();
    let mut found = here;
    let mut in_contained = false;
    while here.position() != node.position() {
        // A child's content ends where the next child begins.
        let Some(next) = here.children().take_while(|child| child.position() <= node.position()).last() else { break };
        in_contained = if here.kind() == Kind::Array { in_contained } else { next.name() == "contained" };
        here = next;
        if !in_contained && here.get("resourceType").is_some() {
            found = here;
        }
    }
    found
}
