//! Passwords: kept as argon2id, tried slowly (AUTH-13).

use crate::{Error, kept::Kept, kept::SECOND, user::User};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time::verify_slices_are_equal, rand};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tessera_model::temporal::Micros;
use tessera_store::Records;
use tokio::sync::Semaphore;

/// Memory of one attempt in KiB, and passes over it: OWASP's second choice, somewhat more.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Longest password.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Attempts that are worked on at the same time: each takes a processor and 19 MiB.
const AT_ONCE_MAX: usize = 2;
/// An address may try three times at once, then once in 20 seconds.
const OF_TRIES: Pace = Pace { burst: 3, interval: 20 * SECOND };
/// It may begin 20 logins elsewhere, where its users are asked for their passwords, then one in 3 seconds: each is kept until it is
/// ended or too old.
const OF_LOGINS_ELSEWHERE: Pace = Pace { burst: 20, interval: 3 * SECOND };
/// An account may be tried three times without success; then one waits a second, two, four, half a minute at most.
const ACCOUNT_FREE: u32 = 3;
const ACCOUNT_WAIT_MAX: Micros = 30 * SECOND;
/// Failures are forgotten after a quarter of an hour.
const FORGOTTEN: Micros = 900 * SECOND;
/// Accounts and addresses that are remembered.
const REMEMBERED_MAX: usize = 10_000;

fn argon2(memory: u32, passes: u32) -> Option<Argon2<'static>> {
    let params = Params::new(memory, passes, 1, Some(HASH_BYTES)).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What is kept of a password: a PHC string. It takes a while and blocks its thread.
///
/// # Errors
/// [`Error::InvalidRequest`] if it is empty or too long; [`Error::Keys`] without random numbers.
pub fn hash(password: &str) -> Result<String, Error> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::InvalidRequest("a password has 1 to 1024 bytes"));
    }
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| Error::Keys("there are no random numbers"))?;
    let failed = || Error::Keys("the password cannot be hashed");
    let mut out = [0; HASH_BYTES];
    let argon2 = argon2(MEMORY_KIB, PASSES).ok_or_else(failed)?;
    argon2.hash_password_into(password.as_bytes(), &salt, &mut out).map_err(|_| failed())?;
    let (salt, out) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(out));
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${out}"))
}

/// A new password, of 96 random bits.
///
/// # Errors
/// [`Error::Keys`] without random numbers.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).map_err(|_| Error::Keys("there are no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether it is the password of which this is kept.
fn verify(password: &str, kept: &str) -> bool {
    let parts: Vec<&str> = kept.split('$').collect();
    let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else { return false };
    let cost = |name: &str| costs.split(',').find_map(|cost| cost.strip_prefix(name)?.parse::<u32>().ok());
    let (Some(memory), Some(passes)) = (cost("m="), cost("t=")) else { return false };
    let (Ok(salt), Ok(hash)) = (STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(hash)) else { return false };
    let mut out = [0; HASH_BYTES];
    let Some(argon2) = argon2(memory, passes) else { return false };
    password.len() <= PASSWORD_BYTES_MAX
        && argon2.hash_password_into(password.as_bytes(), &salt, &mut out).is_ok()
        && verify_slices_are_equal(&out, &hash).is_ok()
}

/// Those who try to log in to this server: how many at a time, and how often.
#[derive(Debug)]
pub struct Logins {
    at_once: Arc<Semaphore>,
    /// What the password of somebody who does not exist is compared with.
    nobody: String,
    tries: Addresses,
    elsewhere: Addresses,
    passwords: Accounts,
    codes: Accounts,
}

/// How often an address may do something: so many times at once, then once in an interval.
#[derive(Clone, Copy, Debug)]
struct Pace {
    burst: i64,
    interval: Micros,
}

/// When an address could have done it last, had it done it evenly.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, Micros>>);

/// What has failed, by the name that was tried.
type Accounts = Mutex<HashMap<String, Failures>>;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Micros,
}

impl Logins {
    /// Nobody has tried yet.
    ///
    /// # Errors
    /// [`Error::Keys`] without random numbers.
    pub fn new() -> Result<Self, Error> {
        let nobody = hash("nobody's password, which is compared all the same")?;
        let at_once = Arc::new(Semaphore::new(AT_ONCE_MAX));
        Ok(Self {
            at_once,
            nobody,
            tries: Addresses::default(),
            elsewhere: Addresses::default(),
            passwords: Accounts::default(),
            codes: Accounts::default(),
        })
    }

