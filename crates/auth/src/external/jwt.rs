//! Access tokens that are JWTs (AUTH-30). <https://www.rfc-editor.org/rfc/rfc9068>

use super::{External, Tokens};
use crate::{Error, jws::Jws, provider};
use serde_json::{Map, Value};

/// Claims that id_tokens and logout tokens have, and access tokens do not.
const OF_OTHERS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

impl External {
    /// The claims of a JWT, if it is an access token of the issuer for this server, and good now.
    pub(super) async fn of_jwt(&self, token: &str) -> Result<Result<Map<String, Value>, &'static str>, Error> {
        let Some(jws) = Jws::parse(token) else { return Ok(Err("it is no JWT, or longer than 8 KiB")) };
        // All that costs nothing comes first, so that nobody makes the issuer be asked with what was never its own.
        let checked = self.is_access_token(&jws).and_then(|()| self.is_good(&jws.claims, false));
        if let Err(why) = checked {
            return Ok(Err(why));
        }
        let signed = self.provider.has_signed(&jws, self.now()).await?;
        Ok(signed.map(|()| jws.claims))
    }

    /// Whether it is a token for access, and not one that says who somebody is.
    fn is_access_token(&self, jws: &Jws<'_>) -> Result<(), &'static str> {
        let media_type = jws.header.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let media_type = media_type.strip_prefix("application/").unwrap_or(&media_type);
        let is_one = match &self.settings.tokens {
            Tokens::Jwt { media_type: Some(expected) } => media_type.eq_ignore_ascii_case(expected),
            _ => ["", "jwt", "at+jwt"].contains(&media_type),
        };
        if !is_one {
            return Err("typ is not that of an access token");
        }
        is_for_access(&jws.claims)
    }

    /// Whether claims are of the issuer, for this server, and good now.
    pub(super) fn is_good(&self, claims: &Map<String, Value>, may_lack: bool) -> Result<(), &'static str> {
        match claims.get("iss") {
            Some(issuer) if issuer.as_str() != Some(self.provider.issuer()) => return Err("iss is not the issuer"),
            None if !may_lack => return Err("there is no iss"),
            _ => {}
        }
        let base = self.urls.base.as_str();
        let is_here = |audience: &str| audience.strip_suffix('/').unwrap_or(audience) == base;
        let may_lack_audience = may_lack
            && matches!(self.settings.tokens, Tokens::Introspection { may_lack_audience: true, .. })
            && !claims.contains_key("aud");
        if !may_lack_audience && !provider::is_for(claims, is_here) {
            return Err("aud is not the base URL");
        }
        provider::is_timely(claims, self.now())
    }
}

/// Whether claims are not those of a token that is for something else.
pub(super) fn is_for_access(claims: &Map<String, Value>) -> Result<(), &'static str> {
    if OF_OTHERS.iter().any(|name| claims.contains_key(*name)) {
        return Err("it has claims of an id_token or a logout token");
    }
    // How Keycloak and Cognito tell their tokens apart.
    let says = |name: &str| claims.get(name).map(|kind| kind.as_str().unwrap_or_default().to_ascii_lowercase());
    let is_other = says("typ").is_some_and(|typ| !["bearer", "at+jwt", "jwt"].contains(&typ.as_str()));
    if is_other || says("token_use").is_some_and(|of| of != "access") {
        return Err("it says that it is another kind of token");
    }
    Ok(())
}
