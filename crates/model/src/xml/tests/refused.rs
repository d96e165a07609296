//! What is not read, or cannot be written, and where the error says it is.

use crate::{
    Definitions,
    json::{DEPTH_MAX, Document},
    xml::{read, write},
};

/// The text of the error and where it is.
fn refused(xml: &str) -> (String, String) {
    let error = read(xml.as_bytes(), Definitions::r4()).unwrap_err();
    let expression = error.issues()[0].expression.first().cloned().unwrap_or_default();
    (error.to_string(), expression)
}

fn check(xml: &str, what: &str, place: &str) {
    let (text, expression) = refused(xml);
    assert!(text.contains(what), "{xml}: {text}");
    assert_eq!(expression, place, "{xml}");
}

/// The same within a Patient.
fn patient(inner: &str, what: &str, place: &str) {
    check(&format!("<Patient xmlns='http://hl7.org/fhir'>{inner}</Patient>"), what, place);
}

#[test]
fn what_is_not_well_formed() {
    check("", "there is no element", "");
    check("{\"resourceType\":\"Patient\"}", "text stands between", "");
    check("<Patient xmlns='http://hl7.org/fhir'>", "ends inside an element", "Patient");
    check("<Patient xmlns='http://hl7.org/fhir'></Person>", "Person", "Patient");
    check("<Patient xmlns='http://hl7.org/fhir'/><Patient xmlns='http://hl7.org/fhir'/>", "one root element", "");
    check("<Patient xmlns='http://hl7.org/fhir'/>text", "text stands between", "");
    patient("<active value=true/>", "not well-formed", "Patient");
    patient("<active value='true'value='true'/>", "not well-formed", "Patient");
    patient("<active value='true' value='true'/>", "value is there twice", "Patient");
    patient("<language value='a<b'/>", "not well-formed", "Patient");
    patient("<language value='a & b'/>", "an entity that XML does not have", "Patient.language");
    patient("<language value='a\u{b}'/>", "control character", "");
    patient("<language value='&#1;'/>", "an entity that XML does not have", "Patient.language");
    patient("<name xmlns:a='b' xmlns:a='c'/>", "declared twice", "Patient");
    check(" <?xml version='1.0'?><Patient xmlns='http://hl7.org/fhir'/>", "stands at the start", "");
    check("<?xml version='1.1'?><Patient xmlns='http://hl7.org/fhir'/>", "version 1.0", "");
    check("<?xml version='1.0' encoding='ISO-8859-1'?><Patient xmlns='http://hl7.org/fhir'/>", "UTF-8", "");
    check("<?xml version='1.0' encoding='UTF-7'?><Patient xmlns='http://hl7.org/fhir'/>", "UTF-8", "");
    for bytes in [&b"\xff\xfe<\0P\0"[..], b"\xfe\xff\0<", b"<Patient xmlns='http://hl7.org/fhir'>\n\xe9"] {
        assert!(read(bytes, Definitions::r4()).unwrap_err().to_string().contains("not UTF-8"));
    }
}

#[test]
fn http_8_document_types_and_entities() {
    let patient = "<Patient xmlns='http://hl7.org/fhir'><language value='&a;'/></Patient>";
    for doctype in [
        "<!DOCTYPE Patient>",
        "<!DOCTYPE Patient SYSTEM 'file:///etc/passwd'>",
        "<!DOCTYPE Patient [<!ENTITY a SYSTEM 'http://127.0.0.1/'>]>",
        "<!DOCTYPE Patient [<!ENTITY % p SYSTEM 'http://127.0.0.1/x.dtd'> %p;]>",
        "<!DOCTYPE Patient [<!ENTITY b 'bbbbbbbbbb'><!ENTITY a '&b;&b;&b;&b;&b;&b;&b;&b;'>]>",
        "<?xml version='1.0'?>\n<!-- --><!doctype Patient>",
    ] {
        check(&format!("{doctype}{patient}"), "no document type declaration", "");
    }
    check(patient, "an entity that XML does not have", "Patient.language");
    for entity in ["&a;", "&nbsp;", "&#0;", "&#xFFFE;"] {
        let div = format!("<text><div xmlns='http://www.w3.org/1999/xhtml'>{entity}</div></text>");
        self::patient(&div, "an entity that XML does not have", "Patient.text.div");
        let title = format!("<text><div xmlns='http://www.w3.org/1999/xhtml'><p title='{entity}'/></div></text>");
        self::patient(&title, "an entity that XML does not have", "Patient.text.div");
    }
    let include = "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/>";
    self::patient(include, "\"include\" is not in the namespace of FHIR", "Patient.include");
    check(
        "<x:stylesheet xmlns:x='http://www.w3.org/1999/XSL/Transform'/>",
        "\"stylesheet\" is not in the namespace of FHIR",
        "stylesheet",
    );
}

