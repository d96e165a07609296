//! Tests of the answers, on a small system of animals and on what is bundled.

use super::{expand::expand, lookup::lookup, subsumes::subsumes, translate::translate, validate_code::in_value_set, *};
use crate::{Definitions, Error, Resource};
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:00:00.000Z";

fn animals() -> Value {
    json!({"resourceType": "CodeSystem", "url": "http://x/animals", "version": "1", "name": "Animals", "status": "active",
        "content": "complete", "caseSensitive": true, "language": "en",
        "property": [{"code": "legs", "type": "integer"}],
        "concept": [
            {"code": "pet", "display": "Pet", "property": [{"code": "notSelectable", "valueBoolean": true}], "concept": [
                {"code": "dog", "display": "Dog", "property": [{"code": "legs", "valueInteger": 4}],
                    "designation": [{"language": "de-CH", "value": "Hund"}, {"value": "hound",
                        "use": {"system": "http://u", "code": "old"}}]},
                {"code": "budgie", "display": "Budgerigar", "property": [{"code": "legs", "valueInteger": 2}]}]},
            {"code": "quagga", "display": "Quagga", "property": [{"code": "status", "valueCode": "retired"}]}]})
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is used")]
fn value_set(url: &str, compose: Value) -> Value {
    json!({"resourceType": "ValueSet", "id": "v", "url": url, "status": "active", "text": {}, "compose": compose})
}

fn whole() -> Value {
    json!({"system": "http://x/animals"})
}

fn listed(codes: &[&str]) -> Value {
    json!({"system": "http://x/animals", "concept": codes.iter().map(|code| json!({"code": code})).collect::<Vec<_>>()})
}

/// A library of the animals and these resources, with all that they name.
fn library(resources: &[Value]) -> Library {
    let mut library = Library::default();
    for value in resources.iter().chain([&animals()]) {
        let resource = Resource::parse(value.to_string(), Definitions::r4()).unwrap();
        let kind = match value["resourceType"].as_str().unwrap() {
            "ValueSet" => Kind::ValueSet,
            "CodeSystem" => Kind::CodeSystem,
            _ => Kind::ConceptMap,
        };
        library.add(Canonical::parse(kind, value["url"].as_str().unwrap()), &resource).unwrap();
    }
    library.settle_bundled().unwrap();
    library
}

fn expansion(resources: &[Value], options: &expand::Options) -> Result<Value, Error> {
    let text = expand(&library(resources), &Canonical::parse(Kind::ValueSet, "v"), options, NOW)?;
    Ok(serde_json::from_str(&text).unwrap())
}

fn codes(expansion: &Value) -> String {
    let contains = expansion["expansion"]["contains"].as_array().into_iter().flatten();
    contains.map(|item| item["code"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// The codes of the value set `v` with that compose; `w` holds dog and quagga, `circle` imports `v`.
#[track_caller]
fn check(compose: Value, expect: &str) {
    let resources = [
        value_set("v", compose),
        value_set("w", json!({"include": [listed(&["dog", "quagga"])]})),
        value_set("circle", json!({"include": [{"valueSet": ["v"]}]})),
    ];
    let found = match expansion(&resources, &expand::Options::default()) {
        Ok(expansion) => codes(&expansion),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expect);
}

// https://hl7.org/fhir/R4/valueset.html#compositions
#[test]
fn includes_add_up_and_excludes_take_away() {
    check(json!({"include": [whole()]}), "pet dog budgie quagga");
    check(json!({"include": [listed(&["dog", "unicorn"])]}), "dog");
    check(json!({"include": [listed(&["dog"]), listed(&["quagga", "dog"])]}), "dog quagga");
    check(json!({"include": [whole()], "exclude": [listed(&["pet", "unicorn"])]}), "dog budgie quagga");
    check(json!({"include": [whole()], "exclude": [{"valueSet": ["w"]}]}), "pet budgie");
    check(json!({"inactive": false, "include": [whole()]}), "pet dog budgie");
    let filter = |value: &str| json!({"property": "concept", "op": "is-a", "value": value});
    let legs = json!({"property": "legs", "op": "=", "value": "2"});
    check(json!({"include": [{"system": "http://x/animals", "filter": [filter("pet"), legs]}]}), "budgie");
    check(
        json!({"include": [{"system": "http://x/animals", "filter": [filter("cat")]}]}),
        "the filter \"concept is-a cat\" of the code system http://x/animals: there is no such code",
    );
}

#[test]
fn imports_are_intersected_within_an_include() {
    check(json!({"include": [{"valueSet": ["w"]}]}), "dog quagga");
    check(json!({"include": [{"system": "http://x/animals", "valueSet": ["w"]}]}), "dog quagga");
    let pets = json!([{"property": "concept", "op": "is-a", "value": "pet"}]);
    check(json!({"include": [{"system": "http://x/animals", "filter": pets, "valueSet": ["w"]}]}), "dog");
    check(json!({"include": [{"valueSet": ["w"]}, listed(&["budgie"])]}), "dog quagga budgie");
    check(json!({"include": [{"valueSet": ["w", "http://hl7.org/fhir/ValueSet/task-status"]}]}), "");
    check(json!({"include": [{"valueSet": ["nowhere|2"]}]}), "this server has no value set nowhere|2");
    check(json!({"include": [{"valueSet": ["circle"]}]}), "the value set v imports itself");
}

#[test]
fn of_a_system_that_is_not_held_only_lists_are_known() {
    let concept = json!([{"code": "8867-4", "display": "Heart rate"}]);
    check(json!({"include": [{"system": "http://loinc.org", "concept": concept}]}), "8867-4");
    check(json!({"include": [{"system": "http://loinc.org"}]}), "this server has no code system http://loinc.org");
    let filter = json!([{"property": "parent", "op": "=", "value": "LP1"}]);
    check(
        json!({"include": [whole()], "exclude": [{"system": "http://x/animals", "version": "2", "filter": filter}]}),
        "this server has no code system http://x/animals|2",
    );
    check(json!({"include": [{"system": "http://unitsofmeasure.org"}]}), "UCUM has no end of codes");
}

#[test]
fn an_expansion_is_known_by_its_codes_and_a_page_of_one_is_not() {
    let with = |expansion: Value| {
        let mut value_set = value_set("v", json!(null));
        value_set.as_object_mut().unwrap().remove("compose");
        value_set["expansion"] = expansion;
        self::expansion(&[value_set], &expand::Options::default()).map(|found| codes(&found))
    };
    let contains =
        json!([{"system": "s", "code": "a", "contains": [{"system": "s", "code": "b"}]}, {"display": "group"}]);
    assert_eq!(with(json!({"contains": contains})).unwrap(), "a b");
    assert!(with(json!({"total": 9, "contains": contains})).is_err());
}

// https://hl7.org/fhir/R4/valueset-operation-expand.html
#[test]
fn an_expansion_says_what_it_is_and_what_it_depends_on() {
    let found = expansion(&[value_set("v", json!({"include": [whole()]}))], &expand::Options::default()).unwrap();
    assert_eq!(found["expansion"]["total"], 4);
    assert_eq!(found["expansion"]["timestamp"], NOW);
    assert_eq!(found["expansion"]["parameter"], json!([{"name": "version", "valueUri": "http://x/animals|1"}]));
    let items = json!([
        {"system": "http://x/animals", "abstract": true, "version": "1", "code": "pet", "display": "Pet"},
        {"system": "http://x/animals", "inactive": true, "version": "1", "code": "quagga", "display": "Quagga"}]);
    assert_eq!(found["expansion"]["contains"][0], items[0]);
    assert_eq!(found["expansion"]["contains"][3], items[1]);
    assert_eq!((&found["url"], &found["id"], &found["compose"]), (&json!("v"), &json!(null), &json!(null)));
}

#[test]
fn the_parameters_of_an_expansion() {
    let with = |options: expand::Options| {
        expansion(&[value_set("v", json!({"include": [whole()]}))], &options).map_err(|error| error.to_string())
    };
    let default = expand::Options::default;
    let check = |options: expand::Options, expect: &str| assert_eq!(codes(&with(options).unwrap()), expect);
    check(expand::Options { active_only: true, ..default() }, "pet dog budgie");
    check(expand::Options { exclude_not_for_ui: true, ..default() }, "dog budgie quagga");
    check(expand::Options { filter: Some("budger".into()), ..default() }, "budgie");
    check(expand::Options { filter: Some("HÓU".into()), ..default() }, "dog");
    check(expand::Options { filter: Some("og".into()), ..default() }, "");
    check(expand::Options { offset: Some(1), count: Some(2), ..default() }, "dog budgie");
    check(expand::Options { offset: Some(9), ..default() }, "");
    check(expand::Options { count: Some(0), ..default() }, "");
    let system = |text: &str| vec![Canonical::parse(Kind::CodeSystem, text)];
    check(expand::Options { excluded_systems: system("http://x/animals|1"), ..default() }, "");
    check(expand::Options { excluded_systems: system("http://x/animals|2"), ..default() }, "pet dog budgie quagga");
    let paged = with(expand::Options { count: Some(0), ..default() }).unwrap();
    assert_eq!((&paged["expansion"]["total"], &paged["expansion"]["offset"]), (&json!(4), &json!(0)));
    let versions = Versions { forced: system("http://x/animals|2"), ..Versions::default() };
    let refused = with(expand::Options { versions, ..default() }).unwrap_err();
    assert_eq!(refused, "this server has no code system http://x/animals|2");
}

#[test]
fn names_in_other_languages_and_for_other_uses() {
    let value_sets = [value_set("v", json!({"include": [listed(&["dog"])]}))];
    let dog = |options: expand::Options| expansion(&value_sets, &options).unwrap()["expansion"]["contains"][0].clone();
    let default = expand::Options::default;
    let of_language = |language: &str| {
        let display_language = Some(language.to_owned());
        dog(expand::Options { display_language, ..default() })["display"].clone()
    };
    assert_eq!(of_language("de"), "Hund");
    assert_eq!(of_language("fr"), "Dog");
    assert_eq!(of_language("en"), "Dog");
    assert_eq!(dog(default())["designation"], json!(null));
    let all = dog(expand::Options { include_designations: true, ..default() });
    assert_eq!(all["designation"].as_array().unwrap().len(), 2);
    let one =
        |token: &str| dog(expand::Options { designations: vec![token.into()], ..default() })["designation"][0].clone();
    assert_eq!(one("urn:ietf:bcp:47|de")["value"], "Hund");
    assert_eq!(one("http://u|old")["value"], "hound");
    assert_eq!(one("http://u|new"), json!(null));
}

#[test]
fn very_large_expansions_have_to_be_paged() {
    let concepts: Vec<Value> = (0..10_001).map(|n| json!({"code": n.to_string()})).collect();
    let value_sets = [value_set("v", json!({"include": [{"system": "http://x/many", "concept": concepts}]}))];
    let with = |count| expansion(&value_sets, &expand::Options { count, ..expand::Options::default() });
    assert!(matches!(with(None), Err(Error::TooCostly(_))));
    assert_eq!(with(Some(2)).unwrap()["expansion"]["total"], 10_001);
}

#[test]
fn work_has_an_end() {
    // Each imports the next twice over: asked naively, the last would be asked a million times.
    let mut value_sets: Vec<Value> = (0..19)
        .map(|n| {
            let import = json!({"valueSet": [format!("v{}", n + 1)]});
            let name = if n == 0 { "v".to_owned() } else { format!("v{n}") };
            value_set(&name, json!({"include": [import, import, import, import]}))
        })
        .collect();
    value_sets.push(value_set("v19", json!({"include": [listed(&["dog"])]})));
    let library = library(&value_sets);
    let compiled = compile(&library, &Canonical::parse(Kind::ValueSet, "v"), &Versions::default()).unwrap();
    assert!(matches!(compiled.find("http://x/animals", "quagga"), Err(Error::TooCostly(_))));
    assert!(matches!(compiled.members(), Err(Error::TooCostly(_))));
}

// https://hl7.org/fhir/R4/valueset-operation-validate-code.html
#[test]
fn codes_are_judged_by_their_value_set_their_name_and_their_place() {
    let compose = json!({"include": [whole(), {"system": "http://unitsofmeasure.org"},
        {"system": "http://loinc.org", "concept": [{"code": "1-2"}]}, {"system": "http://nowhere"}],
        "exclude": [listed(&["quagga"])]});
    let library = library(&[value_set("v", compose)]);
    let compiled = compile(&library, &Canonical::parse(Kind::ValueSet, "v"), &Versions::default()).unwrap();
    let judge = |code: &str, display: Option<&str>, abstract_allowed: bool| {
        let (system, code) = code.split_once('#').unwrap();
        let coding = Coding {
            system: system.into(),
            code: code.into(),
            display: display.map(str::to_owned),
            ..Coding::default()
        };
        let options = validate_code::Options { abstract_allowed, ..validate_code::Options::default() };
        match in_value_set(&compiled, "v", &[coding], &options) {
            Ok(verdict) => format!("{} {}", verdict.result, verdict.message.or(verdict.display).unwrap_or_default()),
            Err(error) => error.to_string(),
        }
    };
    let check = |code: &str, expect: &str| assert_eq!(judge(code, None, false), expect);
    check("http://x/animals#dog", "true Dog");
    check("http://x/animals#Dog", "false http://x/animals|Dog is not in the value set v");
    check("http://x/animals#quagga", "false http://x/animals|quagga is not in the value set v");
    check("http://x/animals#pet", "false http://x/animals|pet is abstract: it only groups other codes");
    check("http://y#dog", "false http://y|dog is not in the value set v");
    check("http://unitsofmeasure.org#mm[Hg]", "true ");
    check("http://unitsofmeasure.org#nope", "false http://unitsofmeasure.org|nope is not in the value set v");
    check("http://loinc.org#1-2", "true ");
    check("http://loinc.org#3-4", "false http://loinc.org|3-4 is not in the value set v");
    check("http://nowhere#1", "this server has no code system http://nowhere");
    assert_eq!(judge("http://x/animals#pet", None, true), "true Pet");
    assert_eq!(judge("http://x/animals#dog", Some("dog"), false), "true Dog");
    assert_eq!(judge("http://x/animals#dog", Some("Hund"), false), "true Dog");
    let wrong = "false the display \"Cat\" of http://x/animals|dog is not right: it is \"Dog\"";
    assert_eq!(judge("http://x/animals#dog", Some("Cat"), false), wrong);
}

// https://hl7.org/fhir/R4/codesystem-operation-lookup.html
#[test]
fn a_look_up_tells_names_and_properties() {
    let library = library(&[]);
    let node = library.find(&Canonical::parse(Kind::CodeSystem, "http://x/animals")).unwrap();
    let system = CodeSystem::read(node);
    let found = Value::from(lookup(&system, "dog", &[], Some("de")).unwrap());
    let part =
        |name: &str, value: Value| json!({"name": "property", "part": [{"name": "code", "valueCode": name}, value]});
    assert_eq!(found[0], json!({"name": "name", "valueString": "Animals"}));
    assert_eq!(found[1], json!({"name": "version", "valueString": "1"}));
    assert_eq!(found[2], json!({"name": "display", "valueString": "Hund"}));
    let designation = json!([{"name": "language", "valueCode": "de-CH"}, {"name": "value", "valueString": "Hund"}]);
    assert_eq!(found[3], json!({"name": "designation", "part": designation}));
    let told = found.as_array().unwrap();
    assert!(told.contains(&part("inactive", json!({"name": "value", "valueBoolean": false}))));
    assert!(told.contains(&part("legs", json!({"name": "value", "valueInteger": 4}))));
    let parent = json!({"name": "property", "part": [{"name": "code", "valueCode": "parent"},
        {"name": "value", "valueCode": "pet"}, {"name": "description", "valueString": "Pet"}]});
    assert!(told.contains(&parent));
    let only = Value::from(lookup(&system, "dog", &["lang.de-CH".into()], None).unwrap());
    assert_eq!(only.as_array().unwrap().len(), 4, "{only}");
    let unknown = lookup(&system, "cat", &[], None).unwrap_err();
    assert_eq!(unknown.to_string(), "this server has no code cat in the code system http://x/animals");
}

// https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
#[test]
fn how_two_codes_stand_to_each_other() {
    let library = library(&[]);
    let node = library.find(&Canonical::parse(Kind::CodeSystem, "http://x/animals")).unwrap();
    let system = CodeSystem::read(node);
    let check = |a: &str, b: &str, expect: &str| {
        assert_eq!(subsumes(&system, a, b).unwrap_or("unknown"), expect);
    };
    check("pet", "dog", "subsumes");
    check("dog", "pet", "subsumed-by");
    check("dog", "dog", "equivalent");
    check("dog", "budgie", "not-subsumed");
    check("dog", "cat", "unknown");
}

// https://hl7.org/fhir/R4/conceptmap-operation-translate.html
#[test]
fn translations_there_and_back() {
    let target = |code: &str, equivalence: &str| json!({"code": code, "equivalence": equivalence});
    let group = |unmapped: Value| {
        json!([{"source": "http://s", "target": "http://x/animals", "unmapped": unmapped, "element": [
            {"code": "1", "target": [target("dog", "wider"), target("quagga", "disjoint")]},
            {"code": "2", "target": [{"equivalence": "unmatched"}]},
            {"code": "3", "display": "three", "target": [{"code": "budgie", "equivalence": "equal",
                "dependsOn": [{"property": "http://p", "value": "yes"}]}]}]}])
    };
    let map = |url: &str, unmapped: Value| {
        json!({"resourceType": "ConceptMap", "url": url, "sourceUri": "http://vs/s", "targetCanonical": "http://vs/t|2",
            "group": group(unmapped)})
    };
    let library = library(&[
        map("m", json!({"mode": "other-map", "url": "n"})),
        map("n", json!({"mode": "provided"})),
        map("fixed", json!({"mode": "fixed", "code": "pet"})),
        map("loop", json!({"mode": "other-map", "url": "loop"})),
    ]);
    let ask = |map: &str, code: &str, change: &dyn Fn(&mut translate::Question)| {
        let (system, code) = code.split_once('#').unwrap();
        let coding = Coding { system: system.into(), code: code.into(), ..Coding::default() };
        let mut question = translate::Question { codings: vec![coding], ..Default::default() };
        change(&mut question);
        let found = match translate(&library, &[Canonical::parse(Kind::ConceptMap, map)], &question) {
            Ok(found) => Value::from(found),
            Err(error) => return error.to_string(),
        };
        let matches = found.as_array().unwrap().iter().filter(|p| p["name"] == "match").map(|p| {
            let of = |name: &str| p["part"].as_array().unwrap().iter().find(|part| part["name"] == name).cloned();
            let concept = of("concept").map(|c| format!(":{}", c["valueCoding"]["code"].as_str().unwrap()));
            let equivalence = of("equivalence").map(|e| e["valueCode"].as_str().unwrap().to_owned());
            equivalence.unwrap_or_default() + &concept.unwrap_or_default()
        });
        format!("{} {}", found[0]["valueBoolean"], matches.collect::<Vec<_>>().join(" "))
    };
    let plain = |_: &mut translate::Question| {};
    let check = |map: &str, code: &str, expect: &str| assert_eq!(ask(map, code, &plain), expect);
    check("m", "http://s#1", "true wider:dog disjoint:quagga");
    check("m", "http://s#2", "false unmatched");
    check("m", "http://s#3", "false ");
    check("m", "http://s#4", "true equal:4");
    check("fixed", "http://s#4", "true :pet");
    check("m", "http://other#1", "false ");
    check("loop", "http://s#4", "the concept map loop leads to another, and that on and on");
    check("nowhere", "http://s#1", "this server has no concept map nowhere");
    let reverse = |q: &mut translate::Question| q.reverse = true;
    assert_eq!(ask("m", "http://x/animals#dog", &reverse), "true narrower:1");
    assert_eq!(ask("m", "http://s#1", &reverse), "false ");
    let yes = Coding { code: "yes".into(), ..Coding::default() };
    let depends = |q: &mut translate::Question| q.dependencies = vec![("http://p".into(), yes.clone())];
    assert_eq!(ask("m", "http://s#3", &depends), "true equal:budgie");
    let target = |url: &'static str| move |q: &mut translate::Question| q.target = Some(url.into());
    assert_eq!(ask("m", "http://s#1", &target("http://vs/t")), "true wider:dog disjoint:quagga");
    assert_eq!(ask("m", "http://s#1", &target("http://vs/other")), "false ");
    let system = |q: &mut translate::Question| q.target_system = Some("http://other".into());
    assert_eq!(ask("m", "http://s#1", &system), "false ");
}

/// Most of what is bundled expands; the rest draws from what is not HL7's, and says so.
#[test]
fn bundled_value_sets_expand_or_say_why_not() {
    let (mut expanded, mut broken) = (0, Vec::new());
    for document in bundled::all(Kind::ValueSet) {
        let mut library = Library::default();
        let canonical = Canonical::parse(Kind::ValueSet, &document.root().get_str("url").unwrap());
        library.want(canonical.clone());
        library.settle_bundled().unwrap();
        match compile(&library, &canonical, &Versions::default()).and_then(|compiled| compiled.members()) {
            Ok(members) => {
                assert!(!members.is_empty(), "{canonical}");
                expanded += 1;
            }
            Err(Error::UnknownCanonical { what: "code system", canonical: system }) => {
                assert!(!system.contains("/v2-"), "{canonical}: {system}");
            }
            Err(Error::NotSupported(text)) if text.starts_with("only some of the codes") => {}
            Err(error) => broken.push(format!("{canonical}: {error}")),
        }
    }
    assert_eq!(expanded, 1212);
    let expect = [
        "http://hl7.org/fhir/ValueSet/media-modality: this server has no value set http://hl7.org/fhir/ValueSet/dicom-cid29",
        "http://hl7.org/fhir/ValueSet/ucum-units: UCUM has no end of codes",
        "http://hl7.org/fhir/ValueSet/use-context: this server has no value set http://hl7.org/fhir/ValueSet/usps-state",
    ];
    assert_eq!(broken, expect);
}
