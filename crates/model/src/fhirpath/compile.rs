//! Compiles the expressions of search parameters into programs: every step knows beforehand which JSON members it reads and
//! which types they give. What the subset does not cover is an error, never a wrong answer.

use super::{ast::Expression, lexer::ParseError, parser::parse, path::Path};
use crate::definitions::element::{Primitive, TypeId, TypeKind, TypeTable};

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) run: Run,
    types: Vec<TypeId>,
    bindings: Vec<Box<str>>,
}

/// How it is evaluated.
#[derive(Debug, Clone)]
pub(super) enum Run {
    /// Step by step, each looked up beforehand.
    Compiled(Operation),
    /// By the whole language.
    Interpreted(Path),
}

impl Program {
    /// A program that is interpreted. `types`: those its values may have, as far as they are known.
    pub(super) fn of_path(path: Path, types: Vec<TypeId>) -> Self {
        Self { run: Run::Interpreted(path), types, bindings: Vec::new() }
    }

    /// The types its values may have; empty if that is not known.
    #[must_use]
    pub fn types(&self) -> &[TypeId] {
        &self.types
    }

    /// The resource types its references are filtered by, if every branch filters: `where(resolve() is Patient)`.
    #[must_use]
    pub fn resolved_types(&self) -> Option<Vec<Box<str>>> {
        fn walk(operation: &Operation, found: &mut Vec<Box<str>>) -> bool {
            match operation {
                Operation::Union(branches) => branches.iter().all(|branch| walk(branch, found)),
                Operation::WhereResolvesTo { type_name, .. } => {
                    found.push(type_name.clone());
                    true
                }
                _ => false,
            }
        }
        let mut found = Vec::new();
        let Run::Compiled(operation) = &self.run else { return None };
        walk(operation, &mut found).then_some(found)
    }

    /// The value sets of required bindings on `code` elements it ends in.
    #[must_use]
    pub fn bindings(&self) -> Vec<Box<str>> {
        self.bindings.clone()
    }
}

/// Why an expression cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is no FHIRPath.
    #[error("no FHIRPath expression: {0}")]
    Parse(#[from] ParseError),
    /// It uses what search parameters do not need.
    #[error("not supported in a search parameter: {0}")]
    Unsupported(Box<str>),
    /// It names a type or parameter that does not exist.
    #[error("unknown type {0}")]
    UnknownType(Box<str>),
    /// It names an element that the types before it do not have.
    #[error("unknown element {0}")]
    UnknownElement(Box<str>),
}

/// One operation on a collection.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// No items: a branch for another resource type.
    Nothing,
    /// The item the program starts from.
    Start,
    /// `%resource`: the resource around it.
    Resource,
    /// Members of that name: (type of the item, JSON member, type of the member).
    Member {
        from: Box<Operation>,
        names: Vec<(TypeId, Box<str>, TypeId)>,
    },
    Index {
        from: Box<Operation>,
        index: usize,
    },
    OfType {
        from: Box<Operation>,
        type_id: TypeId,
    },
    /// Items for which the member path has this text.
    WhereEquals {
        from: Box<Operation>,
        path: Box<Operation>,
        text: Box<str>,
    },
    /// References that point to a resource of this type.
    WhereResolvesTo {
        from: Box<Operation>,
        type_name: Box<str>,
    },
    WhereExtension {
        from: Box<Operation>,
        url: Box<str>,
    },
    Extension {
        from: Box<Operation>,
        url: Box<str>,
        type_id: TypeId,
    },
    Union(Vec<Operation>),
    And(Box<Operation>, Box<Operation>),
    Exists(Box<Operation>),
    NotEquals(Box<Operation>, bool),
}

