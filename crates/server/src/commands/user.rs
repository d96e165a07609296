//! `tessera user`: who may log in.

use super::{begin, record};
use crate::{config::Settings, error::Error};
use std::{
    io::{IsTerminal as _, stdin},
    path::PathBuf,
};
use tessera_auth::{
    Kept,
    identity::{self, Identity},
    policy::Reading,
    registration::check_user,
    second_factor, session,
    user::{self, Role, User, hash},
};
use tessera_model::interaction::percent_encode;
use tessera_store::{
    AuditAction, SqlStore,
    clock::{Clock as _, SystemClock},
};

/// Users of a page of the list.
const PAGE: u32 = 1000;

/// Adds users.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// A file whose first line is the password; without it, standard input
    // Never on the command line, which others on the machine can read (HTTP-12).
    #[arg(long, env = "TESSERA_PASSWORD_FILE", value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Let somebody log in; their password is asked for
    Add(Add),
    /// List the users
    List,
    /// Give a user a new password, which is asked for; their sessions end
    Passwd { user: String },
    /// Let a user log in by an identity provider too
    Link(Link),
    /// Let them no more; their sessions end
    Unlink(Link),
    /// Say whether a user has an authenticator app, or take it away: at their next login they set up another
    Totp {
        user: String,
        /// Take it away; their sessions end
        #[arg(long)]
        reset: bool,
    },
    /// Let a user in no more; their sessions end and their apps are refused within 5 seconds
    Disable { user: String },
    /// Let a user in again
    Enable { user: String },
}

#[derive(clap::Args)]
struct Link {
    user: String,
    /// The provider's issuer identifier
    issuer: String,
    /// The user's subject there: `sub`, not an e-mail address
    subject: String,
}

#[derive(clap::Args)]
struct Add {
    /// The name that they log in with
    user: String,
    /// The name that they are greeted by
    #[arg(long)]
    name: String,
    /// What they are to this server
    #[arg(long, value_parser = ["patient", "clinician", "administrator"])]
    role: String,
    /// The resource that they are
    #[arg(long, value_name = "Practitioner/ID")]
    fhir_user: Option<String>,
    /// For patients: the id of a patient whose record they may see; may be repeated
    #[arg(long, value_name = "ID")]
    patient: Vec<String>,
    /// For patients: the id of a RelatedPerson that they are; while it is active and within its period, they may see the record of its
    /// patient; may be repeated
    #[arg(long, value_name = "RelatedPerson/ID")]
    related_person: Vec<String>,
    /// For others: what they may see, *, Type or Type?parameters; may be repeated [default: *]
    #[arg(long, value_name = "TYPE?PARAMETERS")]
    policy: Vec<String>,
    /// Who they are at an identity provider; they then have no password here
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    federated: Vec<String>,
    /// For others: in an emergency they may see a patient whom their policy does not show
    #[arg(long)]
    break_glass: bool,
}

/// Runs the command on the database of the settings.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let changes = !matches!(arguments.command, Command::List | Command::Totp { reset: false, .. });
    let (_, store) = begin(&arguments.settings, changes).await?;
    let password = || password(arguments.password_file.as_ref());
    let path = |user: &str, act: &str| format!("/admin/users/{}{act}", percent_encode(user));
    let done = match arguments.command {
        Command::List => return list(&store).await,
        Command::Totp { user, reset: false } => return totp(&store, &user).await,
        Command::Add(add) => {
            let path = path(&add.user, "");
            self::add(&store, add, password).await?;
            (AuditAction::Create, path)
        }
        Command::Link(Link { user, issuer, subject }) => {
            check_there_is(&store, &user).await?;
            link(&store, &user, &issuer, &subject).await?;
            (AuditAction::Update, path(&user, "/link"))
        }
        Command::Unlink(Link { user, issuer, subject }) => {
            let identity = Identity::checked(&issuer, &subject).map_err(Error::Usage)?;
            if !identity::unlink(&store, &identity, &user).await? {
                return Err(Error::Usage("they are not linked".to_owned()));
            }
            session::end_all(&store, &user).await?;
            (AuditAction::Update, path(&user, "/unlink"))
        }
        Command::Passwd { user } => {
            check_there_is(&store, &user).await?;
            let hash = hash(&password()?)?;
            change(&store, &user, |value| value.password = Some(hash)).await?;
            (AuditAction::Update, path(&user, "/password"))
        }
        Command::Totp { user, reset: true } => {
            check_there_is(&store, &user).await?;
            second_factor::reset(&store, &user).await?;
            session::end_all(&store, &user).await?;
            (AuditAction::Update, path(&user, "/totp"))
        }
        Command::Disable { user } => {
            change(&store, &user, |value| value.enabled = false).await?;
            (AuditAction::Update, path(&user, "/disable"))
        }
        Command::Enable { user } => {
            change(&store, &user, |value| value.enabled = true).await?;
            (AuditAction::Update, path(&user, "/enable"))
        }
    };
    record(&store, "tessera user", done).await
}

