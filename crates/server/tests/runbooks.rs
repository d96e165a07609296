//! The commands of docs/backup.md and docs/runbooks.md, as they stand there, against a server with demo data.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tessera_fixtures::postgres::shared_or_skip;

/// A demo in the folder that a server has by default, and a shell beside it.
struct Walk {
    folder: PathBuf,
    server: Child,
    /// The base URL, and an administrator's token.
    base: String,
    token: String,
}

impl Walk {
    fn begin(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tessera-runbooks-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_tessera"));
        bare(&mut demo);
        demo.args(["demo", "--listen", "127.0.0.1:0", "--patients", "1", "--folder", "tessera-data"]);
        let mut server = demo.current_dir(&folder).stdout(Stdio::piped()).spawn().unwrap();
        let (mut base, mut token) = (None, None);
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        while base.is_none() {
            let line = lines.next().unwrap();
            token = line.trim().strip_prefix("export TOKEN=").map(str::to_owned).or(token);
            base = line.strip_prefix("Tessera listens on ").map(str::to_owned);
        }
        Self { folder, server, base: base.unwrap(), token: token.unwrap() }
    }

    /// Runs the commands of a block; one that fails ends it.
    fn run(&self, block: &str) {
        let programs = Path::new(env!("CARGO_BIN_EXE_tessera")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        bare(&mut shell);
        shell.args(["-e", "-c", block]).current_dir(&self.folder).env("PATH", path).env("TESSERA_LOG", "error");
        shell.env("B", &self.base).env("A", format!("Authorization: Bearer {}", self.token));
        let output = shell.env("TESSERA_TEST_POSTGRES_FSYNC", "off").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{block}: {}", String::from_utf8_lossy(&said));
    }

    fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Without the variables that are meant for the tests.
fn bare(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TESSERA_")) {
        command.env_remove(name);
    }
}

/// The commands of a page, block by block.
fn blocks(page: &str) -> Vec<String> {
    page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_commands_about_backups_work_as_they_stand() {
    let mut walk = Walk::begin("backup");
    fs::copy(walk.folder.join("tessera-data/secret.key"), walk.folder.join("secret.key")).unwrap();
    let [back_up, encrypt, restore, copy] = &blocks(include_str!("../../../docs/backup.md"))[..] else { panic!() };
    walk.run(back_up);
    // Whoever has no age has another program.
    walk.run(&encrypt.replace("age --recipient age1…", "cat"));
    walk.run(restore);
    walk.stop();
    let Some(cluster) = shared_or_skip("the_commands_about_backups_work_as_they_stand") else { return };
    let copy = copy.strip_prefix("createdb --encoding=UTF8 tessera\n").unwrap();
    walk.run(&copy.replace("postgres://localhost/tessera", &format!("'{}'", cluster.create_database())));
}

#[test]
fn the_commands_of_the_runbooks_work_as_they_stand() {
    let walk = Walk::begin("runbooks");
    let blocks = blocks(include_str!("../../../docs/runbooks.md"));
    assert_eq!(blocks.len(), 8);
    for block in &blocks {
        walk.run(block);
    }
}
