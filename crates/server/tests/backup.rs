//! Backups, restoring and moving, as an operator does them: with commands, on databases of both kinds.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tessera_fixtures::postgres::{Cluster, shared_or_skip};

fn tessera(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
    // The private server of tests is in a hurry, and keeps nothing when the power fails.
    command.env("TESSERA_TEST_POSTGRES_FSYNC", "off").env("TESSERA_LOG", "error");
    command.args(arguments).current_dir(folder);
    command
}

/// A folder of its own; it goes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tessera-backup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Runs a command in it.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = tessera(&self.0, arguments).output().unwrap();
        (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let (success, text) = self.run(arguments);
        assert!(success, "{arguments:?}: {text}");
        text
    }

    fn fails(&self, arguments: &[&str], words: &str) {
        let (success, text) = self.run(arguments);
        assert!(!success && text.contains(words), "{arguments:?}: {text}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A demo in a folder, which has users, clients, keys, an audit record and a few hundred resources.
struct Demo(Child);

impl Demo {
    fn start(folder: &Folder) -> Self {
        let demo = ["demo", "--listen", "127.0.0.1:0", "--patients", "3", "--folder", "d", "--insecure-no-auth"];
        let mut child = tessera(&folder.0, &demo).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("Tessera listens on")));
        Self(child)
    }

    /// Ends it as SIGTERM does.
    fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const URL: &str = "--database-url";
const FROM: &str = "sqlite:d/tessera.db";

#[test]
fn a_backup_of_a_running_server_is_verified_and_restored() {
    let folder = Folder::new("restore");
    let demo = Demo::start(&folder);
    let text = folder.succeeds(&["backup", "--output", "b", URL, FROM]);
    assert!(text.contains("NOT IN IT: the secret key file d/secret.key"), "{text}");
    assert_eq!(fs::metadata(folder.0.join("b")).unwrap().permissions().mode() & 0o777, 0o600);
    folder.fails(&["backup", "--output", "b", URL, FROM], "is there already");
    let text = folder.succeeds(&["backup", "verify", "b", URL, FROM]);
    assert!(text.contains(" resources checked, 0 differences") && text.contains(" 0 faults"), "{text}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2, "the folder of the verification is gone");
    // Piped, to be encrypted on its way.
    let piped = tessera(&folder.0, &["backup", "--output", "-", URL, FROM]).output().unwrap();
    assert!(piped.status.success() && piped.stdout.starts_with(b"tessera archive "));
    drop(demo);

    // Elsewhere: first the secret, then the backup.
    let to = "sqlite:new/tessera.db";
    folder.fails(&["restore", "b", URL, to], "is missing");
    fs::create_dir(folder.0.join("new")).unwrap();
    fs::write(folder.0.join("new/secret.key"), "0".repeat(64)).unwrap();
    folder.fails(&["restore", "b", URL, to], "another secret");
    fs::copy(folder.0.join("d/secret.key"), folder.0.join("new/secret.key")).unwrap();
    let text = folder.succeeds(&["restore", "b", "--verify", URL, to]);
    assert!(text.contains(" resources checked, 0 differences") && text.contains(" 0 faults"), "{text}");
    folder.succeeds(&["audit", "verify", URL, to]);
    assert_eq!(folder.succeeds(&["user", "list", URL, to]), folder.succeeds(&["user", "list", URL, FROM]));
    assert_eq!(folder.succeeds(&["keys", "list", URL, to]), folder.succeeds(&["keys", "list", URL, FROM]));
    folder
        .fails(&["restore", "b", URL, to, "--secret-key-file", "d/secret.key", "--audit-folder", "none"], "not empty");
    // Where a server has been there is its audit folder.
    folder.fails(&["restore", "b", URL, "sqlite:d/other.db"], "move it away");

    let mut bytes = fs::read(folder.0.join("b")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.0.join("damaged"), bytes).unwrap();
    folder.fails(&["backup", "verify", "damaged", "--quick", URL, FROM], "damaged");
}

#[test]
fn what_is_moved_to_the_other_database_and_back_is_the_same() {
    let folder = Folder::new("move");
    Demo::start(&folder).stop();
    let checksum = |text: &str| text.split("checksum ").nth(1).map(|rest| rest[..64].to_owned()).unwrap();
    // That it was moved is recorded at both ends, and would be what differs.
    let from = checksum(&folder.succeeds(&["migrate-to", "sqlite:copy.db", "--verify", "--audit", "off", URL, FROM]));
    let Some(cluster) = shared_or_skip("what_is_moved_to_the_other_database_and_back_is_the_same") else { return };
    let postgres = cluster.create_database();
    let text = folder.succeeds(&["migrate-to", &postgres, "--verify", "--audit", "off", URL, FROM]);
    assert!(text.contains(" 0 differences") && text.contains(" 0 faults"), "{text}");
    assert_eq!(checksum(&text), from);
    let beside = ["--secret-key-file", "d/secret.key", "--audit-folder", "none"];
    let back = [&["migrate-to", "sqlite:back.db", "--verify", "--audit", "off", URL, &postgres], &beside[..]].concat();
    assert_eq!(checksum(&folder.succeeds(&back)), from);
    folder.fails(&back, "not empty");
    folder.fails(&["migrate-to", "mysql://x", URL, FROM], "expected sqlite:PATH");
    // With its record, both stay whole, and the new one goes on with the audit folder of the old one.
    folder.succeeds(&["migrate-to", "sqlite:recorded.db", URL, FROM]);
    for database in [FROM, "sqlite:recorded.db"] {
        let beside = ["--secret-key-file", "d/secret.key", "--audit-folder", "d/audit"];
        let text = folder.succeeds(&[&["audit", "verify", URL, database], &beside[..]].concat());
        assert!(text.contains(" 0 faults"), "{database}: {text}");
    }
}

#[test]
fn a_restoration_that_was_killed_goes_on() {
    let folder = Folder::new("kill");
    Demo::start(&folder).stop();
    folder.succeeds(&["backup", "--output", "b", URL, FROM]);
    let bytes = fs::read(folder.0.join("b")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.0.join("pipe")).status().unwrap().success());
    let cluster = shared_or_skip("a_restoration_that_was_killed_goes_on");
    let postgres = cluster.map(Cluster::create_database);
    for to in std::iter::once("sqlite:to.db".to_owned()).chain(postgres) {
        let audit = if to.starts_with("sqlite") { "of-sqlite" } else { "of-postgresql" };
        let options = ["--secret-key-file", "d/secret.key", "--audit-folder", audit, URL, &to];
        let restore = |file| [&["restore", file], &options[..]].concat();
        let mut child = tessera(&folder.0, &[&restore("pipe")[..], &["--without-secret"]].concat());
        let mut child = child.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (path, part) = (folder.0.join("pipe"), bytes[..bytes.len() * 3 / 4].to_vec());
        // It waits for the rest in vain, and is killed while it does.
        let writing = std::thread::spawn(move || {
            let mut pipe = fs::File::options().write(true).open(path).unwrap();
            let _ = pipe.write_all(&part);
            pipe
        });
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.starts_with("resource: ")));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(writing.join().unwrap());
        folder.fails(&["check", URL, &to], "not complete");
        folder.fails(&["backup", "--output", "half", URL, &to], "not complete");
        let text = folder.succeeds(&[&restore("b")[..], &["--verify"]].concat());
        assert!(text.contains(" 0 differences") && text.contains(" 0 faults"), "{text}");
    }
}
