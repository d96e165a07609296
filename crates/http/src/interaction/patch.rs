//! The formats of a patch, on the wire and in a Bundle. What it does is said in the model, and done in the store.
//! <https://hl7.org/fhir/R4/http.html#patch>

use crate::error::Error;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tessera_model::{
    Patch, Resource,
    interaction::Interaction,
    patch::{JSON_PATCH, MERGE_PATCH},
};

/// The formats, as the CapabilityStatement and `Accept-Patch` list them.
pub(crate) const MEDIA_TYPES: [&str; 2] = [JSON_PATCH, MERGE_PATCH];

/// Whether a body is asked for that changes a part of a resource.
pub(crate) fn is_patch(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Patch(_) | Interaction::ConditionalPatch(_))
}

/// Reads a patch of that media type.
pub(crate) fn read(content_type: Option<&str>, bytes: Vec<u8>) -> Result<Patch, Error> {
    let sent = content_type.unwrap_or_default();
    match sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        JSON_PATCH => Ok(Patch::json(bytes)?),
        MERGE_PATCH => Ok(Patch::merge(bytes)?),
        _ => Err(Error::UnsupportedPatch(sent.chars().take(100).filter(|c| !c.is_control()).collect())),
    }
}

/// The patch of a request: its body, or the Binary that an entry carries it in.
pub(crate) fn patch(patch: Option<Patch>, resource: Option<Resource>) -> Result<Patch, Error> {
    match (patch, resource) {
        (Some(patch), _) => Ok(patch),
        (None, Some(resource)) => of_entry(&resource),
        (None, None) => Err(Error::NoBody),
    }
}

/// `Binary.contentType` and `Binary.data`.
fn of_entry(resource: &Resource) -> Result<Patch, Error> {
    if resource.resource_type().name() != "Binary" {
        return Err(Error::WrongType { found: resource.resource_type().name(), expected: "Binary" });
    }
    let node = resource.node();
    let data = node.get_str("data").ok_or(Error::NoBody)?;
    let bytes = STANDARD
        .decode(data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>())
        .map_err(|_| Error::BadRequest("Binary.data is not base64".into()))?;
    read(node.get_str("contentType").as_deref(), bytes)
}
