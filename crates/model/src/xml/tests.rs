//! The rules of <https://hl7.org/fhir/R4/xml.html>, each in both directions where it has two.

pub(crate) mod generated;
mod refused;

use super::{read, write};
use crate::{
    Definitions,
    json::{Document, Node},
};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

fn to_xml(json: &str) -> String {
    write(Document::parse(json).unwrap().root(), false, Definitions::r4()).unwrap()
}

fn to_json(xml: &str) -> String {
    read(xml.as_bytes(), Definitions::r4()).unwrap()
}

/// JSON in the order of the tables, and the same as XML.
fn check(json: &str, xml: &str) {
    assert_eq!(to_xml(json), format!("{HEAD}{xml}"));
    assert_eq!(to_json(xml), json);
}

#[test]
fn values_of_primitives_are_attributes_and_the_id_of_a_resource_is_an_element() {
    check(
        r#"{"resourceType":"Patient","id":"a","active":true,"birthDate":"1974-12-25","multipleBirthInteger":2}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><id value="a"/><active value="true"/><birthDate value="1974-12-25"/><multipleBirthInteger value="2"/></Patient>"#,
    );
}

#[test]
fn ids_of_elements_and_urls_of_extensions_are_attributes() {
    check(
        r#"{"resourceType":"Patient","extension":[{"id":"e","url":"http://e","valueUrl":"http://v"}],"name":[{"id":"n","family":"A"}]}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><extension id="e" url="http://e"><valueUrl value="http://v"/></extension><name id="n"><family value="A"/></name></Patient>"#,
    );
    // The url of anything else is an element.
    check(
        r#"{"resourceType":"ValueSet","url":"http://v"}"#,
        r#"<ValueSet xmlns="http://hl7.org/fhir"><url value="http://v"/></ValueSet>"#,
    );
}

#[test]
fn an_element_that_may_repeat_is_an_array_even_if_there_is_one() {
    check(
        r#"{"resourceType":"Patient","name":[{"given":["A"]}]}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><name><given value="A"/></name></Patient>"#,
    );
    check(
        r#"{"resourceType":"Patient","name":[{"given":["A","B"]},{"text":"C"}]}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><name><given value="A"/><given value="B"/></name><name><text value="C"/></name></Patient>"#,
    );
}

#[test]
fn extensions_of_primitives_stand_inside_them() {
    check(
        r#"{"resourceType":"Patient","birthDate":"1974-12-25","_birthDate":{"id":"b","extension":[{"url":"http://e","valueString":"x"}]}}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><birthDate value="1974-12-25" id="b"><extension url="http://e"><valueString value="x"/></extension></birthDate></Patient>"#,
    );
    check(
        r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://e","_valueString":{"extension":[{"url":"http://f","valueCode":"y"}]}}]}}"#,
        r#"<Patient xmlns="http://hl7.org/fhir"><birthDate><extension url="http://e"><valueString><extension url="http://f"><valueCode value="y"/></extension></valueString></extension></birthDate></Patient>"#,
    );
}

