//! What is JSON of FHIR and what is not.

use super::{Document, unescaped};

fn minified(text: &str) -> Result<String, String> {
    let document = Document::parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let mut out = String::new();
    document.root().write_minified(&mut out);
    Ok(out)
}

#[test]
fn keeps_member_order_and_digits() {
    let text = r#"{"b":1.00,"a":[1E-22,-0.0,{}],"c":"é\n😀","d":null}"#;
    assert_eq!(minified(text).as_deref(), Ok(text));
    let spaced = "{ \"b\" : [ 1 , 2 ] ,\r\n\t\"a\" : [ ] }";
    assert_eq!(minified(spaced).as_deref(), Ok(r#"{"b":[1,2],"a":[]}"#));
}

#[test]
fn strings_unescape() {
    let document = Document::parse(&br#"["a\u00e9\ud83d\ude00\n\"\/\\"]"#[..]).unwrap();
    assert_eq!(document.root().children().next().unwrap().as_str().unwrap(), "aé😀\n\"/\\");
}

#[test]
fn what_references_are_made_of_can_be_seen_without_parsing() {
    let check = |text: &str, expect: &str| assert_eq!(unescaped(text), expect);
    check(r#"{"a":"b\\n\"c"}"#, r#"{"a":"b\\n\"c"}"#);
    check(r#""Patient\/1""#, r#""Patient/1""#);
    check(r#""\u0050atient\u002f1\u002D2""#, r#""Patient/1-2""#);
    // A backslash that is escaped escapes nothing; quotes, controls and other letters stay as they are.
    check(r#""a\\/b\/c""#, r#""a\\/b/c""#);
    check(r#""\u0022\u005c\u000a\u00e9\u20ac\/""#, r#""\u0022\u005c\u000a\u00e9\u20ac/""#);
    check("\\/\\", "/\\");
    check("\\/\\é\\u00", "/\\é\\u00");
}

#[test]
fn refuses_what_is_not_one_json_value() {
    for bad in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,1]",
        "01",
        "1.",
        ".5",
        "+1",
        "nul",
        "\"a",
        "\"\\x\"",
        "\"\u{1}\"",
        "{} {}",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "'a'",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\u0000\"",
        "1e",
        "--1",
        "[1}",
        "tru",
    ] {
        assert!(minified(bad).is_err(), "{bad:?} was accepted");
    }
    assert!(Document::parse(vec![b'"', 0xff, b'"']).is_err());
}

#[test]
fn refuses_duplicate_members() {
    assert_eq!(minified("{\"a\":1,\n \"a\":2}").unwrap_err(), "the member \"a\" stands twice at line 2, column 3");
    assert!(minified(r#"{"a":1,"\u0061":2}"#).is_err());
    let many: String = (0..40).map(|n| format!("\"m{n}\":0,")).collect();
    assert!(minified(&format!("{{{many}\"m7\":1}}")).is_err());
    assert!(minified(&format!("{{{many}\"last\":1}}")).is_ok());
}

#[test]
fn http_2_depth_is_limited_at_64() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(minified(&nested(64)).is_ok());
    assert!(minified(&nested(65)).is_err());
    assert!(minified(&"[".repeat(100_000)).is_err());
}
