//! A parsed expression made ready: literals read, functions looked up, chains of invocations and operators laid flat, so
//! that evaluation neither parses nor recurses along them.

use super::{
    PathError,
    ast::Expression,
    call::TypeName,
    functions::{self, Arguments, Function},
    parser::parse,
    quantity::{Quantity, decimal},
    temporal::Temporal,
    value::Value,
};
use std::borrow::Cow;

/// A FHIRPath expression, parsed once, evaluated as often as one likes.
#[derive(Clone, Debug)]
pub struct Path {
    pub(super) root: Term,
}

/// Something that gives a collection.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Empty,
    Literal(Value<'static>),
    This,
    Index,
    Total,
    External(Box<str>),
    /// Steps from a term, or from the focus.
    Chain {
        from: Option<Box<Term>>,
        steps: Vec<Step>,
    },
    /// Operations from left to right.
    Operations {
        first: Box<Term>,
        rest: Vec<Operation>,
    },
    Sign {
        negative: bool,
        of: Box<Term>,
    },
}

/// A step along a chain.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The elements of that name. At the start of an expression it may also be the type of the focus.
    Member {
        name: Box<str>,
        start: bool,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Argument>,
    },
    At(Term),
}

/// What is done with the value to the left.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Binary(Operator, Term),
    Is(TypeName),
    As(TypeName),
}

/// What stands between the parentheses of a call.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    Term(Term),
    Type(TypeName),
    /// A key of `sort()` with a minus before it.
    Descending(Term),
}

/// The binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    LessOrEqual,
    Less,
    Greater,
    GreaterOrEqual,
    Union,
    Plus,
    Minus,
    Concatenate,
    Times,
    Divide,
    Div,
    Mod,
}

impl Operator {
    fn spelled(spelling: &str) -> Option<Self> {
        Some(match spelling {
            "implies" => Self::Implies,
            "or" => Self::Or,
            "xor" => Self::Xor,
            "and" => Self::And,
            "in" => Self::In,
            "contains" => Self::Contains,
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "~" => Self::Equivalent,
            "!~" => Self::NotEquivalent,
            "<=" => Self::LessOrEqual,
            "<" => Self::Less,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "|" => Self::Union,
            "+" => Self::Plus,
            "-" => Self::Minus,
            "&" => Self::Concatenate,
            "*" => Self::Times,
            "/" => Self::Divide,
            "div" => Self::Div,
            "mod" => Self::Mod,
            _ => return None,
        })
    }

    /// How it is written.
    pub(super) fn spelling(self) -> &'static str {
        match self {
            Self::Implies => "implies",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
            Self::In => "in",
            Self::Contains => "contains",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Equivalent => "~",
            Self::NotEquivalent => "!~",
            Self::LessOrEqual => "<=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Union => "|",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Concatenate => "&",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Div => "div",
            Self::Mod => "mod",
        }
    }
}

impl Path {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`PathError::Syntax`]: no FHIRPath, longer than 4,096 tokens, or nested deeper than 64;
    /// [`PathError::Unknown`]: a function that does not exist; [`PathError::Type`]: a wrong number of arguments, a literal
    /// that is no date of the calendar.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Ok(Self { root: term(&parse(text)?)? })
    }
}

fn term(expression: &Expression) -> Result<Term, PathError> {
    Ok(match expression {
        Expression::Empty => Term::Empty,
        Expression::String(text) => Term::Literal(Value::String(Cow::Owned(text.clone()))),
        Expression::Number(digits) => Term::Literal(number(digits)?),
        Expression::Boolean(value) => Term::Literal(Value::Boolean(*value)),
        Expression::Time(text) => Term::Literal(Value::Temporal(temporal(text)?)),
        Expression::Quantity(digits, unit) => {
            let value = decimal(digits).ok_or_else(|| PathError::Type(format!("{digits} is no number")))?;
            Term::Literal(Value::Quantity(Quantity { value, unit: Cow::Owned(unit.clone()) }))
        }
        Expression::Variable(name) => variable(name)?,
        Expression::External(name) => Term::External(name.as_str().into()),
        Expression::Sign { negative, of } => Term::Sign { negative: *negative, of: Box::new(term(of)?) },
        Expression::Member { .. } | Expression::Call { .. } | Expression::Index { .. } => chain(expression)?,
        Expression::Binary { .. } | Expression::Type { .. } => operations(expression)?,
    })
}

