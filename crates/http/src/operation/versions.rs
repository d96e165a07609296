//! `$versions`: which versions of FHIR are spoken. <https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html>

use super::{Call, Output};
use crate::{error::Error, reply::Reply};

/// Major and minor: a patch changes nothing on the wire.
const VERSION: &str = "4.0";

pub(super) async fn perform(_call: Call<'_>) -> Result<Reply, Error> {
    Ok(Output::default().text("version", "Code", VERSION).text("default", "Code", VERSION).reply())
}
