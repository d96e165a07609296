//! Evaluates a [`Path`]: <http://hl7.org/fhirpath/N1/#expressions>

use super::{
    PathError,
    call::{Call, Evaluated, Focus, Items, Scope, TypeName, single, truth},
    environment::{Budget, Environment},
    navigation::members,
    operator,
    path::{Argument, Operation, Operator, Path, Step, Term},
    quantity::Quantity,
    reflection,
    value::Value,
};
use std::borrow::Cow;

impl Path {
    /// What the expression gives for the item `focus`. Elements among the result know where they stand in their document.
    ///
    /// # Errors
    /// [`PathError`]: an operation that its operands do not allow, or a limit of the environment.
    pub fn evaluate<'a>(
        &'a self,
        focus: Value<'a>,
        environment: &Environment<'a>,
    ) -> Result<Vec<Value<'a>>, PathError> {
        let root = [focus];
        let mut evaluation = Evaluation { environment, budget: Budget::new(&environment.limits), root: &root };
        evaluation.term(&self.root, Focus { this: &root, index: None, total: None })
    }

    /// Whether the expression holds for the item `focus`; `None` if it gives nothing.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and when it gives several items.
    pub fn holds<'a>(&'a self, focus: Value<'a>, environment: &Environment<'a>) -> Result<Option<bool>, PathError> {
        truth(&self.evaluate(focus, environment)?, environment.types(), "the expression")
    }
}

struct Evaluation<'e, 'a> {
    environment: &'e Environment<'a>,
    budget: Budget,
    /// `%context`, unless the environment has one.
    root: &'e [Value<'a>],
}

