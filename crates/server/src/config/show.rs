//! `tessera config show`: the settings in force, written as a file of settings would be. Secrets are masked (HTTP-12).

use super::layers::{Layers, Origin, name_in};
use std::fmt::Write as _;
use toml::{Table, Value};

/// What stands for a secret.
const MASK: &str = "********";

/// The settings, each with where it comes from behind it.
pub(super) fn show(layers: &Layers) -> String {
    let mut text = String::new();
    section(layers, &layers.settings, "", &mut text);
    text
}

/// The values of a section before the sections in it, as TOML wants it.
fn section(layers: &Layers, table: &Table, name: &str, text: &mut String) {
    for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        let full = name_in(name, key);
        let origin = layers.origins.get(&full).unwrap_or(&Origin::Default);
        let _ = writeln!(text, "{:<56} # {origin}", format!("{key} = {}", masked(key, value)));
    }
    for (key, value) in table {
        if let Value::Table(below) = value {
            let full = name_in(name, key);
            let _ = writeln!(text, "\n[{full}]");
            section(layers, below, &full, text);
        }
    }
}

/// The value without what is secret in it: all of a secret, and passwords in URLs.
fn masked(key: &str, value: &Value) -> Value {
    let is_secret = ["secret", "password", "token"].iter().any(|end| key.ends_with(end));
    match value {
        Value::String(text) if is_secret && !text.is_empty() => Value::String(MASK.to_owned()),
        Value::String(text) => Value::String(without_password(text)),
        Value::Array(items) => Value::Array(items.iter().map(|item| masked(key, item)).collect()),
        value => value.clone(),
    }
}

/// `scheme://user:password@host/path?password=…` without the passwords.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    // A password that was not escaped may hold slashes and at signs: the last one ends it.
    let address = match address.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            if user.contains(':') { format!("{name}:{MASK}@{host}") } else { format!("{user}@{host}") }
        }
        None => address.to_owned(),
    };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    };
    let query = query.map(|query| query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{address}{}", query.map_or(String::new(), |query| format!("?{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn http_12_no_secret_is_shown_and_everything_else_is() {
        let environment = |name: &str| match name {
            "TESSERA_DATABASE_URL" => Some("postgres://tessera:hush@db:5432/tessera?sslmode=require".to_owned()),
            "TESSERA_DATABASE_REPLICA_URL" => Some("postgres://tessera:hush@db2/tessera".to_owned()),
            "TESSERA_IDENTITY_CLIENT_SECRET" => Some("hush".to_owned()),
            _ => None,
        };
        let line = Settings { listen: Some("127.0.0.1:1".to_owned()), ..Settings::default() };
        let layers = Layers::read(None, environment, &line);
        let text = show(&layers);
        assert!(!text.contains("hush"), "{text}");
        let shown: Table = text.parse().unwrap();
        assert_eq!(shown.keys().collect::<Vec<_>>(), layers.settings.keys().collect::<Vec<_>>());
        for (setting, origin) in [
            ("database_url = \"postgres://tessera:********@db:5432/tessera?sslmode=require\"", "TESSERA_DATABASE_URL"),
            ("database_replica_url = \"postgres://tessera:********@db2/tessera\"", "TESSERA_DATABASE_REPLICA_URL"),
            ("client_secret = \"********\"", "TESSERA_IDENTITY_CLIENT_SECRET"),
            ("listen = \"127.0.0.1:1\"", "command line"),
            ("connections = 10000", "default"),
        ] {
            let line =
                text.lines().find(|line| line.starts_with(setting)).unwrap_or_else(|| panic!("{setting}: {text}"));
            assert!(line.ends_with(&format!("# {origin}")), "{line}");
        }
    }

    #[test]
    fn http_12_a_password_in_a_url_is_masked_however_it_is_written() {
        for (url, shown) in [
            ("postgres://u:a@b/c@host/x", "postgres://u:********@host/x"),
            ("postgres://host/x?user=u&password=a", "postgres://host/x?user=u&password=********"),
            ("postgres://u@host/x", "postgres://u@host/x"),
            ("sqlite:tessera.db", "sqlite:tessera.db"),
            ("https://ehr.example.org/fhir", "https://ehr.example.org/fhir"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
