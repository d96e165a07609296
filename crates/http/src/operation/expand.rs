//! `$expand`: <https://hl7.org/fhir/R4/valueset-operation-expand.html>

use super::{
    Call,
    coded::{Names, flag, needed, refuse},
    input::bad,
};
use crate::{error::Error, reply::Reply};
use std::borrow::Cow;
use tessera_model::{
    operation_outcome::IssueCode,
    temporal::format_instant,
    terminology::{
        Canonical, Kind, Library, Versions,
        expand::{Options, expand},
    },
};

const VALUE_SET: Names = Names { kind: Kind::ValueSet, url: "url", version: "valueSetVersion", resource: "valueSet" };

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    // What this server has not: elements' bindings by `context`, and definitions as they were at a `date`.
    refuse(&call.input, &["context", "contextDirection", "date"])?;
    let text = |name: &str| call.input.text(name).map(Cow::into_owned);
    let versions = Versions {
        preferred: versions(&call, "system-version")?,
        checked: versions(&call, "check-system-version")?,
        forced: versions(&call, "force-system-version")?,
    };
    let mut library = Library::default();
    versions.systems().for_each(|system| library.want(system.clone()));
    let canonical = needed(&call, &VALUE_SET, &mut library).await?;
    let options = Options {
        filter: text("filter"),
        offset: number(&call, "offset")?,
        count: number(&call, "count")?,
        include_designations: flag(&call.input, "includeDesignations"),
        designations: call.input.all("designation").filter_map(|d| Some(d.value()?.as_text()?.into_owned())).collect(),
        include_definition: flag(&call.input, "includeDefinition"),
        active_only: flag(&call.input, "activeOnly"),
        exclude_not_for_ui: flag(&call.input, "excludeNotForUI"),
        display_language: text("displayLanguage"),
        excluded_systems: canonicals(&call, "exclude-system"),
        versions,
    };
    let now = format_instant(call.context.clock.now());
    Ok(Reply::json(expand(&library, &canonical, &options, &now)?))
}

fn canonicals(call: &Call<'_>, name: &str) -> Vec<Canonical> {
    let values = call.input.all(name).filter_map(|parameter| parameter.value()?.as_text());
    values.map(|text| Canonical::parse(Kind::CodeSystem, &text)).collect()
}

/// Canonicals that must say which version.
fn versions(call: &Call<'_>, name: &str) -> Result<Vec<Canonical>, Error> {
    let found = canonicals(call, name);
    match found.iter().find(|canonical| canonical.version.is_none()) {
        Some(canonical) => Err(bad(IssueCode::Value, format!("{name}={canonical}: expected [system]|[version]"))),
        None => Ok(found),
    }
}

fn number(call: &Call<'_>, name: &str) -> Result<Option<usize>, Error> {
    let Some(text) = call.input.text(name) else { return Ok(None) };
    let number = text.parse().map_err(|_| bad(IssueCode::Value, format!("{name}={text}: expected 0 or more")))?;
    Ok(Some(number))
}
