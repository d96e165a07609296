//! How a client shows who it is by an assertion that it has signed: `private_key_jwt` (AUTH-21).
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html>

use crate::{
    Error,
    client::{self, Authentication, Client, Keys},
    jws::{self, Algorithm, Jws},
    kept::{self, Kept, SECOND},
    outbound::Documents,
    secret,
};
use serde_json::{Map, Value};
use tessera_model::temporal::Micros;
use tessera_store::{Record, RecordChange, RecordKey, Records};

/// The form of assertion that there is.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 30;
/// How far ahead an assertion may expire, in seconds.
const LIFETIME_MAX: i64 = 300;
/// Longest identifier.
const JTI_BYTES_MAX: usize = 255;

/// What assertions are checked against.
pub(crate) struct Checks<'a> {
    pub(crate) records: &'a dyn Records,
    pub(crate) client_keys: &'a Documents,
    pub(crate) now: Micros,
    /// Whom an assertion may be for: the token endpoint, and the issuer.
    pub(crate) audiences: [&'a str; 2],
}

/// A client that has shown who it is, and what its assertion says of the purpose.
pub(crate) struct Asserted {
    pub(crate) client: Kept<Client>,
    pub(crate) claims: Map<String, Value>,
}

impl Checks<'_> {
    /// Believes an assertion, if all of AUTH-21 holds, checked in its order. `client_id`: as it stands in the form.
    pub(crate) async fn check(&self, assertion: &str, client_id: Option<&str>) -> Result<Asserted, Error> {
        let refuse = Error::InvalidClient;
        let jws = Jws::parse(assertion).ok_or(refuse("the assertion is no JWS, or longer than 8 KiB"))?;
        let (algorithm, kid) = header(&jws.header)?;
        let client = self.client(&jws, client_id).await?;
        let Authentication::PrivateKeyJwt(keys) = &client.value.authentication else {
            return Err(refuse("the client is registered for another way to authenticate"));
        };
        if !keys.algorithms.contains(&algorithm) {
            return Err(refuse("the client is not registered for this algorithm"));
        }
        let key = self.key(&jws, &client.key, keys, algorithm, kid).await?;
        if !jws.is_signed_by(&key, algorithm) {
            return Err(refuse("the signature is not that of the key"));
        }
        self.audience(&jws.claims)?;
        let expires = self.times(&jws.claims)?;
        self.once(&jws.claims, &client.key, expires).await?;
        Ok(Asserted { client, claims: jws.claims })
    }

    /// 2: who it says that it is
    async fn client(&self, jws: &Jws<'_>, client_id: Option<&str>) -> Result<Kept<Client>, Error> {
        let refuse = Error::InvalidClient;
        let claim = |name: &str| jws.claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = claim("iss").filter(|iss| claim("sub") == Some(*iss)).ok_or(refuse("iss and sub are not the same"))?;
        if client_id.is_some_and(|sent| sent != id) {
            return Err(refuse("client_id is another client's"));
        }
        let client = client::find(self.records, id).await?;
        client.filter(|client| client.value.is_active(self.now)).ok_or(refuse("there is no such client"))
    }

    /// 3 and 4: the one key that it may be signed with
    async fn key(
        &self,
        jws: &Jws<'_>,
        client: &str,
        keys: &Keys,
        algorithm: Algorithm,
        kid: &str,
    ) -> Result<Value, Error> {
        let refuse = Error::InvalidClient;
        if let Some(jku) = jws.header.get("jku")
            && (jku.as_str().is_none() || jku.as_str() != keys.jwks_url.as_deref())
        {
            return Err(refuse("jku is not the URL that the client has registered"));
        }
        let found = match (&keys.jwks_url, &keys.jwks) {
            (Some(url), _) => self.client_keys.keys(client, url, kid, self.now).await,
            (None, Some(jwks)) => jwks["keys"].as_array().cloned().unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        let mut named = found.into_iter().filter(|key| key["kid"] == kid);
        match (named.next(), named.next()) {
            (Some(key), None) if jws::is_for(&key, algorithm) => Ok(key),
            (Some(_), None) => Err(refuse("the key is not for this algorithm, not for signatures, or too short")),
            (None, _) => Err(refuse("the client has no such key")),
            (Some(_), Some(_)) => Err(refuse("the client has several keys of this kid")),
        }
    }

    /// 6: for this server and no other
    fn audience(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let only = match claims.get("aud") {
            Some(Value::Array(several)) if several.len() == 1 => several.first(),
            other => other,
        };
        match only.and_then(Value::as_str) {
            Some(audience) if self.audiences.contains(&audience) => Ok(()),
            _ => Err(Error::InvalidClient("aud is not the token endpoint")),
        }
    }

    /// 7: now; in seconds, when it expires
    fn times(&self, claims: &Map<String, Value>) -> Result<i64, Error> {
        let refuse = Error::InvalidClient;
        let now = self.now.div_euclid(SECOND);
        let expires = claims.get("exp").and_then(seconds).ok_or(refuse("there is no exp"))?;
        if expires <= now - LEEWAY {
            return Err(refuse("the assertion has expired"));
        }
        if expires > now + LIFETIME_MAX + LEEWAY {
            return Err(refuse("the assertion expires too late"));
        }
        for name in ["iat", "nbf"] {
            if claims.get(name).is_some_and(|time| seconds(time).is_none_or(|time| time > now + LEEWAY)) {
                return Err(refuse("the assertion is of the future"));
            }
        }
        Ok(expires)
    }

    /// 8: and once, for all servers of the database
    async fn once(&self, claims: &Map<String, Value>, client: &str, expires: i64) -> Result<(), Error> {
        let jti = claims.get("jti").and_then(Value::as_str);
        let jti = jti.filter(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()));
        let jti = jti.ok_or(Error::InvalidClient("there is no jti of at most 255 bytes"))?;
        let used = Record {
            key: RecordKey { kind: kept::JTI, key: secret::sha256(format!("{client}\0{jti}").as_bytes()) },
            owner: client.to_owned(),
            version: 0,
            // A second more, since times in seconds are rounded.
            expires: expires.saturating_add(LEEWAY + 1).saturating_mul(SECOND),
            body: String::new(),
        };
        match self.records.change(vec![RecordChange::Insert(used)]).await? {
            true => Ok(()),
            false => Err(Error::InvalidClient("the assertion was used before")),
        }
    }
}

/// A time of a JWT. Its fraction, which the specification allows, does not count.
fn seconds(value: &Value) -> Option<i64> {
    value.as_number()?.to_string().split('.').next()?.parse().ok()
}

/// 1: the header. Algorithm and `kid`.
fn header(header: &Map<String, Value>) -> Result<(Algorithm, &str), Error> {
    let refuse = Error::InvalidClient;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    if !text("typ").is_some_and(|typ| ["jwt", "client-authentication+jwt"].contains(&typ.to_ascii_lowercase().as_str()))
    {
        return Err(refuse("typ is not JWT"));
    }
    let algorithm = text("alg").and_then(Algorithm::named).filter(|alg| Algorithm::OF_ASSERTIONS.contains(alg));
    let algorithm = algorithm.ok_or(refuse("alg is neither RS384 nor ES384"))?;
    let kid = text("kid").filter(|kid| !kid.is_empty()).ok_or(refuse("there is no kid"))?;
    if ["crit", "jwk", "x5u"].iter().any(|name| header.contains_key(*name)) {
        return Err(refuse("the header has what would say which key to trust, or what must be understood"));
    }
    Ok((algorithm, kid))
}

#[cfg(test)]
mod tests;
