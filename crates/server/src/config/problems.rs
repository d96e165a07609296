//! `tessera config check`: what is wrong with settings that are of the right types, all of it at once.

use super::Config;
use crate::{
    error::Error,
    outbound::{Rules, collector},
    secret, telemetry,
};
use std::net::ToSocketAddrs as _;
use tessera_auth::policy::Reading;

impl Config {
    /// Everything that would keep a server from starting, as far as the settings and their files tell.
    #[must_use]
    pub(super) fn problems(&self) -> Vec<String> {
        let base = self.base_at("http", &self.listen);
        let outbound = &self.outbound;
        let checks = [
            self.listens(),
            self.location().map(drop),
            self.replica().map(drop),
            self.conditional_delete().map(drop),
            self.search_timeout().map(drop),
            self.audits().map(drop),
            self.audit_query_years().map(drop),
            self.secret_key_file().and_then(|path| secret::read(&path)).map(drop),
            self.http.proxies().map(drop),
            self.http.limits().map(drop),
            self.tls.load().map(drop),
            self.limits.limits().map(drop),
            self.access.rules(&base).map(drop),
            self.identity.mode(Reading { base: &base, now: 0 }).map(drop),
            Rules::new(&outbound.trusted_origins, &outbound.client_key_origins).map(drop),
            telemetry::filter(&self.log).map(drop),
            telemetry::is_json(&self.log_format).map(drop),
            self.traces.percent().map(drop),
            Some(&self.traces.endpoint).filter(|url| !url.is_empty()).map_or(Ok(()), |url| collector(url).map(drop)),
        ];
        checks.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
    }

    /// Whether a server can listen there with these settings.
    fn listens(&self) -> Result<(), Error> {
        let addresses = self.listen.to_socket_addrs();
        let mut addresses = addresses.map_err(|error| Error::Usage(format!("listen: {}: {error}", self.listen)))?;
        let others_reach_it = addresses.any(|address| !address.ip().is_loopback());
        let is_encrypted = !self.tls.certificate.is_empty();
        self.may_listen(others_reach_it, is_encrypted, !self.http.proxies.is_empty())
    }

    /// Clients must be told a URL that they can reach, and what they send must be encrypted on its way (HTTP-1).
    ///
    /// # Errors
    /// [`Error::Usage`] if a server that others can reach lacks one of the two.
    pub(crate) fn may_listen(&self, others_reach_it: bool, is_encrypted: bool, is_proxied: bool) -> Result<(), Error> {
        if others_reach_it && self.base().is_none() {
            return Err(Error::Usage(
                "a server that others can reach needs --base-url (TESSERA_BASE_URL), under which they do".to_owned(),
            ));
        }
        if others_reach_it && !is_encrypted && !is_proxied {
            return Err(Error::Usage(
                "a server that others can reach needs a certificate (TESSERA_TLS_CERTIFICATE, TESSERA_TLS_KEY), or the \
                 proxies that have one (TESSERA_HTTP_PROXIES)"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Settings, layers};

    fn problems(environment: &[(&str, &str)]) -> Vec<String> {
        let get = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        layers::resolve(None, get, &Settings::default()).unwrap().problems()
    }

    #[test]
    fn the_defaults_are_all_right_and_every_problem_is_told() {
        assert_eq!(problems(&[]), Vec::<String>::new());
        let wrong = [
            ("TESSERA_LISTEN", "0.0.0.0:8080"),
            ("TESSERA_DATABASE_URL", "sqlite:/nowhere/t.db"),
            ("TESSERA_DATABASE_REPLICA_URL", "postgres://db/x"),
            ("TESSERA_CONDITIONAL_DELETE", "some"),
            ("TESSERA_SEARCH_TIMEOUT_MS", "0"),
            ("TESSERA_AUDIT", "perhaps"),
            ("TESSERA_AUDIT_QUERY_YEARS", "0"),
            ("TESSERA_SECRET_KEY_FILE", "/dev/null"),
            ("TESSERA_HTTP_CONNECTIONS", "0"),
            ("TESSERA_HTTP_FORWARDED_HEADER", "x-real-ip"),
            ("TESSERA_TLS_KEY", "key.pem"),
            ("TESSERA_LIMITS_BURST", "0"),
            ("TESSERA_ACCESS_SECOND_FACTOR", "never"),
            ("TESSERA_IDENTITY_MODE", "none"),
            ("TESSERA_OUTBOUND_TRUSTED_ORIGINS", "idp"),
            ("TESSERA_LOG", "info,=,"),
            ("TESSERA_LOG_FORMAT", "xml"),
            ("TESSERA_TRACES_ENDPOINT", "collector:4318"),
            ("TESSERA_TRACES_PERCENT", "101"),
        ];
        let found = problems(&wrong);
        assert_eq!(found.len(), wrong.len() - 1, "the URL of the database alone is good: {found:#?}");
    }
}