fn variable(name: &str) -> Result<Term, PathError> {
    match name {
        "this" => Ok(Term::This),
        "index" => Ok(Term::Index),
        "total" => Ok(Term::Total),
        _ => Err(PathError::Unknown(format!("there is no variable ${name}"))),
    }
}

/// Walks from the last invocation to the first, so that the longest chain takes no stack.
fn chain(expression: &Expression) -> Result<Term, PathError> {
    let mut steps = Vec::new();
    let mut here = expression;
    let from = loop {
        let from = match here {
            Expression::Member { from, name } => {
                // `a.$this`: the grammar has it, and it means `$this`.
                if let Some(name) = name.strip_prefix('$') {
                    break Some(variable(name)?);
                }
                steps.push(Step::Member { name: name.as_str().into(), start: from.is_none() });
                from.as_deref()
            }
            Expression::Call { from, name, arguments } => {
                steps.push(call(name, arguments)?);
                from.as_deref()
            }
            Expression::Index { from, index } => {
                steps.push(Step::At(term(index)?));
                Some(&**from)
            }
            other => break Some(term(other)?),
        };
        match from {
            Some(from) => here = from,
            None => break None,
        }
    };
    steps.reverse();
    Ok(Term::Chain { from: from.map(Box::new), steps })
}

/// Likewise from the last operator to the first.
fn operations(expression: &Expression) -> Result<Term, PathError> {
    let mut rest = Vec::new();
    let mut here = expression;
    loop {
        here = match here {
            Expression::Binary { operator, left, right } => {
                let known = Operator::spelled(operator)
                    .ok_or_else(|| PathError::Unknown(format!("there is no operator {operator}")))?;
                rest.push(Operation::Binary(known, term(right)?));
                left
            }
            Expression::Type { is, of, type_name } => {
                let name = TypeName::parse(type_name);
                rest.push(if *is { Operation::Is(name) } else { Operation::As(name) });
                of
            }
            first => {
                rest.reverse();
                return Ok(Term::Operations { first: Box::new(term(first)?), rest });
            }
        };
    }
}

fn call(name: &str, arguments: &[Expression]) -> Result<Step, PathError> {
    let function =
        functions::named(name).ok_or_else(|| PathError::Unknown(format!("there is no function {name}()")))?;
    let (min, max) = function.arity;
    if !(min..=max).contains(&arguments.len()) {
        let expected = if min == max { min.to_string() } else { format!("{min} to {max}") };
        let found = arguments.len();
        return Err(PathError::Type(format!("{name}() takes {expected} arguments, not {found}")));
    }
    let arguments = arguments
        .iter()
        .map(|argument| match (function.arguments, argument) {
            (Arguments::Type, argument) => type_name(argument).map(Argument::Type),
            (Arguments::Keys, Expression::Sign { negative: true, of }) => term(of).map(Argument::Descending),
            (Arguments::Keys | Arguments::Values, argument) => term(argument).map(Argument::Term),
        })
        .collect::<Result<_, _>>()?;
    Ok(Step::Call { function, arguments })
}

fn type_name(argument: &Expression) -> Result<TypeName, PathError> {
    match argument {
        Expression::Member { from: None, name } => Ok(TypeName { namespace: None, name: name.as_str().into() }),
        Expression::Member { from: Some(from), name } => match &**from {
            Expression::Member { from: None, name: namespace } => {
                Ok(TypeName { namespace: Some(namespace.as_str().into()), name: name.as_str().into() })
            }
            _ => Err(PathError::Type("expected the name of a type".into())),
        },
        _ => Err(PathError::Type("expected the name of a type".into())),
    }
}

impl TypeName {
    fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((namespace, name)) => Self { namespace: Some(namespace.into()), name: name.into() },
            None => Self { namespace: None, name: text.into() },
        }
    }
}

fn number(digits: &str) -> Result<Value<'static>, PathError> {
    if digits.contains('.') {
        return decimal(digits).map(Value::Decimal).ok_or_else(|| PathError::Type(format!("{digits} is no number")));
    }
    match digits.parse() {
        Ok(number) => Ok(Value::Integer(number)),
        Err(_) => Err(PathError::Type(format!("{digits} is beyond 2147483647; write it as a decimal: {digits}.0"))),
    }
}

fn temporal(text: &str) -> Result<Temporal, PathError> {
    let read = match text.strip_prefix('T') {
        Some(time) => Temporal::parse_time(time),
        None if text.contains('T') => Temporal::parse_date_time(text),
        None => Temporal::parse_date(text),
    };
    read.ok_or_else(|| PathError::Type(format!("@{text} is no date or time")))
}
