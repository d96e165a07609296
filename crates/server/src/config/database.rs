//! `database_url` and `database_password`.

use std::fmt::Write as _;
use tessera_store::Location;

/// Whether a database is on this machine (AUTH-40).
#[must_use]
pub(crate) fn is_local(location: &Location) -> bool {
    match location {
        Location::Sqlite(_) => true,
        Location::Postgres(url) => {
            let rest = url.split_once("://").map_or("", |(_, rest)| rest);
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            let name = host
                .strip_prefix('[')
                .and_then(|h| h.split(']').next())
                .unwrap_or_else(|| host.split(':').next().unwrap_or_default());
            let elsewhere = url.contains("host=") || url.contains("hostaddr=");
            matches!(name, "" | "localhost" | "127.0.0.1" | "::1") && !elsewhere
        }
    }
}

/// A database's URL with the password of the user whom it names; `None` if it names none, or has a password already.
pub(super) fn with_password(url: &str, password: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, host) = rest[..end].rsplit_once('@').filter(|(user, _)| !user.is_empty() && !user.contains(':'))?;
    let mut out = format!("{scheme}://{user}:");
    for byte in password.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => out.push(byte.into()),
            // A `write!` to a String does not fail.
            false => drop(write!(out, "%{byte:02X}")),
        }
    }
    Some(format!("{out}@{host}{}", &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_40_a_database_elsewhere_is_told_apart() {
        let local = |url: &str| is_local(&Location::parse(url).unwrap());
        for url in [
            "sqlite:x.db",
            "postgres://localhost/x",
            "postgres://u:p@127.0.0.1:5432/x",
            "postgres:///x",
            "postgres://[::1]/x",
        ] {
            assert!(local(url), "{url}");
        }
        for url in
            ["postgres://db/x", "postgres://u:p@10.0.0.1/x", "postgres:///x?host=db", "postgres://localhost@db/x"]
        {
            assert!(!local(url), "{url}");
        }
    }

    #[test]
    fn the_password_of_the_database_may_stand_apart_from_its_url() {
        let with = |url: &str| with_password(url, "p@s/s:");
        assert_eq!(with("postgres://u@db/x?a=@").as_deref(), Some("postgres://u:p%40s%2Fs%3A@db/x?a=@"));
        assert_eq!(with("postgres://u@[::1]:5/x").as_deref(), Some("postgres://u:p%40s%2Fs%3A@[::1]:5/x"));
        for url in ["postgres://u:q@db/x", "postgres://db/x", "postgres://@db/x", "postgres:///x"] {
            assert_eq!(with(url), None, "{url}");
        }
    }
}
