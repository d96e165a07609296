//! Which layer a setting comes from. All layers are tables of one shape, that of `config.default.toml`: what is not in it
//! does not exist. Every problem is noted, so that whoever mends them need not start again for each.

use super::{Config, Settings};
use crate::error::Error;
use serde::Deserialize as _;
use std::{collections::BTreeMap, fmt, path::Path};
use toml::{Table, Value};

/// The defaults, with a line of help each.
pub(super) const DEFAULTS: &str = include_str!("../../config.default.toml");

/// What all settings begin with in the environment.
const PREFIX: &str = "TESSERA";
/// Variables of that beginning that are no settings.
const OTHER_VARIABLES: [&str; 3] = ["TESSERA_CONFIG", "TESSERA_PASSWORD_FILE", "TESSERA_TOKEN"];
/// What the server is told by tests begins with this.
const TEST_PREFIX: &str = "TESSERA_TEST_";
/// What tests and measurements are told (CONTRIBUTING.md): whoever has exported one starts a server all the same.
const OF_TESTS: [&str; 11] = [
    "TESSERA_BIN",
    "TESSERA_CRASH_ROUNDS",
    "TESSERA_HAMMER_REQUESTS",
    "TESSERA_HAMMER_SEED",
    "TESSERA_MATRIX",
    "TESSERA_PROPERTY_SEED",
    "TESSERA_REQUESTS",
    "TESSERA_REQUIRE_POSTGRES",
    "TESSERA_SEED",
    "TESSERA_SLOW_SOCKETS",
    "TESSERA_WRITE",
];

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `config.default.toml`.
    Default,
    /// The file of that name.
    File(String),
    /// The variable of that name.
    Environment(String),
    /// An option.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) => f.write_str(name),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// The settings in force, where those come from that are no defaults, and what is wrong with the layers.
pub(crate) struct Layers {
    pub(super) settings: Table,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) problems: Vec<String>,
}