impl<'a> Evaluation<'_, 'a> {
    fn term(&mut self, term: &'a Term, focus: Focus<'_, 'a>) -> Evaluated<'a> {
        self.budget.spend(1)?;
        match term {
            Term::Empty => Ok(Vec::new()),
            Term::Literal(value) => Ok(vec![borrowed(value)]),
            Term::This => self.paid(focus.this.to_vec()),
            Term::Index => Ok(focus.index.map(Value::Integer).into_iter().collect()),
            Term::Total => self.paid(focus.total.unwrap_or_default().to_vec()),
            Term::External(name) => {
                let items = self.external(name)?;
                self.paid(items)
            }
            Term::Chain { from, steps } => self.chain(from.as_deref(), steps, focus),
            Term::Operations { first, rest } => self.operations(first, rest, focus),
            Term::Sign { negative, of } => {
                let items = self.term(of, focus)?;
                operator::sign(items, *negative, self.environment.types())
            }
        }
    }

    /// The items, paid for.
    fn paid(&mut self, items: Items<'a>) -> Evaluated<'a> {
        self.budget.spend(1 + items.iter().map(Value::cost).sum::<usize>())?;
        Ok(items)
    }

    fn external(&self, name: &str) -> Evaluated<'a> {
        if name == "context" && self.environment.context.is_none() {
            return Ok(self.root.to_vec());
        }
        self.environment.variable(name).ok_or_else(|| PathError::Unknown(format!("there is no variable %{name}")))
    }

    fn chain(&mut self, from: Option<&'a Term>, steps: &'a [Step], focus: Focus<'_, 'a>) -> Evaluated<'a> {
        let mut items = match from {
            Some(from) => Some(self.term(from, focus)?),
            None => None,
        };
        for step in steps {
            let next = match step {
                Step::Member { name, start } => {
                    let of = items.as_deref().unwrap_or(focus.this);
                    self.member(of, name, *start)?
                }
                Step::At(index) => {
                    let index = single(self.term(index, focus)?, "[]")?;
                    let index = index.as_ref().and_then(|index| index.system(self.environment.types()));
                    match (index.as_deref(), items) {
                        (None, _) => Vec::new(),
                        (Some(Value::Integer(index)), Some(items)) => {
                            let index = usize::try_from(*index).ok();
                            index.and_then(|index| items.into_iter().nth(index)).into_iter().collect()
                        }
                        (Some(_), _) => return Err(PathError::Type("[]: an index is a whole number".into())),
                    }
                }
                Step::Call { function, arguments } => {
                    let input = items.unwrap_or_else(|| focus.this.to_vec());
                    let mut frame = Frame { evaluation: self, arguments };
                    let call = Call { input, focus, name: function.name, scope: &mut frame };
                    (function.run)(call)?
                }
            };
            if next.len() > self.environment.limits.items {
                return Err(PathError::TooCostly("a collection has too many items"));
            }
            items = Some(self.paid(next)?);
        }
        Ok(items.unwrap_or_default())
    }

    fn member(&mut self, of: &[Value<'a>], name: &str, start: bool) -> Evaluated<'a> {
        self.budget.spend(of.len())?;
        let types = self.environment.types();
        // `Patient.name`: at the start, the type of the focus.
        if start
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && let [Value::Element(element)] = of
            && types.named(name).is_some_and(|named| types.is_a(element.type_id(), named))
        {
            return Ok(of.to_vec());
        }
        let mut found = Vec::with_capacity(of.len());
        for item in of {
            members(item, name, types, &mut found);
        }
        Ok(found)
    }

    fn operations(&mut self, first: &'a Term, rest: &'a [Operation], focus: Focus<'_, 'a>) -> Evaluated<'a> {
        let types = self.environment.types();
        let mut left = self.term(first, focus)?;
        for operation in rest {
            let next = match operation {
                Operation::Is(name) => reflection::is(left, name, types)?,
                Operation::As(name) if self.environment.as_of_several => reflection::of_type(left, name, types)?,
                Operation::As(name) => reflection::of_type(single(left, "as")?, name, types)?,
                Operation::Binary(
                    operator @ (Operator::And | Operator::Or | Operator::Xor | Operator::Implies),
                    right,
                ) => {
                    let left = truth(&left, types, operator.spelling())?;
                    // What the left side decides leaves the right side alone.
                    if let Some(decided) = operator::decided(*operator, left) {
                        vec![Value::Boolean(decided)]
                    } else {
                        let right = truth(&self.term(right, focus)?, types, operator.spelling())?;
                        operator::logic(*operator, left, right).map(Value::Boolean).into_iter().collect()
                    }
                }
                Operation::Binary(operator, right) => {
                    let right = self.term(right, focus)?;
                    operator::apply(*operator, left, right, types, &mut self.budget, &self.environment.limits)?
                }
            };
            left = self.paid(next)?;
        }
        Ok(left)
    }
}

/// A literal, its text not copied.
fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::String(text) => Value::String(Cow::Borrowed(text)),
        Value::Quantity(quantity) => {
            Value::Quantity(Quantity { value: quantity.value, unit: Cow::Borrowed(&quantity.unit) })
        }
        other => other.clone(),
    }
}

/// The arguments of one call, and the evaluator that knows how to evaluate them.
struct Frame<'f, 'e, 'a> {
    evaluation: &'f mut Evaluation<'e, 'a>,
    arguments: &'a [Argument],
}

impl<'a> Scope<'a> for Frame<'_, '_, 'a> {
    fn argument(&mut self, n: usize, focus: Focus<'_, 'a>) -> Result<Items<'a>, PathError> {
        match self.arguments.get(n) {
            Some(Argument::Term(term) | Argument::Descending(term)) => self.evaluation.term(term, focus),
            Some(Argument::Type(_)) | None => Ok(Vec::new()),
        }
    }

    fn type_name(&self, n: usize) -> Option<&TypeName> {
        match self.arguments.get(n)? {
            Argument::Type(name) => Some(name),
            Argument::Term(_) | Argument::Descending(_) => None,
        }
    }

    fn descending(&self, n: usize) -> bool {
        matches!(self.arguments.get(n), Some(Argument::Descending(_)))
    }

    fn count(&self) -> usize {
        self.arguments.len()
    }

    fn environment(&self) -> &Environment<'a> {
        self.evaluation.environment
    }

    fn budget(&mut self) -> &mut Budget {
        &mut self.evaluation.budget
    }
}
