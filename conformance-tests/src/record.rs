//! Keeps every body of FHIR that the servers answer, for parsers of others to read: `conformance-tests/clients/bodies`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;
use std::{env, fs};

/// The folder that the bodies are kept in, if they are.
pub const RECORD_VARIABLE: &str = "TESSERA_TEST_RECORD";

/// Keeps a body, once if it comes several times. `asked` says what it answers.
pub(crate) fn record(content_type: Option<&str>, asked: &str, body: &str) {
    let Some(folder) = env::var_os(RECORD_VARIABLE).filter(|folder| !folder.is_empty()) else { return };
    let Some(extension) = content_type.and_then(extension).filter(|_| !body.is_empty()) else { return };
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    let folder = Path::new(&folder);
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join(format!("{name}.{extension}")), body))
        .and_then(|()| fs::write(folder.join(format!("{name}.asked")), asked));
    written.unwrap_or_else(|error| panic!("{RECORD_VARIABLE}: {}: {error}", folder.display()));
}

/// `json` or `xml`, if the media type is one of FHIR: every answer is, but for the content of a Binary.
fn extension(content_type: &str) -> Option<&'static str> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type {
        "application/fhir+json" => Some("json"),
        "application/fhir+xml" => Some("xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::extension;

    #[test]
    fn only_bodies_of_fhir_are_kept() {
        assert_eq!(extension("application/fhir+json; charset=utf-8"), Some("json"));
        assert_eq!(extension("application/fhir+xml"), Some("xml"));
        assert_eq!(extension("application/json"), None);
    }
}
