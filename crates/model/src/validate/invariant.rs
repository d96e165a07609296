//! The invariants of the specification, as FHIRPath: <https://hl7.org/fhir/R4/validation.html>,
//! <https://hl7.org/fhir/R4/conformance-rules.html#constraints>
//!
//! An invariant is broken when its expression is false. One that gives nothing, as `start <= end` does for `2012` and
//! `2012-05`, is not known to be broken.

use super::ISSUES_MAX;
use crate::{
    Definitions, Resource,
    definitions::{TypeId, TypeKind},
    fhirpath::{Element, Environment, Path, PathError, Value, each_member},
    json::{Document, Node},
    operation_outcome::{Issue, IssueCode, Severity},
};
use rustc_hash::FxHashMap;
use std::{borrow::Cow, fmt::Write as _, sync::LazyLock};

const INVARIANTS: &str = include_str!("../../definitions/r4/invariants.ndjson");

/// Invariants that the walk over the structure checks, together with everything else about the same elements.
const IN_STRUCTURE: [&str; 8] = ["dom-2", "dom-3", "dom-4", "dom-5", "ext-1", "ref-1", "txt-1", "txt-2"];

/// Invariants whose expression in R4 does not say what their text says, with what it should be.
const CORRECTED: [(&str, &str); 1] = [
    // `Boolean` is FHIRPath's own type, which no element is of; corrected in R5.
    ("que-7", "operator = 'exists' implies (answer is boolean)"),
];

struct Invariant {
    key: Box<str>,
    /// Of those that share a key, the element this one is for.
    path: Box<str>,
    severity: Severity,
    expression: Box<str>,
    compiled: Path,
}

/// The invariants by what they are about.
struct Invariants {
    of_type: FxHashMap<TypeId, Vec<&'static Invariant>>,
    /// By the type and the number of its element.
    of_element: FxHashMap<(TypeId, usize), Vec<&'static Invariant>>,
}

static R4: LazyLock<Invariants> = LazyLock::new(|| Invariants::load(Definitions::r4()));

impl Invariants {
    fn load(definitions: &Definitions) -> Self {
        // They live as long as the process.
        let all: &'static [Invariant] = Vec::leak(INVARIANTS.lines().filter_map(read).collect());
        let types = definitions.types();
        let named = |keys: &[Box<str>], path: &str| -> Vec<&'static Invariant> {
            let wanted = keys.iter().filter(|key| !IN_STRUCTURE.contains(&&***key) && ***key != *ELE_1);
            let of_key = wanted.flat_map(|key| all.iter().filter(move |invariant| invariant.key == *key));
            of_key.filter(|invariant| invariant.path.is_empty() || *invariant.path == *path).collect()
        };
        let (mut own, mut of_element) = (FxHashMap::default(), FxHashMap::default());
        for type_id in types.ids() {
            let definition = &types[type_id];
            own.entry(type_id).or_insert_with(Vec::new).extend(named(&definition.invariants, &definition.name));
            for (number, element) in definition.elements.iter().enumerate() {
                let path = format!("{}.{}", definition.name, element.name);
                let invariants = named(&element.invariants, &path);
                if invariants.is_empty() {
                    continue;
                }
                // Those of a backbone element hold wherever its content stands: items within items.
                match element.types[..] {
                    [backbone] if *types[backbone].name == *path => {
                        own.entry(backbone).or_insert_with(Vec::new).extend(invariants);
                    }
                    _ => {
                        of_element.insert((type_id, number), invariants);
                    }
                }
            }
        }
        let line = |type_id| std::iter::successors(Some(type_id), |&id| types[id].base);
        let inherited = |type_id| line(type_id).flat_map(|id| own.get(&id).into_iter().flatten().copied()).collect();
        let of_type = types.ids().map(|type_id| (type_id, inherited(type_id))).collect();
        Self { of_type, of_element }
    }
}

fn read(line: &str) -> Option<Invariant> {
    let row = Document::parse(line).ok()?;
    let text = |name: &str| row.root().get_str(name).unwrap_or_default();
    let key = text("key");
    let corrected = CORRECTED.iter().find(|(corrected, _)| *corrected == key);
    let expression = corrected.map_or_else(|| text("expression"), |(_, expression)| Cow::Borrowed(*expression));
    Some(Invariant {
        compiled: Path::parse(&expression).ok()?,
        severity: if text("severity") == "warning" { Severity::Warning } else { Severity::Error },
        path: text("path").into(),
        key: key.into(),
        expression: expression.into(),
    })
}

