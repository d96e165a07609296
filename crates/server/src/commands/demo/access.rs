//! Who may use a demo: three users, three clients, and a token to begin with. They are made with the demo's database and noted in
//! files beside it that its owner alone may read. A database without these files is none of a demo's: nobody is added to it.

use crate::{error::Error, secret::write_private};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use tessera_auth::{
    AuthorizationServer, Refusal, Urls,
    client::{self, Client},
    launch::LaunchContext,
    policy::Reading,
    registration::{check_client, check_user},
    session,
    user::{self, User},
};
use tessera_http::Local;
use tessera_model::interaction::{Method, query_pairs};
use tessera_store::{SqlStore, clock::Clock as _, clock::SystemClock};

/// The file with the passwords and the secret.
const FILE: &str = "demo.json";
/// The file with the keys of `demo-backend`, private ones.
pub(super) const KEYS_FILE: &str = "demo-backend.jwks";
/// Where apps of the demo have their pages: on this machine, for those of 127.0.0.1 on any port.
const REDIRECT_URIS: [&str; 2] = ["http://127.0.0.1:3000/callback", "http://localhost:3000/callback"];
/// What apps may ask for.
const APP_SCOPES: &str = "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds \
                          user/*.cruds";
/// RFC 7636 appendix B. The code does not leave the process, so nobody else could redeem it.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What is to be known to use a demo.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Access {
    /// The id of the patient that the user `patient` is.
    pub(super) patient: String,
    /// The passwords of the users `patient`, `clinician` and `admin`.
    pub(super) passwords: [String; 3],
    /// The secret of the client `demo-web`.
    pub(super) secret: String,
}

impl Access {
    /// Adds users and clients to a demo's new database.
    pub(super) async fn make(folder: &Path, store: &SqlStore, local: &Local) -> Result<Self, Error> {
        let patient = ids(local, "Patient").await?.into_iter().next();
        let patient = patient.ok_or_else(|| Error::Failed("the demo has no patients".to_owned()))?;
        let practitioners: Vec<_> = ids(local, "Practitioner").await?;
        let practitioner = |n: usize| practitioners.get(n).map(|id| format!("Practitioner/{id}"));
        let reading = Reading { base: store.base(), now: SystemClock.now() };
        let passwords = [user::random_password()?, user::random_password()?, user::random_password()?];
        let [of_patient, of_clinician, of_administrator] = &passwords;
        for (name, password, user) in [
            (
                "patient",
                of_patient,
                json!({"name": "A Patient", "role": "patient", "fhir_user": format!("Patient/{patient}"), "patients": [&patient]}),
            ),
            (
                "clinician",
                of_clinician,
                json!({"name": "A Clinician", "role": "clinician", "fhir_user": practitioner(0), "policy": ["*"]}),
            ),
            (
                "admin",
                of_administrator,
                json!({"name": "An Administrator", "role": "administrator", "fhir_user": practitioner(1), "policy": ["*"]}),
            ),
        ] {
            let mut kept = of::<User>(user)?;
            check_user(name, &kept, reading).map_err(Error::Failed)?;
            kept.password = Some(user::hash(password)?);
            user::add(store, name, kept).await?;
        }
        let (secret, digest) = client::new_secret()?;
        let (private, public) = client::new_keys()?;
        for (id, authentication, more) in [
            ("demo-app", json!("none"), app("Demo App", false)),
            ("demo-web", json!({"client_secret_basic": digest}), app("Demo Web App", true)),
            (
                "demo-backend",
                json!({"private_key_jwt": {"jwks": public, "algorithms": ["ES384"]}}),
                json!({"name": "Demo Backend", "scopes": "system/*.cruds", "policy": ["*"]}),
            ),
        ] {
            let mut client = more;
            client["authentication"] = authentication;
            let client = of::<Client>(client)?;
            check_client(id, &client, reading).map_err(Error::Failed)?;
            client::register(store, id, client).await?;
        }
        let access = Self { patient, passwords, secret: secret.expose().to_owned() };
        write_private(&folder.join(KEYS_FILE), &format!("{private:#}\n"))?;
        // The last thing: with this file the demo is whole.
        let text = serde_json::to_string_pretty(&access).map_err(|error| Error::Failed(error.to_string()))?;
        write_private(&folder.join(FILE), &text)?;
        Ok(access)
    }

