//! `tessera demo`.

use super::{context, open, serve};
use crate::{config::Config, config::Settings, error::Error, telemetry};
use std::path::PathBuf;
use tessera_auth::Authenticator;
use tessera_fixtures::population::Population;
use tessera_http::Local;
use tessera_model::{AccessContext, interaction::Method};

/// Starts a server with demo data.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long, env = "TESSERA_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Keep the data in this folder; without it, in a temporary one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How many patients to make
    #[arg(long, value_name = "N", default_value_t = 50)]
    patients: usize,
    /// Another seed makes another population; the same seed always the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Fills a fresh database with a synthetic population and serves it.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let folder =
        arguments.folder.unwrap_or_else(|| std::env::temp_dir().join(format!("tessera-demo-{}", std::process::id())));
    let file = folder.join("tessera.db");
    let settings = Settings {
        listen: Some(arguments.listen),
        database_url: Some(format!("sqlite:{}", file.display())),
        ..Settings::default()
    };
    let config = settings.resolve()?;
    telemetry::start(&config.log)?;
    let listener = serve::listen_on_loopback(&config).await?;
    let address = listener.local_addr()?.to_string();
    let base = config.base_at(&address);
    let fresh = !file.exists();
    let store = open(&config, Some(base.clone()), config.audit()?).await?;
    let context = context(store, &config, Authenticator::InsecureNoAuth, None)?;
    if fresh {
        println!("Making {} patients …", arguments.patients);
        fill(&Local::new(context.clone(), AccessContext::internal("demo data")), arguments.seed, arguments.patients)
            .await?;
    }
    println!("{}", what_to_try(&config, &base));
    println!("Tessera listens on http://{address}/fhir");
    serve::serve(listener, context).await
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

fn what_to_try(config: &Config, base: &str) -> String {
    format!(
        "
Tessera is ready. There is no authentication: everything stays on this machine.

  Patients by name       curl '{base}/Patient?_count=3&_sort=family&_pretty=true'
  Weights, newest first  curl '{base}/Observation?code=http://loinc.org|29463-7&_sort=-date&_count=5&_include=Observation:subject&_pretty=true'
  Diabetics              curl '{base}/Patient?_has:Condition:patient:code=http://snomed.info/sct|44054006&_summary=true&_pretty=true'
  How many observations  curl '{base}/Observation?_summary=count'
  Create a patient       curl -H 'Content-Type: application/fhir+json' -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Chalmers\"}}]}}' '{base}/Patient'
  What it can do         curl '{base}/metadata?_pretty=true'

The data is in {}. Stop with Ctrl-C.
",
        config.database_url.trim_start_matches("sqlite:")
    )
}
