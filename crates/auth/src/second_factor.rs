//! The second factor of a login (AUTH-13): a code of an authenticator app, or one of ten recovery codes. The app's secret is
//! sealed where it is kept; each code is taken once, by all servers together.

mod totp;

use crate::{
    Error,
    kept::{self, Keep, Kept, SECOND},
    seal::MasterKey,
    secret::{self, Purpose, Secret},
};
use serde::{Deserialize, Serialize};
use tessera_model::temporal::Micros;
use tessera_store::{Record, Records};

/// How long a login waits for its second factor, and somebody who sets one up for their first code.
const LIFETIME: Micros = 10 * 60 * SECOND;
/// Recovery codes that are made at a time.
const RECOVERY_CODES: usize = 10;
/// Random bytes of one: 80 bits, so that a digest is enough to keep.
const RECOVERY_BYTES: usize = 10;
/// Longest code that is looked at.
const CODE_BYTES_MAX: usize = 64;
/// How often a code is tried again when another changes the same.
const TRIES_MAX: usize = 5;
/// What secrets are sealed for.
const PURPOSE: &str = "second factors";

/// What is kept of a user's authenticator app, under the user's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondFactor {
    /// Sealed.
    secret: String,
    /// The last step whose code was used; those before are used up, too.
    last: i64,
    /// Digests of the recovery codes that are left.
    recovery: Vec<String>,
}

impl Keep for SecondFactor {
    const KIND: i64 = kept::SECOND_FACTOR;
}

/// A login whose password was right, or a user who sets up an app. The key among the records is the digest of its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    user: String,
    /// Sealed: of the app that is set up.
    secret: Option<String>,
    /// Whether that app may take the place of another.
    replaces: bool,
}

impl Keep for Waiting {
    const KIND: i64 = kept::WAITING_LOGIN;
}

/// What a login waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A code of the app that the user has.
    Code,
    /// A code of the first app, which is set up now.
    FirstApp,
    /// A code of another app, which is set up now. The user has shown that the one before is theirs.
    AnotherApp,
}

/// What somebody who sets up an authenticator app is shown.
#[derive(Clone)]
pub struct Enrolment {
    /// The secret as people type it.
    pub secret: String,
    /// The same for an app, in a QR code.
    pub uri: String,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment")
    }
}

/// A login that waits for its second factor.
#[derive(Debug)]
pub struct Waited {
    /// The user's name.
    pub user: String,
    /// What they are shown, if they set up an app.
    pub enrolment: Option<Enrolment>,
}

/// What a second factor has led to.
#[derive(Debug)]
pub struct Passed {
    /// The user's name.
    pub user: String,
    /// If an app was set up: the recovery codes, which are never shown again.
    pub recovery_codes: Option<Vec<String>>,
}

/// How many recovery codes a user has left; `None`: they have no second factor.
///
/// # Errors
/// [`Error::Store`].
pub async fn recovery_codes_left(records: &dyn Records, user: &str) -> Result<Option<usize>, Error> {
    Ok(kept::get::<SecondFactor>(records, user).await?.map(|factor| factor.value.recovery.len()))
}

/// Takes a user's second factor away: they set up another one.
///
/// # Errors
/// [`Error::Store`].
pub async fn reset(records: &dyn Records, user: &str) -> Result<(), Error> {
    records.change(vec![kept::discard::<SecondFactor>(user)]).await?;
    Ok(())
}

/// Second factors, with what they are sealed with.
#[derive(Clone, Copy)]
pub(crate) struct SecondFactors<'a> {
    pub(crate) records: &'a dyn Records,
    pub(crate) master: &'a MasterKey,
    pub(crate) now: Micros,
    /// What an authenticator app calls this server.
    pub(crate) issuer: &'a str,
}

