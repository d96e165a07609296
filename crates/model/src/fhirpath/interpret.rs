//! Expressions of stored search parameters that go beyond what [`compile`] knows: the whole language evaluates them, within
//! limits that a write can bear. What an index holds must follow from the resource alone, so whatever asks for more, such as
//! the time or another resource, is refused.

use super::{
    CompileError, Element, Environment, Host, Item, Limits, Path, Program, Value, compile,
    eval::Within,
    path::{Argument, Operation, Step, Term},
};
use crate::{
    Definitions,
    definitions::{TypeId, TypeTable},
    json::{Document, Node},
    reference,
};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// What an expression may take of one resource: some ten milliseconds at most.
const LIMITS: Limits = Limits { steps: 200_000, items: 50_000, text_bytes: 64 * 1024, patterns: false };

/// Functions that tell more than the resource says, or whose cost the steps do not tell.
const REFUSED: [&str; 12] = [
    "memberOf",
    "conformsTo",
    "subsumes",
    "subsumedBy",
    "elementDefinition",
    "slice",
    "now",
    "today",
    "timeOfDay",
    "matches",
    "matchesFull",
    "replaceMatches",
];

/// Compiles `expression`, or has it interpreted if the whole language knows it.
///
/// # Errors
/// [`CompileError`]: why neither can.
pub fn compile_or_interpret(
    expression: &str,
    roots: &[TypeId],
    resource: TypeId,
    types: &TypeTable,
) -> Result<Program, CompileError> {
    match compile(expression, roots, resource, types) {
        Ok(program) => Ok(program),
        Err(CompileError::Parse(error)) => Err(CompileError::Parse(error)),
        Err(_) => interpreted(expression, roots, types),
    }
}

/// The same by the whole language, even if it could be compiled.
pub(crate) fn interpreted(expression: &str, roots: &[TypeId], types: &TypeTable) -> Result<Program, CompileError> {
    let unsupported = |reason: String| CompileError::Unsupported(reason.into());
    let path = Path::parse(expression).map_err(|error| unsupported(error.to_string()))?;
    refuse(&path.root, false).map_err(|name| unsupported(name.to_owned()))?;
    let found = path.types(roots, types).map_err(|error| unsupported(error.to_string()))?;
    Ok(Program::of_path(path, found.unwrap_or_default()))
}

/// Refuses what must not be asked. `tested`: whether `is` follows, which needs no more of a reference than its text.
fn refuse(term: &Term, tested: bool) -> Result<(), &str> {
    match term {
        Term::Empty | Term::Literal(_) | Term::This | Term::Index | Term::Total => Ok(()),
        Term::External(name) => match &**name {
            "resource" | "rootResource" | "context" | "ucum" | "sct" | "loinc" => Ok(()),
            name if name.starts_with("vs-") || name.starts_with("ext-") => Ok(()),
            name => Err(name),
        },
        Term::Chain { from, steps } => {
            from.iter().try_for_each(|from| refuse(from, false))?;
            for (n, step) in steps.iter().enumerate() {
                let next = steps.get(n + 1);
                let tested = match next {
                    Some(Step::Call { function, .. }) => function.name == "is",
                    Some(Step::Member { .. } | Step::At(_)) => false,
                    None => tested,
                };
                refuse_step(step, tested)?;
            }
            Ok(())
        }
        Term::Operations { first, rest } => {
            refuse(first, matches!(rest.first(), Some(Operation::Is(_))))?;
            rest.iter().try_for_each(|operation| match operation {
                Operation::Binary(_, right) => refuse(right, false),
                Operation::Is(_) | Operation::As(_) => Ok(()),
            })
        }
        Term::Sign { of, .. } => refuse(of, false),
    }
}

fn refuse_step(step: &Step, tested: bool) -> Result<(), &str> {
    match step {
        Step::Member { .. } => Ok(()),
        Step::At(index) => refuse(index, false),
        Step::Call { function, arguments } => {
            if REFUSED.contains(&function.name) {
                return Err(function.name);
            }
            if function.name == "resolve" && !tested {
                return Err("resolve() but in resolve() is …");
            }
            arguments.iter().try_for_each(|argument| match argument {
                Argument::Term(term) | Argument::Descending(term) => refuse(term, false),
                Argument::Type(_) => Ok(()),
            })
        }
    }
}

/// The values in a resource. An expression that cannot be evaluated on it, or that takes too much, finds nothing there: a
/// definition does not keep resources from being written.
pub(super) fn evaluate<'a>(
    path: &'a Path,
    start: (Node<'a>, TypeId),
    within: Within<'a>,
    definitions: &'a Definitions,
) -> Vec<Item<'a>> {
    let types = definitions.types();
    let environment = Environment::new(definitions)
        .resource(within.resource)
        .within(within.container.node)
        .limits(LIMITS)
        .host(&TypesAlone)
        .as_of_several();
    let focus = Value::Element(Element::new(start.0, start.1, types));
    path.evaluate(focus, &environment)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| match item {
            Value::Element(element) => element.value().map(|node| Item::Element(node, element.type_id())),
            computed => Some(Item::Computed(computed)),
        })
        .collect()
}

/// Knows of the target of a reference what the reference says: its type.
struct TypesAlone;

impl<'a> Host<'a> for TypesAlone {
    fn resolve(&self, reference: &str) -> Option<Node<'a>> {
        static OF_TYPE: LazyLock<FxHashMap<Box<str>, Document>> = LazyLock::new(|| {
            let of_type = |name: &str| Document::parse(&*format!(r#"{{"resourceType":"{name}"}}"#)).ok();
            let names = Definitions::r4().resource_types().iter().map(|t| t.name());
            names.filter_map(|name| Some((name.into(), of_type(name)?))).collect()
        });
        Some(OF_TYPE.get(reference::type_named(reference)?)?.root())
    }
}
