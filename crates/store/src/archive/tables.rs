//! The tables of an archive, in its order. What is not here is named in [`MADE_AGAIN`] and `LEFT_OUT`; a test compares both with the databases.

use crate::{
    audit,
    backend::{
        Kind::{Int, Text},
        Table,
    },
    index, parameters,
    transact::write,
};

/// A table, and how its rows are read.
pub(super) struct Part {
    pub(super) table: &'static Table,
    /// A key that makes the order of its rows the same each time, and that both databases have an index for.
    pub(super) order: &'static str,
    /// Which of its rows.
    pub(super) only: &'static str,
}

/// Lines of the audit folder. They become rows of `audit` where they arrive.
pub(super) static SEGMENT: Table = Table { name: "audit_segment", columns: &[("line", Text)], on_conflict: "" };

static HISTORY: Table = Table {
    name: "resource_history",
    columns: &[
        ("rid", Int),
        ("type", Int),
        ("version", Int),
        ("last_updated", Int),
        ("seq", Int),
        ("method", Int),
        ("patient", Int),
        ("body", Text),
    ],
    on_conflict: "",
};
static PURGE: Table = Table { name: "history_purge", columns: &[("rid", Int), ("version", Int)], on_conflict: "" };
static SETTING: Table = Table { name: "setting", columns: &[("name", Text), ("value", Text)], on_conflict: "" };
static IDEMPOTENCY: Table = Table {
    name: "idempotency",
    columns: &[("key", Text), ("request", Text), ("made", Int), ("answer", Text)],
    on_conflict: "",
};
static LATER: Table = Table {
    name: "later",
    columns: &[("id", Text), ("made", Int), ("beat", Int), ("state", Int), ("answer", Text), ("owner", Text)],
    on_conflict: "",
};
static RECORD: Table = Table {
    name: "record",
    columns: &[("kind", Int), ("key", Text), ("owner", Text), ("version", Int), ("expires", Int), ("body", Text)],
    on_conflict: "",
};
static CHECKPOINT: Table = Table {
    name: "audit_checkpoint",
    columns: &[("chain", Int), ("seq", Int), ("at", Int), ("hash", Text), ("signature", Text)],
    on_conflict: "",
};
static KEY: Table = Table { name: "audit_key", columns: &[("name", Text), ("wrapped", Text)], on_conflict: "" };

const fn part(table: &'static Table, order: &'static str) -> Part {
    Part { table, order, only: "" }
}

/// All of them.
pub(super) static PARTS: [Part; 20] = [
    // The other settings are a database's own.
    Part { table: &SETTING, order: "name", only: " WHERE name = 'base_url'" },
    part(&write::RESOURCE, "rid"),
    part(&HISTORY, "rid, version"),
    part(&PURGE, "rid"),
    part(&parameters::SEARCH_PARAMETER, "param"),
    part(&index::CONTAINED, "rid"),
    part(&index::TOKEN, "param, code, rid, system, ord"),
    part(&index::REFERENCE, "target, param, rid, ord"),
    part(&index::DATE, "param, low, high, rid, ord"),
    part(&index::STRING, "rid, param, norm, rest, exact, ord"),
    part(
        &index::QUANTITY,
        "rid, param, low, high, system, code, unit, canonical_low, canonical_high, canonical_unit, ord",
    ),
    part(&index::URI, "param, value, rid, version, ord"),
    part(&index::POSITION, "param, x, y, z, rid, ord"),
    part(&index::TEXT, "rid"),
    part(&RECORD, "kind, key"),
    part(&IDEMPOTENCY, "key"),
    part(&LATER, "id"),
    part(&audit::AUDIT, "chain, seq"),
    part(&CHECKPOINT, "chain, seq"),
    part(&KEY, "name"),
];

/// What is made of the other tables where an archive arrives. Archives made before held it.
pub(super) const MADE_AGAIN: [&str; 2] = ["audit_index", "audit_indexed"];
/// What else no archive holds: claims live as long as the transactions that made them.
#[cfg(test)]
const LEFT_OUT: [&str; 1] = ["claim"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Location, Synchronous,
        backend::{Kind, sqlite},
        migrate,
    };

    /// A table that a migration makes and nobody adds to the list would be lost by a backup.
    #[tokio::test]
    async fn every_table_and_column_is_in_an_archive_or_left_out_by_name() {
        let folder = std::env::temp_dir().join(format!("tessera-tables-{}", std::process::id()));
        let path = folder.join("test.db");
        migrate(&Location::Sqlite(path.clone())).await.unwrap();
        let connection = sqlite::open(&path, Synchronous::Full).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT m.name, p.name, CASE p.type WHEN 'INTEGER' THEN 'BIGINT' ELSE p.type END FROM sqlite_schema m, pragma_table_info(m.name) p WHERE m.type = 'table'
                 AND m.name NOT LIKE 'idx\\_text\\_words%' ESCAPE '\\' AND m.name NOT LIKE '\\_%' ESCAPE '\\'
                 AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, p.cid",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut there: Vec<(String, String, String)> = rows.map(Result::unwrap).collect();
        there.retain(|(table, ..)| !LEFT_OUT.iter().chain(&MADE_AGAIN).any(|left_out| left_out == table));
        let mut archived = Vec::new();
        for Part { table, .. } in &PARTS {
            let column =
                |(name, kind): &(&str, Kind)| (table.name.to_owned(), (*name).to_owned(), kind.name().to_uppercase());
            archived.extend(table.columns.iter().map(column));
        }
        // In the order of the table: SQLite's insertions name no columns.
        archived.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(archived, there);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
