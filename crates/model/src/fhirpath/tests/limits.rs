//! What an expression may cost. Each of these would take memory, time or stack without end.

use super::{check, check_on};

const STEPS: &str = "error: too costly: the expression takes too many steps";
const ITEMS: &str = "error: too costly: a collection has too many items";
const TEXT: &str = "error: too costly: a computed text is too long";

#[test]
fn expressions_are_bounded() {
    check(&"(".repeat(100_000), "error: no FHIRPath expression: …");
    check(&format!("1{}", " + 1".repeat(100_000)), "error: no FHIRPath expression: the expression is too long…");
    check(
        &format!("{}1{}", "iif(true, ".repeat(100), ")".repeat(100)),
        "error: no FHIRPath expression: nested deeper…",
    );
    check(&format!("{}1", "-(".repeat(100)), "error: no FHIRPath expression: nested deeper…");
    // As long and as deep as allowed.
    check(&format!("1{}", " + 1".repeat(2000)), "2001");
    check(&format!("name{}", ".single()".repeat(1000)), "error: single: …");
    check(&format!("{}1{}", "iif(true, ".repeat(60), ", 2)".repeat(60)), "1");
    check(&format!("id{}", ".select($this)".repeat(800)), "p");
}

#[test]
fn steps_items_and_texts_are_bounded() {
    let many = "('aaaaaaaaaa'.toChars().combine('bbbbbbbbbb'.toChars()))";
    let all = (0..5).fold(many.to_owned(), |inner, _| format!("{inner}.select({many})"));
    check(&format!("{all}.count()"), "error: too costly…");
    check("(1).repeat($this + 1)", STEPS);
    check("'a'.repeat($this & 'a')", STEPS);
    let doubled = |text: &str, times: usize| {
        (0..times).fold(text.to_owned(), |inner, _| format!("{inner}.select($this & $this)"))
    };
    check(&doubled("'ab'", 30), TEXT);
    check(&format!("{}.length()", doubled("'ab'", 19)), "1048576");
    check(&format!("{}.replace('', 'xxxx')", doubled("'ab'", 18)), TEXT);
    check(&format!("{}.replaceMatches('.', '$0$0$0$0')", doubled("'ab'", 18)), TEXT);
    check(&format!("{}.toChars().select({}).count()", doubled("'ab'", 10), many), "40960");
    check(&format!("{}.toChars().combine({0}.toChars()).count()", doubled("'ab'", 18)), ITEMS);
}

#[test]
fn patterns_are_bounded() {
    check("'a'.matches('(a{1000}){1000}')", "error: too costly: a regular expression is too large");
    check(&format!("'a'.matches('{}')", "a".repeat(3000)), "error: too costly: a regular expression is too long");
    check(&format!("'a'.matches('{}')", "(".repeat(200)), "error: no regular expression…");
    // Exponential elsewhere.
    check("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')", "false");
}

#[test]
fn comparisons_of_large_elements_cost_by_their_size() {
    let item = |n: usize| format!(r#"{{"use":"usual","text":"{}","given":["{n}"]}}"#, "a".repeat(2000));
    let names: Vec<String> = (0..600).map(item).collect();
    let patient = format!(r#"{{"resourceType":"Patient","name":[{}]}}"#, names.join(","));
    check_on(&patient, "name.distinct().count()", STEPS);
    check_on(&patient, "name.given.distinct().count()", "600");
}

#[test]
fn numbers_degrade_rather_than_fail() {
    let with = |value: &str| format!(r#"{{"resourceType":"Observation","valueQuantity":{{"value":{value}}}}}"#);
    check_on(&with("1e300"), "value.value > 5", "true");
    check_on(&with("-1e300"), "value.value < 5", "true");
    check_on(&with("1e-300"), "value.value >= 0", "true");
    check_on(&with("0.12345678901234567890123456789012345"), "value.value", "0.12345678901234567890123456789012345");
    check_on(&with("0.12345678901234567890123456789012345"), "value.value + 0", "0.1234567890123456789012345679");
}
