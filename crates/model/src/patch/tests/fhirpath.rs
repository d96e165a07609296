//! What FHIRPath Patch does and what it refuses: the ideas of HL7's cases, and what they leave out.

use super::super::Patch;
use crate::{Definitions, Error, Resource};

/// Applies the operations to the resource (without id) and compares what comes of it; an error is compared by its place
/// and text.
fn check(resource: &str, operations: &[String], expect: &str) {
    let definitions = Definitions::r4();
    let parameters = match operations {
        [] => r#"{"resourceType":"Parameters"}"#.to_owned(),
        _ => format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(",")),
    };
    let result = Resource::parse(resource, definitions).and_then(|resource| {
        let parameters = Resource::parse(parameters, definitions)?;
        Patch::parameters(parameters, definitions)?.apply(&resource, definitions)
    });
    let text = match result {
        Ok(patched) => patched.node().raw().to_owned(),
        Err(Error::PatchFailed(issues) | Error::Invalid(issues)) => {
            format!("{}: {}", issues[0].expression.join(","), issues[0].diagnostics)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(text, expect, "{:?}", operations.first());
}

/// The same for the elements of a patient.
fn patient(elements: &str, operations: &[String], expect: &str) {
    let whole = |elements: &str| {
        format!(r#"{{"resourceType":"Patient"{}{elements}}}"#, if elements.is_empty() { "" } else { "," })
    };
    let expect = if expect.is_empty() || expect.starts_with('"') { whole(expect) } else { expect.to_owned() };
    check(&whole(elements), operations, &expect);
}

fn operation(kind: &str, path: &str, rest: &str) -> String {
    let path = path.replace('"', "\\\"");
    format!(
        r#"{{"name":"operation","part":[{{"name":"type","valueCode":"{kind}"}},{{"name":"path","valueString":"{path}"}}{rest}]}}"#
    )
}

fn add(path: &str, name: &str, value: &str) -> String {
    operation("add", path, &format!(r#",{{"name":"name","valueString":"{name}"}},{{"name":"value",{value}}}"#))
}

fn insert(path: &str, index: u32, value: &str) -> String {
    operation("insert", path, &format!(r#",{{"name":"index","valueInteger":{index}}},{{"name":"value",{value}}}"#))
}

fn replace(path: &str, value: &str) -> String {
    operation("replace", path, &format!(r#",{{"name":"value",{value}}}"#))
}

fn delete(path: &str) -> String {
    operation("delete", path, "")
}

fn shift(path: &str, source: u32, destination: u32) -> String {
    let rest = format!(
        r#",{{"name":"source","valueInteger":{source}}},{{"name":"destination","valueInteger":{destination}}}"#
    );
    operation("move", path, &rest)
}

#[test]
fn primitives_are_added_replaced_and_deleted() {
    patient(r#""birthDate":"1920-01-01""#, &[], r#""birthDate":"1920-01-01""#);
    patient("", &[add("Patient", "birthDate", r#""valueDate":"1930-01-01""#)], r#""birthDate":"1930-01-01""#);
    patient(
        r#""birthDate":"1920-01-01""#,
        &[replace("Patient.birthDate", r#""valueDate":"1930-01-01""#)],
        r#""birthDate":"1930-01-01""#,
    );
    patient(r#""active":true,"birthDate":"1920""#, &[delete("Patient.birthDate")], r#""active":true"#);
    // "(if found)"
    patient(r#""active":true"#, &[delete("Patient.birthDate")], r#""active":true"#);
}

#[test]
fn what_an_operation_empties_goes_with_it() {
    patient(
        r#""contact":[{"name":{"text":"a name"},"gender":"male"}]"#,
        &[delete("Patient.contact[0].name.text")],
        r#""contact":[{"gender":"male"}]"#,
    );
    patient(
        r#""active":true,"contact":[{"name":{"text":"x"}}]"#,
        &[delete("Patient.contact.name.text")],
        r#""active":true"#,
    );
    patient(
        r#""active":true,"contact":[{"gender":"male"},{"gender":"female"}]"#,
        &[delete("Patient.contact[0].gender")],
        r#""active":true,"contact":[{"gender":"female"}]"#,
    );
}

#[test]
fn complex_elements_are_added_replaced_and_deleted() {
    let married = r#""valueCodeableConcept":{"text":"married"}"#;
    patient("", &[add("Patient", "maritalStatus", married)], r#""maritalStatus":{"text":"married"}"#);
    patient(
        r#""maritalStatus":{"id":"1","text":"x"},"active":true"#,
        &[replace("Patient.maritalStatus", r#""valueCodeableConcept":{"id":"2","text":"married"}"#)],
        r#""maritalStatus":{"id":"2","text":"married"},"active":true"#,
    );
    patient(r#""maritalStatus":{"text":"x"},"active":true"#, &[delete("Patient.maritalStatus")], r#""active":true"#);
}

#[test]
fn types_that_parameters_cannot_hold_come_in_parts() {
    let contact = r#""part":[{"name":"name","valueHumanName":{"text":"a name"}},{"name":"relationship","valueCodeableConcept":{"text":"a"}},
        {"name":"relationship","valueCodeableConcept":{"text":"b"}},{"name":"gender","valueCode":"male"}]"#;
    patient(
        "",
        &[add("Patient", "contact", contact)],
        r#""contact":[{"name":{"text":"a name"},"relationship":[{"text":"a"},{"text":"b"}],"gender":"male"}]"#,
    );
    // Parts within parts, and a choice within them.
    let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"c"}}"#;
    let component = r#""part":[{"name":"code","valueCodeableConcept":{"text":"d"}},{"name":"value","valueQuantity":{"value":1.00}},
        {"name":"referenceRange","part":[{"name":"low","part":[{"name":"value","valueDecimal":0.50}]},{"name":"text","valueString":"r"}]}]"#;
    check(
        observation,
        &[add("Observation", "component", component)],
        r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"component":[{"code":{"text":"d"},"valueQuantity":{"value":1.00},"referenceRange":[{"low":{"value":0.50},"text":"r"}]}]}"#,
    );
    patient(
        "",
        &[add("Patient", "contact", r#""part":[{"name":"colour","valueString":"red"}]"#)],
        "Parameters.parameter[0]: Patient.contact has no element \"colour\"",
    );
    patient(
        "",
        &[add(
            "Patient",
            "contact",
            r#""part":[{"name":"gender","valueCode":"male"},{"name":"gender","valueCode":"male"}]"#,
        )],
        "Parameters.parameter[0]: there is a gender already, and it does not repeat; replace it",
    );
}

#[test]
fn lists_are_added_to_inserted_into_and_reordered() {
    let list = |values: &[u32]| {
        let values: Vec<String> = values.iter().map(|value| format!(r#"{{"value":"{value}"}}"#)).collect();
        format!(r#""identifier":[{}]"#, values.join(","))
    };
    let identifiers = |before: &[u32], operations: &[String], after: &[u32]| {
        patient(&list(before), operations, &list(after));
    };
    let value = |value: u32| format!(r#""valueIdentifier":{{"value":"{value}"}}"#);
    identifiers(&[1, 2], &[add("Patient", "identifier", &value(3))], &[1, 2, 3]);
    identifiers(&[1, 2], &[insert("Patient.identifier", 2, &value(3))], &[1, 2, 3]);
    identifiers(&[1, 2], &[insert("Patient.identifier", 1, &value(3))], &[1, 3, 2]);
    identifiers(&[1, 2], &[insert("Patient.identifier", 0, &value(3))], &[3, 1, 2]);
    identifiers(&[1, 2, 3], &[delete("Patient.identifier[1]")], &[1, 3]);
    identifiers(&[1, 2, 3], &[delete("Patient.identifier.where(value = '3')")], &[1, 2]);
    identifiers(&[1, 2, 3, 4], &[shift("Patient.identifier", 3, 1)], &[1, 4, 2, 3]);
    identifiers(&[1, 2, 3, 4], &[shift("Patient.identifier", 0, 3)], &[2, 3, 4, 1]);
    identifiers(&[1, 2, 3, 4], &[shift("Patient.identifier", 1, 0), shift("Patient.identifier", 2, 1)], &[2, 3, 1, 4]);
    identifiers(
        &[1, 2],
        &[
            replace("Patient.identifier[0].value", r#""valueString":"2""#),
            replace("Patient.identifier[1].value", r#""valueString":"1""#),
        ],
        &[2, 1],
    );
    patient("", &[insert("Patient.identifier", 0, &value(1))], &list(&[1]));
    let failed = |operation: String, expect: &str| {
        patient(&list(&[1, 2]), &[operation], &format!("Parameters.parameter[0]: {expect}"));
    };
    failed(insert("Patient.identifier", 3, &value(3)), "the list has 2 elements; nothing can be inserted at 3");
    failed(shift("Patient.identifier", 2, 0), "the list has 2 elements, and none at 2");
    failed(shift("Patient.identifier", 0, 2), "the list has 2 elements, and none at 2");
    failed(shift("Patient.name", 0, 0), "the path leads to no list");
    failed(
        insert("Patient.name", 1, r#""valueHumanName":{"text":"x"}"#),
        "the list has 0 elements; nothing can be inserted at 1",
    );
    failed(shift("Patient.identifier[0]", 0, 0), "the path must lead to the whole list of one element");
    failed(delete("Patient.identifier"), "the path leads to 2 elements, and must lead to one");
}

#[test]
fn lists_of_primitives_keep_ids_and_extensions_beside_their_values() {
    let before = r#""name":[{"given":["A",null,"C"],"_given":[null,{"extension":[{"url":"http://x","valueCode":"unknown"}]},{"id":"c"}]}]"#;
    let given = |operation: String, expect: &str| patient(before, &[operation], &format!(r#""name":[{{{expect}}}]"#));
    let unknown = r#"{"extension":[{"url":"http://x","valueCode":"unknown"}]}"#;
    given(delete("Patient.name.given[0]"), &format!(r#""given":[null,"C"],"_given":[{unknown},{{"id":"c"}}]"#));
    given(delete("Patient.name.given[1]"), r#""given":["A","C"],"_given":[null,{"id":"c"}]"#);
    given(delete("Patient.name.given[1].extension"), r#""given":["A","C"],"_given":[null,{"id":"c"}]"#);
    given(
        shift("Patient.name.given", 2, 0),
        &format!(r#""given":["C","A",null],"_given":[{{"id":"c"}},null,{unknown}]"#),
    );
    given(
        insert("Patient.name.given", 1, r#""valueString":"B""#),
        &format!(r#""given":["A","B",null,"C"],"_given":[null,null,{unknown},{{"id":"c"}}]"#),
    );
    given(
        add("Patient.name", "given", r#""valueString":"D""#),
        &format!(r#""given":["A",null,"C","D"],"_given":[null,{unknown},{{"id":"c"}},null]"#),
    );
    given(
        replace("Patient.name.given[1]", r#""valueString":"B","_valueString":{"id":"b"}"#),
        r#""given":["A","B","C"],"_given":[null,{"id":"b"},{"id":"c"}]"#,
    );
    given(
        add("Patient.name.given[0]", "id", r#""valueString":"a""#),
        &format!(r#""given":["A",null,"C"],"_given":[{{"id":"a"}},{unknown},{{"id":"c"}}]"#),
    );
}

#[test]
fn a_primitive_is_replaced_with_its_extensions_and_may_get_some() {
    let before =
        r#""birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"http://x","valueString":"a"}]},"active":true"#;
    patient(before, &[replace("Patient.birthDate", r#""valueDate":"1975""#)], r#""birthDate":"1975","active":true"#);
    patient(before, &[delete("Patient.birthDate")], r#""active":true"#);
    patient(
        r#""birthDate":"1975""#,
        &[add("Patient.birthDate", "extension", r#""valueString":"a""#)],
        "Parameters.parameter[0]: extension cannot be string; allowed: Extension",
    );
    let extension = r#""part":[{"name":"url","valueUri":"http://x"},{"name":"value","valueString":"a"}]"#;
    patient(
        r#""birthDate":"1975""#,
        &[add("Patient.birthDate", "extension", extension)],
        r#""birthDate":"1975","_birthDate":{"extension":[{"url":"http://x","valueString":"a"}]}"#,
    );
    patient(
        before,
        &[add("Patient.birthDate", "extension", extension), delete("Patient.birthDate.extension[0]")],
        before,
    );
    patient(before, &[delete("Patient.birthDate.extension")], r#""birthDate":"1974-12-25","active":true"#);
}

#[test]
fn choices_are_named_without_their_type_and_renamed_with_it() {
    patient("", &[add("Patient", "deceased", r#""valueBoolean":true"#)], r#""deceasedBoolean":true"#);
    patient("", &[add("Patient", "deceasedDateTime", r#""valueDateTime":"2020""#)], r#""deceasedDateTime":"2020""#);
    patient(
        r#""deceasedBoolean":true,"_deceasedBoolean":{"id":"d"},"active":true"#,
        &[replace("Patient.deceased", r#""valueDateTime":"2020""#)],
        r#""deceasedDateTime":"2020","active":true"#,
    );
    patient(
        r#""deceasedBoolean":true"#,
        &[add("Patient", "deceased", r#""valueDateTime":"2020""#)],
        "Parameters.parameter[0]: there is a deceased already, and it does not repeat; replace it",
    );
    patient(
        r#""deceasedBoolean":true"#,
        &[replace("Patient.deceased", r#""valueString":"x""#)],
        "Parameters.parameter[0]: deceased cannot be string; allowed: boolean, dateTime",
    );
    let observation =
        |rest: &str| format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"c"}},{rest}}}"#);
    check(
        &observation(r#""valueString":"x""#),
        &[replace("Observation.value", r#""valueQuantity":{"value":5.40}"#)],
        &observation(r#""valueQuantity":{"value":5.40}"#),
    );
}

#[test]
fn the_type_of_a_value_must_be_right() {
    let failed = |operation: String, expect: &str| {
        patient(r#""active":true"#, &[operation], &format!("Parameters.parameter[0]: {expect}"));
    };
    failed(add("Patient", "birthDate", r#""valueString":"2020""#), "birthDate cannot be string; allowed: date");
    failed(add("Patient", "name", r#""valueString":"x""#), "name cannot be string; allowed: HumanName");
    failed(add("Patient", "nam", r#""valueString":"x""#), "Patient has no element \"nam\"; did you mean \"name\"?");
    failed(add("Patient", "contained", r#""valueString":"x""#), "contained cannot be string; allowed: Resource");
    // A specialisation is right: a code is a string.
    patient(
        "",
        &[
            add("Patient", "name", r#""valueHumanName":{"text":"x"}"#),
            add("Patient.name", "family", r#""valueCode":"y""#),
        ],
        r#""name":[{"text":"x","family":"y"}]"#,
    );
    // A narrative comes as a string.
    let div = |text: &str| format!(r#"<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>"#);
    patient(
        &format!(r#""text":{{"status":"generated","div":"{}"}}"#, div("a")),
        &[replace("Patient.text.div", &format!(r#""valueString":"{}""#, div("b")))],
        &format!(r#""text":{{"status":"generated","div":"{}"}}"#, div("b")),
    );
}

#[test]
fn resources_are_contained() {
    let organization = r#"{"resourceType":"Organization","id":"o","name":"O"}"#;
    patient(
        "",
        &[
            add("Patient", "contained", &format!(r#""resource":{organization}"#)),
            add("Patient", "managingOrganization", r##""valueReference":{"reference":"#o"}"##),
            replace("Patient.contained[0].name", r#""valueString":"P""#),
            add("Patient.contained[0]", "active", r#""valueBoolean":true"#),
        ],
        r##""contained":[{"resourceType":"Organization","id":"o","name":"P","active":true}],"managingOrganization":{"reference":"#o"}"##,
    );
}

#[test]
fn operations_see_what_those_before_them_have_made() {
    patient(
        r#""name":[{"family":"a"}]"#,
        &[
            add("Patient", "contact", r#""part":[{"name":"gender","valueCode":"male"}]"#),
            add("Patient.contact[0]", "name", r#""valueHumanName":{"text":"b"}"#),
            delete("Patient.name.where(family = 'a')"),
            replace("Patient.contact.where(name.text = 'b').gender", r#""valueCode":"female""#),
        ],
        r#""contact":[{"gender":"female","name":{"text":"b"}}]"#,
    );
}

#[test]
fn a_path_must_lead_to_one_element_of_the_resource() {
    let before = r#""identifier":[{"use":"official","value":"1"}]"#;
    let failed = |operation: String, expect: &str| {
        patient(before, &[operation], &format!("Parameters.parameter[0]: {expect}"));
    };
    failed(
        add("Patient.identifier.where(use = 'official').period", "end", r#""valueDateTime":"2021""#),
        "the path leads to no element",
    );
    failed(replace("Patient.gender", r#""valueCode":"male""#), "the path leads to no element");
    failed(
        replace("Patient", r#""valueString":"x""#),
        "the path leads to the resource itself; name one of its elements",
    );
    failed(delete("Patient"), "the path leads to the resource itself; name one of its elements");
    failed(
        delete("Patient.identifier.count()"),
        "the path must lead to elements of the resource, not to a computed value",
    );
    failed(
        delete("Patient.identifier.where(value.matches('1'))"),
        "too costly: regular expressions are not evaluated here",
    );
    failed(
        add("Patient", "identifier", r#""valueIdentifier":{"value":"2"},"part":[{"name":"value","valueString":"2"}]"#),
        "a part holds one of value[x], resource and part",
    );
}

#[test]
fn what_is_no_fhirpath_patch_is_refused() {
    let bad = |parameter: &str, expect: &str| {
        patient("", &[parameter.to_owned()], &format!("Parameters.parameter[0]: {expect}"));
    };
    bad(r#"{"name":"x","valueString":"y"}"#, "a parameter of a patch is named operation, not x");
    bad(r#"{"name":"operation"}"#, "the operation has no part type");
    bad(&operation("put", "Patient", ""), "put is no operation; there are add, insert, delete, replace and move");
    bad(&operation("add", "Patient", ""), "the operation has no part name");
    bad(&operation("replace", "Patient.active", ""), "the operation has no part value");
    bad(
        &operation("delete", "Patient.active", r#",{"name":"vlaue","valueString":"x"}"#),
        "an operation has no part vlaue; it has type, path, name, value, index, source, destination",
    );
    bad(&operation("delete", "Patient.active", r#",{"name":"path","valueString":"x"}"#), "the part path stands twice");
    bad(
        &operation("move", "Patient.name", r#",{"name":"source","valueInteger":-1}"#),
        "the part source has no valueInteger of 0 or more",
    );
    bad(
        &operation("delete", "Patient.name[", ""),
        "Patient.name[: no FHIRPath expression: the expression ends too early at offset 13",
    );
    bad(r#"{"name":"operation","part":[{"name":"type","valueCode":"delete"}]}"#, "the operation has no part path");
    let many = vec![delete("Patient.active"); 1001];
    patient("", &many, "a patch has at most 1000 operations");
    // What is no valid Parameters tells where.
    patient(
        "",
        &[add("Patient", "birthDate", r#""valueDate":"2023-02-30""#)],
        "Parameters.parameter[0].part[3].valueDate: expected a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD",
    );
}

#[test]
fn the_result_must_be_valid_and_type_and_id_stay() {
    patient(
        "",
        &[add("Patient", "gender", r#""valueCode":"m""#)],
        "Patient.gender: the code is not in the value set http://hl7.org/fhir/ValueSet/administrative-gender, which is required here",
    );
    let stays = ": a patch cannot change the type or the id of a resource";
    patient(r#""id":"1""#, &[replace("Patient.id", r#""valueId":"2""#)], stays);
    patient(r#""id":"1""#, &[delete("Patient.id")], stays);
}
