//! The formats of FHIR: which one a body is in, which one an answer is wanted in, and how both are read and written.
//! <https://hl7.org/fhir/R4/http.html#mime-type>

use crate::error::Error;
use tessera_model::{Definitions, Resource, json::Document, xml};

/// Parameters that say how the answer is written, not what is asked.
pub(crate) const OF_HTTP: [&str; 2] = ["_format", "_pretty"];

/// JSON or XML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Json,
    Xml,
}

/// What this server sends unless asked otherwise.
pub(crate) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
const FHIR_XML: &str = "application/fhir+xml; charset=utf-8";

const JSON: [&str; 5] = ["application/fhir+json", "application/json", "application/json+fhir", "text/json", "json"];
const XML: [&str; 5] = ["application/fhir+xml", "application/xml", "application/xml+fhir", "text/xml", "xml"];

impl Format {
    /// The format of that media type, in lower case.
    fn named(media_type: &str) -> Option<Self> {
        match media_type {
            _ if JSON.contains(&media_type) => Some(Self::Json),
            _ if XML.contains(&media_type) => Some(Self::Xml),
            _ => None,
        }
    }

    /// The `Content-Type` of what is written in it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => FHIR_JSON,
            Self::Xml => FHIR_XML,
        }
    }

    /// The format of a body of that `Content-Type`; one without is taken for JSON.
    pub(crate) fn of_body(content_type: Option<&str>) -> Result<Self, Error> {
        let Some(content_type) = content_type else { return Ok(Self::Json) };
        let media_type = MediaType::parse(content_type);
        let shown = |text: &str| text.chars().take(100).filter(|c| !c.is_control()).collect();
        let format = Self::named(&media_type.name).ok_or_else(|| Error::UnsupportedMediaType(shown(content_type)))?;
        match media_type.of_another_kind() {
            None => Ok(format),
            Some(Other::Charset(charset)) => {
                Err(Error::UnsupportedBody(format!("a body is in UTF-8, not in {}", shown(charset))))
            }
            Some(Other::Version(version)) => {
                Err(Error::UnsupportedBody(format!("this server speaks FHIR 4.0, not {}", shown(version))))
            }
        }
    }

    /// The format in which the answer is wanted: `_format` decides, then `Accept`.
    pub(crate) fn of_answer(format: Option<&str>, accept: Option<&str>) -> Result<Self, Error> {
        if let Some(format) = format.map(str::trim).filter(|format| !format.is_empty()) {
            // A `+` that nobody escaped arrives as a space.
            let media_type = MediaType::parse(&format.replace("; ", ";").replace(' ', "+"));
            let named = Self::named(&media_type.name).filter(|_| media_type.of_another_kind().is_none());
            return named.ok_or(Error::NotAcceptable);
        }
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(Self::Json) };
        let ranges: Vec<MediaType> = accept.split(',').map(MediaType::parse).collect();
        let (json, xml) = (Self::Json.weight(&ranges), Self::Xml.weight(&ranges));
        match json.max(xml) {
            None => Err(Error::NotAcceptable),
            best if best == json => Ok(Self::Json),
            _ => Ok(Self::Xml),
        }
    }

    /// How much it is wanted, for comparison: quality, whether it is named, and how early. A name counts before a wildcard.
    fn weight(self, ranges: &[MediaType]) -> Option<(u16, bool, std::cmp::Reverse<usize>)> {
        let right = || ranges.iter().enumerate().filter(|(_, range)| range.of_another_kind().is_none());
        let best = |names: bool, fits: &dyn Fn(&str) -> bool| {
            right()
                .filter(|(_, range)| fits(&range.name))
                .map(|(at, range)| (range.quality(), names, std::cmp::Reverse(at)))
                .max()
        };
        best(true, &|name| Self::named(name) == Some(self))
            .or_else(|| best(false, &|name| matches!(name, "application/*" | "text/*")))
            .or_else(|| best(false, &|name| matches!(name, "*/*" | "*")))
            .filter(|(quality, ..)| *quality > 0)
    }

    /// The resource that a body in this format holds.
    pub(crate) fn read(self, bytes: Vec<u8>, definitions: &Definitions) -> Result<Resource, Error> {
        Ok(match self {
            Self::Json => Resource::parse(bytes, definitions)?,
            Self::Xml => {
                let json = xml::read(&bytes, definitions)?;
                // Both at once would be twice the largest Bundle.
                drop(bytes);
                Resource::parse(json, definitions)?
            }
        })
    }

    /// JSON of this server's own in this format. What is JSON already stays as it is.
    pub(crate) fn write(self, json: String, pretty: bool, definitions: &Definitions) -> Result<String, Error> {
        if self == Self::Json && !pretty || json.is_empty() {
            return Ok(json);
        }
        let document = Document::parse_answer(json).map_err(tessera_model::Error::from)?;
        if self == Self::Xml {
            return xml::write(document.root(), pretty, definitions).map_err(Error::NotAsXml);
        }
        let mut out = String::new();
        document.root().write_pretty(&mut out, 0);
        out.push('\n');
        Ok(out)
    }
}