/// Every invariant that does not hold in the resource and what it contains.
pub(super) fn check(resource: &Resource, definitions: &Definitions) -> Vec<Issue> {
    let mut walk = Walk { definitions, path: Vec::new(), issues: Vec::new() };
    let name = resource.resource_type().name();
    walk.path.push((Cow::Borrowed(name), None));
    let root = Element::resource(resource.node(), definitions.types());
    walk.element(root, &Environment::new(definitions).resource(resource.node()), resource.node());
    walk.issues
}

struct Walk<'a> {
    definitions: &'a Definitions,
    /// Names and indices from the root to here; the text is made only for an issue.
    path: Vec<(Cow<'a, str>, Option<usize>)>,
    issues: Vec<Issue>,
}

/// The one invariant that concerns every element, and so is not worth an evaluation each.
const ELE_1: &str = "ele-1";

impl<'a> Walk<'a> {
    /// `root`: the resource around, contained ones aside.
    fn element(&mut self, element: Element<'a>, environment: &Environment<'a>, root: Node<'a>) {
        let definitions = self.definitions;
        let types = definitions.types();
        for invariant in R4.of_type.get(&element.type_id()).into_iter().flatten() {
            self.evaluate(invariant, element, environment);
        }
        // hasValue() or (children().count() > id.count())
        let value = element.value().is_some() && matches!(types[element.type_id()].kind, TypeKind::Primitive(_));
        let content = if value { None } else { element.extras().or(element.value()) };
        if content.is_some_and(|content| !content.children().any(|member| member.name() != "id")) {
            self.issue(Severity::Error, format!("{ELE_1}: an element has a value or children"));
        }
        each_member(element, types, |name, place, values| {
            let repeats = definitions.types()[place.0].elements[place.1].repeats;
            for (index, value) in values.iter().enumerate() {
                let Value::Element(child) = value else { continue };
                self.path.push((name.clone(), repeats.then_some(index)));
                for invariant in R4.of_element.get(&place).into_iter().flatten() {
                    self.evaluate(invariant, *child, environment);
                }
                match types[child.type_id()].kind {
                    TypeKind::Resource(_) => self.resource(*child, name, root),
                    // Nothing within a plain value.
                    TypeKind::Primitive(_) if child.extras().is_none() => {}
                    _ => self.element(*child, environment, root),
                }
                self.path.pop();
            }
        });
    }

    /// A contained resource, or one within a Bundle or Parameters, which is one of its own.
    fn resource(&mut self, resource: Element<'a>, member: &str, root: Node<'a>) {
        let contained = member == "contained";
        let root = if contained { root } else { resource.node() };
        let environment = Environment::new(self.definitions).resource(resource.node()).within(root);
        self.element(resource, &environment, root);
    }

    fn evaluate(&mut self, invariant: &'static Invariant, element: Element<'a>, environment: &Environment<'a>) {
        let key = &invariant.key;
        match invariant.compiled.holds(Value::Element(element), environment) {
            Ok(Some(true) | None) => {}
            Ok(Some(false)) => self.issue(invariant.severity, format!("{key}: {}", invariant.expression)),
            Err(PathError::TooCostly(why)) => {
                self.issue(Severity::Warning, format!("{key} was not checked, since that is too costly: {why}"));
            }
            // What is not of its type is an error of the structure already.
            Err(error) => self.issue(Severity::Warning, format!("{key} could not be checked: {error}")),
        }
    }

