//! [`Patch`]: a change of a resource that does not name all of it. It is applied to the current version, inside the
//! transaction that writes the next one. <https://hl7.org/fhir/R4/http.html#patch>

mod content;
mod elements;
mod fhirpath_patch;
mod json_patch;
mod merge_patch;
#[cfg(test)]
mod tests;
mod tree;

pub use fhirpath_patch::FhirPathPatch;
pub use json_patch::JsonPatch;

use crate::{
    Definitions, Error, Resource,
    json::{Document, Kind},
    operation_outcome::{Issue, IssueCode},
    validate::validate,
};
use tree::Tree;

/// The media type of a JSON Patch.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// The media type of a JSON Merge Patch.
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// The resource that a FHIRPath Patch is.
pub const PARAMETERS: &str = "Parameters";
/// The formats, as the CapabilityStatement and `Accept-Patch` list them.
pub const MEDIA_TYPES: [&str; 6] =
    [JSON_PATCH, MERGE_PATCH, "application/fhir+json", "application/fhir+xml", "application/json", "application/xml"];

/// Largest patch (HTTP-2): as large as a resource, also within a Bundle.
const PATCH_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Most operations of a patch: more is a new version, to be sent as one.
const OPERATIONS_MAX: usize = 1_000;
/// Most bytes that the operations of a patch move, copy and put in place.
const COPIED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest resource that may come of it: as large as one that is sent (HTTP-2).
const RESULT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// A parsed patch.
#[derive(Clone, Debug)]
pub enum Patch {
    /// <https://www.rfc-editor.org/rfc/rfc6902>
    Json(JsonPatch),
    /// <https://www.rfc-editor.org/rfc/rfc7396>
    Merge(Document),
    /// <https://hl7.org/fhir/R4/fhirpatch.html>
    FhirPath(FhirPathPatch),
}

impl Patch {
    /// Parses a JSON Patch.
    ///
    /// # Errors
    /// [`Error::Json`], or [`Error::BadPatch`] if it is not one, too large or has too many operations.
    pub fn json(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Ok(Self::Json(JsonPatch::parse(document(bytes.into())?)?))
    }

    /// Parses a JSON Merge Patch.
    ///
    /// # Errors
    /// [`Error::Json`], or [`Error::BadPatch`] if it is no object: a resource is one, and so must be what is merged into it.
    pub fn merge(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Self::merge_of(document(bytes.into())?)
    }

    /// Parses a patch of which only is said that it is JSON: an array is a JSON Patch, a Parameters resource a FHIRPath
    /// Patch, any other object a JSON Merge Patch.
    ///
    /// # Errors
    /// Those of these formats.
    pub fn any_json(bytes: impl Into<Vec<u8>>, definitions: &Definitions) -> Result<Self, Error> {
        let document = document(bytes.into())?;
        let root = document.root();
        match root.kind() {
            Kind::Array => Ok(Self::Json(JsonPatch::parse(document)?)),
            _ if root.get_str("resourceType").as_deref() == Some(PARAMETERS) => {
                Self::parameters(Resource::new(root, "", definitions)?, definitions)
            }
            _ => Self::merge_of(document),
        }
    }

    fn merge_of(document: Document) -> Result<Self, Error> {
        match document.root().kind() {
            Kind::Object => Ok(Self::Merge(document)),
            _ => Err(Error::BadPatch("a JSON Merge Patch of a resource is an object".into())),
        }
    }

    /// Reads a FHIRPath Patch from a Parameters resource.
    ///
    /// # Errors
    /// [`Error::BadPatch`] if it is another resource, too large or has too many operations; [`Error::Invalid`] if it is not
    /// valid, or has other parameters than operations.
    pub fn parameters(resource: Resource, definitions: &Definitions) -> Result<Self, Error> {
        let found = resource.resource_type().name();
        if found != PARAMETERS {
            return Err(Error::BadPatch(format!("a FHIRPath Patch is a Parameters resource, not {found}")));
        }
        FhirPathPatch::parse(resource, definitions).map(Self::FhirPath)
    }

    /// Every text that the patch holds: what it brings into a resource is among them.
    pub fn each_text(&self, each: &mut dyn FnMut(&str)) {
        let mut open = vec![match self {
            Self::Json(patch) => patch.root(),
            Self::Merge(patch) => patch.root(),
            Self::FhirPath(patch) => patch.root(),
        }];
        while let Some(node) = open.pop() {
            match node.as_str() {
                Some(text) => each(&text),
                None => open.extend(node.children()),
            }
        }
    }

    /// The resource that the patch makes of `resource`: of the same type and id, and valid.
    ///
    /// # Errors
    /// [`Error::PatchFailed`] if it cannot be applied, or what would come of it is not valid.
    pub fn apply(&self, resource: &Resource, definitions: &Definitions) -> Result<Resource, Error> {
        let mut root = Tree::Whole(resource.node());
        let patched = match self {
            Self::Json(patch) => {
                patch.apply(&mut root)?;
                parse(&root, definitions)?
            }
            Self::Merge(patch) => {
                merge_patch::merge(&mut root, patch.root());
                parse(&root, definitions)?
            }
            Self::FhirPath(patch) => patch.apply(resource, definitions)?,
        };
        if patched.resource_type() != resource.resource_type() || patched.id() != resource.id() {
            return Err(failed("a patch cannot change the type or the id of a resource"));
        }
        let issues = validate(&patched, definitions);
        if issues.is_empty() { Ok(patched) } else { Err(Error::PatchFailed(issues)) }
    }
}

fn document(bytes: Vec<u8>) -> Result<Document, Error> {
    if bytes.len() > PATCH_BYTES_MAX {
        return Err(too_large());
    }
    Ok(Document::parse(bytes)?)
}

fn too_large() -> Error {
    Error::BadPatch(format!("a patch has at most {} MiB", PATCH_BYTES_MAX / (1024 * 1024)))
}

fn parse(root: &Tree<'_>, definitions: &Definitions) -> Result<Resource, Error> {
    let mut text = String::new();
    root.write(&mut text);
    if text.len() > RESULT_BYTES_MAX {
        let mib = RESULT_BYTES_MAX / (1024 * 1024);
        return Err(failed(format!("the resource would be larger than {mib} MiB")));
    }
    Resource::parse(text, definitions)
        .map_err(|error| failed(format!("what would come of the patch is no resource: {error}")))
}

/// The patch is one of its format, and cannot be applied to this resource.
fn failed(reason: impl Into<String>) -> Error {
    Error::PatchFailed(vec![Issue::error(IssueCode::Processing, reason)])
}
