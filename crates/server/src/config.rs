//! Settings: the command line before the environment before the file before `config.default.toml`.

mod access;
mod database;
mod http;
mod identity;
mod layers;
mod limits;
mod problems;
mod show;
mod tls;

pub(crate) use access::is_loopback;
pub(crate) use database::is_local;
pub(crate) use identity::Mode;

use crate::{error::Error, secret};
use access::Access;
use http::Http;
use layers::Layers;
pub(crate) use limits::Limits;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tessera_http::ConditionalDelete;
use tessera_store::{AuditOptions, Location};
use tls::Tls;

/// What the settings are. Each has its default, its help and so its name in the environment in `config.default.toml`;
/// a section there is a structure here, in a file of its own below `config/` as soon as it means something.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to listen.
    pub listen: String,
    /// Where resources are kept.
    pub database_url: String,
    /// The password of the database's user; empty: the URL has it, or there is none.
    pub database_password: String,
    /// A streaming replica of it that is read of; empty: none.
    pub database_replica_url: String,
    /// The URL of the FHIR API; empty: made of the address listened on.
    pub base_url: String,
    /// The organization whose records these are; empty: not said.
    pub organization: String,
    /// How many resources a conditional delete may delete: `single` or `multiple`.
    pub conditional_delete: String,
    /// How long a search may run, in milliseconds.
    pub search_timeout_ms: u64,
    /// Whether events are recorded: `on` or `off`.
    pub audit: String,
    /// Where they wait for the database; empty: beside it.
    pub audit_folder: String,
    /// When a read is answered: `interval` or `always`.
    pub audit_sync: String,
    /// For how many years the queries of events can be read.
    pub audit_query_years: u16,
    /// The file with the server's secret; empty: beside the database.
    pub secret_key_file: String,
    /// What is logged.
    pub log: String,
    /// How: `text` or `json`.
    pub log_format: String,
    /// Connections.
    pub http: Http,
    /// Encryption.
    pub tls: Tls,
    /// What callers may ask for at a time.
    pub limits: Limits,
    /// What Prometheus asks for.
    pub metrics: Metrics,
    /// What an OpenTelemetry collector is told.
    pub traces: Traces,
    /// Where the server may fetch from.
    pub outbound: Outbound,
    /// Who says who somebody is.
    pub identity: identity::Identity,
    /// How users log in and clients register.
    pub access: Access,
}

/// What an OpenTelemetry collector is told.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traces {
    /// Its URL; empty: nothing is.
    pub endpoint: String,
    /// How many of a hundred traces that begin here.
    pub percent: u64,
}

impl Traces {
    /// How many of a hundred.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is more than all.
    pub(crate) fn percent(&self) -> Result<u64, Error> {
        let percent = Some(self.percent).filter(|percent| *percent <= 100);
        percent.ok_or_else(|| Error::Usage("traces.percent: expected 0 to 100".to_owned()))
    }
}

/// What Prometheus asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Where; empty: nowhere.
    pub listen: String,
}

/// Where the server may fetch from (HTTP-30).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outbound {
    /// Origins that may be at any address and port.
    pub trusted_origins: Vec<String>,
    /// The only origins where clients may have their keys; empty: any.
    pub client_key_origins: Vec<String>,
}

/// Settings that the command line has, named as they are in the file. The environment has all of them.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
#[command(next_help_heading = "Settings, each also a TESSERA_ variable and a line of the file")]
pub(crate) struct Settings {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(global = true, long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Where resources are kept: sqlite:PATH or postgres://… [default: sqlite:tessera-data/tessera.db]
    #[arg(global = true, long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The URL under which clients reach the FHIR API [default: http://LISTEN/fhir]
    #[arg(global = true, long, value_name = "URL")]
    pub base_url: Option<String>,
    /// How many resources a conditional delete may delete: single or multiple [default: single]
    #[arg(global = true, long, value_name = "single|multiple")]
    pub conditional_delete: Option<String>,
    /// How long a search may run, in milliseconds, 60000 at most [default: 10000]
    #[arg(global = true, long, value_name = "MILLISECONDS")]
    pub search_timeout_ms: Option<u64>,
    /// Whether it is recorded who does what: on or off [default: on]
    #[arg(global = true, long, value_name = "on|off")]
    pub audit: Option<String>,
    /// Where events of the record wait for the database [default: beside it]
    #[arg(global = true, long, value_name = "FOLDER")]
    pub audit_folder: Option<String>,
    /// When a read is answered, its event on disk within 20 ms or before: interval or always [default: interval]
    #[arg(global = true, long, value_name = "interval|always")]
    pub audit_sync: Option<String>,
    /// The file with the server's secret, made if it is not there [default: beside the database]
    #[arg(global = true, long, value_name = "FILE")]
    pub secret_key_file: Option<String>,
    /// A file of settings; config.default.toml in the sources lists them all
    #[arg(global = true, long, env = "TESSERA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or a filter [default: info,sqlx=error]
    #[arg(global = true, long, value_name = "FILTER")]
    pub log: Option<String>,
}

impl Settings {
    /// The settings in force.
    ///
    /// # Errors
    /// [`Error::Usage`] if the file cannot be read or has a setting that does not exist, or a value is of another type.
    pub(crate) fn resolve(&self) -> Result<Config, Error> {
        self.layers().config()
    }

