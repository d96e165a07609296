//! Whether a body is XML as FHIR has it: <https://hl7.org/fhir/R4/xml.html>

use quick_xml::{Reader, events::Event};

/// FHIR's namespace.
const NAMESPACE: &str = "http://hl7.org/fhir";

/// Fails unless the text is well-formed and its outermost element is this one, in FHIR's namespace; the values of the
/// attributes `value` otherwise, each with the path of its element.
pub(crate) fn values(text: &str, root: &str) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = vec![];
    let mut values = vec![];
    let mut seen = false;
    loop {
        let event = reader.read_event().map_err(|error| format!("it is not well-formed: {error}"))?;
        let (start, closed) = match &event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                path.pop();
                continue;
            }
            Event::Eof if !path.is_empty() => return Err("an element is not closed".into()),
            Event::Eof => break,
            _ => continue,
        };
        let name = start.name().as_ref().to_owned();
        path.push(name.clone());
        let mut namespace = None;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| format!("it is not well-formed: {error}"))?;
            let value = attribute.value.clone().into_owned();
            match attribute.key.as_ref() {
                "xmlns" => namespace = Some(value),
                "value" => values.push((path.join("."), value)),
                _ => {}
            }
        }
        if !seen {
            seen = true;
            if name != root || namespace.as_deref() != Some(NAMESPACE) {
                return Err(format!("its outermost element is {name} in the namespace {namespace:?}"));
            }
        }
        if closed {
            path.pop();
        }
    }
    if seen { Ok(values) } else { Err("it has no element".into()) }
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_come_with_their_paths() {
        let text = r#"<?xml version="1.0"?><Patient xmlns="http://hl7.org/fhir"><id value="a"/></Patient>"#;
        assert_eq!(values(text, "Patient"), Ok(vec![("Patient.id".to_owned(), "a".to_owned())]));
    }

    #[test]
    fn what_is_not_fhir_is_refused() {
        for text in [
            "",
            "{}",
            "<Patient/>",
            r#"<a xmlns="http://hl7.org/fhir"/>"#,
            r#"<Patient xmlns="http://hl7.org/fhir"><a></Patient>"#,
        ] {
            assert!(values(text, "Patient").is_err(), "{text}");
        }
    }
}
