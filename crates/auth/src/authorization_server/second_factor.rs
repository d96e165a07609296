//! What comes between a right password and a session (AUTH-13).

use super::AuthorizationServer;
use crate::{
    Error, Secret,
    kept::Kept,
    second_factor::{self, Enrolment, Passed, SecondFactors, Step, Waited},
    user::{self, Role, User},
};
use std::net::IpAddr;

/// What an authenticator app calls this server: with the host, so that several are told apart.
const ISSUER: &str = "Tessera";

impl AuthorizationServer {
    /// What a user whose password was right must do before they are let in; `None`: nothing.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn step_after_password(&self, user: &Kept<User>) -> Result<Option<Step>, Error> {
        if second_factor::recovery_codes_left(self.records(), &user.key).await?.is_some() {
            return Ok(Some(Step::Code));
        }
        let needs_one = self.rules.staff_needs_second_factor && user.value.role != Role::Patient;
        Ok(needs_one.then_some(Step::FirstApp))
    }

    /// Lets a user wait for that step: the secret goes into the form that ends it.
    ///
    /// # Errors
    /// [`Error::Keys`] without random numbers; [`Error::Store`].
    pub async fn wait_for(&self, user: &str, step: Step) -> Result<(Secret, Option<Enrolment>), Error> {
        self.second_factors(&self.issuer_of_codes()).wait(user, step).await
    }

    /// Who waits with that secret.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if nobody does any more; [`Error::Store`].
    pub async fn waiting(&self, login: &str) -> Result<Waited, Error> {
        self.second_factors(&self.issuer_of_codes()).waiting(login).await
    }

    /// Ends the waiting by a code of the app or a recovery code, once.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if the code is not good, or the user not let in any more; [`Error::TooManyAttempts`]; [`Error::Store`].
    pub async fn pass(&self, login: &str, from: Option<IpAddr>, code: &str) -> Result<Passed, Error> {
        let issuer = self.issuer_of_codes();
        let factors = self.second_factors(&issuer);
        let user = factors.waiting(login).await?.user;
        self.logins.try_code(&user, from, self.now())?;
        let passed = factors.pass(login, code).await?;
        let enabled = user::find(self.records(), &user).await?.is_some_and(|user| user.value.enabled);
        if !enabled {
            return Err(Error::AccessDenied("the user is not let in"));
        }
        self.logins.code_was_good(&user);
        Ok(passed)
    }

    /// Takes a code of a user who has logged in, who shows once more that it is them.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if the code is not good; [`Error::TooManyAttempts`]; [`Error::Store`].
    pub async fn take_code(&self, user: &str, from: Option<IpAddr>, code: &str) -> Result<(), Error> {
        self.logins.try_code(user, from, self.now())?;
        self.second_factors(&self.issuer_of_codes()).take(user, code).await?;
        self.logins.code_was_good(user);
        Ok(())
    }

    /// New recovery codes for a user, in place of the old ones.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if the user has no second factor; [`Error::Store`].
    pub async fn renew_recovery_codes(&self, user: &str) -> Result<Vec<String>, Error> {
        self.second_factors(&self.issuer_of_codes()).renew(user).await
    }

    fn second_factors<'a>(&'a self, issuer: &'a str) -> SecondFactors<'a> {
        SecondFactors { records: &*self.records, master: &self.master, now: self.now(), issuer }
    }

    fn issuer_of_codes(&self) -> String {
        let host = self.urls.base.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        format!("{ISSUER} {host}")
    }
}
