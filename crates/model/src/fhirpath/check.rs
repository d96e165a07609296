//! Checks an expression before it sees data, with the element tables: elements that do not exist, a type that the focus is
//! not, an order where there is none. <http://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation>
//!
//! Evaluation alone takes an unknown element for an empty one, as the specification demands.

use super::{
    PathError,
    call::TypeName,
    path::{Argument, Operation, Operator, Path, Step, Term},
    reflection::SYSTEM,
    value::Value,
};
use crate::definitions::{TypeId, TypeKind, TypeTable};

/// What an item may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fhir(TypeId),
    System(&'static str),
}

/// What a collection may hold.
#[derive(Clone, Debug)]
struct Static {
    /// `None`: anything.
    kinds: Option<Vec<Kind>>,
    /// Whether its items have an order: those of `children()` have none.
    ordered: bool,
}

impl Static {
    const UNKNOWN: Self = Self { kinds: None, ordered: true };

    fn of(kinds: impl Into<Vec<Kind>>) -> Self {
        Self { kinds: Some(kinds.into()), ordered: true }
    }

    fn system(name: &'static str) -> Self {
        Self::of([Kind::System(name)])
    }

    /// Either of both.
    fn or(self, other: Self) -> Self {
        let kinds = self.kinds.zip(other.kinds).map(|(mut kinds, more)| {
            for kind in more {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            kinds
        });
        Self { kinds, ordered: self.ordered && other.ordered }
    }
}

impl Path {
    /// Whether the expression makes sense for items of the type `focus`.
    ///
    /// # Errors
    /// [`PathError::Unknown`]: an element or type that does not exist there; [`PathError::Type`]: an operation that cannot
    /// succeed.
    pub fn check(&self, focus: TypeId, types: &TypeTable) -> Result<(), PathError> {
        let focus = Static::of([Kind::Fhir(focus)]);
        Checker { types, root: &focus, of_all: false }.term(&self.root, &focus).map(drop)
    }

    /// The types that the expression may give for items of the types `focus` (empty: of any); `None` if that cannot be known.
    /// It may be made for several types, as search parameters are: what starts at another one gives nothing.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn types(&self, focus: &[TypeId], types: &TypeTable) -> Result<Option<Vec<TypeId>>, PathError> {
        let focus = match focus {
            [] => Static::UNKNOWN,
            focus => Static::of(focus.iter().map(|id| Kind::Fhir(*id)).collect::<Vec<_>>()),
        };
        let found = Checker { types, root: &focus, of_all: true }.term(&self.root, &focus)?;
        let type_id = |kind: Kind| match kind {
            Kind::Fhir(id) => Some(id),
            // String is stored as string, DateTime as dateTime; a Quantity has the same name.
            Kind::System(name) => {
                types.named(name).or_else(|| types.named(&(name.get(..1)?.to_lowercase() + name.get(1..)?)))
            }
        };
        Ok(found.kinds.map(|kinds| kinds.into_iter().filter_map(type_id).collect()))
    }
}

struct Checker<'c> {
    types: &'c TypeTable,
    root: &'c Static,
    /// Whether other types than the focus's may stand at the start.
    of_all: bool,
}