#[test]
fn http_8_depth_is_that_of_json() {
    let nested = |levels: usize| {
        let (open, close) = ("<extension url='x'>".repeat(levels), "</extension>".repeat(levels));
        format!("<Patient xmlns='http://hl7.org/fhir'>{open}{close}</Patient>")
    };
    // The resource is one level, each extension an array and an object.
    let most = (DEPTH_MAX - 1) / 2;
    let json = read(nested(most).as_bytes(), Definitions::r4()).unwrap();
    assert!(Document::parse(json).is_ok());
    let (text, expression) = refused(&nested(most + 1));
    assert!(text.contains("nested deeper than 64"), "{text}");
    assert_eq!(expression.matches("extension").count(), most + 1);
    // A value at the deepest level is not an object.
    let value =
        nested(most - 1).replacen("url='x'></", "url='x'><extension url='y'><valueCode value='z'/></extension></", 1);
    assert!(Document::parse(read(value.as_bytes(), Definitions::r4()).unwrap()).is_ok());
    assert!(refused(&nested(100_000)).0.contains("nested deeper than 64"));
    let contained = "<contained><Patient>".repeat(50_000);
    assert!(refused(&format!("<Patient xmlns='http://hl7.org/fhir'>{contained}")).0.contains("nested deeper than 64"));
    let div = format!("<text><div xmlns='http://www.w3.org/1999/xhtml'>{}", "<b>".repeat(100_000));
    patient(&div, "more than 64 deep", "Patient.text.div");
}

#[test]
fn other_namespaces() {
    check("<Patient/>", "\"Patient\" is not in the namespace of FHIR", "Patient");
    check("<Patient xmlns='urn:hl7-org:v3'/>", "\"Patient\" is not in the namespace of FHIR", "Patient");
    check("<a:Patient xmlns='http://hl7.org/fhir'/>", "\"Patient\" is not in the namespace of FHIR", "Patient");
    patient("<name xmlns='urn:x'><family value='x'/></name>", "\"name\" is not in the", "Patient.name[0]");
    patient("<name><family xmlns='urn:x' value='x'/></name>", "\"family\" is not in the", "Patient.name[0].family");
    patient("<active xmlns:x='urn:x' x:value='true'/>", "no attribute \"x:value\"", "Patient.active");
    patient("<text><div><p>x</p></div></text>", "a narrative is in the XHTML namespace", "Patient.text.div");
    let many: String = (0..70).map(|n| format!(" xmlns:a{n}='b'")).collect();
    patient(&format!("<name{many}/>"), "more than 64 namespaces", "Patient");
}

#[test]
fn what_the_tables_do_not_have() {
    check("<Patiant xmlns='http://hl7.org/fhir'/>", "did you mean \"Patient\"?", "Patiant");
    check("<HumanName xmlns='http://hl7.org/fhir'/>", "not a resource type", "HumanName");
    patient("<birthdate value='1974'/>", "no element \"birthdate\"; did you mean \"birthDate\"?", "Patient.birthdate");
    patient("<name/><name><givn value='x'/></name>", "no element \"givn\"", "Patient.name[1].givn");
    patient("<active value='true'><value/></active>", "no element \"value\"", "Patient.active.value");
    patient("<active value='true' extra=''/>", "no attribute \"extra\"", "Patient.active");
    patient("<active value='true' url='x'/>", "no attribute \"url\"", "Patient.active");
    patient("<name value='x'/>", "no value of its own", "Patient.name[0]");
    patient("<name url='x'/>", "no attribute \"url\"", "Patient.name[0]");
    patient("<name><id value='x'/></name>", "id is an attribute here", "Patient.name[0].id");
    patient("<extension><url value='x'/></extension>", "url is an attribute here", "Patient.extension[0].url");
    check("<Patient xmlns='http://hl7.org/fhir' id='x'/>", "the id of a resource is an element", "Patient");
    patient("<name>text</name>", "text stands between", "Patient.name[0]");
    patient("<name><![CDATA[text]]></name>", "text stands between", "Patient.name[0]");
    patient("<name>&#65;</name>", "text stands between", "Patient.name[0]");
}

