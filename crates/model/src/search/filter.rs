//! `_filter`: tests on search parameters, combined by and, or, not and parentheses.
//! <https://hl7.org/fhir/R4/search_filter.html>

use super::{
    escape::Escaped,
    modifier::Modifier,
    parameter::{Depth, Parser},
    prefix::{Comparison, Operator, including, overlapping},
    query::{Criterion, Filter, Place},
    string::{StringMode, fold},
    words,
};
use crate::{
    Error, ResourceType,
    definitions::{ParameterId, SearchParameter, SearchType},
    json::Document,
    temporal::{TimeRange, range},
};

/// Most tests of one filter (HTTP-5).
const TESTS_MAX: usize = 50;
/// Deepest nesting of parentheses and brackets (HTTP-5).
const NESTING_MAX: usize = 10;
/// "For convenience, the codes loinc, snomed, rxnorm and ucum are predefined".
const SYSTEMS: [(&str, &str); 4] = [
    ("loinc", "http://loinc.org"),
    ("snomed", "http://snomed.info/sct"),
    ("rxnorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ucum", "http://unitsofmeasure.org"),
];

/// Reads a whole filter on resources of these types.
pub(super) fn parse(parser: &Parser<'_>, types: &[ResourceType], text: &str, depth: Depth) -> Result<Filter, Error> {
    let mut reader = Reader { parser, text, at: 0, tests: 0, nesting: 0 };
    let filter = reader.filter(types, depth)?;
    match reader.rest().chars().next() {
        None => Ok(filter),
        Some(found) => Err(reader.bad(&format!("unexpected {found}"))),
    }
}

struct Reader<'a> {
    parser: &'a Parser<'a>,
    text: &'a str,
    at: usize,
    tests: usize,
    nesting: usize,
}

