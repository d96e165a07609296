//! The context of a launch, and launches that an EHR has prepared (AUTH-6).
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch>

use crate::{
    Error,
    break_glass::Glass,
    kept::{self, Keep, Kept, SECOND},
    secret::{Purpose, Secret},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tessera_model::temporal::Micros;
use tessera_store::Records;

/// How long an EHR's launch waits for its app.
const LIFETIME: Micros = 5 * 60 * SECOND;

/// What an app is told beside its token: which patient is open, and more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchContext {
    /// The patient's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// The encounter's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Whether the app must show who the patient is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    /// What the user wants to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Which organization the user is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Where the EHR says what it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    /// More resources that are open: objects with a `reference`.
    #[serde(default, rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<Value>,
    /// That the glass was broken for this patient (CNS-7). No app is told, and none can ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Glass>,
}

impl LaunchContext {
    /// What an app is told, with names of SMART: patient, encounter, need_patient_banner …
    pub(crate) fn told(&self) -> Result<Map<String, Value>, Error> {
        match serde_json::to_value(Self { break_glass: None, ..self.clone() }) {
            Ok(Value::Object(told)) => Ok(told),
            _ => Err(Error::BadRecord),
        }
    }
}

/// A launch that waits for its app.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Launch {
    session: String,
    context: LaunchContext,
}

impl Keep for Launch {
    const KIND: i64 = kept::LAUNCH;
}

/// Prepares a launch of a client, within the session whose digest is given; the handle goes to the app as `launch`.
///
/// # Errors
/// [`Error::Store`], and [`Error::Keys`] without random numbers.
pub async fn create(
    records: &dyn Records,
    now: Micros,
    client: &str,
    session: &str,
    context: LaunchContext,
) -> Result<Secret, Error> {
    let handle = Secret::new(Purpose::Launch).ok_or(Error::Keys("there are no random numbers"))?;
    let launch = Launch { session: session.to_owned(), context };
    let launch = Kept::new(handle.digest(), client, now.saturating_add(LIFETIME), launch);
    records.change(vec![launch.insert()?]).await?;
    Ok(handle)
}

/// Takes the launch of that handle, once. `None`: there is none for this client and session, or no longer.
///
/// # Errors
/// [`Error::Store`].
pub async fn consume(
    records: &dyn Records,
    handle: &str,
    client: &str,
    session: &str,
) -> Result<Option<LaunchContext>, Error> {
    let Some(launch) = waiting(records, handle, client, session).await? else { return Ok(None) };
    let taken = records.change(vec![launch.remove()]).await?;
    Ok(taken.then_some(launch.value.context))
}

/// What [`consume`] would take, and leaves it there.
///
/// # Errors
/// [`Error::Store`].
pub async fn find(
    records: &dyn Records,
    handle: &str,
    client: &str,
    session: &str,
) -> Result<Option<LaunchContext>, Error> {
    Ok(waiting(records, handle, client, session).await?.map(|launch| launch.value.context))
}

async fn waiting(
    records: &dyn Records,
    handle: &str,
    client: &str,
    session: &str,
) -> Result<Option<Kept<Launch>>, Error> {
    let Some(handle) = Secret::parse(Purpose::Launch, handle) else { return Ok(None) };
    let launch = kept::get::<Launch>(records, &handle.digest()).await?;
    Ok(launch.filter(|launch| launch.owner == client && launch.value.session == session))
}