    /// The layers, with what is wrong with them.
    fn layers(&self) -> Layers {
        let mut layers = Layers::read(self.config.as_deref(), |name| std::env::var(name).ok(), self);
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        layers.problems.extend(layers::unknown_variables(names));
        layers
    }

    /// Everything that is wrong with the settings.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<String> {
        match self.resolve() {
            Ok(config) => config.problems(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        }
    }

    /// The settings in force, as a file that says where each comes from; secrets are masked.
    ///
    /// # Errors
    /// [`Error::Usage`] if something is wrong with the layers.
    pub(crate) fn show(&self) -> Result<String, Error> {
        let layers = self.layers();
        layers.config()?;
        Ok(show::show(&layers))
    }
}

impl Config {
    /// Where the database is.
    ///
    /// # Errors
    /// [`Error::Usage`] if the URL is of neither kind, or has no place for the password.
    pub(crate) fn location(&self) -> Result<Location, Error> {
        let location = Location::parse(&self.database_url)
            .ok_or_else(|| Error::Usage("--database-url: expected sqlite:PATH or postgres://…".to_owned()))?;
        self.with_password(location, "the database's URL")
    }

    /// A PostgreSQL with the password that stands apart.
    fn with_password(&self, location: Location, what: &str) -> Result<Location, Error> {
        match location {
            Location::Postgres(url) if !self.database_password.is_empty() => {
                let url = database::with_password(&url, &self.database_password);
                let text = || format!("database_password: {what} must name a user, and no password");
                url.map(Location::Postgres).ok_or_else(|| Error::Usage(text()))
            }
            location => Ok(location),
        }
    }

    /// Where a streaming replica of the database is; `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not at a PostgreSQL's URL, has no place for the password, or the database is a file.
    pub(crate) fn replica(&self) -> Result<Option<String>, Error> {
        if self.database_replica_url.is_empty() {
            return Ok(None);
        }
        let wrong = |text: &str| Error::Usage(format!("database_replica_url: {text}"));
        if matches!(self.location()?, Location::Sqlite(_)) {
            return Err(wrong("only a PostgreSQL has replicas, and the database is a SQLite file"));
        }
        let location = Location::parse(&self.database_replica_url);
        let location = location.ok_or_else(|| wrong("expected postgres://…"))?;
        match self.with_password(location, "the replica's URL")? {
            Location::Postgres(url) => Ok(Some(url)),
            Location::Sqlite(_) => Err(wrong("expected postgres://…")),
        }
    }

    /// How many resources a conditional delete may delete.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is neither of the two.
    pub(crate) fn conditional_delete(&self) -> Result<ConditionalDelete, Error> {
        ConditionalDelete::parse(&self.conditional_delete)
            .ok_or_else(|| Error::Usage("--conditional-delete: expected single or multiple".to_owned()))
    }

    /// How long a search may run (HTTP-5): no longer than an answer may take.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is nothing or too long.
    pub(crate) fn search_timeout(&self) -> Result<Duration, Error> {
        let timeout = (1..=60_000).contains(&self.search_timeout_ms).then_some(self.search_timeout_ms);
        let timeout = timeout.map(Duration::from_millis);
        timeout.ok_or_else(|| Error::Usage("--search-timeout-ms: expected 1 to 60000".to_owned()))
    }

    /// How events are recorded; `None`: not at all. The secret is made if there is none.
    ///
    /// # Errors
    /// [`Error::Usage`] if a setting is none of those that there are, or the secret cannot be read.
    pub(crate) fn audit(&self) -> Result<Option<AuditOptions>, Error> {
        let Some(always_sync) = self.audits()? else { return Ok(None) };
        let secret = secret::read_or_make(&self.secret_key_file()?)?;
        let query_years = self.audit_query_years()?;
        Ok(Some(AuditOptions { folder: self.audit_folder()?, always_sync, secret, query_years }))
    }

    /// Whether events are recorded, and if so whether reads wait for the disk.
    fn audits(&self) -> Result<Option<bool>, Error> {
        let always_sync = match &*self.audit_sync {
            "interval" => false,
            "always" => true,
            _ => return Err(Error::Usage("--audit-sync: expected interval or always".to_owned())),
        };
        match &*self.audit {
            "on" => Ok(Some(always_sync)),
            "off" => Ok(None),
            _ => Err(Error::Usage("--audit: expected on or off".to_owned())),
        }
    }

