//! `tessera client`: which apps and systems may ask for access.

use super::{begin, record};
use crate::{
    config::{self, Config, Settings},
    error::Error,
};
use serde_json::Value;
use std::path::PathBuf;
use tessera_auth::{
    Algorithm, Kept,
    client::{self, Authentication, Client, Keys, Limits, Organization},
    dynamic,
    policy::Reading,
    registration::{check_client, configuration},
};
use tessera_model::interaction::percent_encode;
use tessera_store::{
    AuditAction, SqlStore,
    clock::{Clock as _, SystemClock},
};

/// Clients of a page of the list.
const PAGE: u32 = 1000;

/// Registers clients.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Register a client and say what to configure there
    Add(Box<Add>),
    /// List the clients
    List,
    /// Give a client a new secret, or other keys; the old ones are good no more
    Rotate(Rotate),
    /// Print a token by which apps and systems register by themselves, if access.registration is token
    RegistrationToken {
        /// How many may
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        uses: u32,
        /// For how many days
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
        days: u32,
    },
    /// Let a client that has registered by itself have the system/ scopes that it waits for
    Approve {
        /// Its id
        id: String,
        /// What it may see at all: *, Type or Type?parameters; may be repeated
        #[arg(long, value_name = "TYPE?PARAMETERS", required = true)]
        policy: Vec<String>,
    },
    /// Let a client in no more; its tokens are refused within 5 seconds
    Disable { id: String },
    /// Let a client in again
    Enable { id: String },
}

/// What it may ask for at a time, if not the usual; what is not given is the usual.
#[derive(clap::Args)]
struct LimitArguments {
    /// How many requests a second it may send
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: Option<u32>,
    /// How many requests it may send at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,
    /// How many of its searches may run at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    searches: Option<u32>,
    /// How many of what costs most may run at once: $everything, searches with _has
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    costly: Option<u32>,
}

impl LimitArguments {
    fn limits(&self, usual: &config::Limits) -> Option<Limits> {
        let given = [self.requests_per_second, self.burst, self.searches, self.costly];
        given.iter().any(Option::is_some).then(|| Limits {
            requests_per_second: self.requests_per_second.unwrap_or(usual.requests_per_second),
            burst: self.burst.unwrap_or(usual.burst),
            searches: self.searches.unwrap_or(usual.searches),
            costly: self.costly.unwrap_or(usual.costly),
        })
    }
}

#[derive(clap::Args)]
struct Add {
    /// Its id
    id: String,
    /// Its name, which users are shown
    #[arg(long)]
    name: String,
    /// How it shows who it is
    #[arg(long, value_name = "METHOD", value_parser = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])]
    authentication: String,
    #[command(flatten)]
    keys: KeyArguments,
    /// The scopes that it may be granted, with spaces between them
    #[arg(long, value_name = "SCOPES")]
    scope: String,
    /// What it may see at all: *, Type or Type?parameters; may be repeated, and system/ scopes need one
    #[arg(long, value_name = "TYPE?PARAMETERS")]
    policy: Vec<String>,
    /// Where users are sent back to; may be repeated
    #[arg(long, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// Where an EHR starts it
    #[arg(long, value_name = "URL")]
    launch_url: Option<String>,
    /// The name of the organization that it acts for
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Its resource here
    #[arg(long, value_name = "Organization/ID", requires = "organization")]
    organization_reference: Option<String>,
    /// The URI that it is known by elsewhere
    #[arg(long, value_name = "URI", requires = "organization")]
    organization_uri: Option<String>,
    #[command(flatten)]
    limits: LimitArguments,
    /// A purpose of use that it may have, a code of v3 PurposeOfUse; may be repeated, the first is the usual one
    #[arg(long, value_name = "CODE")]
    purpose: Vec<String>,
    /// What ids that it chooses itself must begin with
    #[arg(long, value_name = "PREFIX")]
    id_prefix: Option<String>,
    /// An origin whose pages may send its requests, such as https://app.example.org; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
    /// Whom to ask about it
    #[arg(long)]
    contact: Option<String>,
    /// The algorithm of its id_tokens [default: RS256]
    #[arg(long, value_name = "ALGORITHM", value_parser = ["RS256", "RS384", "ES384"])]
    id_token_algorithm: Option<String>,
    /// It may ask what tokens of others are good for
    #[arg(long)]
    introspects: bool,
    /// It may start other apps for its users, as an EHR does
    #[arg(long)]
    launches: bool,
    /// It may do what administrators may
    #[arg(long)]
    administers: bool,
}

