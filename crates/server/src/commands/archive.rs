//! What `backup`, `restore` and `migrate-to` have in common: how far they are, and whether what came out is right.

use crate::{config::Config, error::Error, secret};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    sync::{Arc, Mutex, PoisonError},
};
use tessera_store::{
    Location, SqlStore,
    archive::{ArchiveProgress, Archived, Observer, Source, secret_mark},
};

/// How far it is: a bar on a terminal, a line for each table elsewhere.
pub(super) fn observer() -> Observer {
    if !stderr().is_terminal() {
        let last = Mutex::new(String::new());
        return Arc::new(move |progress: ArchiveProgress| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last != progress.table {
                eprintln!("{}: after {} of {} rows", progress.table, progress.rows, progress.total);
                *last = progress.table;
            }
        });
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {pos}/{len} rows {msg}, {eta} left") {
        bar.set_style(style);
    }
    Arc::new(move |progress: ArchiveProgress| {
        bar.set_length(progress.total.max(progress.rows));
        bar.set_message(progress.table);
        bar.set_position(progress.rows);
    })
}

/// What an archive of the database of the settings is made of.
pub(super) fn source(config: &Config, made: String) -> Result<Source, Error> {
    Ok(Source {
        location: config.location()?,
        audit_folder: Some(config.audit_folder()?),
        secret: secret::read(&config.secret_key_file()?)?,
        made,
    })
}

/// What was written or read, in a line.
pub(super) fn told(archived: &Archived) -> String {
    let Archived { header, rows, checksum } = archived;
    format!("{rows} rows, up to change {}, checksum {checksum}", header.changes)
}

/// What `tessera check` and `tessera audit verify` say of a database. `secret` is the server's; without it nobody can say who has
/// signed the checkpoints of the audit record.
pub(super) async fn verify(store: &SqlStore, secret: Option<[u8; 32]>) -> Result<(), Error> {
    let report = store.check(false).await?;
    for difference in &report.differences {
        println!("{}: {}", difference.resource, difference.text);
    }
    println!("{} resources checked, {} differences", report.resources, report.count);
    let Some(secret) = secret else {
        return Err(Error::Failed("the audit record cannot be verified without the secret key file".to_owned()));
    };
    let audit = store.verify_audit(&secret).await?;
    for fault in &audit.faults {
        println!("{}: {}", fault.record, fault.text);
    }
    println!("{} audit records verified, {} faults", audit.records, audit.faults.len());
    match (report.count, audit.faults.len()) {
        (0, 0) => Ok(()),
        _ => Err(Error::Failed("what is there is not what it should be".to_owned())),
    }
}

/// Whether the secret at hand is the one that an archive's server had (`mark`).
///
/// # Errors
/// [`Error::Usage`], with what to do.
pub(super) fn check_secret(config: &Config, mark: &str) -> Result<(), Error> {
    let path = config.secret_key_file()?;
    let here = secret::read(&path)?;
    if mark.is_empty() || here.as_ref().map(secret_mark).transpose()?.as_deref() == Some(mark) {
        return Ok(());
    }
    let what = if here.is_some() { "holds another secret than" } else { "is missing; it must be that of" };
    Err(Error::Usage(format!(
        "the secret key file {} {what} the server of this archive. Put that one there; if it is lost, --without-secret goes on \
         without: users with a second factor, signing keys and recorded queries that hang on it are lost",
        path.display()
    )))
}

/// A database as messages name it: without a password.
pub(super) fn name(location: &Location) -> String {
    match location {
        Location::Sqlite(path) => path.display().to_string(),
        Location::Postgres(url) => url.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}
