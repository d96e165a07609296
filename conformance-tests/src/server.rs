//! A server for a test: the real binary on a database of its own.

use std::env;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;

use tessera_fixtures::postgres::{self, Cluster};

use crate::binary::tessera;
use crate::client::Client;
use crate::folder::Folder;
use crate::process::{Process, printed_beside, show_tail};
use crate::proxy::{Address, Proxy};

/// The base URL of a running server: the tests of the FHIR specification then use it and start none.
pub const BASE_URL_VARIABLE: &str = "TESSERA_BASE_URL";

/// The one backend that tests are to use: `sqlite` or `postgresql`.
pub const BACKEND_VARIABLE: &str = "TESSERA_TEST_BACKEND";

/// The file with the server's secret.
const SECRET_VARIABLE: &str = "TESSERA_SECRET_KEY_FILE";

/// What a server keeps its resources in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server, see [`tessera_fixtures::postgres`].
    Postgres,
}

impl Backend {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// Whether tests are to use it: unless [`BACKEND_VARIABLE`] names another.
    fn is_wanted(self) -> bool {
        match env::var(BACKEND_VARIABLE) {
            Ok(name) if !name.is_empty() => {
                let known = Self::ALL.iter().any(|backend| backend.to_string().eq_ignore_ascii_case(&name));
                assert!(known, "{BACKEND_VARIABLE} is to be sqlite or postgresql");
                self.to_string().eq_ignore_ascii_case(&name)
            }
            _ => true,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A database; that of SQLite goes when the last clone of this is dropped.
#[derive(Clone, Debug)]
pub struct Database {
    url: String,
    folder: Option<Arc<Folder>>,
    /// What servers and commands keep beside a database that has no folder: the secret, the audit record's segments.
    home: Arc<Folder>,
}

impl Database {
    /// A new, empty one. `None` if there is no PostgreSQL for it, of which standard error then tells, or if
    /// [`BACKEND_VARIABLE`] names another.
    #[must_use]
    pub fn create(backend: Backend, test: &str) -> Option<Self> {
        if !backend.is_wanted() {
            return None;
        }
        match backend {
            Backend::Sqlite => {
                let folder = Folder::new("database");
                let url = format!("sqlite:{}", folder.path().join("tessera.db").display());
                Some(Self { folder: Some(Arc::new(folder)), ..Self::at(url) })
            }
            Backend::Postgres => {
                let cluster = cluster_or_skip(test)?;
                Some(Self::at(cluster.create_database()))
            }
        }
    }

    fn at(url: String) -> Self {
        Self { url, folder: None, home: Arc::new(Folder::new("home")) }
    }

    /// The file with the secret that servers and commands share; SQLite's lies beside it.
    fn secret(&self) -> Option<PathBuf> {
        self.folder.is_none().then(|| self.home.path().join("secret.key"))
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder that holds nothing but SQLite's files.
    #[must_use]
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_deref()
    }

    /// A new, empty one of a PostgreSQL that the test has for itself, to stop it.
    #[must_use]
    pub fn on(cluster: &Cluster) -> Self {
        Self::at(cluster.create_database())
    }

    /// Starts a server on it, with extra environment variables. There may be several on PostgreSQL.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn serve(&self, environment: &[(&str, &str)]) -> Server {
        self.start(environment, true)
    }

    /// Starts a server on it that asks who its callers are, with extra environment variables.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn serve_with_authentication(&self, environment: &[(&str, &str)]) -> Server {
        self.start(environment, false)
    }

    /// Runs `tessera` with these arguments on it, with a text as its input; what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut command = tessera();
        command.args(arguments).env("TESSERA_DATABASE_URL", &self.url).current_dir(self.home.path());
        command.envs(self.secret().map(|secret| (SECRET_VARIABLE, secret)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("tessera does not start: {error}"));
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing may have ended.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("tessera does not end: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tessera {arguments:?} has failed: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn start(&self, environment: &[(&str, &str)], insecure: bool) -> Server {
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let folder = Folder::new("server");
        let mut local = Local { folder, database: self.clone(), environment, insecure, process: None, proxy: None };
        let base = local.start();
        Server { base, local: Some(local) }
    }

    /// Fails unless `tessera check` finds nothing wrong. The servers must be stopped before.
    ///
    /// # Panics
    /// When there are differences.
    #[track_caller]
    pub fn check(&self) {
        crate::check(&self.url);
    }
}

/// The PostgreSQL of this process. Unlike that of other tests, it writes commits to the disk, as in production: the
/// server refuses one that does not.
fn cluster_or_skip(test: &str) -> Option<&'static Cluster> {
    static DURABLE: OnceLock<Option<Cluster>> = OnceLock::new();
    if env::var(postgres::URL_VARIABLE).is_ok_and(|url| !url.is_empty()) {
        return postgres::shared_or_skip(test);
    }
    DURABLE.get_or_init(|| Cluster::options().durable(true).start_or_skip(test)).as_ref()
}

/// A server that is ready, killed when dropped.
#[derive(Debug)]
pub struct Server {
    base: String,
    /// `None` for the running server of [`BASE_URL_VARIABLE`].
    local: Option<Local>,
}

/// A server of ours.
#[derive(Debug)]
struct Local {
    process: Option<Process>,
    proxy: Option<Proxy>,
    database: Database,
    environment: Vec<(String, String)>,
    /// Whether it lets everybody in.
    insecure: bool,
    /// The working directory, with the log.
    folder: Folder,
}

impl Local {
    fn start(&mut self) -> String {
        let mut command = tessera();
        command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", &self.database.url]);
        if self.insecure {
            command.arg("--insecure-no-auth");
        }
        let address = Address::of_environment();
        if let Some(address) = &address {
            // A test that sets another has its reasons.
            command.env(BASE_URL_VARIABLE, address.base());
        }
        // Builds for tests are slow and share the machine; a test of the limit itself sets it.
        command.env("TESSERA_SEARCH_TIMEOUT_MS", "60000");
        command.envs(self.database.secret().map(|secret| (SECRET_VARIABLE, secret)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path());
        let mut folders = vec![self.folder.path().to_owned()];
        folders.extend(self.database.folder().map(|folder| folder.path().to_owned()));
        let process = Process::start(command, &self.log(), &folders);
        let base = address.as_ref().map_or_else(|| process.base().to_owned(), Address::base);
        self.proxy = address.map(|address| address.forward_to(process.base()));
        self.process = Some(process);
        base
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Server {
    /// A fresh server on an empty database, or the one of [`BASE_URL_VARIABLE`] in place of SQLite's. `None` if the
    /// test is to leave PostgreSQL out.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn start(backend: Backend, test: &str) -> Option<Self> {
        if let Ok(base) = env::var(BASE_URL_VARIABLE) {
            let base = base.trim_end_matches('/').to_owned();
            return (backend == Backend::Sqlite).then_some(Self { base, local: None });
        }
        Database::create(backend, test).map(|database| database.serve(&[]))
    }

    /// A server on an existing database, with extra environment variables.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn start_with(database_url: &str, environment: &[(&str, &str)]) -> Self {
        Database::at(database_url.to_owned()).serve(environment)
    }

    /// The server that the tests of this process share; otherwise like [`Server::start`].
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn shared(backend: Backend, test: &str) -> Option<&'static Self> {
        static SQLITE: OnceLock<Option<Server>> = OnceLock::new();
        static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
        let shared = match backend {
            Backend::Sqlite => &SQLITE,
            Backend::Postgres => &POSTGRES,
        };
        shared.get_or_init(|| Self::start(backend, test)).as_ref()
    }