    fn issue(&mut self, severity: Severity, text: String) {
        if self.issues.len() >= ISSUES_MAX {
            return;
        }
        let mut place = String::new();
        for (n, (name, index)) in self.path.iter().enumerate() {
            if n > 0 {
                place.push('.');
            }
            place.push_str(name);
            if let Some(index) = index {
                let _ = write!(place, "[{index}]");
            }
        }
        self.issues.push(Issue { severity, ..Issue::error(IssueCode::Invariant, text).at(place) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what is broken: `key at place`, joined by `, `; dom-6 (no narrative) aside.
    fn broken(json: &str, expect: &str) {
        let resource = Resource::parse(json, Definitions::r4()).unwrap();
        let issues = check(&resource, Definitions::r4());
        let show = |issue: &Issue| {
            let key = issue.diagnostics.split(':').next().unwrap_or_default();
            let warning = if issue.severity == Severity::Warning { "warning " } else { "" };
            format!("{warning}{key} at {}", issue.expression.join(" "))
        };
        let found: Vec<String> = issues.iter().map(show).filter(|shown| !shown.contains("dom-6")).collect();
        assert_eq!(found.join(", "), expect, "{json}");
    }

    #[test]
    fn every_invariant_is_read_and_stands_somewhere() {
        let keys = |invariants: &mut dyn Iterator<Item = &&'static Invariant>| -> Vec<String> {
            invariants.map(|invariant| format!("{}{}", invariant.key, invariant.path)).collect()
        };
        let mut found = keys(&mut R4.of_type.values().flatten());
        found.extend(keys(&mut R4.of_element.values().flatten()));
        found.sort();
        found.dedup();
        assert_eq!(found.len() + IN_STRUCTURE.len() + 1, INVARIANTS.lines().count());
    }

    #[test]
    fn every_invariant_fits_the_elements_it_is_about() {
        let types = Definitions::r4().types();
        let mut wrong = Vec::new();
        let mut check = |invariant: &Invariant, type_id| {
            if let Err(error) = invariant.compiled.check(type_id, types) {
                wrong.push(format!("{}: {error}", invariant.key));
            }
        };
        for type_id in types.ids() {
            let own = R4.of_type.get(&type_id).into_iter().flatten();
            own.for_each(|invariant| check(invariant, type_id));
            for (number, element) in types[type_id].elements.iter().enumerate() {
                for invariant in R4.of_element.get(&(type_id, number)).into_iter().flatten() {
                    element.types.iter().for_each(|&type_id| check(invariant, type_id));
                }
            }
        }
        wrong.sort();
        wrong.dedup();
        // HL7's own mistakes: an element that the type has not, and a rule of Range on a choice with decimal.
        assert_eq!(
            wrong,
            ["cid-0: ChargeItemDefinition has no element \"name\"", "ras-1: decimal has no element \"low\""]
        );
    }

    #[test]
    fn on_resources_types_elements_and_backbone_elements() {
        broken(
            r#"{"resourceType":"Patient","name":[{"family":"A"}],"contact":[{"gender":"male"}]}"#,
            "pat-1 at Patient.contact[0]",
        );
        broken(
            r#"{"resourceType":"Observation","valueString":"a","dataAbsentReason":{"text":"b"},"referenceRange":[{"age":{"low":{"value":1}}}]}"#,
            "obs-6 at Observation, obs-3 at Observation.referenceRange[0]",
        );
        // On the type Quantity, and on an element whose type is one: Age is both.
        broken(
            r#"{"resourceType":"Condition","onsetAge":{"value":-1,"code":"a"}}"#,
            "age-1 at Condition.onsetAge, qty-3 at Condition.onsetAge",
        );
        // On an element of a primitive type, and on one of a complex type.
        broken(
            r#"{"resourceType":"Organization","name":"A","telecom":[{"use":"work"},{"use":"home"}]}"#,
            "org-3 at Organization.telecom[1]",
        );
        broken(
            r#"{"resourceType":"Patient","birthDate":"2000","_birthDate":{"id":"a"},"name":[{"id":"b"}]}"#,
            "ele-1 at Patient.name[0]",
        );
        broken(r#"{"resourceType":"Patient","_birthDate":{"id":"a"}}"#, "ele-1 at Patient.birthDate");
    }

    #[test]
    fn items_within_items_too() {
        let item =
            r#"{"linkId":"1","type":"group","item":[{"linkId":"1","type":"display","required":true,"text":"a"}]}"#;
        broken(
            &format!(r#"{{"resourceType":"Questionnaire","status":"draft","item":[{item}]}}"#),
            "que-2 at Questionnaire, que-6 at Questionnaire.item[0].item[0]",
        );
        let when = |answer: &str| {
            let when = format!(r#"{{"question":"1","operator":"exists",{answer}}}"#);
            format!(
                r#"{{"resourceType":"Questionnaire","status":"draft","item":[{{"linkId":"1","type":"group","item":[{{"linkId":"2","type":"string","enableWhen":[{when}]}}]}}]}}"#
            )
        };
        broken(&when(r#""answerBoolean":true"#), "");
        broken(&when(r#""answerInteger":1"#), "que-7 at Questionnaire.item[0].item[0].enableWhen[0]");
    }

    #[test]
    fn what_cannot_be_told_is_not_broken() {
        let period = |start: &str, end: &str| {
            format!(
                r#"{{"resourceType":"Patient","name":[{{"family":"A","period":{{"start":"{start}","end":"{end}"}}}}]}}"#
            )
        };
        broken(&period("2012", "2012-05"), "");
        broken(&period("2013", "2012-05"), "per-1 at Patient.name[0].period");
    }

    #[test]
    fn within_bundles_and_contained_resources() {
        broken(
            r##"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient",
              "managingOrganization":{"reference":"#o"},"contained":[{"resourceType":"Organization","id":"o"}]}},
              {"fullUrl":"http://a/Patient/1/_history/2","request":{"method":"GET","url":"a"}}]}"##,
            "bdl-3 at Bundle, org-1 at Bundle.entry[0].resource.contained[0], bdl-8 at Bundle.entry[1]",
        );
        broken(r#"{"resourceType":"Parameters","parameter":[{"name":"a"}]}"#, "inv-1 at Parameters.parameter[0]");
    }
}
