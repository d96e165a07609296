//! `tessera demo` as a person meets it: what it prints is pasted into a shell.

#![expect(clippy::unwrap_used, reason = "helpers of tests: they fail the test")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A demo that runs, and what it has printed.
struct Demo {
    process: Child,
    printed: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Demo {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = tessera();
        command.args(["demo", "--listen", "127.0.0.1:0", "--patients", "2", "--folder"]).arg(folder).args(more);
        let process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut demo = Self { process, printed: String::new() };
        for line in BufReader::new(demo.process.stdout.take().unwrap()).lines() {
            demo.printed.push_str(&line.unwrap());
            demo.printed.push('\n');
            if demo.printed.contains("Tessera listens on") {
                return demo;
            }
        }
        panic!("it has ended: {}", demo.printed);
    }

    /// The commands among what it has printed that begin so.
    fn commands(&self, start: &str) -> Vec<&str> {
        self.printed.lines().filter_map(|line| line.find(start).and_then(|at| line.get(at..))).collect()
    }

    /// The statuses of the printed requests, each pasted into a shell in which `first` was done.
    fn statuses(&self, first: &str) -> Vec<String> {
        let pasted = self.commands("curl ").into_iter().map(|line| {
            let line = line.replacen("curl ", "curl --silent --output /dev/null --write-out '%{http_code}' ", 1);
            let output = Command::new("sh").args(["-c", &format!("{first}\n{line}")]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        pasted.collect()
    }
}

fn tessera() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
    command
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tessera-{name}-{}", std::process::id()))
}

#[test]
fn each_printed_line_works_with_the_printed_token_and_none_without() {
    let folder = folder("demo");
    let demo = Demo::start(&folder, &[]);
    let tokens = demo.commands("export TOKEN=");
    let [token] = tokens[..] else { panic!("{tokens:?}") };
    let statuses = demo.statuses(token);
    assert!(statuses.len() >= 6 && statuses.iter().all(|status| status.starts_with('2')), "{statuses:?}");
    for first in ["", "export TOKEN=tsa_nonsense"] {
        let refused = demo.statuses(first).into_iter().filter(|status| status == "401").count();
        // What the server can do is told to everybody.
        assert_eq!(refused, statuses.len() - 1);
    }
    for file in ["demo.json", "demo-backend.jwks", "secret.key"] {
        assert_eq!(fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let known = |demo: &Demo| {
        let lines = demo.printed.lines().filter(|line| line.contains("password ") || line.contains("secret "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (known_before, token) = (known(&demo), token.to_owned());
    assert_eq!(known_before.len(), 4);
    drop(demo);
    let again = Demo::start(&folder, &[]);
    assert_eq!(known(&again), known_before);
    let tokens = again.commands("export TOKEN=");
    assert!(tokens.len() == 1 && tokens[0] != token);
    assert!(again.statuses(tokens[0]).iter().all(|status| status.starts_with('2')));
    drop(again);
    let open = Demo::start(&folder, &["--insecure-no-auth"]);
    assert!(open.commands("export TOKEN=").is_empty() && !open.printed.contains("password "));
    assert!(open.statuses("").iter().all(|status| status.starts_with('2')));
    drop(open);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn nobody_is_added_to_a_database_that_is_no_demo() {
    let folder = folder("no-demo");
    let url = format!("sqlite:{}", folder.join("tessera.db").display());
    assert!(tessera().args(["migrate", "--database-url", &url]).status().unwrap().success());
    let output = tessera().args(["demo", "--listen", "127.0.0.1:0", "--folder"]).arg(&folder).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no demo has made"));
    let users = tessera().args(["user", "list", "--database-url", &url]).output().unwrap();
    assert!(users.status.success() && users.stdout.is_empty());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn auth_40_a_demo_stays_on_this_machine() {
    let output = tessera().args(["demo", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("loopback"));
}
