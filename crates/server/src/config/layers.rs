//! Which layer a setting comes from. All layers are tables of one shape, that of `config.default.toml`: what is not in it
//! does not exist.

use super::{Config, Settings};
use crate::error::Error;
use serde::Deserialize as _;
use std::path::Path;
use toml::{Table, Value};

/// The defaults, with a line of help each.
const DEFAULTS: &str = include_str!("../../config.default.toml");

/// The settings of the command line, before those of the environment, before those of the file, before the defaults.
///
/// # Errors
/// [`Error::Usage`] if a file cannot be read, a setting does not exist, or a value is of another type.
pub(super) fn resolve(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    command_line: &Settings,
) -> Result<Config, Error> {
    let mut settings = parse(DEFAULTS, "config.default.toml")?;
    if let Some(path) = file {
        let name = path.display().to_string();
        overlay(&mut settings, parse(&read(path)?, &name)?, &name, "")?;
    }
    for_each(&mut settings, "TESSERA", &mut |name, value| from_environment(name, value, &environment))?;
    let given = Table::try_from(command_line).map_err(|error| Error::Usage(error.to_string()))?;
    overlay(&mut settings, given, "command line", "")?;
    Config::deserialize(Value::Table(settings)).map_err(|error| Error::Usage(error.to_string()))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

fn parse(text: &str, name: &str) -> Result<Table, Error> {
    text.parse().map_err(|error| Error::Usage(format!("{name}: {error}")))
}

/// Puts one layer over those below it.
fn overlay(below: &mut Table, layer: Table, name: &str, section: &str) -> Result<(), Error> {
    for (key, value) in layer {
        let known: Vec<String> = below.keys().cloned().collect();
        let full = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let Some(old) = below.get_mut(&key) else {
            return Err(Error::Usage(format!("{name}: there is no setting {full}{}", suggestion(&key, &known))));
        };
        match (old, value) {
            (Value::Table(old), Value::Table(value)) => overlay(old, value, name, &full)?,
            (old, value) if old.same_type(&value) => *old = value,
            (old, _) => return Err(Error::Usage(format!("{name}: {full}: expected {}", a_value_like(old)))),
        }
    }
    Ok(())
}

/// `; did you mean …?` where a name is near.
fn suggestion(key: &str, known: &[String]) -> String {
    let near = known.iter().map(|name| (strsim::jaro_winkler(key, name), name)).filter(|(near, _)| *near > 0.8);
    near.max_by(|one, other| one.0.total_cmp(&other.0))
        .map_or(String::new(), |(_, name)| format!("; did you mean {name}?"))
}

/// Calls `change` with each value and its name in the environment: `TESSERA_`, section and key in capitals.
fn for_each(
    table: &mut Table,
    prefix: &str,
    change: &mut impl FnMut(&str, &mut Value) -> Result<(), Error>,
) -> Result<(), Error> {
    for (key, value) in table.iter_mut() {
        let name = format!("{prefix}_{}", key.to_uppercase());
        match value {
            Value::Table(section) => for_each(section, &name, change)?,
            value => change(&name, value)?,
        }
    }
    Ok(())
}

/// A value of the environment, or of the file that the variable with `_FILE` at its end names (HTTP-12: secrets are in
/// files).
fn from_environment(name: &str, value: &mut Value, environment: &impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let text = match (environment(name), environment(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => return Err(Error::Usage(format!("{name} and {name}_FILE exclude each other"))),
        (Some(text), None) => text,
        (None, Some(path)) => read(Path::new(&path))?.trim_end_matches(['\r', '\n']).to_owned(),
        (None, None) => return Ok(()),
    };
    let parsed = match value {
        Value::String(_) => Some(Value::String(text)),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    };
    // Not the text: it may be a secret.
    *value = parsed.ok_or_else(|| Error::Usage(format!("{name}: expected {}", a_value_like(value))))?;
    Ok(())
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
    fn a_variable_of_another_type_is_refused_without_its_value() {
        let environment = |name: &str| (name == "TESSERA_SEARCH_TIMEOUT_MS").then(|| "tomorrow".to_owned());
        let error = resolve(None, environment, &Settings::default()).unwrap_err().to_string();
        assert!(error.contains("TESSERA_SEARCH_TIMEOUT_MS: expected a whole number"), "{error}");
        assert!(!error.contains("tomorrow"));
    }
}