/// A media type or range, its name in lower case.
struct MediaType {
    name: String,
    parameters: Vec<(String, String)>,
}

/// Why a media type that is named right is not meant.
enum Other<'a> {
    Charset(&'a str),
    Version(&'a str),
}

impl MediaType {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_ascii_lowercase()))
        };
        Self { name, parameters: parts.filter_map(parameter).collect() }
    }

    /// A charset other than UTF-8, or another version of FHIR. <https://hl7.org/fhir/R4/http.html#version-parameter>
    fn of_another_kind(&self) -> Option<Other<'_>> {
        self.parameters.iter().find_map(|(name, value)| match name.as_str() {
            "charset" if !matches!(value.as_str(), "utf-8" | "utf8") => Some(Other::Charset(value)),
            "fhirversion" if !matches!(value.as_str(), "4.0" | "4.0.1") => Some(Other::Version(value)),
            _ => None,
        })
    }

    /// `q`, in thousandths. <https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2>
    fn quality(&self) -> u16 {
        let q = self.parameters.iter().find(|(name, _)| name == "q").map_or("1", |(_, value)| value);
        match q.split_once('.').unwrap_or((q, "")) {
            ("0", digits) => format!("{digits:0<3}").get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0),
            _ => 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_by_all_names_of_their_formats() {
        for (content_type, format) in [
            (None, Format::Json),
            (Some("application/fhir+json"), Format::Json),
            (Some("Application/FHIR+JSON; charset=UTF-8"), Format::Json),
            (Some("application/json;fhirVersion=4.0"), Format::Json),
            (Some("text/json"), Format::Json),
            (Some("application/fhir+xml; charset=\"utf-8\"; fhirVersion=4.0.1"), Format::Xml),
            (Some("APPLICATION/XML"), Format::Xml),
            (Some("text/xml"), Format::Xml),
            (Some("application/xml+fhir"), Format::Xml),
        ] {
            assert_eq!(Format::of_body(content_type).unwrap(), format, "{content_type:?}");
        }
        for (bad, why) in [
            ("text/plain", "the media type text/plain is not supported"),
            ("application/fhir+ndjson", "the media type application/fhir+ndjson is not supported"),
            ("application/fhir+turtle", "the media type application/fhir+turtle is not supported"),
            ("application/json; charset=latin1", "a body is in UTF-8, not in latin1"),
            ("application/fhir+xml; charset=ISO-8859-1", "a body is in UTF-8, not in iso-8859-1"),
            ("application/fhir+json; fhirVersion=3.0", "this server speaks FHIR 4.0, not 3.0"),
        ] {
            assert!(Format::of_body(Some(bad)).unwrap_err().to_string().starts_with(why), "{bad}");
        }
    }

    #[test]
    fn answers_as_they_are_asked_for() {
        let check = |format: Option<&str>, accept: Option<&str>, expect: Option<Format>| {
            assert_eq!(Format::of_answer(format, accept).ok(), expect, "{format:?} {accept:?}");
        };
        let (json, xml) = (Some(Format::Json), Some(Format::Xml));
        check(None, None, json);
        // `_format` goes first, in all its spellings.
        for name in ["xml", "XML", "text/xml", "application/xml", "application/fhir+xml", "application/fhir xml"] {
            check(Some(name), Some("application/fhir+json"), xml);
        }
        for name in ["json", "Json", "text/json", "application/json", "application/fhir json; fhirVersion=4.0"] {
            check(Some(name), Some("application/fhir+xml"), json);
        }
        for name in ["html", "text/html", "ttl", "ndjson", "*/*", "json; fhirVersion=3.0", "xml;charset=latin1"] {
            check(Some(name), Some("application/fhir+json"), None);
        }
        check(Some(""), Some("application/fhir+xml"), xml);
        // Then `Accept`, by quality, then by name, then in order.
        for (accept, expect) in [
            ("application/fhir+xml", xml),
            ("Application/FHIR+XML; charset=utf-8", xml),
            ("application/fhir+xml, application/fhir+json;q=0.5", xml),
            ("application/fhir+xml;q=0.49, application/fhir+json;q=0.5", json),
            ("application/fhir+xml, application/fhir+json", xml),
            ("application/fhir+json, application/fhir+xml", json),
            ("*/*, application/fhir+xml", xml),
            ("*/*", json),
            ("*", json),
            ("application/*", json),
            ("text/*;q=0.1", json),
            ("", json),
            ("application/json;q=0, */*", xml),
            ("application/fhir+json;q=0.000, application/*;q=0.001", xml),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", xml),
            ("text/html,*/*;q=0.8", json),
            ("text/html", None),
            ("application/fhir+ndjson", None),
            ("application/fhir+turtle, application/fhir+json;q=0.1", json),
            ("application/fhir+json; fhirVersion=3.0", None),
            ("application/fhir+json; fhirVersion=3.0, application/fhir+xml; fhirVersion=4.0;q=0.2", xml),
            ("application/fhir+json; charset=iso-8859-1", None),
        ] {
            check(None, Some(accept), expect);
        }
    }
}