    /// The base URL, such as `http://127.0.0.1:4711/fhir`. It changes with [`Server::restart`].
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The address and port that the server itself listens on, whatever stands in front of it.
    #[must_use]
    pub fn address(&self) -> &str {
        let process = self.local.as_ref().and_then(|local| local.process.as_ref());
        let url = process.map_or(self.base.as_str(), Process::base);
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// A client of the server. It belongs to the runtime that uses it first, so that each test needs its own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// The server's database.
    ///
    /// # Panics
    /// When the server is none of ours.
    #[must_use]
    pub fn database(&self) -> &Database {
        match &self.local {
            Some(local) => &local.database,
            None => panic!("the database of the server that {BASE_URL_VARIABLE} names is unknown"),
        }
    }

    /// The server's process id, if it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.local.as_ref()?.process.as_ref().map(Process::id)
    }

    /// What the server has logged, if it is one of ours.
    #[must_use]
    pub fn log(&self) -> Option<String> {
        let log = std::fs::read(self.local.as_ref()?.log()).ok()?;
        Some(String::from_utf8_lossy(&log).into_owned())
    }

    /// What the server has printed, if it is one of ours.
    #[must_use]
    pub fn printed(&self) -> Option<String> {
        let printed = std::fs::read(printed_beside(&self.local.as_ref()?.log())).ok()?;
        Some(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Kills the server with signal 9 and waits for its end.
    ///
    /// # Panics
    /// When the server is none of ours.
    pub fn kill_9(&mut self) {
        if let Some(mut process) = self.local_mut("killed").process.take() {
            process.kill_9();
        }
    }

    /// Starts the server anew on its database, after killing it if it still runs.
    ///
    /// # Panics
    /// When the server does not start, or is none of ours.
    pub fn restart(&mut self) {
        self.kill_9();
        self.base = self.local_mut("restarted").start();
    }

    /// Lets the server drain and end by itself, by signal 15.
    ///
    /// # Panics
    /// When it does not run, or not end, or is none of ours.
    pub fn stop(&mut self) -> ExitStatus {
        match self.local_mut("stopped").process.take() {
            Some(mut process) => process.terminate(),
            None => panic!("the server to be stopped does not run"),
        }
    }

    fn local_mut(&mut self, purpose: &str) -> &mut Local {
        match &mut self.local {
            Some(local) => local,
            None => panic!("the server that {BASE_URL_VARIABLE} names is not to be {purpose}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(local) = &self.local
            && thread::panicking()
        {
            show_tail(&local.log());
        }
    }
}
