//! What goes into an operation, from a query string, from Parameters or from a bare resource: one view for all handlers, checked
//! against the definition's names, cardinalities and types. <https://hl7.org/fhir/R4/operations.html#request>

use crate::error::Error;
use std::{borrow::Cow, fmt::Write as _};
use tessera_model::{
    Definitions, Error as ModelError, Resource,
    definitions::{OperationDefinition, OperationParameter, TypeKind},
    json::{Document, Kind, Node, write_string},
    operation_outcome::IssueCode,
    validate::validate,
};

/// Most parameters of one invocation.
const PARAMETERS_MAX: usize = 1000;

/// What an operation takes.
pub(super) struct Taken<'a> {
    pub(super) definition: &'a OperationDefinition,
    /// Any other name is a search parameter.
    pub(super) criteria: bool,
}

/// The parameters of an invocation.
#[derive(Debug, Default)]
pub(crate) struct Input {
    parameters: Vec<Parameter>,
    /// Names and values that are none of the definition's: search criteria.
    pub(crate) criteria: Vec<(String, String)>,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    name: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// `value[x]`
    Element(Document, u32),
    Resource(Resource),
    Parts(Vec<Parameter>),
}

impl Parameter {
    /// Its `value[x]`.
    pub(crate) fn value(&self) -> Option<Node<'_>> {
        match &self.value {
            Value::Element(document, position) => Some(document.at(*position)),
            Value::Resource(_) | Value::Parts(_) => None,
        }
    }

    /// Whether it is called that.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// What it is made of.
    pub(crate) fn parts(&self) -> &[Parameter] {
        match &self.value {
            Value::Parts(parts) => parts,
            Value::Element(..) | Value::Resource(_) => &[],
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        self.value()?.as_text()
    }
}

impl Input {
    /// All parameters of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.name == name)
    }

    /// The text of a primitive parameter.
    pub(crate) fn text<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        self.all(name).find_map(Parameter::text)
    }

    /// The texts of a primitive parameter that may be repeated.
    pub(crate) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        self.all(name).filter_map(Parameter::text)
    }

    /// What can stand in a URL, as it stands there.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        let texts = self.parameters.iter().filter_map(|p| Some((p.name.clone(), p.text()?.into_owned())));
        texts.chain(self.criteria.iter().cloned()).collect()
    }

    /// The resource of that name.
    pub(crate) fn resource<'a>(&'a self, name: &'a str) -> Option<&'a Resource> {
        self.all(name).find_map(|parameter| match &parameter.value {
            Value::Resource(resource) => Some(resource),
            Value::Element(..) | Value::Parts(_) => None,
        })
    }

    /// Reads and checks what came with a request. The query string of a POST counts too: a bare resource as its body leaves
    /// no other place.
    pub(super) fn parse(
        taken: &Taken<'_>,
        query: &[(String, String)],
        body: Option<Resource>,
        definitions: &Definitions,
    ) -> Result<Self, Error> {
        let reader = Reader { taken, definitions };
        let mut input = Self::default();
        for (name, value) in query {
            match taken.definition.parameter(name) {
                Some(parameter) => input.parameters.push(reader.typed(parameter, value)?),
                None if taken.criteria => input.criteria.push((name.clone(), value.clone())),
                None => return Err(reader.unknown(name)),
            }
        }
        match body {
            Some(body) if body.resource_type().name() == "Parameters" => reader.body(&body, &mut input)?,
            Some(body) => input.parameters.push(reader.bare(body)?),
            None => {}
        }
        if input.parameters.len() + input.criteria.len() > PARAMETERS_MAX {
            return Err(ModelError::TooCostly(format!("more than {PARAMETERS_MAX} parameters")).into());
        }
        cardinalities(&taken.definition.parameters, &input.parameters, &taken.definition.code)?;
        Ok(input)
    }
}

struct Reader<'a> {
    taken: &'a Taken<'a>,
    definitions: &'a Definitions,
}

