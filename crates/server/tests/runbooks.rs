//! The commands of docs/backup.md, docs/runbooks.md, docs/getting-started.md, docs/admin.md, docs/identity.md, docs/operating.md and
//! README.md, as they stand there, against a server with demo data.

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
    fn begin(name: &str, patients: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tessera-runbooks-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_tessera"));
        bare(&mut demo);
        demo.args(["demo", "--listen", "127.0.0.1:0", "--patients", patients, "--folder", "tessera-data"]);
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

    /// Runs the commands of a block, with the variables of those before; one that fails ends it. What they print.
    fn run(&self, block: &str) -> String {
        let programs = Path::new(env!("CARGO_BIN_EXE_tessera")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        bare(&mut shell);
        let block = format!("set -a\n[ ! -e .variables ] || . ./.variables\n{block}\nexport -p >.variables");
        shell.args(["-e", "-c", &block]).current_dir(&self.folder).env("PATH", path).env("TESSERA_LOG", "error");
        shell.env("B", &self.base).env("A", format!("Authorization: Bearer {}", self.token)).env("TOKEN", &self.token);
        shell.env("TESSERA_TOKEN", &self.token);
        let output = shell.env("TESSERA_TEST_POSTGRES_FSYNC", "off").output().unwrap();
        let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}: {printed}{said}");
        printed.into_owned()
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
    let mut walk = Walk::begin("backup", "1");
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
    let walk = Walk::begin("runbooks", "1");
    let blocks = blocks(include_str!("../../../docs/runbooks.md"));
    assert_eq!(blocks.len(), 8);
    for block in &blocks {
        walk.run(block);
    }
}

/// What a page says is to be run, with what it needs and does not make itself. What it prints.
fn run_page(name: &str, page: &str) -> String {
    let walk = Walk::begin(name, "1");
    fs::write(walk.folder.join("console.jwks"), JWKS).unwrap();
    fs::create_dir(walk.folder.join("synthea")).unwrap();
    fs::write(walk.folder.join("synthea/one.json"), BUNDLE).unwrap();
    walk.run("echo 'correct horse battery staple' | tessera user add ann --name Ann --role patient --fhir-user Patient/1 --patient 1");
    let page = page.replace("http://127.0.0.1:8080/fhir", &walk.base);
    let blocks: Vec<&str> = page.split("```sh run\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "{name} has nothing to be run");
    blocks.iter().map(|block| walk.run(block)).collect()
}

/// A public key that belongs to nobody: the base point of P-384.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-384", "kid": "one", "use": "sig", "alg": "ES384",
    "x": "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
    "y": "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"}]}"#;

/// Such as Synthea's.
const BUNDLE: &str = r#"{"resourceType": "Bundle", "type": "transaction", "entry": [
    {"resource": {"resourceType": "Basic", "code": {"text": "x"}}, "request": {"method": "POST", "url": "Basic"}}]}"#;

#[test]
fn the_commands_of_the_readme_work_as_they_stand() {
    let printed = run_page("readme", include_str!("../../../README.md"));
    for words in ["201 Created", "did you mean", "401 Unauthorized", "\"CapabilityStatement\""] {
        assert!(printed.contains(words), "{words} is not in {printed}");
    }
}

#[test]
fn the_commands_about_operating_work_as_they_stand() {
    run_page("admin", include_str!("../../../docs/admin.md"));
    run_page("identity", include_str!("../../../docs/identity.md"));
    let printed = run_page("operating", include_str!("../../../docs/operating.md"));
    assert!(printed.contains("database_url = "), "{printed}");
}

/// The other languages of this page are those of `conformance-tests/clients/run documents`, which runs all of it.
#[test]
fn the_curl_commands_of_getting_started_show_what_stands_there() {
    let walk = Walk::begin("started", "3");
    let page = include_str!("../../../docs/getting-started.md").replace("http://127.0.0.1:8080/fhir", &walk.base);
    let section = page.split("\n## ").find_map(|section| section.strip_prefix("curl\n")).unwrap();
    let mut shown = 0;
    for step in section.split("```sh run\n").skip(1) {
        let (commands, rest) = step.split_once("```").unwrap();
        let printed = walk.run(commands);
        let mut left = printed.as_str();
        let (_, lines) = rest.split_once("```text shows\n").unwrap();
        for line in lines.split("```").next().unwrap().lines().map(str::trim) {
            let Some((_, after)) = left.split_once(line) else { panic!("{line} is not in\n{left}") };
            (left, shown) = (after, shown + 1);
        }
    }
    assert_eq!(shown, 19);
}
