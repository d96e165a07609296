//! The first administrator, for whom nobody has to make a password: on a database without users the server makes one, and tells it
//! to whoever may read a file (AUTH-40). The log has where that is, and not what it says.

use crate::{error::Error, secret};
use std::{fs, io, path::Path};
use tessera_auth::user::{self, Role, User, hash, random_password};
use tessera_store::{Location, Records, turn};

/// The name that they log in with.
const NAME: &str = "administrator";
/// What stands before the password in the file.
const PASSWORD: &str = "password: ";

/// Makes the first administrator, unless there are users or the setting names no file. Of servers that start at once on one database
/// one does, and no other writes a file. One that is killed between its file and its user goes on with the file when it starts again,
/// unless another has made the administrator meanwhile: then the file is good for nothing.
///
/// # Errors
/// [`Error::Usage`] if the file cannot be written or holds something else; those of the database.
pub(crate) async fn make(records: &dyn Records, location: &Location, file: &str) -> Result<(), Error> {
    if file.is_empty() || has_users(records).await? {
        return Ok(());
    }
    let _turn = turn(location).await?;
    if has_users(records).await? {
        tracing::info!(
            "another server has made the first administrator; their password is in its file, and there is none here"
        );
        return Ok(());
    }
    // The file first: a server that ends in between goes on with it when it starts again.
    let password = password(Path::new(file))?;
    let administrator = User {
        name: "Administrator".to_owned(),
        role: Role::Administrator,
        fhir_user: None,
        patients: Vec::new(),
        related_persons: Vec::new(),
        proxied: Vec::new(),
        policy: vec!["*".to_owned()],
        break_glass: false,
        password: Some(hash(&password)?),
        enabled: true,
    };
    match user::add(records, NAME, administrator).await? {
        true => tracing::info!(file, "the first administrator is made; their name and password are in the file"),
        // It is no server that has just added one of that name.
        false => {
            tracing::warn!(file, "somebody else has added that user meanwhile; what the file says is not theirs");
        }
    }
    Ok(())
}

async fn has_users(records: &dyn Records) -> Result<bool, Error> {
    Ok(!user::list(records, "", 1).await?.is_empty())
}

/// The password in the file, a new one if there is no file.
fn password(file: &Path) -> Result<String, Error> {
    let unusable =
        |error: io::Error| Error::Usage(format!("access.first_administrator_file, {}: {error}", file.display()));
    match fs::read_to_string(file) {
        Ok(text) => {
            let found = text.lines().find_map(|line| line.strip_prefix(PASSWORD)).filter(|found| !found.is_empty());
            found.map(str::to_owned).ok_or_else(|| unusable(io::Error::other("it is there and holds no password")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let new = random_password()?;
            let text = format!("name: {NAME}\n{PASSWORD}{new}\n");
            secret::write_private(file, &text).map_err(unusable)?;
            Ok(new)
        }
        Err(error) => Err(unusable(error)),
    }
}
