//! Which media types are spoken: JSON, in all its names. <https://hl7.org/fhir/R4/http.html#mime-type>

use crate::error::Error;

/// What this server sends.
pub(crate) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

const JSON: [&str; 5] = ["application/fhir+json", "application/json", "application/json+fhir", "text/json", "json"];

/// Whether a `Content-Type` is JSON in UTF-8; a body without one is taken for JSON.
pub(crate) fn check_content_type(content_type: Option<&str>) -> Result<(), Error> {
    let Some(content_type) = content_type else { return Ok(()) };
    let (media_type, parameters) = split(content_type);
    let utf8 = parameters.iter().all(|(name, value)| name != "charset" || value.eq_ignore_ascii_case("utf-8"));
    let version =
        parameters.iter().all(|(name, value)| name != "fhirversion" || matches!(value.as_str(), "4.0" | "4.0.1"));
    if JSON.contains(&media_type.as_str()) && utf8 && version {
        return Ok(());
    }
    Err(Error::UnsupportedMediaType(content_type.chars().take(100).filter(|c| !c.is_control()).collect()))
}

/// Whether JSON may be sent: `_format` decides, then `Accept`.
pub(crate) fn check_acceptable(format: Option<&str>, accept: Option<&str>) -> Result<(), Error> {
    let acceptable = match (format, accept) {
        // A `+` that nobody escaped arrives as a space.
        (Some(format), _) => JSON.contains(&split(&format.replace(' ', "+")).0.as_str()),
        (None, None) => true,
        (None, Some(accept)) => accept.split(',').any(|range| {
            let (media_type, parameters) = split(range);
            let refused = parameters.iter().any(|(name, value)| name == "q" && value.parse::<f32>() == Ok(0.0));
            let json = JSON.contains(&media_type.as_str())
                || matches!(media_type.as_str(), "*/*" | "application/*" | "text/*" | "");
            json && !refused
        }),
    };
    if acceptable { Ok(()) } else { Err(Error::NotAcceptable) }
}

/// A media type in lower case and its parameters.
fn split(text: &str) -> (String, Vec<(String, String)>) {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
    };
    (media_type, parts.filter_map(parameter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_by_all_its_names_and_nothing_else() {
        for good in [
            "application/fhir+json",
            "Application/FHIR+JSON; charset=UTF-8",
            "application/json;fhirVersion=4.0",
            "text/json",
        ] {
            assert!(check_content_type(Some(good)).is_ok(), "{good}");
        }
        for bad in [
            "text/plain",
            "application/fhir+xml",
            "application/json; charset=latin1",
            "application/fhir+json; fhirVersion=3.0",
        ] {
            assert!(check_content_type(Some(bad)).is_err(), "{bad}");
        }
        for (format, accept, expect) in [
            (None, None, true),
            (Some("json"), Some("application/fhir+xml"), true),
            (Some("application/fhir json"), None, true),
            (Some("xml"), Some("application/json"), false),
            (None, Some("application/fhir+xml, application/fhir+json;q=0.5"), true),
            (None, Some("application/fhir+xml"), false),
            (None, Some("application/json;q=0"), false),
            (None, Some("text/html,application/xhtml+xml,*/*;q=0.8"), true),
        ] {
            assert_eq!(check_acceptable(format, accept).is_ok(), expect, "{format:?} {accept:?}");
        }
    }
}
