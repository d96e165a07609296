//! `$validate-code` of value sets and of code systems.
//! <https://hl7.org/fhir/R4/valueset-operation-validate-code.html>,
//! <https://hl7.org/fhir/R4/codesystem-operation-validate-code.html>

use super::{
    Call, Output,
    coded::{Names, codings, flag, needed, refuse, required, subject},
};
use crate::{error::Error, reply::Reply, terminology::gather};
use std::borrow::Cow;
use tessera_model::{
    search::quantity::UCUM,
    terminology::{
        Canonical, CodeSystem, Coding, Kind, Library, Versions, compile,
        validate_code::{Options, in_code_system, in_ucum, in_value_set},
    },
};

const VALUE_SET: Names = Names { kind: Kind::ValueSet, url: "url", version: "valueSetVersion", resource: "valueSet" };
const CODE_SYSTEM: Names = Names { kind: Kind::CodeSystem, url: "url", version: "version", resource: "codeSystem" };

pub(super) async fn of_value_set(call: Call<'_>) -> Result<Reply, Error> {
    refuse(&call.input, &["context", "date"])?;
    let input = &call.input;
    let codings = codings(input, input.text("system"), input.text("systemVersion"))?;
    // Where the value set leaves the version of a system open, that of the coding counts.
    let versions = Versions { preferred: codings.iter().filter_map(versioned).collect(), ..Versions::default() };
    let mut library = Library::default();
    versions.systems().for_each(|system| library.want(system.clone()));
    let canonical = needed(&call, &VALUE_SET, &mut library).await?;
    let compiled = compile(&library, &canonical, &versions)?;
    let verdict = in_value_set(&compiled, &canonical.to_string(), &codings, &options(&call))?;
    Ok(Output::of(&verdict.parameters()).reply())
}

pub(super) async fn of_code_system(call: Call<'_>) -> Result<Reply, Error> {
    refuse(&call.input, &["date"])?;
    let mut library = Library::default();
    let named = subject(&call, &CODE_SYSTEM, &mut library).await?;
    let url = named.as_ref().map(|canonical| Cow::Borrowed(canonical.url.as_str()));
    let codings = codings(&call.input, url, None)?;
    // A coding names its system itself.
    let canonical = match (named, codings.first()) {
        (Some(canonical), _) => canonical,
        (None, Some(coding)) if !coding.system.is_empty() => {
            Canonical::new(Kind::CodeSystem, &coding.system, coding.version.as_deref())
        }
        (None, _) => return Err(required("one of the parameters url and codeSystem, or a coding with a system")),
    };
    library.want(canonical.clone());
    gather(call.context, call.access, &mut library).await?;
    let verdict = match library.find(&canonical) {
        Some(node) => in_code_system(&CodeSystem::read(node), &codings, &options(&call))?,
        None if canonical.url == UCUM && canonical.version.is_none() => in_ucum(&codings),
        None => return Err(canonical.unknown().into()),
    };
    Ok(Output::of(&verdict.parameters()).reply())
}

fn versioned(coding: &Coding) -> Option<Canonical> {
    let version = coding.version.as_deref()?;
    Some(Canonical::new(Kind::CodeSystem, &coding.system, Some(version)))
}

fn options(call: &Call<'_>) -> Options {
    Options {
        abstract_allowed: flag(&call.input, "abstract"),
        display_language: call.input.text("displayLanguage").map(Cow::into_owned),
    }
}