    /// What was noted of a demo's database.
    ///
    /// # Errors
    /// [`Error::Usage`] if the database in the folder is none of a demo's.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(folder.join(FILE)).ok();
        text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| {
            let folder = folder.display();
            Error::Usage(format!(
                "{folder} holds a database that no demo has made, or not to its end; take another folder"
            ))
        })
    }

    /// An access token of the administrator's, as `demo-web` gets one: the steps of an app, without a browser.
    pub(super) async fn token(&self, server: &AuthorizationServer) -> Result<String, Error> {
        let cookie = session::create(server.records(), server.now(), "admin").await?;
        let session = session::find(server.records(), cookie.expose()).await?;
        let session = session.ok_or_else(|| Error::Failed("the session is not there".to_owned()))?;
        let [redirect_uri, _] = REDIRECT_URIS;
        let asked = [
            ("response_type", "code"),
            ("client_id", "demo-web"),
            ("redirect_uri", redirect_uri),
            ("scope", "user/*.cruds tessera/admin"),
            ("state", "demo"),
            ("aud", &server.urls().base),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let request = server.authorization_request(&form(&asked)).await.map_err(|refusal| match refusal {
            Refusal::Page(error) => Error::from(error),
            Refusal::Redirect(url) => Error::Failed(format!("the demo's client was refused: {url}")),
        })?;
        let url = server.agree(&request, &session, request.scopes.clone(), LaunchContext::default()).await?;
        let query = query_pairs(url.split_once('?').map_or("", |(_, query)| query));
        let code = query.iter().find(|(name, _)| name == "code").map_or("", |(_, code)| code);
        let redeemed = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        let issued =
            server.token(Some(&self.authorization()), &form(&redeemed)).await.map_err(|refused| refused.error)?;
        session::end(server.records(), &session.key).await?;
        let token = issued.answer["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| Error::Failed("there is no token in the answer".to_owned()))
    }

    /// The `Authorization` header of `demo-web`.
    fn authorization(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("demo-web:{}", self.secret)))
    }

    /// What is printed of users and clients.
    pub(super) fn told(&self, folder: &Path, base: &str) -> String {
        let auth = Urls::of(base).auth;
        let [patient, clinician, administrator] = &self.passwords;
        let [redirect_uri, _] = REDIRECT_URIS;
        format!(
            "\
Users log in where apps send them, and at {auth}/manage, where they see what apps may do:

  patient     password {patient}    sees Patient/{}
  clinician   password {clinician}    sees everything
  admin       password {administrator}    sees and administers everything

Clients, which find all else at {base}/.well-known/smart-configuration:

  demo-app      public, for apps at {redirect_uri} (or another port)
  demo-web      the same with client_secret_basic, secret {}
  demo-backend  private_key_jwt, scopes system/*.cruds; its keys are in {}",
            self.patient,
            self.secret,
            folder.join(KEYS_FILE).display()
        )
    }
}

fn app(name: &str, administers: bool) -> Value {
    let scopes = if administers { format!("{APP_SCOPES} tessera/admin") } else { APP_SCOPES.to_owned() };
    json!({
        "name": name, "scopes": scopes, "redirect_uris": REDIRECT_URIS, "launch_url": "http://127.0.0.1:3000/launch",
        "origins": ["http://127.0.0.1:3000", "http://localhost:3000"], "launches": true, "administers": administers,
    })
}

fn of<T: serde::de::DeserializeOwned>(mut value: Value) -> Result<T, Error> {
    value["enabled"] = true.into();
    serde_json::from_value(value).map_err(|error| Error::Failed(error.to_string()))
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The ids of the first two resources of a type.
async fn ids(local: &Local, resource_type: &str) -> Result<Vec<String>, Error> {
    let answer = local.send(Method::Get, &format!("{resource_type}?_sort=_id&_count=2"), Vec::new(), None).await;
    let bundle: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    Ok(entries.iter().filter_map(|entry| entry["resource"]["id"].as_str().map(str::to_owned)).collect())
}