impl Layers {
    /// The settings of the command line, before those of the environment, before those of the file, before the defaults.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        command_line: &Settings,
    ) -> Self {
        let mut layers = Self { settings: Table::new(), origins: BTreeMap::new(), problems: Vec::new() };
        match parse(DEFAULTS, "config.default.toml") {
            Ok(defaults) => layers.settings = defaults,
            Err(problem) => layers.problems.push(problem),
        }
        if let Some(path) = file {
            let name = path.display().to_string();
            match read(path).and_then(|text| parse(&text, &name)) {
                Ok(layer) => layers.over(layer, &name, &Origin::File(name.clone())),
                Err(problem) => layers.problems.push(problem),
            }
        }
        for (name, key) in variables() {
            layers.take_variable(&name, &key, &environment);
        }
        match Table::try_from(command_line) {
            Ok(given) => layers.over(given, "command line", &Origin::CommandLine),
            Err(error) => layers.problems.push(error.to_string()),
        }
        layers
    }

    /// The settings, if nothing is wrong with the layers.
    ///
    /// # Errors
    /// [`Error::Usage`] with every problem.
    pub(super) fn config(&self) -> Result<Config, Error> {
        let config = Config::deserialize(Value::Table(self.settings.clone())).map_err(|error| error.to_string());
        match config {
            Ok(config) if self.problems.is_empty() => Ok(config),
            result => {
                Err(Error::Usage(self.problems.iter().cloned().chain(result.err()).collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// Puts one layer over those below it.
    fn over(&mut self, layer: Table, name: &str, origin: &Origin) {
        let mut set = Vec::new();
        overlay(&mut self.settings, layer, name, "", &mut set, &mut self.problems);
        self.origins.extend(set.into_iter().map(|key| (key, origin.clone())));
    }

    /// A value of the environment, or of the file that the variable with `_FILE` at its end names (HTTP-12: secrets are in
    /// files).
    fn take_variable(&mut self, name: &str, key: &str, environment: &impl Fn(&str) -> Option<String>) {
        let file = format!("{name}_FILE");
        let (text, origin) = match (environment(name), environment(&file)) {
            (Some(_), Some(_)) => return self.problems.push(format!("{name} and {file} exclude each other")),
            (Some(text), None) => (Ok(text), name.to_owned()),
            (None, Some(path)) => (read(Path::new(&path)), file),
            (None, None) => return,
        };
        let Some(value) = value_at(&mut self.settings, key) else { return };
        // Not the text: it may be a secret.
        let wrong = || format!("{name}: expected {}", a_value_like(value));
        match text.and_then(|text| parse_like(value, text.trim_end_matches(['\r', '\n'])).ok_or_else(wrong)) {
            Ok(parsed) => {
                *value = parsed;
                self.origins.insert(key.to_owned(), Origin::Environment(origin));
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// The settings in force.
///
/// # Errors
/// [`Error::Usage`] if a file cannot be read, a setting does not exist, or a value is of another type.
#[cfg(test)]
pub(super) fn resolve(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    command_line: &Settings,
) -> Result<Config, Error> {
    Layers::read(file, environment, command_line).config()
}

/// The variables of the settings, with the keys that they set: `TESSERA_`, section and key in capitals.
pub(super) fn variables() -> Vec<(String, String)> {
    let mut keys = Vec::new();
    if let Ok(defaults) = parse(DEFAULTS, "config.default.toml") {
        list(&defaults, "", &mut keys);
    }
    keys.into_iter().map(|key| (format!("{PREFIX}_{}", key.replace('.', "_").to_uppercase()), key)).collect()
}

/// The full names of the values below.
fn list(table: &Table, section: &str, keys: &mut Vec<String>) {
    for (key, value) in table {
        let full = name_in(section, key);
        match value {
            Value::Table(below) => list(below, &full, keys),
            _ => keys.push(full),
        }
    }
}

/// What is wrong with the names of an environment's variables: one that looks like a setting and is none does nothing, which
/// nobody would notice.
pub(super) fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    let known: Vec<String> = variables().into_iter().map(|(name, _)| name).collect();
    let in_kubernetes = names.iter().any(|name| name == "KUBERNETES_SERVICE_HOST");
    let is_other = |name: &str| {
        // Some settings end so themselves.
        let of_file = name.strip_suffix("_FILE").unwrap_or(name);
        let is_known = known.iter().any(|known| known == name || known == of_file) || OTHER_VARIABLES.contains(&name);
        is_known || OF_TESTS.contains(&name) || name.starts_with(TEST_PREFIX) || in_kubernetes && is_of_kubernetes(name)
    };
    let unknown = names.iter().filter(|name| name.starts_with("TESSERA_") && !is_other(name));
    unknown.map(|name| format!("environment: there is no setting {name}{}", suggestion(name, &known))).collect()
}

/// Whether Kubernetes gives that name to a container for a Service whose name begins with `tessera`. No setting ends so.
fn is_of_kubernetes(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_TCP_PROTO", "_TCP_PORT", "_TCP_ADDR"];
    ends.iter().any(|end| name.ends_with(end)) || name.contains("_SERVICE_PORT_")
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str, name: &str) -> Result<Table, String> {
    text.parse().map_err(|error| format!("{name}: {error}"))
}

/// `section.key`
pub(super) fn name_in(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Puts one layer over those below it; `set`: the full names of what it sets.
fn overlay(
    below: &mut Table,
    layer: Table,
    name: &str,
    section: &str,
    set: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    for (key, value) in layer {
        let known: Vec<String> = below.keys().cloned().collect();
        let full = name_in(section, &key);
        match (below.get_mut(&key), value) {
            (None, _) => problems.push(format!("{name}: there is no setting {full}{}", suggestion(&key, &known))),
            (Some(Value::Table(old)), Value::Table(value)) => overlay(old, value, name, &full, set, problems),
            (Some(old), value) if old.same_type(&value) => {
                *old = value;
                set.push(full);
            }
            (Some(old), _) => problems.push(format!("{name}: {full}: expected {}", a_value_like(old))),
        }
    }
}

fn value_at<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Value> {
    match key.split_once('.') {
        Some((section, rest)) => value_at(table.get_mut(section)?.as_table_mut()?, rest),
        None => table.get_mut(key),
    }
}

/// `; did you mean …?` where a name is near.
fn suggestion(key: &str, known: &[String]) -> String {
    let near = known.iter().map(|name| (strsim::jaro_winkler(key, name), name)).filter(|(near, _)| *near > 0.8);
    near.max_by(|one, other| one.0.total_cmp(&other.0))
        .map_or(String::new(), |(_, name)| format!("; did you mean {name}?"))
}

/// A value of the type of another, as the environment spells it.
fn parse_like(value: &Value, text: &str) -> Option<Value> {
    match value {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn a_value_like(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        Value::Table(_) => "a section",
        Value::Float(_) => "a number",
        Value::Datetime(_) => "a time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("tessera-layers-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn refused(path: &Path, words: &str) {
        let error = resolve(Some(path), |_| None, &Settings::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn each_layer_goes_before_the_ones_below_it() {
        let path = file("order", "listen = \"file:1\"\nlog = \"file\"\nbase_url = \"http://file\"\n");
        let environment = |name: &str| match name {
            "TESSERA_LISTEN" => Some("environment:1".to_owned()),
            "TESSERA_LOG" => Some("environment".to_owned()),
            "TESSERA_SEARCH_TIMEOUT_MS" => Some("77".to_owned()),
            _ => None,
        };
        let line = Settings { listen: Some("line:1".to_owned()), ..Settings::default() };
        let config = resolve(Some(&path), environment, &line).unwrap();
        assert_eq!((&*config.listen, &*config.log, &*config.base_url), ("line:1", "environment", "http://file"));
        assert_eq!((config.search_timeout_ms, &*config.audit), (77, "on"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused_with_the_nearest_that_does() {
        let path = file("unknown", "lisen = \"127.0.0.1:1\"\n");
        refused(&path, "there is no setting lisen; did you mean listen?");
        std::fs::write(&path, "search_timeout_ms = \"1\"\n").unwrap();
        refused(&path, "search_timeout_ms: expected a whole number");
        std::fs::write(&path, "[listen]\nx = 1\n").unwrap();
        refused(&path, "listen: expected a text in quotes");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn http_12_a_secret_may_stand_in_a_file_that_the_environment_names() {
        let path = file("secret", "postgres://u:secret@db/x\n");
        let named = path.display().to_string();
        let from_file = |name: &str| (name == "TESSERA_DATABASE_URL_FILE").then(|| named.clone());
        let config = resolve(None, from_file, &Settings::default()).unwrap();
        assert_eq!(config.database_url, "postgres://u:secret@db/x");
        let both = |name: &str| name.starts_with("TESSERA_DATABASE_URL").then(|| named.clone());
        assert!(resolve(None, both, &Settings::default()).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_variable_that_sets_nothing_is_refused_with_the_nearest_that_does() {
        let unknown = |names: &[&str]| unknown_variables(names.iter().map(|name| (*name).to_owned()));
        let known = ["TESSERA_LISTEN", "TESSERA_DATABASE_URL_FILE", "TESSERA_IDENTITY_TOKENS_SCOPE_CLAIM", "PATH"];
        assert!(unknown(&known).is_empty());
        let settings = variables().into_iter().flat_map(|(name, _)| [format!("{name}_FILE"), name]);
        assert!(unknown_variables(settings).is_empty());
        let others = [
            "TESSERA_BIN",
            "TESSERA_CONFIG",
            "TESSERA_PASSWORD_FILE",
            "TESSERA_TOKEN",
            "TESSERA_TEST_OUTBOUND_LOOPBACK",
        ];
        assert!(unknown(&others).is_empty());
        // Those of tests, as the table for contributors has them.
        let table = include_str!("../../../../CONTRIBUTING.md").lines().filter(|line| line.starts_with("| `TESSERA_"));
        let of_tests: Vec<&str> = table
            .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
            .map(|variable| variable.split('=').next().unwrap())
            .collect();
        assert!(of_tests.len() > 10, "{of_tests:?}");
        assert_eq!(unknown(&of_tests), [""; 0]);
        assert!(OF_TESTS.iter().all(|name| of_tests.contains(name)), "not in the table");
        let problems = unknown(&["TESSERA_LISTENER", "TESSERA_DATABSE_URL"]);
        assert!(problems[0].ends_with("TESSERA_DATABSE_URL; did you mean TESSERA_DATABASE_URL?"), "{problems:?}");
        assert!(problems[1].ends_with("TESSERA_LISTENER; did you mean TESSERA_LISTEN?"), "{problems:?}");
        // Kubernetes names the address of each Service like this, and one may be called tessera.
        let service = ["TESSERA_SERVICE_HOST", "TESSERA_SERVICE_PORT_HTTP", "TESSERA_PORT_80_TCP_ADDR", "TESSERA_PORT"];
        assert_eq!(unknown(&service).len(), 4);
        assert!(unknown(&[&["KUBERNETES_SERVICE_HOST"], &service[..]].concat()).is_empty());
    }

    #[test]
    fn every_problem_is_told_and_not_the_first_alone() {
        let path = file("all", "lisen = \"x\"\nsearch_timeout_ms = \"1\"\n[htp]\nconnections = 1\n");
        let environment = |name: &str| (name == "TESSERA_HTTP_BODIES_MIB").then(|| "much".to_owned());
        let error = resolve(Some(&path), environment, &Settings::default()).unwrap_err().to_string();
        for words in
            ["lisen; did you mean listen?", "search_timeout_ms: exp", "htp; did you mean http?", "BODIES_MIB: exp"]
        {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert_eq!(error.lines().count(), 4, "{error}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_variable_of_another_type_is_refused_without_its_value() {
        let environment = |name: &str| (name == "TESSERA_SEARCH_TIMEOUT_MS").then(|| "tomorrow".to_owned());
        let error = resolve(None, environment, &Settings::default()).unwrap_err().to_string();
        assert!(error.contains("TESSERA_SEARCH_TIMEOUT_MS: expected a whole number"), "{error}");
        assert!(!error.contains("tomorrow"));
    }
}