impl Checker<'_> {
    fn term(&self, term: &Term, focus: &Static) -> Result<Static, PathError> {
        Ok(match term {
            Term::Empty => Static::of([]),
            Term::Literal(value) => Static::system(system_name(value)),
            Term::This => focus.clone(),
            Term::Index => Static::system("Integer"),
            Term::Total => Static::UNKNOWN,
            Term::External(name) => match &**name {
                "context" | "resource" if Some(1) == self.root.kinds.as_ref().map(Vec::len) => self.external(name),
                _ => Static::UNKNOWN,
            },
            Term::Chain { from, steps } => {
                let mut of = match from {
                    Some(from) => self.term(from, focus)?,
                    None => focus.clone(),
                };
                for step in steps {
                    of = self.step(step, of, focus)?;
                }
                of
            }
            Term::Operations { first, rest } => {
                let mut left = self.term(first, focus)?;
                for operation in rest {
                    left = match operation {
                        Operation::Is(name) => self.known(name).map(|()| Static::system("Boolean"))?,
                        Operation::As(name) => self.of_type(name)?,
                        Operation::Binary(operator, right) => {
                            let right = self.term(right, focus)?;
                            result(*operator, left, right)
                        }
                    };
                }
                left
            }
            Term::Sign { of, .. } => self.term(of, focus)?,
        })
    }

    /// `%resource` is the focus only if that is a resource.
    fn external(&self, name: &str) -> Static {
        let resource =
            |kind: &Kind| matches!(kind, Kind::Fhir(id) if matches!(self.types[*id].kind, TypeKind::Resource(_)));
        let is = self.root.kinds.iter().flatten().all(resource);
        if name == "context" || is { self.root.clone() } else { Static::UNKNOWN }
    }

    fn step(&self, step: &Step, of: Static, focus: &Static) -> Result<Static, PathError> {
        match step {
            Step::Member { name, start } => self.member(&of, name, *start),
            Step::At(index) => {
                self.term(index, focus)?;
                in_order(of, "[]")
            }
            Step::Call { function, arguments } => self.call(function.name, arguments, of, focus),
        }
    }

    fn member(&self, of: &Static, name: &str, start: bool) -> Result<Static, PathError> {
        let Some(kinds) = &of.kinds else { return Ok(of.clone()) };
        if start
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && let Some(named) = self.types.named(name)
        {
            let is = |kind: &Kind| matches!(kind, Kind::Fhir(id) if self.types.is_a(*id, named));
            return match kinds.iter().any(is) {
                true => Ok(of.clone()),
                false if self.of_all => Ok(Static::of([])),
                false => Err(PathError::Unknown(format!(
                    "the expression starts at {name}, but what it is for is {}",
                    self.list(kinds)
                ))),
            };
        }
        let mut found = Static { kinds: Some(Vec::new()), ordered: of.ordered };
        let mut exists = kinds.is_empty();
        for kind in kinds {
            let members = match kind {
                Kind::Fhir(id) => match self.members(*id, name) {
                    Some(members) => members,
                    None => return Ok(Static { kinds: None, ordered: of.ordered }),
                },
                Kind::System("Quantity") if name == "value" => vec![Kind::System("Decimal")],
                Kind::System("Quantity") if matches!(name, "unit" | "code") => vec![Kind::System("String")],
                Kind::System("TypeInfo") if matches!(name, "namespace" | "name") => vec![Kind::System("String")],
                Kind::System(_) => Vec::new(),
            };
            exists |= !members.is_empty();
            found = found.or(Static { kinds: Some(members), ordered: true });
        }
        if exists {
            Ok(found)
        } else {
            Err(PathError::Unknown(format!("{} has no element \"{name}\"", self.list(kinds))))
        }
    }

    /// The types of that element; `None` if the type is not known well enough to tell.
    fn members(&self, id: TypeId, name: &str) -> Option<Vec<Kind>> {
        let definition = match self.types[id].kind {
            // Any resource may stand there.
            TypeKind::AnyResource => return None,
            TypeKind::Primitive(_) => &self.types[self.types.named("Element")?],
            TypeKind::Complex | TypeKind::Resource(_) => &self.types[id],
        };
        Some(definition.json_names(name).into_iter().map(|(_, member)| Kind::Fhir(member)).collect())
    }

    fn call(&self, name: &str, arguments: &[Argument], of: Static, focus: &Static) -> Result<Static, PathError> {
        let criteria =
            matches!(name, "where" | "select" | "repeat" | "all" | "exists" | "iif" | "sort" | "aggregate" | "trace");
        let mut results = Vec::new();
        for argument in arguments {
            results.push(match argument {
                Argument::Term(term) | Argument::Descending(term) => {
                    self.term(term, if criteria { &of } else { focus })?
                }
                Argument::Type(name) => self.of_type(name)?,
            });
        }
        let mut results = results.into_iter();
        Ok(match name {
            "first" | "last" | "tail" | "skip" | "take" => in_order(of, name)?,
            "where" | "single" | "distinct" | "trace" | "exclude" | "intersect" | "checkModifiers" | "sort" => {
                Static { ordered: of.ordered || name == "sort", ..of }
            }
            "select" | "as" | "ofType" => {
                let ordered = of.ordered;
                results.next().map_or(Static::UNKNOWN, |result| Static { ordered: ordered && result.ordered, ..result })
            }
            "union" | "combine" => results.next().map_or(of.clone(), |other| of.or(other)),
            "iif" => results.skip(1).reduce(Static::or).unwrap_or(Static::UNKNOWN),
            "repeat" => self.repeated(arguments, &of)?,
            "children" | "descendants" => Static { kinds: None, ordered: false },
            "extension" => self.types.named("Extension").map_or(Static::UNKNOWN, |id| Static::of([Kind::Fhir(id)])),
            "type" => Static::system("TypeInfo"),
            "startsWith" | "endsWith" | "contains" | "matches" | "matchesFull" => self.of_text(&of, name, "Boolean")?,
            "length" | "indexOf" | "lastIndexOf" => self.of_text(&of, name, "Integer")?,
            "substring" | "upper" | "lower" | "trim" | "replace" | "replaceMatches" | "toChars" | "split" | "join"
            | "encode" | "decode" | "escape" | "unescape" => self.of_text(&of, name, "String")?,
            "empty" | "exists" | "all" | "allTrue" | "anyTrue" | "allFalse" | "anyFalse" | "subsetOf"
            | "supersetOf" | "isDistinct" | "hasExtension" | "not" | "is" | "hasValue" | "memberOf" | "conformsTo"
            | "subsumes" | "subsumedBy" | "htmlChecks" | "comparable" => Static::system("Boolean"),
            "count" | "toInteger" | "ceiling" | "floor" | "truncate" | "precision" => Static::system("Integer"),
            "toString" => Static::system("String"),
            "toBoolean" => Static::system("Boolean"),
            "toDecimal" | "ln" | "log" | "exp" | "sqrt" => Static::system("Decimal"),
            "toQuantity" => Static::system("Quantity"),
            "today" | "toDate" => Static::system("Date"),
            "now" | "toDateTime" => Static::system("DateTime"),
            "timeOfDay" | "toTime" => Static::system("Time"),
            _ if name.starts_with("convertsTo") => Static::system("Boolean"),
            _ => Static::UNKNOWN,
        })
    }

    /// What `repeat` finds, and what it finds in that.
    fn repeated(&self, arguments: &[Argument], of: &Static) -> Result<Static, PathError> {
        let [Argument::Term(term)] = arguments else { return Ok(Static::UNKNOWN) };
        let mut found = self.term(term, of)?;
        // As deep as types go: an element that leads back to itself is known after a few rounds. What is found may lack the
        // element, which then ends there.
        for _ in 0..4 {
            match self.term(term, &found) {
                Ok(more) => found = found.or(more),
                Err(_) => break,
            }
        }
        Ok(found)
    }

    /// Functions of texts refuse what cannot be one.
    fn of_text(&self, of: &Static, name: &str, result: &'static str) -> Result<Static, PathError> {
        let text = |kind: &Kind| match kind {
            Kind::System(name) => *name == "String",
            Kind::Fhir(id) => !matches!(self.types[*id].kind, TypeKind::Complex | TypeKind::Resource(_)),
        };
        match &of.kinds {
            Some(kinds) if !kinds.is_empty() && !kinds.iter().any(text) => {
                Err(PathError::Type(format!("{name}() is for strings, not {}", self.list(kinds))))
            }
            _ => Ok(Static::system(result)),
        }
    }

    fn of_type(&self, name: &TypeName) -> Result<Static, PathError> {
        self.known(name)?;
        let system = || SYSTEM.into_iter().find(|system| **system == *name.name);
        let fhir = if name.namespace.as_deref() == Some("System") { None } else { self.types.named(&name.name) };
        Ok(fhir.map_or_else(|| system().map_or(Static::UNKNOWN, Static::system), |id| Static::of([Kind::Fhir(id)])))
    }

    fn known(&self, name: &TypeName) -> Result<(), PathError> {
        super::reflection::check(name, self.types)
    }

    fn list(&self, kinds: &[Kind]) -> String {
        let name = |kind: &Kind| match kind {
            Kind::Fhir(id) => self.types[*id].name.to_string(),
            Kind::System(name) => format!("System.{name}"),
        };
        kinds.iter().map(name).collect::<Vec<_>>().join(" or ")
    }
}

