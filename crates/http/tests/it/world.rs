//! Two patients' records, or one's, and those who look at them.

use serde_json::{Value, json};
use std::sync::Arc;
use tessera_auth::{Authenticator, MasterKey};
use tessera_fixtures::postgres;
use tessera_http::{ANSWER_TIMEOUT, Answer, Budget, ConditionalDelete, Context, Local, Throttle};
use tessera_model::{
    AccessContext, Caller, Definitions, Filter, Grant, Id, Permission, Permissions, Within, interaction::Method,
};
use tessera_store::{
    AuditOptions, Location, Options, SqlStore, Synchronous,
    clock::{Clock, SystemClock},
    migrate,
};

pub(crate) const BASE: &str = "http://here/fhir";

/// A server without a socket.
pub(crate) struct Server {
    pub(crate) context: Context,
    pub(crate) store: SqlStore,
    folders: Vec<std::path::PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Runs the body on both databases: it makes as many servers as it needs.
pub(crate) fn on_both(name: &str, body: &impl AsyncFn(&(dyn Fn() -> Location + Sync))) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let name = name.to_owned();
    let count = std::sync::atomic::AtomicU32::new(0);
    let sqlite = || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tessera-http-{name}-{}-{number}", std::process::id()));
        Location::Sqlite(folder.join("test.db"))
    };
    runtime.block_on(body(&sqlite));
    if let Some(cluster) = postgres::shared_or_skip(&name) {
        runtime.block_on(body(&|| Location::Postgres(cluster.create_database())));
    }
}

impl Server {
    pub(crate) async fn new(location: Location) -> Self {
        Self::open(location, None, Arc::new(SystemClock)).await
    }

    /// A server with a clock of its own.
    pub(crate) async fn at(location: Location, clock: Arc<dyn Clock>) -> Self {
        Self::open(location, None, clock).await
    }

    /// A server that records who does what.
    pub(crate) async fn audited(location: Location) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tessera-http-audit-{}-{number}", std::process::id()));
        let options = AuditOptions { folder: folder.clone(), always_sync: false, secret: [2; 32], query_years: 6 };
        let mut server = Self::open(location, Some(options), Arc::new(SystemClock)).await;
        server.folders.push(folder);
        server
    }

    async fn open(location: Location, audit: Option<AuditOptions>, clock: Arc<dyn Clock>) -> Self {
        migrate(&location).await.unwrap();
        let folders = match &location {
            Location::Sqlite(path) => path.parent().map(std::path::Path::to_owned).into_iter().collect(),
            Location::Postgres(_) => Vec::new(),
        };
        let options = Options {
            location,
            base: Some(BASE.to_owned()),
            clock: clock.clone(),
            synchronous: Synchronous::Normal,
            accept_fsync_off: true,
            search_timeout: std::time::Duration::from_secs(10),
            audit,
            replica: None,
        };
        let key = MasterKey::new([1; 32]);
        let store = SqlStore::open(options).await.unwrap();
        let context = Context {
            store: Arc::new(store.clone()),
            definitions: Definitions::r4(),
            base: BASE.into(),
            organization: Some("Organization/own".into()),
            conditional_delete: ConditionalDelete::Single,
            clock,
            authenticator: Authenticator::InsecureNoAuth,
            master_key: Some(Arc::new(key)),
            throttle: Arc::new(Throttle::new(None)),
            bodies: Budget::new(1024 * 1024),
            answer_timeout: ANSWER_TIMEOUT,
            requests: Arc::new(tessera_http::Requests::new(Definitions::r4())),
        };
        Self { context, store, folders }
    }

    pub(crate) fn as_patient(&self, id: &str) -> Local {
        self.as_patient_with(id, Permissions::ALL, "app")
    }

    pub(crate) fn as_patient_with(&self, id: &str, permissions: Permissions, client: &str) -> Local {
        let within = Within::Patient(Id::parse(id).unwrap());
        let grant = Grant { within, resource_type: None, permissions, filter: Filter::always() };
        let caller = Caller { user: Some(format!("Patient/{id}")), ..Caller::of_client(client) };
        Local::new(self.context.clone(), AccessContext::granted(caller, vec![grant], false))
    }

    /// A client that sees everything, of an organization.
    pub(crate) fn of_organization(&self, organization: &str) -> Local {
        let caller = Caller { organization: Some(organization.to_owned()), ..Caller::of_client("client") };
        let grant = Grant {
            within: Within::Everything,
            resource_type: None,
            permissions: Permissions::ALL,
            filter: Filter::always(),
        };
        Local::new(self.context.clone(), AccessContext::granted(caller, vec![grant], false))
    }

    pub(crate) fn as_administrator(&self) -> Local {
        Local::new(self.context.clone(), AccessContext::internal("administrator"))
    }

    /// What these grants allow, to a client.
    pub(crate) fn with(&self, grants: Vec<Grant>) -> Local {
        Local::new(self.context.clone(), AccessContext::granted(Caller::of_client("app"), grants, false))
    }

    /// Everything.
    pub(crate) fn all(&self) -> Local {
        Local::new(self.context.clone(), AccessContext::internal("test"))
    }

    pub(crate) async fn put(&self, resource: &Value) {
        let path = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        let local = self.all();
        let answer = local.send(Method::Put, &path, resource.to_string().into_bytes(), None).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
    }

    pub(crate) async fn fill(&self, patients: &[&str]) {
        for shared in shared() {
            self.put(&shared).await;
        }
        for patient in patients {
            for resource in record(patient) {
                self.put(&resource).await;
            }
        }
    }
}

