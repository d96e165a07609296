//! Tokens → [`Expression`], by precedence climbing: <http://hl7.org/fhirpath/N1/#operator-precedence>

use super::{
    ast::Expression,
    lexer::{ParseError, Token, tokens},
};

/// Deepest nesting of an expression: HL7's own need fewer than ten.
const DEPTH_MAX: usize = 64;

/// Longest chain of invocations and operators: the parsed tree is walked recursively.
const LENGTH_MAX: usize = 4096;

/// Parses an expression.
///
/// # Errors
/// [`ParseError`] with the offset: not the grammar, nested deeper than 64, or longer than 4,096 tokens.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    let tokens = tokens(text)?;
    if tokens.len() > LENGTH_MAX {
        return Err(ParseError::new("the expression is too long", 0));
    }
    let mut parser = Parser { tokens, at: 0, end: text.len(), depth: 0 };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.fail("expected an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    end: usize,
    depth: usize,
}

/// Operators by how tightly they bind, loosest first.
const BINARY: [&[&str]; 8] = [
    &["implies"],
    &["or", "xor"],
    &["and"],
    &["in", "contains"],
    &["=", "~", "!=", "!~"],
    &["<=", "<", ">", ">="],
    &["|"],
    // `is` and `as` stand here, between | and +
    &[],
];
const TYPE_LEVEL: usize = 7;
const ADDITIVE: [&str; 3] = ["+", "-", "&"];
const MULTIPLICATIVE: [&str; 4] = ["*", "/", "div", "mod"];
const ADDITIVE_LEVEL: usize = 8;
const MULTIPLICATIVE_LEVEL: usize = 9;
const UNITS: [&str; 16] = [
    "year",
    "years",
    "month",
    "months",
    "week",
    "weeks",
    "day",
    "days",
    "hour",
    "hours",
    "minute",
    "minutes",
    "second",
    "seconds",
    "millisecond",
    "milliseconds",
];

