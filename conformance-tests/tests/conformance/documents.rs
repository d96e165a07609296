//! The documentation's links lead somewhere, and what it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below a folder with that ending; builds and other people's packages aside.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// The page without what is code.
fn prose(text: &str) -> String {
    let outside = text.split("\n```").step_by(2);
    outside.map(|part| part.split('`').step_by(2).collect::<Vec<_>>().join("")).collect::<Vec<_>>().join("\n")
}

/// What leads to the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside = text.split("\n```").step_by(2);
    let headings = outside.flat_map(str::lines).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut pages = Vec::new();
    files(&root(), ".md", &mut pages);
    assert!(pages.len() > 30, "{} pages", pages.len());
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in prose(&text).split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: there is no {path}", page.display());
            if let Some(anchor) = anchor {
                let there = fs::read_to_string(&target).unwrap();
                assert!(anchors(&there).contains(anchor), "{}: {link} leads to no heading", page.display());
            }
        }
    }
}

/// What stands behind the language of a block says what is to be done with it: `conformance-tests/clients/node/walk.mjs`.
#[test]
fn every_command_of_the_documentation_is_run_or_it_is_said_why_not() {
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs"), ".md", &mut pages);
    let runners = ["crates/server/tests/runbooks.rs", "conformance-tests/clients/run"].map(|path| root().join(path));
    let mut runners = runners.to_vec();
    files(&root().join("conformance-tests/clients/node"), "_walk.mjs", &mut runners);
    let runners: String = runners.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut blocks = 0;
    for page in pages {
        let name = page.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&page).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let is_run = runners.contains(&name);
        // Of these every block is run.
        let is_run_whole = ["docs/backup.md", "docs/runbooks.md"].contains(&name.as_str());
        for (before, line) in lines.iter().zip(&lines[1..]) {
            let Some(kind) = line.trim().strip_prefix("```sh") else { continue };
            let is_done = match kind.trim() {
                "" => is_run_whole || before.trim().starts_with("<!-- not run: "),
                "run" | "install" => is_run,
                other => is_run && other.starts_with("serve:"),
            };
            assert!(is_done, "{name}: neither is this block run, nor does a comment before it say why not:\n{line}");
            blocks += 1;
        }
    }
    assert!(blocks > 50, "{blocks} blocks");
}

#[test]
fn each_rule_of_access_audit_and_input_has_a_test_of_its_name() {
    let rules = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let mut sources = Vec::new();
    for folder in ["crates", "conformance-tests"] {
        files(&root().join(folder), ".rs", &mut sources);
    }
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let sections = ["Access", "Audit", "Input"].map(|name| {
        let mut sections = rules.split("\n## ");
        sections.find(|section| section.starts_with(name)).unwrap()
    });
    let mut ids = BTreeSet::new();
    for row in sections.iter().flat_map(|section| section.lines()).filter(|line| line.starts_with("| ")) {
        let named = row.split('|').nth(1).unwrap().split([',', ' ']).filter(|id| id.contains('-'));
        // What is not kept says so.
        ids.extend(named.filter(|_| !row.contains("| not kept yet")));
    }
    assert!(ids.len() > 60, "{ids:?}");
    let has_test = |id: &str| {
        let name = id.to_lowercase().replace('-', "_");
        // `cmp_2_and_3_…` is of both.
        sources.contains(&format!("fn {name}_")) || sources.contains(&format!("_{name}_"))
    };
    let without: Vec<_> = ids.iter().filter(|id| !has_test(id)).collect();
    assert!(without.is_empty(), "no test is named after {without:?}");
    // And what tests are named after is explained.
    for family in ["core", "auth", "scp", "cmp", "aud", "http"] {
        for rest in sources.split(&format!("fn {family}_")).skip(1) {
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let id = format!("{}-{number}", family.to_uppercase());
            assert!(number.is_empty() || ids.contains(id.as_str()), "docs/rules.md does not say what {id} is");
        }
    }
}

#[test]
fn rules_and_tests_that_the_security_model_names_are_there() {
    let [model, rules] = ["docs/security-model.md", "docs/rules.md"].map(|path| fs::read_to_string(root().join(path)));
    let (model, rules) = (model.unwrap(), rules.unwrap());
    let mut sources = Vec::new();
    files(&root(), ".rs", &mut sources);
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let section = model.split("\n## ").find(|section| section.starts_with("Against whom")).unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{} rows", rows.len());
    for row in rows {
        let [_, _, _, ids, tests, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let ids: Vec<&str> = ids.split([',', ' ']).filter(|id| id.contains('-')).collect();
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!ids.is_empty() && !tests.is_empty(), "{row}");
        for id in ids {
            let is_there = rules.lines().any(|line| {
                line.strip_prefix("| ")
                    .and_then(|row| row.split('|').next())
                    .is_some_and(|first| first.split([',', ' ']).any(|found| found == id))
            });
            assert!(is_there, "docs/rules.md has no {id}");
        }
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
        }
    }
}