impl Reader<'_> {
    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.taken.definition.parameters.iter().map(|p| &*p.name).collect();
        let known =
            if known.is_empty() { "takes no parameters".to_owned() } else { format!("takes {}", known.join(", ")) };
        let name: String = name.chars().take(64).collect();
        bad(IssueCode::NotSupported, format!("${} has no parameter \"{name}\": it {known}", self.taken.definition.code))
    }

    /// A parameter of a primitive type from its text. What a resource of that content would be told of it, the caller is told.
    fn typed(&self, parameter: &OperationParameter, text: &str) -> Result<Parameter, Error> {
        let name = &*parameter.name;
        let wrong = |reason: &str| bad(IssueCode::Value, format!("{name}={text}: {reason}"));
        if !self.is_primitive(&parameter.type_name) {
            return Err(wrong(&format!("a {} cannot stand in a URL; POST a Parameters resource", parameter.type_name)));
        }
        let kind = json_kind(&parameter.type_name);
        let mut json = format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"{name}\",\"");
        let _ = write!(json, "{}\":", member(&parameter.type_name));
        if kind == Kind::String {
            // The `+` of a time zone that nobody escaped has arrived as a space.
            let is_time = matches!(&*parameter.type_name, "instant" | "dateTime");
            write_string(&mut json, &if is_time { text.replace(' ', "+") } else { text.to_owned() });
        } else {
            json.push_str(text);
        }
        json.push_str("}]}");
        let expected = || wrong(&format!("expected a value of type {}", parameter.type_name));
        let resource = Resource::parse(json, self.definitions).map_err(|_| expected())?;
        if !validate(&resource, self.definitions).is_empty() {
            return Err(expected());
        }
        let items = resource.node().get("parameter").and_then(|list| list.children().next());
        let value = items.and_then(|item| item.get(&member(&parameter.type_name))).ok_or_else(expected)?;
        let value = Value::Element(value.document().clone(), value.position());
        Ok(Parameter { name: name.to_owned(), value })
    }

    /// "If there is exactly one input parameter of a resource type, it can be the body": <https://hl7.org/fhir/R4/operations.html#request>
    fn bare(&self, body: Resource) -> Result<Parameter, Error> {
        let types = self.definitions.types();
        let mut resources = self.taken.definition.parameters.iter().filter(|p| p.is_resource(types));
        match (resources.next(), resources.next()) {
            (Some(parameter), None) => {
                self.of_type(parameter, &body)?;
                Ok(Parameter { name: parameter.name.to_string(), value: Value::Resource(body) })
            }
            _ => Err(Error::WrongType { found: body.resource_type().name(), expected: "Parameters" }),
        }
    }

    fn of_type(&self, parameter: &OperationParameter, resource: &Resource) -> Result<(), Error> {
        let found = resource.resource_type().name();
        match self.definitions.resource_type(&parameter.type_name) {
            Some(expected) if expected.name() != found => Err(Error::WrongType { found, expected: expected.name() }),
            _ => Ok(()),
        }
    }

    fn body(&self, body: &Resource, input: &mut Input) -> Result<(), Error> {
        // Resources within are the operation's to judge: $validate answers with what is wrong with them.
        let mut issues = validate(body, self.definitions);
        let within = |place: &String| place.contains(".resource.") || place.ends_with(".resource");
        issues.retain(|issue| !issue.expression.iter().any(within));
        if !issues.is_empty() {
            return Err(ModelError::Invalid(issues).into());
        }
        for (n, item) in body.node().get("parameter").into_iter().flat_map(Node::children).enumerate() {
            let place = format!("Parameters.parameter[{n}]");
            let name = item.get_str("name").unwrap_or_default();
            match self.taken.definition.parameter(&name) {
                Some(parameter) => input.parameters.push(self.item(parameter, item, &place)?),
                None if self.taken.criteria => {
                    let text = item.children().find(|m| m.name().starts_with("value")).and_then(Node::as_text);
                    let text =
                        text.ok_or_else(|| bad(IssueCode::Value, format!("{name}: a search parameter is a text")))?;
                    input.criteria.push((name.into_owned(), text.into_owned()));
                }
                None => return Err(self.unknown(&name)),
            }
        }
        Ok(())
    }

    fn item(&self, parameter: &OperationParameter, item: Node<'_>, place: &str) -> Result<Parameter, Error> {
        let name = parameter.name.to_string();
        let expected = |what: &str| bad(IssueCode::Value, format!("the parameter {name} must be {what}"));
        if parameter.is_resource(self.definitions.types()) {
            let node = item.get("resource").ok_or_else(|| expected("a resource"))?;
            let resource = Resource::new(node, &format!("{place}.resource"), self.definitions)?;
            self.of_type(parameter, &resource)?;
            return Ok(Parameter { name, value: Value::Resource(resource) });
        }
        if parameter.type_name.is_empty() {
            let mut parts = Vec::new();
            for part in item.get("part").into_iter().flat_map(Node::children) {
                let part_name = part.get_str("name").unwrap_or_default();
                let known = parameter.parts.iter().find(|p| *p.name == *part_name);
                parts.push(self.item(known.ok_or_else(|| self.unknown(&part_name))?, part, place)?);
            }
            cardinalities(&parameter.parts, &parts, &name)?;
            return Ok(Parameter { name, value: Value::Parts(parts) });
        }
        let value = item.children().find(|m| m.name().starts_with("value"));
        let value = value.ok_or_else(|| expected(&format!("of type {}", parameter.type_name)))?;
        let type_name = &*parameter.type_name;
        if value.name() == member(type_name) || matches!(type_name, "Element" | "*") {
            return Ok(Parameter { name, value: Value::Element(value.document().clone(), value.position()) });
        }
        // Clients write valueString for a code or a uri; if the text is one, it is taken.
        match value.as_text() {
            Some(text) if self.is_primitive(type_name) && value.kind() == json_kind(type_name) => {
                self.typed(parameter, &text)
            }
            _ => Err(expected(&format!("of type {type_name}, not {}", value.name()))),
        }
    }

    fn is_primitive(&self, type_name: &str) -> bool {
        let types = self.definitions.types();
        types.named(type_name).is_some_and(|t| matches!(types[t].kind, TypeKind::Primitive(_)))
    }
}