impl Parser {
    fn expression(&mut self, level: usize) -> Result<Expression, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fail("nested deeper than 64 levels"));
        }
        let mut left = self.sign()?;
        while let Some((operator, binds)) = self.operator(level) {
            self.at += 1;
            left = if let "is" | "as" = operator {
                Expression::Type { is: operator == "is", of: Box::new(left), type_name: self.type_name()? }
            } else {
                let right = self.expression(binds + 1)?;
                Expression::Binary { operator, left: Box::new(left), right: Box::new(right) }
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that comes next, if it binds at least as tightly as `level`.
    fn operator(&self, level: usize) -> Option<(&'static str, usize)> {
        let spelling = match self.peek()? {
            Token::Symbol(symbol) => *symbol,
            Token::Name(name, false) => name.as_str(),
            _ => return None,
        };
        let levels = BINARY.iter().copied().enumerate();
        let all = levels.chain([
            (TYPE_LEVEL, &["is", "as"][..]),
            (ADDITIVE_LEVEL, &ADDITIVE[..]),
            (MULTIPLICATIVE_LEVEL, &MULTIPLICATIVE[..]),
        ]);
        all.filter(|(binds, _)| *binds >= level)
            .find_map(|(binds, spellings)| spellings.iter().find(|s| **s == spelling).map(|s| (*s, binds)))
    }

    fn sign(&mut self) -> Result<Expression, ParseError> {
        let Some(Token::Symbol(symbol @ ("+" | "-"))) = self.peek() else { return self.invocation() };
        let negative = *symbol == "-";
        self.at += 1;
        Ok(Expression::Sign { negative, of: Box::new(self.invocation()?) })
    }

    fn invocation(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.term()?;
        loop {
            if self.take(".") {
                left = self.member(Some(Box::new(left)))?;
            } else if self.take("[") {
                let index = Box::new(self.expression(0)?);
                self.expect("]")?;
                left = Expression::Index { from: Box::new(left), index };
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self) -> Result<Expression, ParseError> {
        let Some(token) = self.peek().cloned() else { return Err(self.fail("the expression ends too early")) };
        self.at += 1;
        Ok(match token {
            Token::String(text) => Expression::String(text),
            Token::Time(text) => Expression::Time(text),
            Token::Variable(name) => Expression::Variable(name),
            Token::External(name) => Expression::External(name),
            Token::Name(name, false) if name == "true" || name == "false" => Expression::Boolean(name == "true"),
            Token::Number(digits) => match self.peek().cloned() {
                Some(Token::String(unit)) => {
                    self.at += 1;
                    Expression::Quantity(digits, unit)
                }
                Some(Token::Name(unit, false)) if UNITS.contains(&unit.as_str()) => {
                    self.at += 1;
                    Expression::Quantity(digits, unit)
                }
                _ => Expression::Number(digits),
            },
            Token::Symbol("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                inner
            }
            Token::Symbol("{") => {
                self.expect("}")?;
                Expression::Empty
            }
            Token::Name(..) => {
                self.at -= 1;
                self.member(None)?
            }
            Token::Symbol(_) => {
                self.at -= 1;
                return Err(self.fail("expected a value"));
            }
        })
    }

    /// A name or a function call. After a full stop every word is a name, keywords too (`contains` is an element's name).
    fn member(&mut self, from: Option<Box<Expression>>) -> Result<Expression, ParseError> {
        let name = match self.peek().cloned() {
            Some(Token::Name(name, _)) => name,
            Some(Token::Variable(name)) if from.is_some() => format!("${name}"),
            _ => return Err(self.fail("expected a name")),
        };
        self.at += 1;
        if !self.take("(") {
            return Ok(Expression::Member { from, name });
        }
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expression(0)?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Expression::Call { from, name, arguments })
    }

    /// `Quantity`, `FHIR.Quantity`, `System.String`.
    fn type_name(&mut self) -> Result<String, ParseError> {
        let mut name = String::new();
        loop {
            let Some(Token::Name(part, _)) = self.peek() else { return Err(self.fail("expected a type's name")) };
            name.push_str(part);
            self.at += 1;
            if !self.take(".") {
                return Ok(name);
            }
            name.push('.');
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), ParseError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.fail(if symbol == ")" { "expected )" } else { "expected a closing bracket" }))
        }
    }

    fn fail(&self, message: &'static str) -> ParseError {
        ParseError::new(message, self.tokens.get(self.at).map_or(self.end, |(_, at)| *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(parse(text).map_or_else(|e| e.to_string(), |e| show(&e)), expect, "{text}");
    }

    /// The expression with every operation in parentheses.
    fn show(expression: &Expression) -> String {
        let prefix = |from: &Option<Box<Expression>>| from.as_ref().map_or_else(String::new, |f| show(f) + ".");
        match expression {
            Expression::Member { from, name } => prefix(from) + name,
            Expression::Call { from, name, arguments } => {
                format!("{}{name}({})", prefix(from), arguments.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            Expression::Index { from, index } => format!("{}[{}]", show(from), show(index)),
            Expression::Binary { operator, left, right } => format!("({} {operator} {})", show(left), show(right)),
            Expression::Type { is, of, type_name } => {
                format!("({} {} {type_name})", show(of), if *is { "is" } else { "as" })
            }
            Expression::Sign { negative, of } => format!("{}{}", if *negative { '-' } else { '+' }, show(of)),
            Expression::String(text) => format!("'{text}'"),
            Expression::Number(digits) => digits.clone(),
            Expression::Quantity(digits, unit) => format!("{digits} '{unit}'"),
            Expression::External(name) => format!("%{name}"),
            Expression::Variable(name) => format!("${name}"),
            Expression::Time(text) => format!("@{text}"),
            Expression::Boolean(value) => value.to_string(),
            Expression::Empty => "{}".into(),
        }
    }

    #[test]
    fn operators_bind_as_the_specification_says() {
        check("a.b | (c as Quantity)", "(a.b | (c as Quantity))");
        check("a.exists() and a != false", "(a.exists() and (a != false))");
        check("a or b and c implies d", "((a or (b and c)) implies d)");
        check("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)");
        check("-1.5 + a[0].b", "(-1.5 + a[0].b)");
        check("a = b | c", "(a = (b | c))");
        check("ValueSet.expansion.contains.code", "ValueSet.expansion.contains.code");
        check("where(resolve() is FHIR.Patient).as(Quantity)", "where((resolve() is FHIR.Patient)).as(Quantity)");
        check("extension('u').value // all", "extension('u').value");
        check("%resource.referenceSeq + 4 days", "(%resource.referenceSeq + 4 'days')");
        check("@2015-02-04T14:34:28Z > @T12:00", "(@2015-02-04T14:34:28Z > @T12:00)");
        check("`a b`.is(`c`) & {} ~ 'x\\'y'", "((a b.is(c) & {}) ~ 'x'y')");
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_place() {
        check("a.", "expected a name at offset 2");
        check("a b", "expected an operator or the end at offset 2");
        check("(a", "expected ) at offset 2");
        check("", "the expression ends too early at offset 0");
        check("'a", "the quoted text does not end at offset 0");
        check("a ? b", "unexpected character at offset 2");
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse(&"a.".repeat(100_000)).is_err());
    }
}
