//! From a database into an archive: one state of it, table by table, while others write.

use super::{
    Source,
    chunk::{Chain, Chunk, Kind, Rows},
    header::{Header, TableHeader},
    tables::{PARTS, Part, SEGMENT},
};
use crate::{
    Error, audit,
    backend::{Table, snapshot::Snapshot},
    migrate, restoring,
    sql::{Sql, Value},
};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
};
use tokio::runtime::Handle;

/// Gives all parts of an archive to `sink`, one after the other.
pub(super) fn stream(
    source: &Source,
    runtime: &Handle,
    sink: &mut dyn FnMut(Chunk) -> Result<(), Error>,
) -> Result<(), Error> {
    // Before the state of the database is fixed: what is drained and removed from then on is in that state, or can still be
    // read here.
    let segments = segments(source)?;
    let mut snapshot = runtime.block_on(Snapshot::open(&source.location))?;
    let mut chain = Chain::default();
    let header = runtime.block_on(describe(source, &mut snapshot))?;
    sink(chain.next(Kind::Header, header.write()))?;
    for (number, part) in PARTS.iter().enumerate() {
        let mut rows = Rows::new(number);
        let sql = select(part);
        runtime.block_on(snapshot.each(&sql, &mut |row| {
            rows.add(&row.0)?;
            match rows.is_full().then(|| rows.take()).flatten() {
                Some(payload) => sink(chain.next(Kind::Rows, payload)),
                None => Ok(()),
            }
        }))?;
        if let Some(payload) = rows.take() {
            sink(chain.next(Kind::Rows, payload))?;
        }
    }
    let mut rows = Rows::new(PARTS.len());
    for (file, bytes) in segments {
        for line in BufReader::new(file.take(bytes)).lines() {
            rows.add(&[Value::Text(line.map_err(|error| unreadable(&error))?)])?;
            if let Some(payload) = rows.is_full().then(|| rows.take()).flatten() {
                sink(chain.next(Kind::Rows, payload))?;
            }
        }
    }
    if let Some(payload) = rows.take() {
        sink(chain.next(Kind::Rows, payload))?;
    }
    sink(chain.next(Kind::End, Vec::new()))
}

/// What an archive made now would say of itself.
pub(super) fn header(source: &Source, runtime: &Handle) -> Result<Header, Error> {
    runtime.block_on(async { describe(source, &mut Snapshot::open(&source.location).await?).await })
}

async fn describe(source: &Source, snapshot: &mut Snapshot) -> Result<Header, Error> {
    let schema = snapshot.number(&Sql::new("SELECT MAX(version) FROM _sqlx_migrations")).await;
    // A database that was never migrated lacks the table.
    match schema {
        Ok(schema) if schema == migrate::LATEST => {}
        Ok(schema) if schema > migrate::LATEST => {
            return Err(Error::Archive("the database is of a newer version of Tessera".to_owned()));
        }
        _ => return Err(Error::Archive("the tables are not up to date: run tessera migrate first".to_owned())),
    }
    if snapshot.number(&restoring::is_unfinished()).await? > 0 {
        return Err(restoring::unfinished());
    }
    let mut tables = Vec::new();
    for part in &PARTS {
        let mut sql = Sql::new("SELECT COUNT(*) FROM ");
        sql.push(part.table.name).push(part.only);
        tables.push(described(part.table, u64::try_from(snapshot.number(&sql).await?).unwrap_or(0)));
    }
    tables.push(described(&SEGMENT, 0));
    Ok(Header {
        schema: migrate::LATEST,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made: source.made.clone(),
        secret: source.secret.as_ref().map(audit::secret_mark).transpose()?.unwrap_or_default(),
        changes: snapshot.number(&Sql::new("SELECT COALESCE(MAX(seq), 0) FROM resource")).await?,
        tables,
    })
}

fn described(table: &Table, rows: u64) -> TableHeader {
    let columns = table.columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    TableHeader { name: table.name.to_owned(), rows, columns }
}

fn select(part: &Part) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.join(", ", part.table.columns, |sql, (column, _)| {
        sql.push(column);
    });
    sql.push(" FROM ").push(part.table.name).push(part.only).push(" ORDER BY ").push(part.order);
    sql
}

/// The files of the audit folder, and how much of each there is now.
fn segments(source: &Source) -> Result<Vec<(File, u64)>, Error> {
    let mut segments = Vec::new();
    let Some(folder) = source.audit_folder.as_ref().filter(|folder| folder.exists()) else { return Ok(segments) };
    for path in audit::segments(folder).map_err(|error| unreadable(&error))? {
        match File::open(&path) {
            Ok(file) => {
                let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
                segments.push((file, bytes));
            }
            // It has reached the database.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(segments)
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::Archive(format!("the audit folder cannot be read: {error}"))
}