impl<'a> Reader<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn bad(&self, reason: &str) -> Error {
        let read = self.text[..self.at].chars().count();
        Error::BadParameter { parameter: "_filter".into(), reason: format!("{reason}, after {read} characters") }
    }

    /// Takes what stands before the first character that ends it.
    fn take(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn word(&mut self) -> &'a str {
        self.take(|c| c.is_whitespace() || "()[]\"".contains(c))
    }

    fn expect(&mut self, character: char) -> Result<(), Error> {
        if !self.rest().starts_with(character) {
            return Err(self.bad(&format!("expected {character}")));
        }
        self.at += character.len_utf8();
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(Error::TooCostly(format!("_filter: nested deeper than {NESTING_MAX}")));
        }
        Ok(())
    }

    /// "Logical expressions are evaluated left to right, with no precedence between and and or."
    fn filter(&mut self, types: &[ResourceType], depth: Depth) -> Result<Filter, Error> {
        let mut filter = self.operand(types, depth)?;
        while !matches!(self.rest().chars().next(), None | Some(')' | ']')) {
            filter = match self.word() {
                "and" => Filter::All(vec![filter, self.operand(types, depth)?]),
                "or" => Filter::Any(vec![filter, self.operand(types, depth)?]),
                _ => return Err(self.bad("expected and, or, or the end")),
            };
        }
        Ok(filter)
    }

    fn operand(&mut self, types: &[ResourceType], depth: Depth) -> Result<Filter, Error> {
        let not = self.rest().strip_prefix("not").is_some_and(|rest| rest.trim_start().starts_with('('));
        if not {
            self.at += "not".len();
        }
        if self.rest().starts_with('(') {
            self.enter()?;
            self.expect('(')?;
            let filter = self.filter(types, depth)?;
            self.expect(')')?;
            self.nesting -= 1;
            return Ok(if not { Filter::Not(Box::new(filter)) } else { filter });
        }
        self.test(types, depth)
    }

    /// `path operator value`; the path is a parameter, or a reference and a path from there.
    fn test(&mut self, types: &[ResourceType], depth: Depth) -> Result<Filter, Error> {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(Error::TooCostly(format!("_filter: more than {TESTS_MAX} tests")));
        }
        let parser = self.parser;
        if let Some(rest) = self.rest().strip_prefix("_has:") {
            let rest = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
            return parser.has(types, "_filter", rest, depth, |source, inner, depth| {
                // What has been read is the type and the reference.
                self.at += "_has:".len() + rest.len() - inner.len();
                self.test(&[source], depth)
            });
        }
        let head = self.take(|c| c.is_whitespace() || ".()[]\"".contains(c));
        if head.is_empty() {
            return Err(self.bad("expected a parameter, such as name co \"pet\""));
        }
        match self.text[self.at..].chars().next() {
            Some('[') => {
                // The filter between the brackets is about the same resource as the path behind them.
                let (from, behind) = (self.at + 1, closing(&self.text[self.at..]).map(|end| self.at + end + 1));
                let behind = behind.filter(|at| self.text[*at..].starts_with('.'));
                let behind = behind.ok_or_else(|| self.bad("expected [filter] and . with a parameter behind it"))? + 1;
                parser.chain(types, "_filter", head, &self.text[behind..], depth, |target, depth| {
                    self.enter()?;
                    self.at = from;
                    let filter = self.filter(&[target], depth)?;
                    self.at = behind;
                    let filter = Filter::All(vec![filter, self.test(&[target], depth)?]);
                    self.nesting -= 1;
                    Ok(filter)
                })
            }
            Some('.') => {
                self.at += 1;
                let rest = &self.text[self.at..];
                parser.chain(types, "_filter", head, rest, depth, |target, depth| self.test(&[target], depth))
            }
            _ => {
                let operator = self.word();
                let value = self.value()?;
                self.parser.tested(types, head, operator, &value)
            }
        }
    }

    /// A JSON string, or what ends with white space or a closing parenthesis or bracket.
    fn value(&mut self) -> Result<String, Error> {
        let rest = self.rest();
        if rest.starts_with('"') {
            let end = closing_quote(rest).ok_or_else(|| self.bad("a string is not closed"))?;
            let document = Document::parse(&rest.as_bytes()[..=end]);
            let string = document.ok().and_then(|d| d.root().as_str().map(std::borrow::Cow::into_owned));
            self.at += end + 1;
            return string.ok_or_else(|| self.bad("a string is no JSON string"));
        }
        let value = self.take(|c| c.is_whitespace() || ")]".contains(c));
        if value.is_empty() {
            return Err(self.bad("expected an operator and a value, such as birthdate ge 2014-10-10"));
        }
        Ok(value.to_owned())
    }
}

/// Where the string that a text starts with ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// Where the bracket that a text starts with is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut open, mut at) = (0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' => at += closing_quote(&text[at..])?,
            '[' => open += 1,
            ']' if open == 1 => return Some(at),
            ']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

impl Parser<'_> {
    /// One test on a parameter of the resource itself.
    fn tested(&self, types: &[ResourceType], code: &str, operator: &str, value: &str) -> Result<Filter, Error> {
        let bad = |reason: String| {
            Err(Error::BadParameter { parameter: format!("_filter: {code} {operator} {value}"), reason })
        };
        if let Some(place) = Place::of(code) {
            return match operator {
                "eq" | "co" => words::parse(&Escaped::new(code, value), place),
                _ => bad("full text is tested with co".into()),
            };
        }
        let parameters = self.parameters(types, code)?;
        let Some(first) = parameters.first() else { return Ok(Filter::Any(Vec::new())) };
        if operator == "pr" {
            return match value {
                "true" => Ok(self.present(&parameters)),
                "false" => Ok(Filter::Not(Box::new(self.present(&parameters)))),
                _ => bad("pr takes true or false".into()),
            };
        }
        let ids: Vec<ParameterId> = parameters.iter().map(|p| p.id).collect();
        let value = &with_system(first.search_type, value);
        let with = |modifier, text: &str| self.meets(&parameters, modifier, &[Escaped::new(code, text)]);
        match (first.search_type, operator) {
            (SearchType::String, _) => match string(operator, value) {
                Some(criterion) => Ok(Filter::Value(ids, criterion)),
                None => bad("a string is tested with eq ne co sw ew gt lt ge le pr".into()),
            },
            (SearchType::Date, "co" | "po") => {
                let Some(searched) = range(value) else { return bad("expected a date or time of the calendar".into()) };
                let compared = of_period(operator, searched);
                if first.code.as_ref() == "_lastUpdated" {
                    return Ok(Filter::LastUpdated(vec![compared]));
                }
                Ok(Filter::Value(ids, Criterion::Date(vec![compared])))
            }
            (
                SearchType::Date | SearchType::Number | SearchType::Quantity,
                "eq" | "ne" | "gt" | "lt" | "ge" | "le" | "sa" | "eb" | "ap",
            ) => with(Modifier::None, &format!("{operator}{value}")),
            (SearchType::Token | SearchType::Uri | SearchType::Composite | SearchType::Special, "eq")
            | (SearchType::Reference, "re" | "eq") => with(Modifier::None, value),
            (SearchType::Token | SearchType::Uri, "ne") => with(Modifier::None, value).map(other),
            (SearchType::Token, "in") => with(Modifier::In, value),
            (SearchType::Token, "ni") => with(Modifier::NotIn, value),
            // "the value subsumes a concept in the set", and the other way round.
            (SearchType::Token, "ss") => with(Modifier::Below, value),
            (SearchType::Token, "sb") => with(Modifier::Above, value),
            (search_type, _) => bad(format!(
                "{operator} is not possible for a parameter of type {}; possible: {}",
                search_type.name(),
                operators(first)
            )),
        }
    }
}