/// Compiles `expression` for items of the types `roots` within a resource of type `resource`.
///
/// # Errors
/// [`CompileError`]: what of it cannot be compiled.
pub fn compile(
    expression: &str,
    roots: &[TypeId],
    resource: TypeId,
    types: &TypeTable,
) -> Result<Program, CompileError> {
    let mut compiler = Compiler { types, roots, resource, bindings: Vec::new() };
    let (operation, types) = compiler.expression(&parse(expression)?)?;
    let mut bindings = compiler.bindings;
    bindings.dedup();
    Ok(Program { run: Run::Compiled(operation), types, bindings })
}

struct Compiler<'a> {
    types: &'a TypeTable,
    roots: &'a [TypeId],
    resource: TypeId,
    bindings: Vec<Box<str>>,
}

type Compiled = (Operation, Vec<TypeId>);

impl Compiler<'_> {
    fn expression(&mut self, expression: &Expression) -> Result<Compiled, CompileError> {
        match expression {
            Expression::Member { from: None, name } => {
                match self.types.named(name).filter(|_| name.starts_with(char::is_uppercase)) {
                    // `Patient.name`: the type's name at the start tells which resources the branch is for.
                    Some(type_id) if self.roots.iter().any(|&root| self.types.is_a(root, type_id)) => {
                        Ok((Operation::Start, self.roots.to_vec()))
                    }
                    Some(_) => Ok((Operation::Nothing, Vec::new())),
                    None => self.member((Operation::Start, self.roots.to_vec()), name),
                }
            }
            Expression::Member { from: Some(from), name } => {
                let from = self.expression(from)?;
                self.member(from, name)
            }
            Expression::External(name) if name == "resource" => Ok((Operation::Resource, vec![self.resource])),
            Expression::Call { from: Some(from), name, arguments } => {
                let from = self.expression(from)?;
                self.call(from, name, arguments)
            }
            Expression::Call { from: None, name, arguments } => {
                self.call((Operation::Start, self.roots.to_vec()), name, arguments)
            }
            Expression::Index { from, index } => {
                let Expression::Number(digits) = &**index else { return Err(unsupported("an index that is computed")) };
                let (from, types) = self.expression(from)?;
                let index = digits.parse().map_err(|_| unsupported("an index that is not whole"))?;
                Ok((Operation::Index { from: Box::new(from), index }, types))
            }
            Expression::Type { is: false, of, type_name } => {
                let of = self.expression(of)?;
                self.of_type(of, type_name)
            }
            Expression::Binary { operator: "|", left, right } => self.union(left, right),
            Expression::Binary { operator: "and", left, right } => {
                let (left, right) = (self.expression(left)?.0, self.expression(right)?.0);
                Ok((Operation::And(Box::new(left), Box::new(right)), vec![self.types.boolean()]))
            }
            Expression::Binary { operator: "!=", left, right } => {
                let Expression::Boolean(value) = **right else {
                    return Err(unsupported("!= with anything but a boolean"));
                };
                Ok((Operation::NotEquals(Box::new(self.expression(left)?.0), value), vec![self.types.boolean()]))
            }
            other => Err(unsupported(&format!("{other:?}"))),
        }
    }

    fn union(&mut self, left: &Expression, right: &Expression) -> Result<Compiled, CompileError> {
        let ((left, mut types), (right, more)) = (self.expression(left)?, self.expression(right)?);
        types.extend(more);
        types.sort_unstable();
        types.dedup();
        let mut branches = Vec::new();
        for branch in [left, right] {
            match branch {
                Operation::Nothing => {}
                Operation::Union(inner) => branches.extend(inner),
                other => branches.push(other),
            }
        }
        let operation = match branches.len() {
            0 => Operation::Nothing,
            1 => branches.remove(0),
            _ => Operation::Union(branches),
        };
        Ok((operation, types))
    }

    fn member(&mut self, (from, of): Compiled, name: &str) -> Result<Compiled, CompileError> {
        if matches!(from, Operation::Nothing) {
            return Ok((Operation::Nothing, Vec::new()));
        }
        let mut names = Vec::new();
        self.bindings.clear();
        for &type_id in &of {
            let definition = &self.types[type_id];
            for (json_name, member_type) in definition.json_names(name) {
                let element = definition.property(json_name).map(|property| &definition.elements[property.element]);
                self.bindings
                    .extend(element.and_then(|e| e.required_binding.clone()).filter(|_| self.is_code(member_type)));
                names.push((type_id, Box::from(json_name), member_type));
            }
        }
        if names.is_empty() {
            return Err(CompileError::UnknownElement(name.into()));
        }
        let mut types: Vec<TypeId> = names.iter().map(|(_, _, member)| *member).collect();
        types.sort_unstable();
        types.dedup();
        Ok((Operation::Member { from: Box::new(from), names }, types))
    }

    fn is_code(&self, type_id: TypeId) -> bool {
        self.types[type_id].kind == TypeKind::Primitive(Primitive::Code)
    }

    fn call(&mut self, (from, of): Compiled, name: &str, arguments: &[Expression]) -> Result<Compiled, CompileError> {
        if matches!(from, Operation::Nothing) {
            return Ok((Operation::Nothing, Vec::new()));
        }
        match (name, arguments) {
            ("as" | "ofType", [Expression::Member { from: None, name }]) => self.of_type((from, of), name),
            ("exists", []) => Ok((Operation::Exists(Box::new(from)), vec![self.types.boolean()])),
            ("extension", [Expression::String(url)]) => {
                let type_id = self.named("Extension")?;
                Ok((Operation::Extension { from: Box::new(from), url: url.as_str().into(), type_id }, vec![type_id]))
            }
            ("where", [condition]) => self.filter((from, of), condition),
            _ => Err(unsupported(&format!("{name}()"))),
        }
    }

    fn filter(&mut self, (from, of): Compiled, condition: &Expression) -> Result<Compiled, CompileError> {
        let from = Box::new(from);
        let operation = match condition {
            Expression::Type { is: true, of: resolved, type_name } if matches!(&**resolved, Expression::Call { from: None, name, .. } if name == "resolve") => {
                Operation::WhereResolvesTo { from, type_name: type_name.as_str().into() }
            }
            Expression::Call { from: None, name, arguments } if name == "hasExtension" => match &arguments[..] {
                [Expression::String(url)] => Operation::WhereExtension { from, url: url.as_str().into() },
                _ => return Err(unsupported("hasExtension() without a URL")),
            },
            Expression::Binary { operator: "=", left, right } => {
                let Expression::String(text) = &**right else {
                    return Err(unsupported("where() with anything but a text"));
                };
                let mut inner =
                    Compiler { types: self.types, roots: &of, resource: self.resource, bindings: Vec::new() };
                let path = Box::new(inner.expression(left)?.0);
                Operation::WhereEquals { from, path, text: text.as_str().into() }
            }
            other => return Err(unsupported(&format!("where({other:?})"))),
        };
        Ok((operation, of))
    }

    fn of_type(&mut self, (from, of): Compiled, type_name: &str) -> Result<Compiled, CompileError> {
        let type_id = self.named(type_name.strip_prefix("FHIR.").unwrap_or(type_name))?;
        let kept: Vec<TypeId> = of.into_iter().filter(|&t| self.types.is_a(t, type_id)).collect();
        if kept.is_empty() {
            return Ok((Operation::Nothing, kept));
        }
        if !kept.iter().any(|&t| self.is_code(t)) {
            self.bindings.clear();
        }
        Ok((Operation::OfType { from: Box::new(from), type_id }, kept))
    }

    fn named(&self, name: &str) -> Result<TypeId, CompileError> {
        // Observation-code-value-date says `DateTime` where it means `dateTime`.
        let lower = name.get(..1).unwrap_or_default().to_lowercase() + name.get(1..).unwrap_or_default();
        let found = self.types.named(name).or_else(|| self.types.named(&lower));
        found.ok_or_else(|| CompileError::UnknownType(name.into()))
    }
}

fn unsupported(what: &str) -> CompileError {
    CompileError::Unsupported(what.into())
}