pub(crate) async fn get(local: &Local, path: &str) -> Answer {
    local.send(Method::Get, path, Vec::new(), None).await
}

fn shared() -> Vec<Value> {
    vec![
        json!({"resourceType": "Organization", "id": "org", "name": "Hospital"}),
        json!({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Doe"}], "telecom": [{"system": "phone", "value": "555"}]}),
        json!({"resourceType": "Device", "id": "shelf", "status": "active"}),
    ]
}

/// The record of a patient: ids end in the patient's.
fn record(p: &str) -> Vec<Value> {
    let (patient, encounter) =
        (json!({"reference": format!("Patient/{p}")}), json!({"reference": format!("Encounter/e-{p}")}));
    let doc = json!({"reference": "Practitioner/doc"});
    // Each record refers to another, through which nothing may be seen.
    let other = json!({"reference": if p == "a" { "Patient/b" } else { "Patient/a" }});
    let coded = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}], "text": format!("{code} of {p}")});
    let category = json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}]);
    let clinical =
        json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]});
    vec![
        json!({"resourceType": "Patient", "id": p, "identifier": [{"system": "http://mrn", "value": format!("mrn-{p}")}],
            "name": [{"family": format!("family-{p}")}], "gender": "female", "birthDate": "1980-01-01",
            "managingOrganization": {"reference": "Organization/org"}, "generalPractitioner": [doc]}),
        json!({"resourceType": "Encounter", "id": format!("e-{p}"), "status": "finished", "class": {"code": "AMB"},
            "subject": patient, "participant": [{"individual": doc}], "serviceProvider": {"reference": "Organization/org"}}),
        json!({"resourceType": "Observation", "id": format!("o1-{p}"), "status": "final", "code": coded("8867-4"), "category": category,
            "subject": patient, "encounter": encounter, "effectiveDateTime": "2020-01-01",
            "valueQuantity": {"value": 60, "system": "http://unitsofmeasure.org", "code": "/min"}}),
        json!({"resourceType": "Observation", "id": format!("o2-{p}"), "status": "final", "code": coded("8302-2"),
            "contained": [{"resourceType": "Practitioner", "id": "k", "name": [{"family": format!("inner-{p}")}]}],
            "subject": patient, "effectiveDateTime": "2021-01-01", "performer": [doc, {"reference": "#k"}], "focus": [other], "hasMember": [{"reference": format!("Observation/o1-{p}")}]}),
        json!({"resourceType": "Condition", "id": format!("c-{p}"), "clinicalStatus": clinical, "code": coded("cond"), "subject": patient, "encounter": encounter}),
        json!({"resourceType": "Coverage", "id": format!("cov-{p}"), "status": "active", "beneficiary": patient, "payor": [{"reference": "Organization/org"}]}),
        json!({"resourceType": "Device", "id": format!("d-{p}"), "patient": patient}),
        json!({"resourceType": "Provenance", "id": format!("p-{p}"), "target": [{"reference": format!("Observation/o1-{p}")}],
            "recorded": "2020-01-01T00:00:00Z", "agent": [{"who": doc}]}),
        json!({"resourceType": "Group", "id": format!("g-{p}"), "type": "person", "actual": true, "member": [{"entity": patient}]}),
        json!({"resourceType": "Binary", "id": format!("bin-{p}"), "contentType": "text/plain", "securityContext": patient,
            "data": if p == "a" { "Y29udGVudCBvZiBh" } else { "Y29udGVudCBvZiBi" }}),
        json!({"resourceType": "Binary", "id": format!("att-{p}"), "contentType": "text/plain",
            "data": if p == "a" { "Y29udGVudCBvZiBh" } else { "Y29udGVudCBvZiBi" }}),
        json!({"resourceType": "DocumentReference", "id": format!("doc-{p}"), "status": "current", "subject": patient,
            "content": [{"attachment": {"url": format!("Binary/att-{p}")}}]}),
        json!({"resourceType": "List", "id": format!("l-{p}"), "status": "current", "mode": "working", "subject": patient,
            "entry": [{"item": {"reference": format!("Observation/o1-{p}")}}]}),
    ]
}

/// `Observation.rs`, `*.cruds`: of a patient's record, or of everything.
pub(crate) fn grant(patient: Option<&str>, scope: &str) -> Grant {
    let (name, letters) = scope.split_once('.').unwrap();
    let permissions: Vec<Permission> = Permission::ALL
        .into_iter()
        .zip("cruds".chars())
        .filter(|(_, letter)| letters.contains(*letter))
        .map(|(permission, _)| permission)
        .collect();
    Grant {
        within: patient.map_or(Within::Everything, |id| Within::Patient(Id::parse(id).unwrap())),
        resource_type: Definitions::r4().resource_type(name),
        permissions: Permissions::of(&permissions),
        filter: Filter::always(),
    }
}

pub(crate) fn base64(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
