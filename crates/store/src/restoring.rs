//! The mark of a database that is being restored: while it is there, nobody opens the database, since half of what it should
//! hold is missing. It says how far the restoration is.

use crate::{Error, sql::Sql};

/// Why such a database is not opened.
pub(crate) fn unfinished() -> Error {
    Error::Archive(
        "this database is not complete: what fills it (restore or migrate-to) has not ended; run it again to go on"
            .to_owned(),
    )
}

/// Finds the mark.
pub(crate) fn state() -> Sql {
    Sql::new("SELECT value FROM setting WHERE name = 'restoring'")
}

/// Counts the marks.
pub(crate) fn is_unfinished() -> Sql {
    Sql::new("SELECT COUNT(*) FROM setting WHERE name = 'restoring'")
}

/// Sets the mark: nothing is there yet.
pub(crate) fn begin() -> Sql {
    let mut sql = Sql::new("INSERT INTO setting (name, value) VALUES ('restoring', ");
    sql.bind(mark(0, "-")).push(") ON CONFLICT (name) DO UPDATE SET value = excluded.value");
    sql
}

/// Moves the mark on. It finds a row only if the mark is where it was left: another process may be at it too, or the last
/// statements of one that was killed.
pub(crate) fn move_on(from: &str, to: &str) -> Sql {
    let mut sql = Sql::new("UPDATE setting SET value = ");
    sql.bind(to).push(" WHERE name = 'restoring' AND value = ").bind(from).push(" RETURNING name");
    sql
}

/// That many parts are there, the last of them with this checksum.
pub(crate) fn mark(parts: u64, checksum: &str) -> String {
    format!("{parts} {checksum}")
}

/// Removes it.
pub(crate) fn forget() -> Sql {
    Sql::new("DELETE FROM setting WHERE name = 'restoring'")
}