    /// For how many years the queries of events can be read (AUD-6).
    ///
    /// # Errors
    /// [`Error::Usage`] if it is none.
    fn audit_query_years(&self) -> Result<u16, Error> {
        let years = Some(self.audit_query_years).filter(|years| *years > 0);
        years.ok_or_else(|| Error::Usage("audit_query_years: expected 1 at least".to_owned()))
    }

    /// Where events wait for the database.
    ///
    /// # Errors
    /// [`Error::Usage`] if the database's URL is of neither kind.
    pub(crate) fn audit_folder(&self) -> Result<PathBuf, Error> {
        self.file(&self.audit_folder, "audit")
    }

    /// The file with the server's secret.
    ///
    /// # Errors
    /// [`Error::Usage`] if the database's URL is of neither kind.
    pub(crate) fn secret_key_file(&self) -> Result<PathBuf, Error> {
        self.file(&self.secret_key_file, "secret.key")
    }

    /// A path that is set, or one beside the database.
    fn file(&self, set: &str, name: &str) -> Result<PathBuf, Error> {
        if !set.is_empty() {
            return Ok(set.into());
        }
        Ok(match self.location()? {
            Location::Sqlite(path) => path.with_file_name(name),
            Location::Postgres(_) => Path::new("tessera-data").join(name),
        })
    }

    /// The base URL, if one is set.
    #[must_use]
    pub(crate) fn base(&self) -> Option<String> {
        Some(self.base_url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty())
    }

    /// The base URL of a server that listens on this address.
    #[must_use]
    pub(crate) fn base_at(&self, scheme: &str, address: &str) -> String {
        self.base().unwrap_or_else(|| format!("{scheme}://{address}/fhir"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_the_settings() {
        let config = layers::resolve(None, |_| None, &Settings::default()).unwrap();
        assert_eq!(config.search_timeout().unwrap(), tessera_store::SEARCH_TIMEOUT);
        assert_eq!(config.base_at("http", "127.0.0.1:8080"), "http://127.0.0.1:8080/fhir");
    }

    #[test]
    fn a_replica_is_a_postgresql_beside_one_and_has_its_password() {
        let replica = |url: &str, replica: &str, password: &str| {
            let environment = |name: &str| match name {
                "TESSERA_DATABASE_URL" => Some(url.to_owned()),
                "TESSERA_DATABASE_REPLICA_URL" => Some(replica.to_owned()),
                "TESSERA_DATABASE_PASSWORD" => Some(password.to_owned()),
                _ => None,
            };
            layers::resolve(None, environment, &Settings::default()).unwrap().replica().map_err(|e| e.to_string())
        };
        assert_eq!(replica("sqlite:x.db", "", "").unwrap(), None);
        assert_eq!(replica("postgres://a/x", "postgres://b/x", "").unwrap().as_deref(), Some("postgres://b/x"));
        let with_password = replica("postgres://u@a/x", "postgres://u@b/x", "p").unwrap();
        assert_eq!(with_password.as_deref(), Some("postgres://u:p@b/x"));
        assert!(replica("sqlite:x.db", "postgres://b/x", "").unwrap_err().contains("SQLite file"));
        for wrong in ["sqlite:x.db", "b:5432"] {
            assert!(replica("postgres://a/x", wrong, "").unwrap_err().contains("expected postgres://"), "{wrong}");
        }
        assert!(replica("postgres://u@a/x", "postgres://b/x", "p").unwrap_err().contains("the replica's URL"));
    }

    /// What stands in backticks in a cell of a table.
    fn quoted(cell: &str) -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_setting_has_its_row_in_the_documentation_and_every_row_its_setting() {
        let page = include_str!("../../../docs/operating.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| key | default |")).skip(2);
        let mut documented = Vec::new();
        for row in rows.take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let (keys, variables) = (quoted(cells[0]), quoted(cells[2]));
            assert_eq!(keys.len(), variables.len(), "{row}");
            documented.extend(variables.into_iter().zip(keys));
        }
        documented.sort();
        let mut settings = layers::variables();
        settings.sort();
        assert_eq!(documented, settings);
    }

    #[test]
    fn every_setting_is_explained_where_it_has_its_default() {
        let mut lines_before: &[&str] = &[];
        let lines: Vec<&str> = layers::DEFAULTS.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            // A comment stands for the lines below it, up to the next empty one.
            match line.chars().next() {
                None => lines_before = &[],
                Some('#') => lines_before = &lines[n..=n],
                Some('[') => {}
                Some(_) => assert!(!lines_before.is_empty(), "{line}"),
            }
        }
    }
}
