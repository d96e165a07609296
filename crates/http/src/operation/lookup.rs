//! `$lookup`: <https://hl7.org/fhir/R4/codesystem-operation-lookup.html>

use super::{
    Call, Output,
    coded::{codings, refuse},
};
use crate::{error::Error, reply::Reply, terminology::gather};
use std::borrow::Cow;
use tessera_model::terminology::{Canonical, CodeSystem, Coding, Kind, Library, lookup::lookup};

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    refuse(&call.input, &["date"])?;
    let input = &call.input;
    let coding = codings(input, input.text("system"), input.text("version"))?.into_iter().next();
    let Coding { system, version, code, .. } = coding.unwrap_or_default();
    let canonical = Canonical::new(Kind::CodeSystem, &system, version.as_deref());
    let mut library = Library::default();
    library.want(canonical.clone());
    gather(call.context, call.access, &mut library).await?;
    let held = CodeSystem::read(library.find(&canonical).ok_or_else(|| canonical.unknown())?);
    let properties: Vec<String> =
        input.all("property").filter_map(|property| Some(property.value()?.as_text()?.into_owned())).collect();
    let language = input.text("displayLanguage").map(Cow::into_owned);
    Ok(Output::of(&lookup(&held, &code, &properties, language.as_deref())?).reply())
}
