//! `$subsumes`: <https://hl7.org/fhir/R4/codesystem-operation-subsumes.html>

use super::{
    Call, Output,
    coded::{Names, required, subject},
    input::bad,
};
use crate::{error::Error, reply::Reply, terminology::gather};
use tessera_model::{
    operation_outcome::IssueCode,
    terminology::{Canonical, CodeSystem, Coding, Kind, Library, subsumes::subsumes},
};

/// The code system is the instance or is named; none can be sent.
const CODE_SYSTEM: Names = Names { kind: Kind::CodeSystem, url: "system", version: "version", resource: "" };

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let mut library = Library::default();
    let named = subject(&call, &CODE_SYSTEM, &mut library).await?;
    let text = |name: &'static str| call.input.text(name);
    let coding = |name: &'static str| call.input.all(name).find_map(super::Parameter::value).map(Coding::read);
    let (canonical, a, b) = match (text("codeA"), text("codeB"), coding("codingA"), coding("codingB")) {
        (Some(a), Some(b), None, None) => {
            let canonical = named.ok_or_else(|| required("the parameter system with codeA and codeB"))?;
            (canonical, a.into_owned(), b.into_owned())
        }
        (None, None, Some(a), Some(b)) => {
            let of_system =
                |coding: &Coding| Canonical::new(Kind::CodeSystem, &coding.system, coding.version.as_deref());
            let canonical = named.unwrap_or_else(|| of_system(&a));
            if [&a, &b].iter().any(|coding| coding.system != canonical.url) || a.version != b.version {
                let text = "codingA and codingB must be of the one code system that is asked about".to_owned();
                return Err(bad(IssueCode::Value, text));
            }
            (canonical, a.code, b.code)
        }
        _ => return Err(required("either codeA and codeB, or codingA and codingB")),
    };
    library.want(canonical.clone());
    gather(call.context, call.access, &mut library).await?;
    let held = CodeSystem::read(library.find(&canonical).ok_or_else(|| canonical.unknown())?);
    Ok(Output::default().text("outcome", "Code", subsumes(&held, &a, &b)?).reply())
}