async fn add(store: &SqlStore, add: Add, password: impl Fn() -> Result<String, Error>) -> Result<(), Error> {
    let role = Role::named(&add.role).ok_or_else(|| Error::Usage("--role: there is no such role".to_owned()))?;
    let everything = add.policy.is_empty() && role != Role::Patient;
    let mut user = User {
        name: add.name,
        role,
        fhir_user: add.fhir_user,
        patients: add.patient,
        related_persons: add
            .related_person
            .iter()
            .map(|id| id.trim_start_matches("RelatedPerson/").to_owned())
            .collect(),
        proxied: Vec::new(),
        policy: if everything { vec!["*".to_owned()] } else { add.policy },
        break_glass: add.break_glass,
        password: None,
        enabled: true,
    };
    let reading = Reading { base: store.base(), now: SystemClock.now() };
    check_user(&add.user, &user, reading).map_err(Error::Usage)?;
    match add.federated.as_slice() {
        [issuer, subject] => {
            let identity = Identity::checked(issuer, subject).map_err(Error::Usage)?;
            if identity::user(store, &identity).await?.is_some() {
                return Err(linked_already());
            }
        }
        _ => user.password = Some(hash(&password()?)?),
    }
    if !user::add(store, &add.user, user).await? {
        return Err(Error::Usage(format!("there is a user {} already", add.user)));
    }
    match add.federated.as_slice() {
        [issuer, subject] => link(store, &add.user, issuer, subject).await,
        _ => Ok(()),
    }
}

async fn link(store: &SqlStore, user: &str, issuer: &str, subject: &str) -> Result<(), Error> {
    let identity = Identity::checked(issuer, subject).map_err(Error::Usage)?;
    match identity::link(store, identity, user).await? {
        true => Ok(()),
        false => Err(linked_already()),
    }
}

fn linked_already() -> Error {
    Error::Usage("this subject is linked to a user already".to_owned())
}

async fn check_there_is(store: &SqlStore, user: &str) -> Result<(), Error> {
    let found = user::find(store, user).await?;
    found.map(drop).ok_or_else(|| Error::Usage(format!("there is no user {user}")))
}

async fn list(store: &SqlStore) -> Result<(), Error> {
    let mut after = String::new();
    loop {
        let page = user::list(store, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.key);
        for Kept { key, value, .. } in &page {
            let state = if value.enabled { "" } else { " (disabled)" };
            let people = value.related_persons.iter().map(|id| format!("RelatedPerson/{id}"));
            let sees: Vec<_> = value.patients.iter().chain(&value.policy).cloned().chain(people).collect();
            let who = value.fhir_user.as_deref().unwrap_or("-");
            println!("{key}{state}\t{}\t{}\t{who}\t{}", value.name, value.role.name(), sees.join(" "));
            for Identity { issuer, subject } in identity::of_user(store, key).await? {
                println!("\tis {subject} at {issuer}");
            }
        }
    }
}

async fn totp(store: &SqlStore, name: &str) -> Result<(), Error> {
    check_there_is(store, name).await?;
    match second_factor::recovery_codes_left(store, name).await? {
        None => println!("{name} has no authenticator app"),
        Some(left) => println!("{name} has an authenticator app and {left} recovery codes left"),
    }
    Ok(())
}

/// Changes a user and ends their sessions.
async fn change(store: &SqlStore, name: &str, change: impl FnOnce(&mut User)) -> Result<(), Error> {
    let found = user::find(store, name).await?;
    let mut kept = found.ok_or_else(|| Error::Usage(format!("there is no user {name}")))?;
    change(&mut kept.value);
    if !user::update(store, &kept).await? {
        return Err(Error::Failed("somebody else has changed it in the meantime; try again".to_owned()));
    }
    Ok(session::end_all(store, name).await?)
}

/// The password: the first line of the file, or of standard input. At a terminal it is asked for and not shown.
fn password(file: Option<&PathBuf>) -> Result<String, Error> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::Usage(format!("the password file {}: {error}", path.display())))?,
        None if stdin().is_terminal() => rpassword::prompt_password("Password: ")?,
        None => {
            let mut line = String::new();
            stdin().read_line(&mut line)?;
            line
        }
    };
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
