//! `tessera demo`.

mod access;

use super::{context, open, serve};
use crate::{config::Settings, error::Error, telemetry};
use access::Access;
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::PathBuf};
use tessera_auth::{Authenticator, Urls};
use tessera_fixtures::population::Population;
use tessera_http::Local;
use tessera_model::{AccessContext, interaction::Method};

/// Starts a server with demo data.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen, on loopback
    #[arg(long, env = "TESSERA_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Keep the data in this folder; without it, in a temporary one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How many patients to make
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    patients: u32,
    /// Another seed makes another population; the same seed always the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Let everybody on this machine do everything, without a token
    // No environment variable and no setting turns this on (AUTH-40).
    #[arg(long)]
    insecure_no_auth: bool,
}

/// Fills a fresh database with a synthetic population, users and clients, and serves it. Its passwords are printed, so it is served
/// to this machine alone.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let temporary = || std::env::temp_dir().join(format!("tessera-demo-{}", tessera_store::new_id()));
    let folder = arguments.folder.unwrap_or_else(temporary);
    let file = folder.join("tessera.db");
    let is_fresh = !file.exists();
    let known = if is_fresh { None } else { Some(Access::read(&folder)?) };
    let settings = Settings {
        listen: Some(arguments.listen),
        database_url: Some(format!("sqlite:{}", file.display())),
        ..Settings::default()
    };
    let config = settings.resolve()?;
    telemetry::start(&config)?;
    let listener = serve::listen_on_loopback(&config).await?;
    // Nobody else may look into it.
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let scheme = listener.scheme();
    let address = listener.tcp.local_addr()?;
    let base = config.base_at(scheme, &address.to_string());
    let store = open(&config, Some(base.clone()), config.audit()?).await?;
    let (server, master) = serve::authorization_server(&store, &config, address).await?;
    let (authenticator, master) = match arguments.insecure_no_auth {
        true => (Authenticator::InsecureNoAuth, None),
        false => (Authenticator::Smart(server.clone()), Some(master)),
    };
    let context = context(store.clone(), &config, authenticator, master)?;
    let access = match known {
        Some(access) => access,
        None => {
            println!("Making {} patients …", arguments.patients);
            let local = Local::new(context.clone(), AccessContext::internal("demo data"));
            fill(&local, arguments.seed, arguments.patients as usize).await?;
            Access::make(&folder, &store, &local).await?
        }
    };
    let token = if arguments.insecure_no_auth { None } else { Some(access.token(&server).await?) };
    println!("{}", what_to_try(&base, token.as_deref()));
    match token {
        Some(_) => println!("{}", access.told(&folder, &base)),
        None => println!("There is no authentication: everybody on this machine may do everything."),
    }
    println!("\nThe data is in {}. Stop with Ctrl-C.\n", folder.display());
    serve::serve(listener, context, &format!("http://{address}/fhir")).await
}

async fn fill(local: &Local, seed: u64, patients: usize) -> Result<(), Error> {
    for bundle in Population::new(seed, patients) {
        let answer = local.send(Method::Post, "", bundle.to_string().into_bytes(), None).await;
        if answer.status != 200 {
            return Err(Error::Failed(format!("the demo data was not accepted: {}", answer.text)));
        }
    }
    Ok(())
}

/// Lines to be pasted into a shell.
fn what_to_try(base: &str, token: Option<&str>) -> String {
    let (first, curl) = match token {
        Some(token) => (
            format!(
                "Tessera is ready. Paste this first, a token of the administrator's for an hour:\n\n  export TOKEN={token}\n\nThen:"
            ),
            "curl -H \"Authorization: Bearer $TOKEN\"",
        ),
        None => ("Tessera is ready. To try:".to_owned(), "curl"),
    };
    // Without authentication there is nothing to administer.
    let clients = match token {
        Some(_) => format!("  Who may ask            {curl} '{}/clients'\n", Urls::of(base).admin),
        None => String::new(),
    };
    format!(
        "
{first}

  Patients by name       {curl} '{base}/Patient?_count=3&_sort=family&_pretty=true'
  Weights, newest first  {curl} '{base}/Observation?code=http://loinc.org|29463-7&_sort=-date&_count=5&_include=Observation:subject&_pretty=true'
  Diabetics              {curl} '{base}/Patient?_has:Condition:patient:code=http://snomed.info/sct|44054006&_summary=true&_pretty=true'
  How many observations  {curl} '{base}/Observation?_summary=count'
  Create a patient       {curl} -H 'Content-Type: application/fhir+json' -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Chalmers\"}}]}}' '{base}/Patient'
  Who did what           {curl} '{base}/AuditEvent?_count=3&_pretty=true'
{clients}  What it can do         curl '{base}/metadata?_pretty=true'
"
    )
}
