//! Archives (docs/backup.md): all that a database holds as one stream of rows, the same for both databases, so that what one
//! has written the other can take. A backup is the stream in a file; to move is to let it run from one database into another.

mod chunk;
mod header;
mod restore;
mod source;
mod tables;

use crate::{Error, Location, Options, audit};
use chunk::{Chunk, Kind, Reader, Writer};
pub use header::{Header, TableHeader};
use restore::Restoration;
use std::{
    io::{Read, Write},
    path::PathBuf,
    sync::Arc,
};
use tokio::runtime::Handle;

/// What an archive is made of.
#[derive(Clone, Debug)]
pub struct Source {
    /// The database.
    pub location: Location,
    /// Where events of the audit record wait for it.
    pub audit_folder: Option<PathBuf>,
    /// The server's secret. An archive does not hold it, but tells which one it is.
    pub secret: Option<[u8; 32]>,
    /// When the archive is made, as text; empty in a stream that is to be the same each time.
    pub made: String,
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct ArchiveProgress {
    /// The table at hand.
    pub table: String,
    /// Rows so far.
    pub rows: u64,
    /// And in all.
    pub total: u64,
}

/// Told how far it is, once in a while.
pub type Observer = Arc<dyn Fn(ArchiveProgress) + Send + Sync>;

/// What was written or read.
#[derive(Clone, Debug)]
pub struct Archived {
    /// What the archive says of itself.
    pub header: Header,
    /// How many rows there were.
    pub rows: u64,
    /// The checksum of all of it, in hexadecimal.
    pub checksum: String,
}

/// Which secret a server has: tells two apart, and nothing of either.
///
/// # Errors
/// [`Error::Backend`] if no key can be made of it.
pub fn secret_mark(secret: &[u8; 32]) -> Result<String, Error> {
    audit::secret_mark(secret)
}

/// Writes an archive of a database while servers use it.
///
/// # Errors
/// [`Error::Archive`] if it cannot be written; [`Error::Backend`] if the database fails.
pub async fn back_up(source: Source, out: Box<dyn Write + Send>, observer: Observer) -> Result<Archived, Error> {
    blocking(move |runtime| {
        let mut writer = Writer::new(out)?;
        let mut tally = Tally::new(observer);
        source::stream(&source, runtime, &mut |chunk| {
            tally.add(&chunk)?;
            writer.write(&chunk)
        })?;
        writer.end()?;
        tally.end()
    })
    .await
}

/// Reads an archive to its end: every checksum, and whether all rows are there.
///
/// # Errors
/// [`Error::Archive`] if something is wrong with it.
pub async fn inspect(input: Box<dyn Read + Send>, observer: Observer) -> Result<Archived, Error> {
    blocking(move |_| {
        let mut tally = Tally::new(observer);
        let mut reader = Reader::new(input)?;
        while let Some(chunk) = reader.next()? {
            tally.add(&chunk)?;
        }
        tally.end()
    })
    .await
}

/// Fills an empty database from an archive. Until all of it is there, nobody can open the database; after an interruption the
/// same call goes on where it was.
///
/// # Errors
/// [`Error::Archive`] if something is wrong with the archive, or the database is not empty.
pub async fn restore(
    input: Box<dyn Read + Send>,
    into: Options,
    start_over: bool,
    observer: Observer,
) -> Result<Archived, Error> {
    blocking(move |runtime| {
        let mut tally = Tally::new(observer);
        let mut reader = Reader::new(input)?;
        let mut restoration = runtime.block_on(Restoration::begin(&into, start_over))?;
        while let Some(chunk) = reader.next()? {
            tally.add(&chunk)?;
            runtime.block_on(restoration.apply(chunk))?;
        }
        let archived = tally.end()?;
        runtime.block_on(restoration.end())?;
        Ok(archived)
    })
    .await
}

/// Chunks that wait for the other database.
const WAITING_MAX: usize = 4;

/// Fills an empty database from another one, as [`restore`] does from an archive. The other one may not be written to meanwhile.
///
/// # Errors
/// As [`back_up`] and [`restore`].
pub async fn copy(source: Source, into: Options, start_over: bool, observer: Observer) -> Result<Archived, Error> {
    let again = source.clone();
    let (chunks, arriving) = crossbeam_channel::bounded::<Chunk>(WAITING_MAX);
    let reading = blocking(move |runtime| {
        let gone = |_| Error::Archive("the other database takes no more".to_owned());
        source::stream(&source, runtime, &mut |chunk| chunks.send(chunk).map_err(gone))
    });
    let writing = blocking(move |runtime| {
        let mut tally = Tally::new(observer);
        let mut restoration = runtime.block_on(Restoration::begin(&into, start_over))?;
        while let Ok(chunk) = arriving.recv() {
            tally.add(&chunk)?;
            runtime.block_on(restoration.apply(chunk))?;
        }
        Ok((tally, restoration))
    });
    // What has failed in the one ends the other; why is said by the one.
    let (read, written) = tokio::join!(reading, writing);
    let (tally, restoration) = match (read, written) {
        (Ok(()), written) | (Err(Error::Archive(_)), written @ Err(_)) => written?,
        (Err(error), _) => return Err(error),
    };
    let archived = tally.end()?;
    let now = blocking(move |runtime| source::header(&again, runtime)).await?;
    if now != archived.header {
        return Err(Error::Archive(
            "the database was written to meanwhile: stop its servers, then run this again with --start-over".to_owned(),
        ));
    }
    restoration.end().await?;
    Ok(archived)
}

/// What an archive says of itself.
///
/// # Errors
/// [`Error::Archive`] if it is none.
pub fn header(input: Box<dyn Read + Send>) -> Result<Header, Error> {
    match Reader::new(input)?.next()? {
        Some(chunk) if chunk.kind == Kind::Header => Header::parse(&chunk.payload),
        _ => Err(chunk::damaged("it does not begin with its header")),
    }
}

/// Runs what reads files, and waits, on a thread of its own.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce(&Handle) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || run(&runtime)).await;
    done.map_err(|error| Error::Archive(error.to_string()))?
}