fn in_order(of: Static, what: &str) -> Result<Static, PathError> {
    if of.ordered {
        return Ok(of);
    }
    Err(PathError::Type(format!("{what}: children() and descendants() have no order")))
}

fn result(operator: Operator, left: Static, right: Static) -> Static {
    match operator {
        Operator::Union => left.or(right),
        Operator::Concatenate => Static::system("String"),
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Divide | Operator::Div | Operator::Mod => {
            Static::UNKNOWN
        }
        Operator::Implies
        | Operator::Or
        | Operator::Xor
        | Operator::And
        | Operator::In
        | Operator::Contains
        | Operator::Equal
        | Operator::NotEqual
        | Operator::Equivalent
        | Operator::NotEquivalent
        | Operator::LessOrEqual
        | Operator::Less
        | Operator::Greater
        | Operator::GreaterOrEqual => Static::system("Boolean"),
    }
}

fn system_name(value: &Value<'static>) -> &'static str {
    use super::temporal::TemporalKind;
    match value {
        Value::Boolean(_) => "Boolean",
        Value::Integer(_) => "Integer",
        Value::Decimal(_) => "Decimal",
        Value::String(_) => "String",
        Value::Temporal(value) => match value.kind {
            TemporalKind::Date => "Date",
            TemporalKind::DateTime => "DateTime",
            TemporalKind::Time => "Time",
        },
        Value::Quantity(_) => "Quantity",
        Value::Element(_) | Value::Type(..) => "TypeInfo",
    }
}
