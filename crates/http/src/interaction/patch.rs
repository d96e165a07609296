//! The formats of a patch, on the wire and in a Bundle. What it does is said in the model, and done in the store.
//! <https://hl7.org/fhir/R4/http.html#patch>

use crate::{error::Error, format::Format};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tessera_model::{
    Definitions, Patch, Resource,
    interaction::Interaction,
    patch::{JSON_PATCH, MERGE_PATCH, PARAMETERS},
};

/// Whether a body is asked for that changes a part of a resource.
pub(crate) fn is_patch(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Patch(_) | Interaction::ConditionalPatch(_))
}

/// Reads a patch of that media type: a resource is a FHIRPath Patch, and JSON that is not said to be one may be any.
pub(crate) fn read(content_type: Option<&str>, bytes: Vec<u8>, definitions: &Definitions) -> Result<Patch, Error> {
    let sent = content_type.unwrap_or_default();
    let name = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        JSON_PATCH => return Ok(Patch::json(bytes)?),
        MERGE_PATCH => return Ok(Patch::merge(bytes)?),
        _ => {}
    }
    let format = Format::of_body(Some(sent)).map_err(|error| match error {
        Error::UnsupportedMediaType(shown) => Error::UnsupportedPatch(shown),
        other => other,
    })?;
    if format == Format::Json && !name.contains("fhir") {
        return Ok(Patch::any_json(bytes, definitions)?);
    }
    Ok(Patch::parameters(format.read(bytes, definitions)?, definitions)?)
}

/// The patch of a request: its body, or what an entry carries.
pub(crate) fn patch(
    patch: Option<Patch>,
    resource: Option<Resource>,
    definitions: &Definitions,
) -> Result<Patch, Error> {
    match (patch, resource) {
        (Some(patch), _) => Ok(patch),
        (None, Some(resource)) => of_entry(resource, definitions),
        (None, None) => Err(Error::NoBody),
    }
}

/// A Parameters resource is a FHIRPath Patch; a Binary holds a patch of any format in `contentType` and `data`.
fn of_entry(resource: Resource, definitions: &Definitions) -> Result<Patch, Error> {
    match resource.resource_type().name() {
        PARAMETERS => return Ok(Patch::parameters(resource, definitions)?),
        "Binary" => {}
        found => {
            return Err(Error::BadRequest(format!(
                "an entry carries its patch in a {PARAMETERS} resource or in a Binary, not in {found}"
            )));
        }
    }
    let node = resource.node();
    let data = node.get_str("data").ok_or(Error::NoBody)?;
    let bytes = STANDARD
        .decode(data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>())
        .map_err(|_| Error::BadRequest("Binary.data is not base64".into()))?;
    read(node.get_str("contentType").as_deref(), bytes, definitions)
}
