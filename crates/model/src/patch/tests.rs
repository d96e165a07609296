//! What patches do and what they refuse.

mod fhirpath;

use super::Patch;
use crate::{Definitions, Error, Resource};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"1","active":true,"name":[{"family":"Chalmers","given":["Peter","James"]}],"birthDate":"1974-12-25"}"#;

/// Applies the patch to the resource and compares what comes of it; an error is compared by its text.
fn check(resource: &str, patch: Result<Patch, Error>, expect: &str) {
    let definitions = Definitions::r4();
    let result = Resource::parse(resource, definitions).and_then(|r| patch?.apply(&r, definitions));
    let text = match result {
        Ok(patched) => patched.node().raw().to_owned(),
        Err(Error::PatchFailed(issues)) => match &issues[0].expression[..] {
            [] => issues[0].diagnostics.clone(),
            expression => format!("{} {}", expression[0], issues[0].diagnostics),
        },
        Err(error) => error.to_string(),
    };
    assert_eq!(text, expect);
}

/// A JSON Patch on the patient above, and what becomes of the members after `id`.
fn json(patch: &str, expect: &str) {
    let expect = if expect.starts_with('"') {
        format!(r#"{{"resourceType":"Patient","id":"1",{expect}}}"#)
    } else {
        expect.to_owned()
    };
    check(PATIENT, Patch::json(patch), &expect);
}

#[test]
fn json_patch_adds_removes_and_replaces_members() {
    let name = r#""name":[{"family":"Chalmers","given":["Peter","James"]}]"#;
    json(
        r#"[{"op":"add","path":"/gender","value":"male"}]"#,
        &format!(r#""active":true,{name},"birthDate":"1974-12-25","gender":"male""#),
    );
    // "If the target location specifies an object member that does exist, that member's value is replaced."
    json(
        r#"[{"op":"add","path":"/active","value":false}]"#,
        &format!(r#""active":false,{name},"birthDate":"1974-12-25""#),
    );
    json(r#"[{"op":"remove","path":"/birthDate"}]"#, &format!(r#""active":true,{name}"#));
    json(
        r#"[{"op":"replace","path":"/birthDate","value":"1974"}]"#,
        &format!(r#""active":true,{name},"birthDate":"1974""#),
    );
    json("[]", &format!(r#""active":true,{name},"birthDate":"1974-12-25""#));
}

#[test]
fn json_patch_works_on_items_of_arrays() {
    let given = |patch: &str, expect: &str| {
        json(
            patch,
            &format!(r#""active":true,"name":[{{"family":"Chalmers","given":{expect}}}],"birthDate":"1974-12-25""#),
        );
    };
    given(r#"[{"op":"add","path":"/name/0/given/1","value":"P."}]"#, r#"["Peter","P.","James"]"#);
    given(r#"[{"op":"add","path":"/name/0/given/2","value":"P."}]"#, r#"["Peter","James","P."]"#);
    given(r#"[{"op":"add","path":"/name/0/given/-","value":"P."}]"#, r#"["Peter","James","P."]"#);
    given(r#"[{"op":"remove","path":"/name/0/given/0"}]"#, r#"["James"]"#);
    given(r#"[{"op":"replace","path":"/name/0/given/0","value":"P."}]"#, r#"["P.","James"]"#);
    given(r#"[{"op":"move","from":"/name/0/given/1","path":"/name/0/given/0"}]"#, r#"["James","Peter"]"#);
    given(r#"[{"op":"copy","from":"/name/0/given/1","path":"/name/0/given/0"}]"#, r#"["James","Peter","James"]"#);
    given(r#"[{"op":"move","from":"/name/0/given/1","path":"/name/0/given/1"}]"#, r#"["Peter","James"]"#);
}

#[test]
fn json_patch_copies_and_moves_between_places() {
    json(
        r#"[{"op":"move","from":"/name/0/given/0","path":"/name/0/text"},{"op":"copy","from":"/name/0","path":"/name/-"},
            {"op":"replace","path":"/name/1/family","value":"C."}]"#,
        r#""active":true,"name":[{"family":"Chalmers","given":["James"],"text":"Peter"},{"family":"C.","given":["James"],"text":"Peter"}],"birthDate":"1974-12-25""#,
    );
}

#[test]
fn json_patch_fails_where_there_is_nothing() {
    let failed = |patch: &str, expect: &str| json(patch, &format!("operation 0 of the patch, {expect}"));
    failed(r#"[{"op":"remove","path":"/gender"}]"#, "remove \"/gender\": there is no \"gender\"");
    failed(r#"[{"op":"replace","path":"/gender","value":"male"}]"#, "replace \"/gender\": there is no \"gender\"");
    failed(r#"[{"op":"add","path":"/a/b","value":1}]"#, "add \"/a/b\": there is no \"a\"");
    failed(r#"[{"op":"add","path":"/name/2","value":{}}]"#, "add \"/name/2\": the array has no item 2");
    failed(r#"[{"op":"remove","path":"/name/-"}]"#, "remove \"/name/-\": the array has no item -");
    failed(r#"[{"op":"add","path":"/name/01","value":{}}]"#, "add \"/name/01\": \"01\" is no index of an array");
    failed(r#"[{"op":"add","path":"/name/x","value":{}}]"#, "add \"/name/x\": \"x\" is no index of an array");
    failed(
        r#"[{"op":"add","path":"/active/x","value":{}}]"#,
        "add \"/active/x\": what should hold it is neither object nor array",
    );
    failed(
        r#"[{"op":"move","from":"/gender","path":"/name/0/text"}]"#,
        "move \"/name/0/text\": there is no \"gender\"",
    );
    failed(r#"[{"op":"test","path":"/active","value":false}]"#, "test \"/active\": there is another value");
    failed(r#"[{"op":"test","path":"/gender","value":null}]"#, "test \"/gender\": there is no \"gender\"");
    failed(r#"[{"op":"remove","path":""}]"#, "remove \"\": the whole resource cannot be taken away");
}

#[test]
fn json_patch_tests_values_as_json_sees_them() {
    let observation = r#"{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00,"unit":"\u006dg"}}"#;
    let equal = [r#"{"unit":"mg","value":1}"#, r#"{"value":1.0,"unit":"m\u0067"}"#, r#"{"value":10e-1,"unit":"mg"}"#];
    for value in equal {
        let patch = format!(r#"[{{"op":"test","path":"/valueQuantity","value":{value}}}]"#);
        check(observation, Patch::json(patch), observation);
        // The same where the value has been changed before: it is compared as it is then.
        let patch = format!(
            r#"[{{"op":"add","path":"/valueQuantity/code","value":"g"}},{{"op":"remove","path":"/valueQuantity/code"}},
                {{"op":"test","path":"/valueQuantity","value":{value}}}]"#
        );
        check(observation, Patch::json(patch), observation);
    }
    for value in [r#"{"unit":"mg"}"#, r#"{"value":"1.00","unit":"mg"}"#, r#"{"value":1.001,"unit":"mg"}"#, "1", "null"]
    {
        let patch = format!(r#"[{{"op":"test","path":"/valueQuantity","value":{value}}}]"#);
        let expect = "operation 0 of the patch, test \"/valueQuantity\": there is another value";
        check(observation, Patch::json(patch), expect);
    }
}

#[test]
fn digits_and_escapes_stay_in_copies() {
    check(
        r#"{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00,"unit":"\u006dg"}}"#,
        Patch::json(
            r#"[{"op":"add","path":"/component","value":[{"code":{"text":"y"}}]},{"op":"copy","from":"/valueQuantity","path":"/component/0/valueQuantity"}]"#,
        ),
        r#"{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00,"unit":"\u006dg"},"component":[{"code":{"text":"y"},"valueQuantity":{"value":1.00,"unit":"\u006dg"}}]}"#,
    );
}

#[test]
fn what_is_no_json_patch_is_refused() {
    let bad = |patch: &str, expect: &str| check(PATIENT, Patch::json(patch), expect);
    bad("{}", "a JSON Patch is an array of operations");
    bad(r#"[{"op":"add","path":"/x"}]"#, "operation 0 of the patch: it has no \"value\"");
    bad(r#"[{"op":"remove"}]"#, "operation 0 of the patch: it has no \"path\"");
    bad(r#"[{"path":"/x"}]"#, "operation 0 of the patch: it has no \"op\"");
    bad(r#"[{"op":"copy","path":"/x"}]"#, "operation 0 of the patch: it has no \"from\"");
    bad(r#"[{"op":"remove","path":"x"}]"#, "operation 0 of the patch: a JSON Pointer begins with /");
    bad(r#"[{"op":"remove","path":1}]"#, "operation 0 of the patch: \"path\" is no string");
    bad(
        r#"[{"op":"remove","path":"/a~2"}]"#,
        "operation 0 of the patch: a ~ in a JSON Pointer is written ~0, a / is written ~1",
    );
    bad(
        r#"[{"op":"put","path":"/x"}]"#,
        "operation 0 of the patch: \"op\" is one of add, remove, replace, move, copy and test",
    );
    bad(
        r#"[{"op":"move","from":"/name","path":"/name/0"}]"#,
        "operation 0 of the patch: nothing can be moved into itself",
    );
    let many = format!("[{}]", vec![r#"{"op":"test","path":"/active","value":true}"#; 1001].join(","));
    bad(&many, "a patch has at most 1000 operations");
}

#[test]
fn pointers_are_unescaped() {
    // The members are none of FHIR's: they must be gone before the resource is looked at.
    json(
        r#"[{"op":"add","path":"/a~1b~0c~01","value":1},{"op":"test","path":"/a~1b~0c~01","value":1},{"op":"remove","path":"/a~1b~0c~01"},
            {"op":"add","path":"/","value":1},{"op":"remove","path":"/"},{"op":"remove","path":"/name"}]"#,
        r#""active":true,"birthDate":"1974-12-25""#,
    );
    json(r#"[{"op":"add","path":"/a~1b~0c~01","value":1}]"#, "Patient.a/b~c~1 Patient has no element \"a/b~c~1\"");
}

#[test]
fn a_small_patch_does_not_make_something_huge() {
    let mut patch = String::from(r#"[{"op":"replace","path":"/name","value":["0123456789"]}"#);
    for n in 0..40 {
        patch.push_str(&format!(r#",{{"op":"copy","from":"/name","path":"/name/{n}"}}"#));
    }
    patch.push(']');
    check(
        PATIENT,
        Patch::json(patch),
        "operation 19 of the patch, copy \"/name/18\": the patch moves and copies too much",
    );
    let deep: String = (0..64).map(|_| "/a").collect();
    let nested = format!("{}{}", "[".repeat(60), "]".repeat(60));
    check(
        PATIENT,
        Patch::json(format!(
            r#"[{{"op":"add","path":"/a","value":{nested}}},{{"op":"add","path":"/b","value":[[[]]]}},
                {{"op":"move","from":"/a","path":"/b/0/0/0"}},{{"op":"copy","from":"/b","path":"/b/0/0/0"}}]"#
        )),
        "operation 3 of the patch, copy \"/b/0/0/0\": it would nest deeper than 64 levels",
    );
    check(
        PATIENT,
        Patch::json(format!(r#"[{{"op":"remove","path":"{deep}/a"}}]"#)),
        "operation 0 of the patch: a JSON Pointer has at most 64 steps",
    );
}

#[test]
fn type_and_id_stay() {
    let stays = "a patch cannot change the type or the id of a resource";
    json(r#"[{"op":"replace","path":"/id","value":"2"}]"#, stays);
    json(r#"[{"op":"remove","path":"/id"}]"#, stays);
    json(r#"[{"op":"replace","path":"","value":{"resourceType":"Basic","id":"1"}}]"#, stays);
    json(
        r#"[{"op":"remove","path":"/resourceType"}]"#,
        "what would come of the patch is no resource: the resource has no resourceType",
    );
    check(PATIENT, Patch::merge(r#"{"id":null}"#), stays);
}

#[test]
fn the_result_must_be_valid() {
    json(
        r#"[{"op":"replace","path":"/birthDate","value":"x"}]"#,
        "Patient.birthDate expected a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD",
    );
    json(r#"[{"op":"remove","path":"/name/0"}]"#, "Patient.name an array is never empty; leave the element out");
}

#[test]
fn merge_patch_as_its_examples_show() {
    let merge = |patch: &str, expect: &str| {
        check(PATIENT, Patch::merge(patch), &format!(r#"{{"resourceType":"Patient","id":"1",{expect}}}"#));
    };
    let name = r#""name":[{"family":"Chalmers","given":["Peter","James"]}]"#;
    merge("{}", &format!(r#""active":true,{name},"birthDate":"1974-12-25""#));
    merge(r#"{"birthDate":null,"active":false,"gender":null}"#, &format!(r#""active":false,{name}"#));
    merge(
        r#"{"maritalStatus":{"text":"M","coding":null}}"#,
        &format!(r#""active":true,{name},"birthDate":"1974-12-25","maritalStatus":{{"text":"M"}}"#),
    );
    // An array is replaced as a whole.
    merge(r#"{"name":[{"text":"P"}]}"#, r#""active":true,"name":[{"text":"P"}],"birthDate":"1974-12-25""#);
    check(PATIENT, Patch::merge("[]"), "a JSON Merge Patch of a resource is an object");
    check(
        PATIENT,
        Patch::merge(r#"{"name":{"text":"P"}}"#),
        "Patient.name expected an array, since the element may repeat",
    );
}
