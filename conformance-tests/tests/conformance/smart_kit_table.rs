//! docs/conformance-smart.md names tests that are there.

use std::path::Path;

/// The rows of its tables: the kit's id, and where our tests are.
fn rows(text: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| `"));
    lines
        .map(|line| {
            let (id, rest) = line.split_once('`').unwrap();
            let ours = rest.trim_end_matches('|').rsplit('|').next().unwrap();
            (id, ours.split('`').skip(1).step_by(2).collect())
        })
        .collect()
}

#[test]
fn t23_each_assertion_of_the_kits_has_a_test_that_is_there() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(crate_folder.join("../docs/conformance-smart.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 50, "{} rows", rows.len());
    for (id, ours) in rows {
        assert!(!ours.is_empty(), "{id} has no test");
        for name in ours {
            let (module, function) = name.split_once("::").unwrap_or_else(|| panic!("{id}: {name}"));
            let file = crate_folder.join(format!("tests/conformance/{module}.rs"));
            let source =
                std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{id}: there is no {}", file.display()));
            assert!(source.contains(&format!("fn {function}(")), "{id}: {module}.rs has no {function}");
        }
    }
}
