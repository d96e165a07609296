//! Runs HL7's FHIRPath suite for R4, which is not part of this repository: `just fhirpath-suite FOLDER`, where FOLDER holds
//! `tests-fhir-r4.xml` and its input files.
//! <https://github.com/FHIR/fhir-test-cases/tree/master/r4/fhirpath>

#![expect(clippy::print_stdout, reason = "this program reports to a terminal")]

use quick_xml::{Reader, XmlVersion, events::Event};
use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path as File, PathBuf},
    process::ExitCode,
};
use tessera_model::{
    Definitions,
    definitions::TypeTable,
    fhirpath::{Element, Environment, Path, TemporalKind, Value},
    json::Document,
    temporal, xml,
};

/// As many must pass; docs/fhirpath.md names the others with their reasons.
const PASSED_MIN: usize = 925;

#[derive(Default, Debug)]
struct Test {
    name: String,
    input: String,
    predicate: bool,
    ordered: bool,
    invalid: bool,
    expression: String,
    outputs: Vec<(String, String)>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("which folder holds tests-fhir-r4.xml?")?);
    let tests = read(&std::fs::read_to_string(folder.join("tests-fhir-r4.xml"))?)?;
    let mut inputs = BTreeMap::new();
    for name in tests.iter().map(|test| &test.input) {
        if !inputs.contains_key(name) {
            inputs.insert(name.clone(), input(&folder, name)?);
        }
    }
    let mut passed = 0;
    for test in &tests {
        let Some(document) = inputs.get(&test.input) else { continue };
        match run(test, document) {
            Ok(()) => passed += 1,
            Err(why) => println!("{}: {}\n    {why}", test.name, test.expression.trim()),
        }
    }
    println!("{passed} of {} passed", tests.len());
    Ok(if passed >= PASSED_MIN { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The input of a test; most tests that name none need one all the same.
fn input(folder: &File, name: &str) -> Result<Document, Box<dyn Error>> {
    if name.is_empty() {
        return Ok(Document::parse("{\"resourceType\":\"Patient\"}")?);
    }
    let file = folder.join(name);
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if name.ends_with(".xml") {
        return Ok(Document::parse(xml::read(&bytes, Definitions::r4())?)?);
    }
    Ok(Document::parse(bytes)?)
}

fn run(test: &Test, document: &Document) -> Result<(), String> {
    let definitions = Definitions::r4();
    let types = definitions.types();
    let now = temporal::range("2026-01-02T03:04:05.678Z").map(|range| range.low).unwrap_or_default();
    let environment = Environment::new(definitions).resource(document.root()).at(now);
    let focus = Element::resource(document.root(), types);
    let path = Path::parse(&test.expression);
    // Every test is checked: those that are valid must stand it too.
    let result = path.as_ref().map_err(Clone::clone).and_then(|path| {
        path.check(focus.type_id(), types)?;
        path.evaluate(Value::Element(focus), &environment)
    });
    if test.invalid {
        return match result {
            Err(_) => Ok(()),
            Ok(items) => Err(format!("accepted, and gives {}", show_all(&items, types))),
        };
    }
    let items = result.map_err(|error| error.to_string())?;
    let items = if test.predicate {
        vec![Value::Boolean(match &items[..] {
            [item] => item.as_bool(types).unwrap_or(true),
            items => !items.is_empty(),
        })]
    } else {
        items
    };
    let mut found: Vec<_> = items.iter().map(|item| show(item, types)).collect();
    let mut expected: Vec<_> = test.outputs.iter().map(|(kind, text)| (kind.clone(), normal(text))).collect();
    if !test.ordered {
        found.sort();
        expected.sort();
    }
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|((kind, text), (expected_kind, expected))| {
            (expected_kind.is_empty() || kind == expected_kind) && same_text(text, expected)
        });
    if same { Ok(()) } else { Err(format!("gives {}, expected {:?}", show_all(&items, types), test.outputs)) }
}

/// Numbers are the same whatever zeros they end in, and zero has no sign.
fn same_text(found: &str, expected: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    found == expected || number(found).is_some_and(|found| Some(found) == number(expected))
}

/// Dates are written as literals there.
fn normal(text: &str) -> String {
    let text = text.strip_prefix("@T").or_else(|| text.strip_prefix('@')).unwrap_or(text);
    text.to_owned()
}

/// Type and text as the suite writes them.
fn show(item: &Value<'_>, types: &TypeTable) -> (String, String) {
    let text = item.to_text(types).map_or_else(|| "(no text)".into(), std::borrow::Cow::into_owned);
    let kind = match item {
        Value::Element(element) => types[element.type_id()].name.to_string(),
        Value::Quantity(_) => "Quantity".into(),
        Value::Temporal(value) if value.kind == TemporalKind::DateTime => "dateTime".into(),
        other => other.type_name(types).1.to_lowercase(),
    };
    (kind, text)
}

fn show_all(items: &[Value<'_>], types: &TypeTable) -> String {
    format!("{:?}", items.iter().map(|item| show(item, types)).collect::<Vec<_>>())
}

fn read(text: &str) -> Result<Vec<Test>, Box<dyn Error>> {
    let mut reader = Reader::from_str(text);
    let (mut tests, mut test, mut inner) = (Vec::new(), Test::default(), String::new());
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                inner.clear();
                let get = |name: &str| -> Result<Option<String>, Box<dyn Error>> {
                    Ok(match start.try_get_attribute(name)? {
                        Some(attribute) => Some(attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned()),
                        None => None,
                    })
                };
                match start.name().as_ref() {
                    "test" => {
                        test = Test {
                            name: get("name")?.unwrap_or_default(),
                            input: get("inputfile")?.unwrap_or_default(),
                            predicate: get("predicate")?.is_some_and(|value| value == "true"),
                            ordered: get("ordered")?.is_none_or(|value| value == "true"),
                            ..Test::default()
                        }
                    }
                    "expression" => test.invalid = get("invalid")?.is_some(),
                    "output" => test.outputs.push((get("type")?.unwrap_or_default(), String::new())),
                    _ => {}
                }
            }
            Event::End(end) => match end.name().as_ref() {
                "test" => tests.push(std::mem::take(&mut test)),
                "expression" => test.expression = std::mem::take(&mut inner),
                "output" => {
                    if let Some(last) = test.outputs.last_mut() {
                        last.1 = std::mem::take(&mut inner);
                    }
                }
                _ => {}
            },
            Event::Text(text) => inner.push_str(&text),
            Event::GeneralRef(reference) => {
                let name = &*reference;
                match reference.resolve_char_ref()? {
                    Some(character) => inner.push(character),
                    None => inner.push_str(quick_xml::escape::resolve_predefined_entity(name).unwrap_or_default()),
                }
            }
            Event::Eof => return Ok(tests),
            _ => {}
        }
    }
}
