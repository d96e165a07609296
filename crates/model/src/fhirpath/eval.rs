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
            let run = Run { start: (start, start_type), within, types: definitions.types() };
            run.operation(operation)
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
    fn operation(&self, operation: &Operation) -> Vec<Item<'a>> {
        match operation {
            Operation::Nothing => Vec::new(),
            Operation::Start => vec![Item::Element(self.start.0, self.start.1)],
            Operation::Resource => {
                vec![Item::Element(self.within.resource, self.resource_type().unwrap_or(self.start.1))]
            }
            Operation::Member { from, names } => {
                let mut found = Vec::new();
                for item in self.operation(from) {
                    let Item::Element(node, type_id) = item else { continue };
                    for (_, json_name, member_type) in names.iter().filter(|(of, ..)| *of == type_id) {
                        let values =
                            node.get(json_name).into_iter().flat_map(Node::items).filter(|v| v.kind() != Kind::Null);
                        found.extend(values.map(|value| Item::Element(value, *member_type)));
                    }
                }
                found
            }
            Operation::Index { from, index } => self.operation(from).into_iter().skip(*index).take(1).collect(),
            Operation::OfType { from, type_id } => self.filter(from, |_, is| self.types.is_a(is, *type_id)),
            Operation::WhereEquals { from, path, text } => self.filter(from, |node, type_id| {
                let inner = Run { start: (node, type_id), within: self.within, types: self.types };
                inner.operation(path).iter().any(|item| item.text().as_deref() == Some(text))
            }),
            Operation::WhereResolvesTo { from, type_name } => {
                self.filter(from, |node, _| target_type(node, self.within.container).as_deref() == Some(type_name))
            }
            Operation::WhereExtension { from, url } => {
                self.filter(from, |node, _| extensions(node, url).next().is_some())
            }
            Operation::Extension { from, url, type_id } => {
                let holders = self.operation(from);
                let nodes = holders
                    .into_iter()
                    .filter_map(|item| if let Item::Element(node, _) = item { Some(node) } else { None });
                nodes
                    .flat_map(|node| extensions(node, url))
                    .map(|extension| Item::Element(extension, *type_id))
                    .collect()
            }
            Operation::Union(branches) => branches.iter().flat_map(|branch| self.operation(branch)).collect(),
            // An empty side makes `and` empty or false; both mean that the condition does not hold.
            Operation::And(left, right) => vec![Item::Boolean(self.holds(left) && self.holds(right))],
            Operation::Exists(of) => vec![Item::Boolean(!self.operation(of).is_empty())],
            Operation::NotEquals(left, value) => match &self.operation(left)[..] {
                [] => Vec::new(),
                [item] => vec![Item::Boolean(item.boolean() != Some(*value))],
                _ => vec![Item::Boolean(true)],
            },
        }
    }

    fn resource_type(&self) -> Option<TypeId> {
        self.types.named(&self.within.resource.get_str("resourceType")?)
    }

    fn holds(&self, operation: &Operation) -> bool {
        matches!(self.operation(operation)[..], [Item::Boolean(true)])
    }

    fn filter(&self, from: &Operation, keep: impl Fn(Node<'a>, TypeId) -> bool) -> Vec<Item<'a>> {
        let mut items = self.operation(from);
        items.retain(|item| matches!(*item, Item::Element(node, type_id) if keep(node, type_id)));
        items
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
