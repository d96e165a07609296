//! From an archive into a database. Each part is written together with its number and checksum, so that after an interruption
//! the same archive goes on behind the last part that is there, and another one is noticed. Until the last part is there the
//! database has a mark, and is not opened by anybody ([`crate::restoring`]).

use super::{
    chunk::{Chunk, Kind, damaged},
    header::{Header, TableHeader},
    tables::{MADE_AGAIN, PARTS, SEGMENT},
};
use crate::{
    Error, Measures, Options, audit,
    backend::{self, Backend, Connection, Isolation, Table},
    job::job,
    migrate, restoring,
    sql::{Sql, Value},
    sql_store,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// A database that is being filled.
pub(super) struct Restoration {
    backend: Backend,
    options: Options,
    measures: Arc<Measures>,
    /// Parts that were there when this began, and the checksum of the last of them.
    done: (u64, String),
    /// The mark that the last part has left.
    mark: String,
    /// Parts that have arrived.
    arrived: u64,
    header: Option<Header>,
}

impl Restoration {
    /// Makes the tables, and sees that nothing is in them but what an unfinished restoration has left.
    pub(super) async fn begin(options: &Options, start_over: bool) -> Result<Self, Error> {
        migrate(&options.location).await?;
        let measures = Arc::new(Measures::new());
        let backend = sql_store::connect(options, None, &measures).await?;
        let begin = job(start_over, |start_over, c| Box::pin(begin(*start_over, c)));
        let done = sql_store::retrying(&measures, || backend.write(Isolation::ReadCommitted, begin.clone())).await?;
        let mark = restoring::mark(done.0, &done.1);
        Ok(Self { backend, options: options.clone(), measures, done, mark, arrived: 0, header: None })
    }

    /// Writes a part, unless it is there already.
    pub(super) async fn apply(&mut self, chunk: Chunk) -> Result<(), Error> {
        self.arrived += 1;
        if chunk.kind == Kind::Header {
            self.header = Some(acceptable(Header::parse(&chunk.payload)?)?);
        }
        if self.arrived <= self.done.0 {
            if self.arrived == self.done.0 && chunk.checksum() != self.done.1 {
                return Err(Error::Archive(
                    "what is there was begun from another archive, or the database it came from has changed since: \
                     --start-over removes it"
                        .to_owned(),
                ));
            }
            return Ok(());
        }
        if chunk.kind != Kind::Rows {
            return Ok(());
        }
        let number = chunk.rows_of()?.0;
        let table = self.header.as_ref().and_then(|header| header.tables.get(number));
        let table = table.ok_or_else(|| damaged("rows of a table that it does not name"))?;
        let mark = restoring::mark(self.arrived, &chunk.checksum());
        let step = (std::mem::replace(&mut self.mark, mark.clone()), mark);
        let state = match MADE_AGAIN.contains(&table.name.as_str()) {
            true => (None, Vec::new(), step),
            false => (Some(target(table)?), arranged(table, chunk.rows(table)?)?, step),
        };
        let write = job(state, |s, c| Box::pin(async move { write(s.0, &s.1, &s.2, c).await }));
        sql_store::retrying(&self.measures, || self.backend.write(Isolation::ReadCommitted, write.clone())).await
    }

    /// Lets others open it.
    pub(super) async fn end(self) -> Result<(), Error> {
        // The change sequence goes on above the numbers that have come.
        migrate(&self.options.location).await?;
        let end = job((), |_, c| {
            Box::pin(async move {
                for statement in c.dialect().restored {
                    c.query(&Sql::new(statement)).await?;
                }
                c.query(&Sql::new(c.dialect().parameters_changed)).await?;
                c.query(&restoring::forget()).await.map(drop)
            })
        });
        sql_store::retrying(&self.measures, || self.backend.write(Isolation::ReadCommitted, end.clone())).await
    }
}

/// Which parts are there already.
async fn begin(start_over: bool, connection: &mut dyn Connection) -> Result<(u64, String), Error> {
    let unfinished = connection.query(&restoring::state()).await?.first().map(|row| row.text(0).to_owned());
    match unfinished {
        Some(state) if !start_over => {
            let parsed = state.split_once(' ').and_then(|(n, checksum)| Some((n.parse().ok()?, checksum.to_owned())));
            return parsed.ok_or_else(restoring::unfinished);
        }
        Some(_) => {
            for part in &PARTS {
                let mut sql = Sql::new(connection.dialect().empty);
                sql.push(part.table.name).push(part.only);
                connection.query(&sql).await?;
            }
        }
        None => {
            for part in &PARTS {
                let mut sql = Sql::new("SELECT 1 FROM ");
                sql.push(part.table.name).push(part.only).push(" LIMIT 1");
                if !connection.query(&sql).await?.is_empty() {
                    return Err(Error::Archive(format!(
                        "the database is not empty ({}): give one that is",
                        part.table.name
                    )));
                }
            }
        }
    }
    connection.query(&restoring::begin()).await?;
    Ok((0, "-".to_owned()))
}

/// Newer archives may hold what this version does not know.
fn acceptable(header: Header) -> Result<Header, Error> {
    if header.schema > migrate::LATEST {
        let version = &header.version;
        return Err(Error::Archive(format!("this archive was made by a newer version of Tessera ({version})")));
    }
    Ok(header)
}

/// The table here that a table of the archive is for.
fn target(table: &TableHeader) -> Result<&'static Table, Error> {
    let known = PARTS.iter().map(|part| part.table).chain([&SEGMENT]).find(|known| known.name == table.name);
    known.ok_or_else(|| Error::Archive(format!("this version knows no table {}", table.name)))
}