/// Counts what goes by, and compares it with what was promised.
struct Tally {
    observer: Observer,
    header: Option<Header>,
    rows: Vec<u64>,
    ended: Option<String>,
}

impl Tally {
    fn new(observer: Observer) -> Self {
        Self { observer, header: None, rows: Vec::new(), ended: None }
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), Error> {
        match (&self.header, chunk.kind) {
            (None, Kind::Header) => {
                let header = Header::parse(&chunk.payload)?;
                self.rows = vec![0; header.tables.len()];
                self.header = Some(header);
            }
            (Some(header), Kind::Rows) if self.ended.is_none() => {
                let (number, count) = chunk.rows_of()?;
                let (Some(table), Some(rows)) = (header.tables.get(number), self.rows.get_mut(number)) else {
                    return Err(chunk::damaged("rows of a table that it does not name"));
                };
                *rows += count;
                let table = table.name.clone();
                let (rows, total) = (self.rows.iter().sum(), header.rows());
                (self.observer)(ArchiveProgress { table, rows, total });
            }
            (Some(_), Kind::End) if self.ended.is_none() => self.ended = Some(chunk.checksum()),
            _ => return Err(chunk::damaged("its parts are not in order")),
        }
        Ok(())
    }

    fn end(self) -> Result<Archived, Error> {
        let (Some(header), Some(checksum)) = (self.header, self.ended) else {
            return Err(chunk::damaged("it ends before its end"));
        };
        for (table, rows) in header.tables.iter().zip(&self.rows) {
            // Of what waits in files only the end is known.
            if table.rows != *rows && table.name != tables::SEGMENT.name {
                let text = format!("{} has {rows} rows, and should have {}", table.name, table.rows);
                return Err(chunk::damaged(&text));
            }
        }
        Ok(Archived { header, rows: self.rows.iter().sum(), checksum })
    }
}
