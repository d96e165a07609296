//! Runs a [`Program`] over a resource.

use super::{
    Value,
    compile::{Operation, Program, Run as How},
    interpret,
};
use crate::{
    Definitions,
    definitions::element::{TypeId, TypeTable},
    json::{Kind, Node},
    reference,
};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// A value that an expression found.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// An element of the resource.
    Element(Node<'a>, TypeId),
    /// A computed boolean.
    Boolean(bool),
    /// What an interpreted program has computed.
    Computed(Value<'a>),
}

/// A resource whose references of the form `#id` lead to what it contains.
#[derive(Debug)]
pub struct Container<'a> {
    pub(super) node: Node<'a>,
    contained: FxHashMap<Cow<'a, str>, (u32, Node<'a>)>,
}

impl<'a> Container<'a> {
    /// The resource at that node.
    #[must_use]
    pub fn new(node: Node<'a>) -> Self {
        let mut contained = FxHashMap::default();
        for (number, inner) in (1..).zip(node.get("contained").into_iter().flat_map(Node::children)) {
            if let Some(id) = inner.get_str("id") {
                contained.entry(id).or_insert((number, inner));
            }
        }
        Self { node, contained }
    }

    /// The resource that it contains under that id, and its number, from 1.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<(u32, Node<'a>)> {
        self.contained.get(id).copied()
    }
}

/// What an expression runs within.
#[derive(Clone, Copy, Debug)]
pub struct Within<'a> {
    /// `%resource`
    pub resource: Node<'a>,
    /// The resource around a contained one, otherwise the same.
    pub container: &'a Container<'a>,
}

/// Evaluates the program from `start` (of type `start_type`) within a resource.
#[must_use]
pub fn evaluate<'a>(
    program: &'a Program,
    start: Node<'a>,
    start_type: TypeId,
    within: Within<'a>,
    definitions: &'a Definitions,
) -> Vec<Item<'a>> {
    match &program.run {
        How::Compiled(operation) => {
            Run { start: (start, start_type), within, types: definitions.types() }.all(operation)
        }
        How::Interpreted(path) => interpret::evaluate(path, (start, start_type), within, definitions),
    }
}

struct Run<'a, 't> {
    start: (Node<'a>, TypeId),
    within: Within<'a>,
    types: &'t TypeTable,
}

impl<'a> Run<'a, '_> {
    fn all(&self, operation: &Operation) -> Vec<Item<'a>> {
        let mut all = Vec::new();
        self.each(operation, &mut |item| all.push(item));
        all
    }

    /// Calls `found` with each item that it gives, in order. Most programs run over resources that hold nothing for them: then this
    /// allocates nothing.
    fn each(&self, operation: &Operation, found: &mut dyn FnMut(Item<'a>)) {
        match operation {
            Operation::Nothing => {}
            Operation::Start => found(Item::Element(self.start.0, self.start.1)),
            Operation::Resource => {
                found(Item::Element(self.within.resource, self.resource_type().unwrap_or(self.start.1)));
            }
            Operation::Member { from, names } => self.each_element(from, &mut |node, type_id| {
                for (_, json_name, member_type) in names.iter().filter(|(of, ..)| *of == type_id) {
                    let values = node.get(json_name).into_iter().flat_map(Node::items);
                    values.filter(|v| v.kind() != Kind::Null).for_each(|v| found(Item::Element(v, *member_type)));
                }
            }),
            Operation::Index { from, index } => {
                let mut number = 0..;
                self.each(from, &mut |item| {
                    if number.next() == Some(*index) {
                        found(item);
                    }
                });
            }
            Operation::OfType { from, type_id } => self.filter(from, found, &|_, is| self.types.is_a(is, *type_id)),
            Operation::WhereEquals { from, path, text } => self.filter(from, found, &|node, type_id| {
                let inner = Run { start: (node, type_id), within: self.within, types: self.types };
                let mut equal = false;
                inner.each(path, &mut |item| equal |= item.text().as_deref() == Some(text));
                equal
            }),
            Operation::WhereResolvesTo { from, type_name } => self
                .filter(from, found, &|node, _| target_type(node, self.within.container).as_deref() == Some(type_name)),
            Operation::WhereExtension { from, url } => {
                self.filter(from, found, &|node, _| extensions(node, url).next().is_some());
            }
            Operation::Extension { from, url, type_id } => self.each_element(from, &mut |node, _| {
                extensions(node, url).for_each(|extension| found(Item::Element(extension, *type_id)));
            }),
            Operation::Union(branches) => branches.iter().for_each(|branch| self.each(branch, found)),
            // An empty side makes `and` empty or false; both mean that the condition does not hold.
            Operation::And(left, right) => found(Item::Boolean(self.holds(left) && self.holds(right))),
            Operation::Exists(of) => {
                let mut exists = false;
                self.each(of, &mut |_| exists = true);
                found(Item::Boolean(exists));
            }
            Operation::NotEquals(left, value) => match &self.all(left)[..] {
                [] => {}
                [item] => found(Item::Boolean(item.boolean() != Some(*value))),
                _ => found(Item::Boolean(true)),
            },
        }
    }

    fn each_element(&self, operation: &Operation, found: &mut dyn FnMut(Node<'a>, TypeId)) {
        self.each(operation, &mut |item| {
            if let Item::Element(node, type_id) = item {
                found(node, type_id);
            }
        });
    }

    fn filter(&self, from: &Operation, found: &mut dyn FnMut(Item<'a>), keep: &dyn Fn(Node<'a>, TypeId) -> bool) {
        self.each_element(from, &mut |node, type_id| {
            if keep(node, type_id) {
                found(Item::Element(node, type_id));
            }
        });
    }

    fn resource_type(&self) -> Option<TypeId> {
        self.types.named(&self.within.resource.get_str("resourceType")?)
    }

    fn holds(&self, operation: &Operation) -> bool {
        matches!(self.all(operation)[..], [Item::Boolean(true)])
    }
}

impl<'a> Item<'a> {
    /// The lexical form of a primitive.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Element(node, _) => node.as_text(),
            Self::Boolean(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Computed(_) => None,
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Element(node, _) => node.as_bool(),
            Self::Boolean(value) => Some(*value),
            Self::Computed(_) => None,
        }
    }
}

fn extensions<'a, 'u>(node: Node<'a>, url: &'u str) -> impl Iterator<Item = Node<'a>> + use<'a, 'u> {
    let all = node.get("extension").into_iter().flat_map(Node::children);
    all.filter(move |extension| extension.get_str("url").as_deref() == Some(url))
}

/// The resource type a Reference points to, as far as it can be told without reading the target: from its URL, its `type`,
/// or the contained resource it names. <https://hl7.org/fhir/R4/references.html#Reference>
fn target_type<'a>(node: Node<'a>, container: &Container<'a>) -> Option<Cow<'a, str>> {
    let literal = node.get_str("reference");
    if let Some(id) = literal.as_deref().and_then(|text| text.strip_prefix('#')) {
        return container.find(id)?.1.get_str("resourceType");
    }
    let named = match literal {
        Some(Cow::Borrowed(text)) => reference::type_named(text).map(Cow::Borrowed),
        Some(Cow::Owned(text)) => reference::type_named(&text).map(|name| Cow::Owned(name.to_owned())),
        None => None,
    };
    named.or_else(|| node.get_str("type"))
}