/// `valueDate` of `date`.
fn member(type_name: &str) -> String {
    let mut letters = type_name.chars();
    letters.next().map_or_else(String::new, |first| format!("value{}{}", first.to_ascii_uppercase(), letters.as_str()))
}

/// How JSON writes a primitive. <https://hl7.org/fhir/R4/json.html#primitive>
fn json_kind(type_name: &str) -> Kind {
    match type_name {
        "boolean" => Kind::Boolean,
        "integer" | "decimal" | "positiveInt" | "unsignedInt" => Kind::Number,
        _ => Kind::String,
    }
}

fn cardinalities(defined: &[OperationParameter], given: &[Parameter], of: &str) -> Result<(), Error> {
    for parameter in defined {
        let count = given.iter().filter(|p| p.name == *parameter.name).count();
        if count < parameter.min {
            return Err(bad(IssueCode::Required, format!("{of} needs the parameter {}", parameter.name)));
        }
        if parameter.max.is_some_and(|max| count > max) {
            return Err(bad(IssueCode::Invalid, format!("the parameter {} is given {count} times", parameter.name)));
        }
    }
    Ok(())
}

/// What is wrong with what goes in: 400.
pub(super) fn bad(code: IssueCode, text: String) -> Error {
    Error::BadInput { code, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(definition: &str, query: &str, body: Option<&str>) -> Result<Input, String> {
        let definitions = Definitions::r4();
        let definition = definitions.operations().iter().find(|d| d.url.ends_with(&format!("/{definition}"))).unwrap();
        let taken = Taken { definition, criteria: definition.code.as_ref() == "lastn" };
        let body = body.map(|text| Resource::parse(text, definitions).unwrap());
        let query = tessera_model::interaction::query_pairs(query);
        Input::parse(&taken, &query, body, definitions).map_err(|error| error.answer().1.issue[0].diagnostics.clone())
    }

    #[test]
    fn a_query_string_and_parameters_are_read_alike() {
        let check = |query: &str, body: Option<&str>| {
            let input = parse("Patient-everything", query, body).unwrap();
            assert_eq!(input.text("start").as_deref(), Some("2020-01"));
            assert_eq!(input.text("_count").as_deref(), Some("7"));
            assert_eq!(input.all("_type").filter_map(Parameter::text).collect::<Vec<_>>(), ["A", "B"]);
        };
        check("start=2020-01&_count=7&_type=A&_type=B", None);
        let parameters = |start: &str| {
            format!(
                r#"{{"resourceType":"Parameters","parameter":[{{"name":"start","{start}":"2020-01"}},{{"name":"_count","valueInteger":7}},
                {{"name":"_type","valueCode":"A"}},{{"name":"_type","valueCode":"B"}}]}}"#
            )
        };
        check("", Some(&parameters("valueDate")));
        check("", Some(&parameters("valueString")));
    }

    #[test]
    fn what_the_definition_does_not_allow_is_refused() {
        let check = |definition: &str, query: &str, body: &str, expect: &str| {
            let body = (!body.is_empty()).then_some(body);
            assert_eq!(parse(definition, query, body).map(|_| ()), Err(expect.to_owned()), "{query}");
        };
        check(
            "Patient-everything",
            "stop=1",
            "",
            "$everything has no parameter \"stop\": it takes start, end, _since, _type, _count",
        );
        check("Patient-everything", "start=2020-02-30", "", "start=2020-02-30: expected a value of type date");
        check("Patient-everything", "_count=ten", "", "_count=ten: expected a value of type integer");
        check("Patient-everything", "_count=1%2C2", "", "_count=1,2: expected a value of type integer");
        check("Patient-everything", "start=2020&start=2021", "", "the parameter start is given 2 times");
        check("Resource-graph", "", "", "graph needs the parameter graph");
        check("Resource-meta-add", "meta=x", "", "meta=x: a Meta cannot stand in a URL; POST a Parameters resource");
        check(
            "Resource-meta",
            "",
            r#"{"resourceType":"Patient"}"#,
            "the body is of type Patient, this URL is for Parameters",
        );
        check(
            "Resource-meta-add",
            "",
            r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueString":"x"}]}"#,
            "the parameter meta must be of type Meta, not valueString",
        );
    }

    #[test]
    fn a_bare_resource_is_the_one_parameter_that_takes_one() {
        let input = parse("Resource-validate", "mode=create", Some(r#"{"resourceType":"Patient"}"#)).unwrap();
        assert_eq!(input.resource("resource").unwrap().resource_type().name(), "Patient");
        assert_eq!(input.text("mode").as_deref(), Some("create"));
    }

    #[test]
    fn other_names_are_criteria_where_they_are_taken() {
        let input = parse("Observation-lastn", "patient=1&max=2", None).unwrap();
        assert_eq!(input.criteria, [("patient".to_owned(), "1".to_owned())]);
        assert_eq!(input.text("max").as_deref(), Some("2"));
    }
}