    /// The user of that name, if this is their password. The answer and its time are the same for a wrong name and a wrong
    /// password.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::TooManyAttempts`]; [`Error::Store`].
    pub async fn log_in(
        &self,
        records: &dyn Records,
        now: Micros,
        from: Option<IpAddr>,
        name: &str,
        password: &str,
    ) -> Result<Kept<User>, Error> {
        if !self.may_try(&self.passwords, name, from, now) {
            return Err(Error::TooManyAttempts);
        }
        let user = super::find(records, name).await?.filter(|user| user.value.enabled);
        let kept = user.as_ref().and_then(|user| user.value.password.clone());
        let (is_known, kept) = (kept.is_some(), kept.unwrap_or_else(|| self.nobody.clone()));
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| Error::TooManyAttempts)?;
        let password = password.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = verify(&password, &kept);
            drop(turn);
            verified
        });
        let verified = verified.await.unwrap_or(false);
        match user.filter(|_| is_known && verified) {
            Some(user) => {
                forget(&self.passwords, name);
                Ok(user)
            }
            None => Err(Error::AccessDenied("the name or the password is wrong")),
        }
    }

    /// Fails if this user's second factor may not be tried now. It is slowed down apart from the password: whoever knows that
    /// has not more tries at the code.
    pub(crate) fn try_code(&self, name: &str, from: Option<IpAddr>, now: Micros) -> Result<(), Error> {
        if self.may_try(&self.codes, name, from, now) { Ok(()) } else { Err(Error::TooManyAttempts) }
    }

    /// Fails if no login at the identity provider may be begun from there now.
    pub(crate) fn try_elsewhere(&self, from: Option<IpAddr>, now: Micros) -> Result<(), Error> {
        if self.elsewhere.may(from, OF_LOGINS_ELSEWHERE, now) { Ok(()) } else { Err(Error::TooManyAttempts) }
    }

    /// The last try at a second factor was good.
    pub(crate) fn code_was_good(&self, name: &str) {
        forget(&self.codes, name);
    }

    /// Whether it may be tried now. An attempt counts as a failure until it has succeeded, so that many at once gain nothing.
    fn may_try(&self, accounts: &Accounts, name: &str, from: Option<IpAddr>, now: Micros) -> bool {
        if !self.tries.may(from, OF_TRIES, now) {
            return false;
        }
        let mut accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut accounts, |failures| now.saturating_sub(failures.last) < FORGOTTEN);
        let failures = accounts.entry(name.to_owned()).or_insert(Failures { count: 0, last: now });
        if now.saturating_sub(failures.last) >= FORGOTTEN {
            failures.count = 0;
        }
        let wait = match failures.count.checked_sub(ACCOUNT_FREE) {
            None => 0,
            Some(more) => SECOND.checked_shl(more.min(16)).unwrap_or(ACCOUNT_WAIT_MAX).min(ACCOUNT_WAIT_MAX),
        };
        if now.saturating_sub(failures.last) < wait {
            return false;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        true
    }
}

impl Addresses {
    /// Whether it may be done now from there. What is not counted has no address.
    fn may(&self, from: Option<IpAddr>, pace: Pace, now: Micros) -> bool {
        let Some(address) = from else { return true };
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut addresses, |even| *even > now);
        let even = addresses.entry(address).or_insert(now);
        let next = (*even).max(now).saturating_add(pace.interval);
        if next.saturating_sub(now) > pace.burst * pace.interval {
            return false;
        }
        *even = next;
        true
    }
}

fn forget(accounts: &Accounts, name: &str) {
    accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
}

/// Forgets what does not matter any more when there is too much, or else all of it.
fn make_room<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, matters: impl Fn(&V) -> bool) {
    if map.len() >= REMEMBERED_MAX {
        map.retain(|_, value| matters(value));
        if map.len() >= REMEMBERED_MAX {
            map.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_13_passwords_are_kept_as_argon2id() {
        let kept = hash("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash("correct horse").unwrap());
        assert!(verify("correct horse", &kept));
        for (password, kept) in
            [("wrong", kept.as_str()), ("", &kept), ("correct horse", ""), ("x", "$argon2id$v=19$m=1,t=1,p=1$$")]
        {
            assert!(!verify(password, kept));
        }
        assert!(hash("").is_err() && hash(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn auth_13_what_the_reference_implementation_has_hashed_is_verified() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
        let kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify("password", kept));
        assert!(!verify("differentpassword", kept));
    }

    #[test]
    fn auth_13_an_account_slows_down_and_is_never_locked() {
        let logins = Logins::new().unwrap();
        let mut now = 0;
        let tries = |now| logins.may_try(&logins.passwords, "a", None, now);
        assert_eq!([tries(now), tries(now), tries(now), tries(now)], [true, true, true, false]);
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!tries(now + wait * SECOND - 1), "{wait}");
            now += wait * SECOND;
            assert!(tries(now), "{wait}");
        }
        assert!(logins.may_try(&logins.passwords, "b", None, now), "others are not slowed down");
        assert!(logins.try_code("a", None, now).is_ok(), "its second factor is slowed down apart");
        now += FORGOTTEN;
        assert_eq!([tries(now), tries(now), tries(now), tries(now)], [true, true, true, false]);
    }

    #[test]
    fn auth_13_an_address_tries_three_times_then_once_in_20_seconds() {
        let logins = Logins::new().unwrap();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let tries = |name: &str, now| logins.may_try(&logins.passwords, name, address, now);
        assert_eq!([tries("a", 0), tries("b", 0), tries("c", 0), tries("d", 0)], [true, true, true, false]);
        assert!(!tries("e", 20 * SECOND - 1));
        assert!(tries("f", 20 * SECOND));
        assert!(!tries("g", 20 * SECOND));
        assert!(logins.may_try(&logins.passwords, "h", Some(IpAddr::from([192, 0, 2, 2])), 0));
    }
}