#[test]
fn arrays_of_primitives_and_of_their_extensions_are_aligned_with_null() {
    let extended = r#"<extension url="http://e"><valueCode value="x"/></extension>"#;
    let extra = r#"{"extension":[{"url":"http://e","valueCode":"x"}]}"#;
    let given = |json: &str, xml: &str| {
        check(
            &format!(r#"{{"resourceType":"Patient","name":[{{{json}}}]}}"#),
            &format!(r#"<Patient xmlns="http://hl7.org/fhir"><name>{xml}</name></Patient>"#),
        );
    };
    given(
        &format!(r#""given":["A","B","C"],"_given":[null,{extra},null]"#),
        &format!(r#"<given value="A"/><given value="B">{extended}</given><given value="C"/>"#),
    );
    given(
        &format!(r#""given":[null,"B"],"_given":[{extra},null],"suffix":["S"]"#),
        &format!(r#"<given>{extended}</given><given value="B"/><suffix value="S"/>"#),
    );
    given(
        &format!(r#""family":"F","given":["A",null],"_given":[{{"id":"1"}},{extra}]"#),
        &format!(r#"<family value="F"/><given value="A" id="1"/><given>{extended}</given>"#),
    );
    // No value at all: the member with the underscore stands alone.
    given(&format!(r#""_given":[{extra}]"#), &format!("<given>{extended}</given>"));
    let alone = to_xml(&format!(r#"{{"resourceType":"Patient","name":[{{"given":[null],"_given":[{extra}]}}]}}"#));
    assert!(alone.contains(&format!("<name><given>{extended}</given></name>")), "{alone}");
}

#[test]
fn elements_are_written_in_the_order_of_the_definitions_and_read_in_any() {
    let xml = to_xml(
        r#"{"birthDate":"1974","name":[{"given":["B"],"family":"A"}],"extension":[{"valueCode":"x","url":"http://e"}],"resourceType":"Patient","meta":{"profile":["http://p"]},"id":"a"}"#,
    );
    assert_eq!(
        xml,
        format!(
            "{HEAD}{}",
            r#"<Patient xmlns="http://hl7.org/fhir"><id value="a"/><meta><profile value="http://p"/></meta><extension url="http://e"><valueCode value="x"/></extension><name><family value="A"/><given value="B"/></name><birthDate value="1974"/></Patient>"#
        )
    );
    let read = to_json(r#"<Patient xmlns="http://hl7.org/fhir"><birthDate value="1974"/><id value="a"/></Patient>"#);
    assert_eq!(read, r#"{"resourceType":"Patient","birthDate":"1974","id":"a"}"#);
}

#[test]
fn resources_within_resources_are_named_by_their_type() {
    check(
        r##"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Condition","contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Group","id":"g"}],"subject":{"reference":"#p"}},"search":{"mode":"match"}}]}"##,
        r##"<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><fullUrl value="urn:x"/><resource><Condition><contained><Patient><id value="p"/></Patient></contained><contained><Group><id value="g"/></Group></contained><subject><reference value="#p"/></subject></Condition></resource><search><mode value="match"/></search></entry></Bundle>"##,
    );
}

#[test]
fn decimals_keep_their_digits_and_what_is_no_number_stays_text() {
    for digits in ["1.00", "0", "-0.0", "1E-22", "1.5e+3", "185.0", "12345678901234567890.123456789"] {
        check(
            &format!(r#"{{"resourceType":"Observation","valueQuantity":{{"value":{digits}}}}}"#),
            &format!(
                r#"<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="{digits}"/></valueQuantity></Observation>"#
            ),
        );
    }
    let value = |element: &str, text: &str| {
        to_json(&format!(r#"<Observation xmlns="http://hl7.org/fhir"><{element} value="{text}"/></Observation>"#))
    };
    // A sign is no JSON; anything else that is no number is for validation to refuse.
    assert_eq!(value("valueInteger", "+7"), r#"{"resourceType":"Observation","valueInteger":7}"#);
    assert_eq!(value("valueInteger", "+-7"), r#"{"resourceType":"Observation","valueInteger":"+-7"}"#);
    assert_eq!(value("valueInteger", "07"), r#"{"resourceType":"Observation","valueInteger":"07"}"#);
    assert_eq!(value("valueInteger", ""), r#"{"resourceType":"Observation","valueInteger":""}"#);
    assert_eq!(value("valueBoolean", "TRUE"), r#"{"resourceType":"Observation","valueBoolean":"TRUE"}"#);
    assert_eq!(value("valueString", "7"), r#"{"resourceType":"Observation","valueString":"7"}"#);
}

#[test]
fn strings_keep_their_white_space_and_every_character() {
    check(
        r#"{"resourceType":"Patient","name":[{"text":" a\n\tb\r\n  \"c\" 'd' <e> &amp; \\ é😀 "}]}"#,
        "<Patient xmlns=\"http://hl7.org/fhir\"><name><text value=\" a&#10;&#9;b&#13;&#10;  &quot;c&quot; 'd' &lt;e> &amp;amp; \\ é😀 \"/></name></Patient>",
    );
    // White space that is written as such is spaces, says XML, and a line end is one of them.
    let read =
        to_json("<Patient xmlns='http://hl7.org/fhir'><language value='a\r\nb\tc\n\nd&#x20;&apos;&gt;'/></Patient>");
    assert_eq!(read, r#"{"resourceType":"Patient","language":"a b c  d '>"}"#);
}

#[test]
fn a_narrative_passes_through_byte_for_byte() {
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\" >\n <p  class='x'>by <a href=\"?a=1&amp;b\">x</a> &#160;&lt;\r\n<br/><br /></p><!-- note --> </div>";
    let json = {
        let mut json = r#"{"resourceType":"Patient","text":{"status":"generated","div":"#.to_owned();
        crate::json::write_string(&mut json, div);
        json + "}}"
    };
    check(
        &json,
        &format!(r#"<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/>{div}</text></Patient>"#),
    );
    // Nor does indentation touch it.
    let pretty = write(Document::parse(json.as_str()).unwrap().root(), true, Definitions::r4()).unwrap();
    assert!(pretty.contains(div), "{pretty}");
    assert_eq!(to_json(&pretty), json);
}

#[test]
fn a_narrative_is_whole_wherever_its_namespace_was_declared() {
    let check = |xml: &str, expect: &str| {
        let json = to_json(xml);
        let document = Document::parse(json.as_str()).unwrap();
        let text = document.root().get("text").unwrap();
        assert_eq!(text.get_str("div").unwrap(), expect, "{xml}");
        assert_eq!(text.get("status").map(Node::raw), Some("\"empty\""));
        assert_eq!(document.root().get("active").map(Node::raw), Some("true"));
    };
    let prefixed = r#"<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>"#;
    let plain = r#"<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>"#;
    check(
        &format!(
            r#"<Patient xmlns="http://hl7.org/fhir"><text><status value="empty"/>{prefixed}</text><active value="true"/></Patient>"#
        ),
        prefixed,
    );
    check(
        r#"<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="empty"/><h:div><h:p>x</h:p></h:div></text><active value="true"/></Patient>"#,
        prefixed,
    );
    check(
        r#"<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><f:status value="empty"/><div><p>x</p></div></f:text><f:active value="true"/></f:Patient>"#,
        plain,
    );
}

#[test]
fn entities_of_html_become_numbers_since_xml_does_not_have_them() {
    let xml = to_xml(
        r#"{"resourceType":"Patient","text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" title=\"&eacute;\">a&nbsp;b &amp; &#169;&hellip;</div>"}}"#,
    );
    assert!(xml.contains("title=\"&#233;\">a&#160;b &amp; &#169;&#8230;</div>"), "{xml}");
}

#[test]
fn comments_processing_instructions_formatting_and_a_byte_order_mark_are_no_content() {
    let xml = "\u{feff}<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<?xml-stylesheet href='x'?><!-- a -->\n<Patient xmlns='http://hl7.org/fhir' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='http://hl7.org/fhir a.xsd'>\n\t<!-- <b/> --><?p?>\r\n <active  value = 'true' ><!-- c --></active > </Patient >\n<!-- d --><?e?>\n";
    assert_eq!(to_json(xml), r#"{"resourceType":"Patient","active":true}"#);
}

#[test]
fn prefixes_are_as_good_as_the_default_namespace() {
    let xml = r#"<a:Patient xmlns:a="http://hl7.org/fhir"><a:name><family xmlns="http://hl7.org/fhir" value="F"/><b:given xmlns:b="http://hl7.org/fhir" value="G"/></a:name></a:Patient>"#;
    assert_eq!(to_json(xml), r#"{"resourceType":"Patient","name":[{"family":"F","given":["G"]}]}"#);
}

#[test]
fn pretty_is_one_element_a_line() {
    let json = r#"{"resourceType":"Patient","contained":[{"resourceType":"Basic","id":"b"}],"name":[{"family":"F"}]}"#;
    let pretty = write(Document::parse(json).unwrap().root(), true, Definitions::r4()).unwrap();
    assert_eq!(
        pretty,
        format!(
            "{HEAD}\n<Patient xmlns=\"http://hl7.org/fhir\">\n  <contained>\n    <Basic>\n      <id value=\"b\"/>\n    </Basic>\n  </contained>\n  <name>\n    <family value=\"F\"/>\n  </name>\n</Patient>\n"
        )
    );
    assert_eq!(to_json(&pretty), json);
}