#[derive(clap::Args)]
struct KeyArguments {
    /// Where its JWKS is
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_url: Option<String>,
    /// A file with its JWKS
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// An algorithm that it signs with; may be repeated [default: both]
    #[arg(long, value_name = "ALGORITHM", value_parser = ["RS384", "ES384"])]
    algorithm: Vec<String>,
}

#[derive(clap::Args)]
struct Rotate {
    /// Its id
    id: String,
    #[command(flatten)]
    keys: KeyArguments,
}

/// Runs the command on the database of the settings.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let changes = !matches!(arguments.command, Command::List);
    let (config, store) = begin(&arguments.settings, changes).await?;
    let path = |id: &str, act: &str| format!("/admin/clients/{}{act}", percent_encode(id));
    let done = match arguments.command {
        Command::List => return list(&store).await,
        Command::Add(add) => {
            let path = path(&add.id, "");
            self::add(&store, &config, *add).await?;
            (AuditAction::Create, path)
        }
        Command::Rotate(arguments) => {
            rotate(&store, &arguments).await?;
            (AuditAction::Update, path(&arguments.id, "/rotate"))
        }
        Command::RegistrationToken { uses, days } => {
            println!("{}", dynamic::invite(&store, SystemClock.now(), uses, days).await?.expose());
            (AuditAction::Create, "/admin/clients".to_owned())
        }
        Command::Approve { id, policy } => {
            approve(&store, &id, policy).await?;
            (AuditAction::Update, path(&id, "/approve"))
        }
        Command::Disable { id } => {
            enable(&store, &id, false).await?;
            (AuditAction::Update, path(&id, "/disable"))
        }
        Command::Enable { id } => {
            enable(&store, &id, true).await?;
            (AuditAction::Update, path(&id, "/enable"))
        }
    };
    record(&store, "tessera client", done).await
}

async fn add(store: &SqlStore, config: &Config, add: Add) -> Result<(), Error> {
    let (authentication, secret) = match add.authentication.as_str() {
        "none" => (Authentication::None, None),
        "private_key_jwt" => (Authentication::PrivateKeyJwt(add.keys.read()?), None),
        method => {
            let (secret, digest) = client::new_secret()?;
            let is_basic = method == "client_secret_basic";
            let kind = if is_basic { Authentication::ClientSecretBasic } else { Authentication::ClientSecretPost };
            (kind(digest), Some(secret))
        }
    };
    if !matches!(authentication, Authentication::PrivateKeyJwt(_)) && add.keys.are_given() {
        return Err(Error::Usage("keys are for private_key_jwt".to_owned()));
    }
    let (reference, uri) = (add.organization_reference, add.organization_uri);
    let client = Client {
        name: add.name,
        authentication,
        organization: add.organization.map(|name| Organization { name, reference, uri }),
        redirect_uris: add.redirect_uri,
        launch_url: add.launch_url,
        scopes: add.scope,
        policy: add.policy,
        purposes: add.purpose,
        id_prefix: add.id_prefix,
        limits: add.limits.limits(&config.limits),
        introspects: add.introspects,
        launches: add.launches,
        administers: add.administers,
        origins: add.origin,
        contact: add.contact,
        id_token_algorithm: add.id_token_algorithm.as_deref().and_then(Algorithm::named),
        enabled: true,
        expires: None,
    };
    check_client(&add.id, &client, reading(store)).map_err(Error::Usage)?;
    if !client::register(store, &add.id, client.clone()).await? {
        return Err(Error::Usage(format!("there is a client {} already", add.id)));
    }
    if config.base().is_none() {
        eprintln!("No base URL is set; the one that the database was last served under is told.");
    }
    print(&configuration(store.base(), &add.id, &client, secret.as_ref().map(tessera_auth::Secret::expose)));
    Ok(())
}