/// "An item in the set has an unequal value".
fn other(equal: Filter) -> Filter {
    match equal {
        Filter::Value(parameters, criterion) => Filter::Value(parameters, Criterion::Other(Box::new(criterion))),
        // There is exactly one id.
        equal => Filter::Not(Box::new(equal)),
    }
}

fn string(operator: &str, value: &str) -> Option<Criterion> {
    let mode = match operator {
        "eq" | "ne" => StringMode::Equals,
        "co" => StringMode::Contains,
        "sw" => StringMode::StartsWith,
        "ew" => StringMode::EndsWith,
        "gt" => StringMode::Compares(Operator::Greater),
        "lt" => StringMode::Compares(Operator::Less),
        "ge" => StringMode::Compares(Operator::GreaterOrEqual),
        "le" => StringMode::Compares(Operator::LessOrEqual),
        _ => return None,
    };
    let criterion = Criterion::String(mode, vec![fold(value)]);
    Some(if operator == "ne" { Criterion::Other(Box::new(criterion)) } else { criterion })
}

/// `co`: "an item in the set's implicit period includes the stated value"; `po`: it overlaps with it.
fn of_period(operator: &str, searched: TimeRange) -> Comparison<i64> {
    if operator == "co" { including(searched.low, searched.high) } else { overlapping(searched.low, searched.high) }
}

fn operators(parameter: &SearchParameter) -> &'static str {
    match parameter.search_type {
        SearchType::String => "eq ne co sw ew gt lt ge le pr",
        SearchType::Number | SearchType::Quantity => "eq ne gt lt ge le sa eb ap pr",
        SearchType::Date => "eq ne co gt lt ge le sa eb ap po pr",
        SearchType::Token => "eq ne ss sb in ni pr",
        SearchType::Reference => "re eq pr",
        SearchType::Uri => "eq ne pr",
        SearchType::Composite | SearchType::Special => "eq pr",
    }
}

/// `loinc|1234-5` with the system's URL.
fn with_system(search_type: SearchType, value: &str) -> String {
    if !matches!(search_type, SearchType::Token | SearchType::Quantity | SearchType::Composite) {
        return value.to_owned();
    }
    let named = |part: &str| {
        let (before, name) = part.rsplit_once('$').map_or(("", part), |(b, n)| (&part[..=b.len()], n));
        let url = SYSTEMS.iter().find(|(short, _)| *short == name).map_or(name, |(_, url)| url);
        format!("{before}{url}")
    };
    let mut parts: Vec<String> = value.split('|').map(str::to_owned).collect();
    let last = parts.len() - 1;
    // A name is a system only where something follows it.
    parts[..last].iter_mut().for_each(|part| *part = named(part));
    parts.join("|")
}