impl SecondFactors<'_> {
    /// Lets a login wait; the secret goes into the form that ends it.
    pub(crate) async fn wait(&self, user: &str, step: Step) -> Result<(Secret, Option<Enrolment>), Error> {
        let random = || Error::Keys("there are no random numbers");
        let login = Secret::new(Purpose::Login).ok_or_else(random)?;
        let mut waiting = Waiting { user: user.to_owned(), secret: None, replaces: step == Step::AnotherApp };
        let mut enrolment = None;
        if step != Step::Code {
            let secret = totp::new_secret().ok_or_else(random)?;
            waiting.secret = Some(self.master.seal(PURPOSE, &login.digest(), &secret)?);
            enrolment = Some(self.enrolment(user, &secret));
        }
        let waiting = Kept::new(login.digest(), user, self.now.saturating_add(LIFETIME), waiting);
        self.records.change(vec![waiting.insert()?]).await?;
        Ok((login, enrolment))
    }

    fn enrolment(&self, user: &str, secret: &[u8]) -> Enrolment {
        Enrolment { secret: totp::base32(secret), uri: totp::uri(self.issuer, user, secret) }
    }

    /// The login that waits.
    pub(crate) async fn waiting(&self, login: &str) -> Result<Waited, Error> {
        let waiting = self.find(login).await?;
        let secret = self.secret_of(&waiting)?;
        let enrolment = secret.map(|secret| self.enrolment(&waiting.value.user, &secret));
        Ok(Waited { user: waiting.value.user, enrolment })
    }

    async fn find(&self, login: &str) -> Result<Kept<Waiting>, Error> {
        let gone = Error::AccessDenied("the login has waited too long; log in again");
        let Some(login) = Secret::parse(Purpose::Login, login) else { return Err(gone) };
        kept::get::<Waiting>(self.records, &login.digest()).await?.ok_or(gone)
    }

    /// The secret of the app that is being set up.
    fn secret_of(&self, waiting: &Kept<Waiting>) -> Result<Option<Vec<u8>>, Error> {
        waiting.value.secret.as_ref().map(|sealed| self.master.open(PURPOSE, &waiting.key, sealed)).transpose()
    }

    /// Ends a login by a code. A wrong one leaves it waiting.
    pub(crate) async fn pass(&self, login: &str, given: &str) -> Result<Passed, Error> {
        let waiting = self.find(login).await?;
        let user = waiting.value.user.clone();
        let Some(secret) = self.secret_of(&waiting)? else {
            self.take(&user, given).await?;
            // Once: the same form brings no second session.
            return match self.records.change(vec![waiting.remove()]).await? {
                true => Ok(Passed { user, recovery_codes: None }),
                false => Err(wrong()),
            };
        };
        let last = totp::step_of(&secret, &plain(given)?, self.now, i64::MIN).ok_or_else(wrong)?;
        let (codes, recovery) = recovery_codes()?;
        let factor = SecondFactor { secret: self.master.seal(PURPOSE, &user, &secret)?, last, recovery };
        let before = kept::get::<SecondFactor>(self.records, &user).await?.filter(|_| waiting.value.replaces);
        // A first app that is set up twice, by the user and by somebody who knows their password, is the first one's.
        let kept = match before {
            Some(mut before) => {
                before.value = factor;
                before.replace()?
            }
            None => Kept::new(user.as_str(), user.as_str(), Record::NEVER, factor).insert()?,
        };
        match self.records.change(vec![kept, waiting.remove()]).await? {
            true => Ok(Passed { user, recovery_codes: Some(codes) }),
            false => Err(wrong()),
        }
    }

    /// Takes a code of a user's app, or a recovery code: once, whichever server it is shown to.
    pub(crate) async fn take(&self, user: &str, given: &str) -> Result<(), Error> {
        let given = plain(given)?;
        for _ in 0..TRIES_MAX {
            let mut factor = kept::get::<SecondFactor>(self.records, user).await?.ok_or_else(wrong)?;
            let secret = self.master.open(PURPOSE, user, &factor.value.secret)?;
            let digest = digest(&given);
            let recovery = factor.value.recovery.iter().position(|kept| secret::equal(kept, &digest));
            match (totp::step_of(&secret, &given, self.now, factor.value.last), recovery) {
                (Some(step), _) => factor.value.last = step,
                (None, Some(at)) => drop(factor.value.recovery.remove(at)),
                (None, None) => return Err(wrong()),
            }
            if self.records.change(vec![factor.replace()?]).await? {
                return Ok(());
            }
            // Somebody has used a code in between: is this one still good?
        }
        Err(Error::Store(tessera_store::Error::Busy))
    }

    /// New recovery codes in place of the old ones.
    pub(crate) async fn renew(&self, user: &str) -> Result<Vec<String>, Error> {
        let mut factor = kept::get::<SecondFactor>(self.records, user).await?.ok_or_else(wrong)?;
        let (codes, recovery) = recovery_codes()?;
        factor.value.recovery = recovery;
        match self.records.change(vec![factor.replace()?]).await? {
            true => Ok(codes),
            false => Err(Error::Store(tessera_store::Error::Busy)),
        }
    }
}

fn wrong() -> Error {
    Error::AccessDenied("the code is wrong, or was used before")
}

/// A code without what people put in for reading.
fn plain(given: &str) -> Result<String, Error> {
    if given.len() > CODE_BYTES_MAX {
        return Err(wrong());
    }
    Ok(given.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect())
}

fn digest(plain: &str) -> String {
    secret::sha256(format!("recovery code {plain}").as_bytes())
}

/// New recovery codes: as they are shown, and what is kept.
fn recovery_codes() -> Result<(Vec<String>, Vec<String>), Error> {
    let mut both = (Vec::new(), Vec::new());
    for _ in 0..RECOVERY_CODES {
        let mut bytes = [0; RECOVERY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Keys("there are no random numbers"))?;
        let code = totp::base32(&bytes);
        both.1.push(digest(&code));
        let groups: Vec<&str> = (0..4).filter_map(|at| code.get(4 * at..4 * at + 4)).collect();
        both.0.push(groups.join("-"));
    }
    Ok(both)
}

#[cfg(test)]
mod tests;