#[test]
fn repetitions_where_there_are_none() {
    patient("<active value='true'/><active value='true'/>", "once only", "Patient.active");
    patient("<name/><active value='true'/><name/>", "one after another", "Patient.name");
    let bundle = |inner: &str, what: &str, place: &str| {
        check(&format!("<Bundle xmlns='http://hl7.org/fhir'><entry/><entry>{inner}</entry></Bundle>"), what, place);
    };
    bundle("<resource/>", "one resource stands here", "Bundle.entry[1].resource");
    bundle("<resource><Patient/><Patient/></resource>", "one resource stands here", "Bundle.entry[1].resource");
    bundle("<resource id='x'><Patient/></resource>", "no attribute \"id\"", "Bundle.entry[1].resource");
    bundle(
        "<resource><Patient><active vlue='x'/></Patient></resource>",
        "no attribute \"vlue\"",
        "Bundle.entry[1].resource.active",
    );
}

#[test]
fn errors_tell_the_line() {
    let (text, _) = refused("<Patient xmlns='http://hl7.org/fhir'>\n  <active value='true'/>\n  <foo/>\n</Patient>");
    assert!(text.ends_with("at line 3"), "{text}");
    let (text, _) = refused("<Patient xmlns='http://hl7.org/fhir'>\n  <active value='true'>\n</Patient>");
    assert!(text.ends_with("at line 3"), "{text}");
}

#[test]
fn an_element_without_anything_is_for_validation_to_refuse() {
    let read = |inner: &str| {
        read(format!("<Patient xmlns='http://hl7.org/fhir'>{inner}</Patient>").as_bytes(), Definitions::r4()).unwrap()
    };
    assert_eq!(read("<active/>"), r#"{"resourceType":"Patient","_active":{}}"#);
    assert_eq!(read("<name/>"), r#"{"resourceType":"Patient","name":[{}]}"#);
    assert_eq!(
        read("<name><given value='a'/><given></given></name>"),
        r#"{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{}]}]}"#
    );
}

#[test]
fn what_cannot_be_written() {
    let check = |json: &str, what: &str, place: &str| {
        let error = write(Document::parse(json).unwrap().root(), false, Definitions::r4()).unwrap_err();
        assert!(error.message.contains(what), "{json}: {}", error.message);
        assert_eq!(error.expression, place, "{json}");
    };
    check("[]", "a resource with a known", "");
    check(r#"{"resourceType":"X"}"#, "a resource with a known", "X");
    check(r#"{"resourceType":"Patient","foo":1}"#, "no element \"foo\"", "Patient.foo");
    check(r#"{"resourceType":"Patient","name":[{},{"x":1}]}"#, "no element \"x\"", "Patient.name[1].x");
    check(r#"{"resourceType":"Patient","_name":[{}]}"#, "no element \"_name\"", "Patient.name");
    check(r#"{"resourceType":"Patient","name":["x"]}"#, "an object is expected", "Patient.name[0]");
    check(r#"{"resourceType":"Patient","active":{}}"#, "a string, number or boolean", "Patient.active");
    check(r#"{"resourceType":"Patient","language":"a\u0001"}"#, "XML does not have", "Patient.language");
    check(r#"{"resourceType":"Patient","language":"a\uffff"}"#, "XML does not have", "Patient.language");
    check(r#"{"resourceType":"Patient","text":{"div":"<div>\u0002"}}"#, "XML does not have", "Patient.text.div");
    check(r#"{"resourceType":"Patient","name":[{"_id":{"id":"x"}}]}"#, "nothing else", "Patient.name[0].id");
}

#[test]
fn no_input_panics() {
    let whole = "<?xml version='1.0'?><Patient xmlns='http://hl7.org/fhir' xmlns:h='http://www.w3.org/1999/xhtml'><!-- é --><text><status value='é&amp;&#233;'/><h:div a='é'>é<![CDATA[é]]><?é?></h:div></text><name><given id='é'><extension url='é'/></given></name></Patient>";
    for (at, character) in whole.char_indices() {
        let end = at + character.len_utf8();
        for text in [&whole[..at], &whole[at..], &format!("{}{}", &whole[..at], &whole[end..])] {
            let _ = read(text.as_bytes(), Definitions::r4());
        }
        for other in ["<", ">", "&", "'", "/", "é", ":", "=", " "] {
            let _ = read(format!("{}{other}{}", &whole[..at], &whole[end..]).as_bytes(), Definitions::r4());
        }
    }
}