/// Rows with the columns of the table here. An archive of an older version lacks those that came later, which then say what a
/// migration says of rows that were there: nothing.
fn arranged(table: &TableHeader, rows: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>, Error> {
    let target = target(table)?;
    let place = |name: &str, kind| table.columns.iter().position(|(n, k)| n == name && *k == kind);
    let places: Vec<Option<usize>> = target.columns.iter().map(|(name, kind)| place(name, *kind)).collect();
    if places.iter().flatten().count() != table.columns.len() {
        return Err(Error::Archive(format!("this version knows not all columns of {}", table.name)));
    }
    if places.iter().enumerate().all(|(n, place)| *place == Some(n)) {
        return Ok(rows);
    }
    let absent = |kind| match kind {
        backend::Kind::Int => Value::Int(0),
        backend::Kind::Real => Value::Real(0.0),
        backend::Kind::Text => Value::Text(String::new()),
    };
    let arrange = |mut row: Vec<Value>| {
        let value = |(place, (_, kind)): (&Option<usize>, &(_, _))| {
            place.map_or_else(|| absent(*kind), |place| std::mem::replace(&mut row[place], Value::Null))
        };
        places.iter().zip(target.columns).map(value).collect()
    };
    Ok(rows.into_iter().map(arrange).collect())
}

/// Writes the rows of a part, if they have a table, and that they are there.
fn write<'a>(
    table: Option<&'static Table>,
    rows: &'a [Vec<Value>],
    step: &'a (String, String),
    connection: &'a mut dyn Connection,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        if connection.query(&restoring::move_on(&step.0, &step.1)).await?.is_empty() {
            return Err(Error::Archive("another process fills this database".to_owned()));
        }
        let Some(table) = table else { return Ok(()) };
        if table.name == SEGMENT.name {
            audit::enter_lines(rows.iter().filter_map(|row| row.first()).map(Value::text), connection).await?;
            return Ok(());
        }
        connection.insert(table, rows.to_vec()).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transact::write::RESOURCE;

    fn table(columns: &[(&str, backend::Kind)]) -> TableHeader {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        TableHeader { name: "resource".to_owned(), rows: 1, columns }
    }

    #[test]
    fn an_archive_of_a_newer_version_is_refused() {
        let header = |schema| Header {
            schema,
            version: "9.9.9".to_owned(),
            made: String::new(),
            secret: String::new(),
            changes: 0,
            tables: Vec::new(),
        };
        assert!(acceptable(header(migrate::LATEST)).is_ok() && acceptable(header(1)).is_ok());
        let error = acceptable(header(migrate::LATEST + 1)).unwrap_err().to_string();
        assert!(error.contains("newer version of Tessera (9.9.9)"), "{error}");
    }

    #[test]
    fn a_column_that_came_later_says_nothing_and_one_that_is_not_known_is_refused() {
        let older: Vec<_> = RESOURCE.columns.iter().copied().filter(|(name, _)| *name != "patient").collect();
        let row = |columns: &[(&str, backend::Kind)]| {
            let value = |(name, kind): &(&str, backend::Kind)| match kind {
                backend::Kind::Text => Value::Text((*name).to_owned()),
                _ => Value::Int(5),
            };
            columns.iter().map(value).collect::<Vec<_>>()
        };
        let arranged_rows = arranged(&table(&older), vec![row(&older)]).unwrap();
        let mut expected = row(RESOURCE.columns);
        let patient = RESOURCE.columns.iter().position(|(name, _)| *name == "patient").unwrap();
        expected[patient] = Value::Int(0);
        assert_eq!(arranged_rows, [expected]);
        let newer = [RESOURCE.columns, &[("mood", backend::Kind::Text)]].concat();
        assert!(arranged(&table(&newer), vec![row(&newer)]).is_err());
        assert!(target(&TableHeader { name: "moods".to_owned(), ..table(&[]) }).is_err());
    }

    #[tokio::test]
    async fn what_older_archives_hold_of_the_index_of_events_is_passed_over() {
        let path = std::env::temp_dir().join(format!("tessera-made-again-{}.db", std::process::id()));
        let options = Options {
            location: crate::Location::Sqlite(path.clone()),
            base: None,
            clock: Arc::new(crate::clock::SystemClock),
            synchronous: crate::Synchronous::Full,
            accept_fsync_off: true,
            search_timeout: crate::SEARCH_TIMEOUT,
            audit: None,
            replica: None,
        };
        let columns = |first| [("reference", first), ("at", backend::Kind::Int)];
        let (index, key) = (
            table(&columns(backend::Kind::Text)),
            table(&[("name", backend::Kind::Text), ("wrapped", backend::Kind::Text)]),
        );
        let tables = vec![
            TableHeader { name: "audit_index".to_owned(), ..index },
            TableHeader { name: "audit_key".to_owned(), ..key },
        ];
        let (version, made, secret) = ("0.1.0".to_owned(), "x".to_owned(), "x".to_owned());
        let header = Header { schema: 9, version, made, secret, changes: 0, tables };
        let rows = |number, row: &[Value]| {
            let mut rows = super::super::chunk::Rows::new(number);
            rows.add(row).unwrap();
            rows.take().unwrap()
        };
        let mut chain = super::super::chunk::Chain::default();
        let mut restoration = Restoration::begin(&options, false).await.unwrap();
        restoration.apply(chain.next(Kind::Header, header.write())).await.unwrap();
        let (patient, name) = (Value::Text("Patient/1".to_owned()), Value::Text("2020-01".to_owned()));
        restoration.apply(chain.next(Kind::Rows, rows(0, &[patient, Value::Int(5)]))).await.unwrap();
        restoration.apply(chain.next(Kind::Rows, rows(1, &[name.clone(), name]))).await.unwrap();
        restoration.end().await.unwrap();
        let connection = backend::sqlite::open(&path, crate::Synchronous::Full).unwrap();
        let count = |text: &str| connection.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT COUNT(*) FROM audit_index"), 0);
        assert_eq!(count("SELECT COUNT(*) FROM audit_key"), 1);
    }
}
