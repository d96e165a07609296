//! A server whose machine loses its power.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance_tests::{Database, Folder, Server};

use crate::journal::{Fate, Journal};

/// The library that keeps a journal of what is not synced.
const SHIM: &str = include_str!("../../shim/powerloss.c");

/// How long a sync takes at least, as on a slow disk: the longer, the more often the power is lost during one.
const SYNC_MICROSECONDS: &str = "20000";

/// Set by continuous integration: nothing may be left out there.
const CI_VARIABLE: &str = "CI";

/// The means to let a server's power fail.
#[derive(Debug)]
pub(crate) struct Power {
    folder: Folder,
}

impl Power {
    /// `None`, after saying so, where there is no C compiler, or no Linux.
    pub(crate) fn or_skip(test: &str) -> Option<Self> {
        let power = Self { folder: Folder::new("power") };
        let built = if cfg!(target_os = "linux") { build(&power.library()) } else { Err("it needs Linux".to_owned()) };
        let Err(reason) = built else { return Some(power) };
        assert!(env::var_os(CI_VARIABLE).is_none(), "{test}: {CI_VARIABLE} is set, but {reason}");
        // Not `eprintln!`: the test runner would swallow what a passing test says.
        let _ = io::stderr().write_all(format!("\n*** LEFT OUT: {test}.\n*** {reason}\n\n").as_bytes());
        None
    }

    /// Starts a server on SQLite whose power can be lost.
    pub(crate) fn serve(&self, database: &Database, environment: &[(&str, &str)]) -> Server {
        let ours = self.environment(database);
        let ours = ours.iter().map(|(name, value)| (*name, value.as_str()));
        database.serve(&ours.chain(environment.iter().copied()).collect::<Vec<_>>())
    }

    /// What lets a process's changes to the database's folder be recorded.
    pub(crate) fn environment(&self, database: &Database) -> [(&'static str, String); 4] {
        let folder = database.folder().expect("SQLite has a folder").path();
        [
            ("LD_PRELOAD", text(&self.library())),
            ("POWERLOSS_FOLDER", text(folder)),
            ("POWERLOSS_JOURNAL", text(&self.journal())),
            ("POWERLOSS_DELAY", SYNC_MICROSECONDS.to_owned()),
        ]
    }

    /// Lets the power fail: the server must have been killed. Returns how many changes had not been synced.
    pub(crate) fn lose(&self, database: &Database, fate: Fate) -> usize {
        let journal = Journal::read(&self.journal()).expect("the library writes a journal");
        assert!(journal.syncs() > 0, "the journal shows no sync at all: the library sees nothing of the server");
        let unsynced = journal.lose_power(fate).expect("changes can be taken back");
        self.forget();
        remove_shared_memory(database);
        unsynced
    }

    /// Begins a new journal with the next server; the last one must have ended.
    pub(crate) fn forget(&self) {
        fs::remove_file(self.journal()).expect("the journal can be removed");
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("powerloss.so")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }
}

/// What is only in memory does not outlive the machine.
fn remove_shared_memory(database: &Database) {
    let folder = database.folder().expect("SQLite has a folder").path();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.to_string_lossy().ends_with("-shm") {
            fs::remove_file(path).expect("the file can be removed");
        }
    }
}

fn build(library: &Path) -> Result<(), String> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut cc = Command::new(&compiler);
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-x", "c", "-", "-ldl", "-o"]).arg(library);
    cc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut cc = cc.spawn().map_err(|error| format!("{compiler} does not run: {error}"))?;
    if let Some(mut source) = cc.stdin.take() {
        // If the compiler does not read, then it says why.
        let _ = source.write_all(SHIM.as_bytes());
    }
    let output = cc.wait_with_output().map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have names in Unicode").to_owned()
}