fn print(value: &Value) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

async fn list(store: &SqlStore) -> Result<(), Error> {
    let mut after = String::new();
    loop {
        let page = client::list(store, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.key);
        for Kept { key, value, .. } in &page {
            let state = if value.is_active(SystemClock.now()) { "" } else { " (disabled)" };
            println!("{key}{state}\t{}\t{}\t{}", value.name, value.authentication.name(), value.scopes);
        }
        for client in &page {
            let waiting = dynamic::waiting(store, client).await?;
            if !waiting.is_empty() {
                println!("{} waits for approval of\t{waiting}", client.key);
            }
        }
    }
}

async fn rotate(store: &SqlStore, arguments: &Rotate) -> Result<(), Error> {
    let mut kept = find(store, &arguments.id).await?;
    let mut told_secret = None;
    match &mut kept.value.authentication {
        Authentication::None => return Err(Error::Usage("a public client has no secret".to_owned())),
        Authentication::ClientSecretBasic(digest) | Authentication::ClientSecretPost(digest) => {
            let (secret, new) = client::new_secret()?;
            *digest = new;
            told_secret = Some(secret);
        }
        Authentication::PrivateKeyJwt(keys) => *keys = arguments.keys.read()?,
    }
    check_client(&kept.key, &kept.value, reading(store)).map_err(Error::Usage)?;
    update(store, &kept).await?;
    let secret = told_secret.as_ref().map(tessera_auth::Secret::expose);
    print(&configuration(store.base(), &kept.key, &kept.value, secret));
    Ok(())
}

async fn approve(store: &SqlStore, id: &str, policy: Vec<String>) -> Result<(), Error> {
    let client = find(store, id).await?;
    match dynamic::approve(store, client, policy, reading(store)).await?.map_err(Error::Usage)? {
        true => Ok(()),
        false => Err(Error::Failed("somebody else has changed it in the meantime; try again".to_owned())),
    }
}

async fn enable(store: &SqlStore, id: &str, enabled: bool) -> Result<(), Error> {
    let mut kept = find(store, id).await?;
    kept.value.enabled = enabled;
    update(store, &kept).await
}

async fn find(store: &SqlStore, id: &str) -> Result<Kept<Client>, Error> {
    client::find(store, id).await?.ok_or_else(|| Error::Usage(format!("there is no client {id}")))
}

async fn update(store: &SqlStore, kept: &Kept<Client>) -> Result<(), Error> {
    match client::update(store, kept).await? {
        true => Ok(()),
        false => Err(Error::Failed("somebody else has changed it in the meantime; try again".to_owned())),
    }
}

fn reading(store: &SqlStore) -> Reading<'_> {
    Reading { base: store.base(), now: SystemClock.now() }
}

impl KeyArguments {
    fn are_given(&self) -> bool {
        self.jwks.is_some() || self.jwks_url.is_some() || !self.algorithm.is_empty()
    }

    fn read(&self) -> Result<Keys, Error> {
        let jwks = match &self.jwks {
            None => None,
            Some(path) => {
                let bad = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
                let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
                Some(serde_json::from_str(&text).map_err(|error| bad(&error))?)
            }
        };
        let mut algorithms: Vec<_> = self.algorithm.iter().filter_map(|name| Algorithm::named(name)).collect();
        if algorithms.is_empty() {
            algorithms = Algorithm::OF_ASSERTIONS.to_vec();
        }
        Ok(Keys { jwks_url: self.jwks_url.clone(), jwks, algorithms })
    }
}
