//! What an archive says of itself, in lines of text.

use super::chunk::damaged;
use crate::{Error, backend::Kind};
use std::fmt::Write as _;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the last migration of its database.
    pub schema: i64,
    /// The version of the server that wrote it.
    pub version: String,
    /// When it was made.
    pub made: String,
    /// Which secret the server had ([`super::secret_mark`]); empty: it is not known.
    pub secret: String,
    /// The highest number of the change sequence in it.
    pub changes: i64,
    /// Its tables.
    pub tables: Vec<TableHeader>,
}

/// What an archive says of one of its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHeader {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its columns.
    pub(super) columns: Vec<(String, Kind)>,
}

impl Header {
    /// The rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// `schema 9`, `table resource 100 rid:bigint …`: a line each.
    pub(super) fn write(&self) -> Vec<u8> {
        let Self { schema, version, made, secret, changes, tables } = self;
        let mut text = format!("schema {schema}\nversion {version}\nmade {made}\nsecret {secret}\nchanges {changes}\n");
        for TableHeader { name, rows, columns } in tables {
            let _ = write!(text, "table {name} {rows}");
            for (column, kind) in columns {
                let _ = write!(text, " {column}:{}", kind.letter());
            }
            text.push('\n');
        }
        text.into_bytes()
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, Error> {
        std::str::from_utf8(payload).ok().and_then(Self::of_text).ok_or_else(|| damaged("its header cannot be read"))
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let (schema, version, made) = (value("schema")?, value("version")?, value("made")?);
        let (secret, changes) = (value("secret")?, value("changes")?);
        let tables = lines.map(|line| TableHeader::of_text(line.strip_prefix("table ")?)).collect::<Option<_>>()?;
        Some(Self { schema: schema.parse().ok()?, version, made, secret, changes: changes.parse().ok()?, tables })
    }
}

impl TableHeader {
    fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (name, rows) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let column = |word: &str| {
            let (name, letter) = word.split_once(':')?;
            Some((name.to_owned(), [Kind::Int, Kind::Real, Kind::Text].into_iter().find(|k| k.letter() == letter)?))
        };
        Some(Self { name, rows, columns: words.map(column).collect::<Option<_>>()? })
    }
}
