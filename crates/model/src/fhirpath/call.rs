//! A call of a function: its input and its arguments, which are evaluated when the function asks for them, once or for
//! each item. Functions know this and not the evaluator, so that the two do not import each other.

use super::{
    PathError,
    environment::{Budget, Environment},
    set::Set,
    value::Value,
};
use crate::definitions::TypeTable;
use std::borrow::Cow;

/// A collection.
pub(super) type Items<'a> = Vec<Value<'a>>;

/// What a function gives.
pub(super) type Evaluated<'a> = Result<Items<'a>, PathError>;

/// What `$this`, `$index` and `$total` mean at a place of the expression.
#[derive(Clone, Copy)]
pub(super) struct Focus<'f, 'a> {
    /// The item in question; or nothing, where `iif` is called on nothing.
    pub(super) this: &'f [Value<'a>],
    pub(super) index: Option<i32>,
    pub(super) total: Option<&'f [Value<'a>]>,
}

/// The name of a type, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeName {
    pub(super) namespace: Option<Box<str>>,
    pub(super) name: Box<str>,
}

/// What a call can ask of the evaluator.
pub(super) trait Scope<'a> {
    /// Evaluates the argument there.
    fn argument(&mut self, n: usize, focus: Focus<'_, 'a>) -> Evaluated<'a>;
    /// The argument as the name of a type.
    fn type_name(&self, n: usize) -> Option<&TypeName>;
    /// Whether the argument is a sort key with a minus before it.
    fn descending(&self, n: usize) -> bool;
    /// How many arguments there are.
    fn count(&self) -> usize;
    /// What surrounds the evaluation.
    fn environment(&self) -> &Environment<'a>;
    /// What work is paid from.
    fn budget(&mut self) -> &mut Budget;
}

/// One call.
pub(super) struct Call<'c, 'a> {
    /// What the function is called on.
    pub(super) input: Items<'a>,
    /// Where the call stands: what arguments that are not criteria are evaluated in.
    pub(super) focus: Focus<'c, 'a>,
    /// The function's name.
    pub(super) name: &'static str,
    pub(super) scope: &'c mut dyn Scope<'a>,
}

impl<'a> Call<'_, 'a> {
    pub(super) fn types(&self) -> &'a TypeTable {
        self.scope.environment().types()
    }

    /// Whether there is an argument of that number.
    pub(super) fn has(&self, n: usize) -> bool {
        n < self.scope.count()
    }

    /// The input if it is one item, `None` if it is empty.
    pub(super) fn single(&mut self) -> Result<Option<Value<'a>>, PathError> {
        single(std::mem::take(&mut self.input), self.name)
    }

    /// The input as a text.
    pub(super) fn text(&mut self) -> Result<Option<Cow<'a, str>>, PathError> {
        let item = self.single()?;
        self.as_text(item, "the input")
    }

    /// The argument, where the call stands.
    pub(super) fn argument(&mut self, n: usize) -> Evaluated<'a> {
        self.scope.argument(n, self.focus)
    }

    /// The argument if it is one item.
    pub(super) fn argument_single(&mut self, n: usize) -> Result<Option<Value<'a>>, PathError> {
        let items = self.argument(n)?;
        single(items, self.name)
    }

    /// The argument as a text.
    pub(super) fn argument_text(&mut self, n: usize) -> Result<Option<Cow<'a, str>>, PathError> {
        let item = self.argument_single(n)?;
        self.as_text(item, "an argument")
    }

    /// The argument as a whole number.
    pub(super) fn argument_integer(&mut self, n: usize) -> Result<Option<i32>, PathError> {
        let Some(item) = self.argument_single(n)? else { return Ok(None) };
        match item.system(self.types()).as_deref() {
            Some(Value::Integer(value)) => Ok(Some(*value)),
            None if item.is_valueless(self.types()) => Ok(None),
            _ => Err(self.wrong("an argument", "a whole number", &item)),
        }
    }

    /// The argument evaluated for an item.
    pub(super) fn each(&mut self, n: usize, item: &Value<'a>, index: usize) -> Evaluated<'a> {
        self.spend(1)?;
        let index = i32::try_from(index).ok();
        self.scope.argument(n, Focus { this: std::slice::from_ref(item), index, total: self.focus.total })
    }

    /// The argument as a condition on an item; empty is not true.
    pub(super) fn holds(&mut self, n: usize, item: &Value<'a>, index: usize) -> Result<bool, PathError> {
        let items = self.each(n, item, index)?;
        Ok(truth(&items, self.types(), self.name)?.unwrap_or(false))
    }

    /// The input without items that equal earlier ones.
    pub(super) fn distinct(&mut self, items: Items<'a>) -> Evaluated<'a> {
        let types = self.types();
        let mut set = Set::default();
        for item in items {
            set.insert(item, types, self.scope.budget())?;
        }
        Ok(set.into_items())
    }

    /// Pays for work.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), PathError> {
        self.scope.budget().spend(steps)
    }

    fn as_text(&mut self, item: Option<Value<'a>>, what: &'static str) -> Result<Option<Cow<'a, str>>, PathError> {
        let Some(item) = item else { return Ok(None) };
        match item.as_text(self.types()) {
            Some(text) => {
                // A text costs by its length: a thousand times a megabyte is not a thousand steps.
                self.spend(text.len() / 128)?;
                Ok(Some(text))
            }
            None if item.is_valueless(self.types()) => Ok(None),
            None => Err(self.wrong(what, "a string", &item)),
        }
    }

    /// An error: `what` is not of the type that is needed.
    pub(super) fn wrong(&self, what: &str, expected: &str, found: &Value<'_>) -> PathError {
        let (namespace, name) = found.type_name(self.types());
        PathError::Type(format!("{}(): {what} must be {expected}, not {namespace}.{name}", self.name))
    }

    /// A computed text, unless it is too long.
    pub(super) fn computed(&mut self, text: String) -> Evaluated<'a> {
        if text.len() > self.scope.environment().limits.text_bytes {
            return Err(PathError::TooCostly("a computed text is too long"));
        }
        self.spend(text.len() / 16)?;
        Ok(vec![Value::String(Cow::Owned(text))])
    }
}

/// The item if there is one, `None` if there is none.
pub(super) fn single<'a>(mut items: Items<'a>, what: &'static str) -> Result<Option<Value<'a>>, PathError> {
    match items.len() {
        0 | 1 => Ok(items.pop()),
        found => Err(PathError::NotSingle { what, found }),
    }
}

/// A collection as a boolean: empty is unknown, one item that is no boolean is true.
/// <http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections>
pub(super) fn truth(items: &[Value<'_>], types: &TypeTable, what: &'static str) -> Result<Option<bool>, PathError> {
    match items {
        [] => Ok(None),
        [item] => match item.as_bool(types) {
            Some(value) => Ok(Some(value)),
            // A boolean that has only extensions.
            None if item.element().is_some_and(|e| e.type_id() == types.boolean()) => Ok(None),
            None => Ok(Some(true)),
        },
        items => Err(PathError::NotSingle { what, found: items.len() }),
    }
}
