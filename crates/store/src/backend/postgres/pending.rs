//! Changes of many tables' rows as one statement: a list of parts, each with its rows as one array a column.
//! <https://www.postgresql.org/docs/15/queries-with.html#QUERIES-WITH-MODIFYING>

use crate::{
    backend::{Kind, Table},
    sql::Value,
};
use sqlx::{postgres::PgArguments, query::Query};
use std::fmt::Write as _;

/// Rows that are put off at most: those of large bundles go table by table, so that they are not all in memory twice.
const ROWS_MAX: usize = 5_000;

/// What is done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Inserted,
    Deleted,
}

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) what: Rows,
    pub(super) table: &'static Table,
    pub(super) rows: Vec<Vec<Value>>,
}

/// Whether the next may be done in one statement with the others. The parts of a statement see none of each other's changes, and
/// no order is promised: so they are of different tables, and all insert or all delete.
pub(super) fn fits(pending: &[Pending], next: &Pending) -> bool {
    let rows: usize = pending.iter().map(|one| one.rows.len()).sum();
    let together = |one: &Pending| one.what == next.what && one.table.name != next.table.name;
    pending.is_empty() || (pending.iter().all(together) && rows + next.rows.len() <= ROWS_MAX)
}

/// `WITH w0 AS (INSERT …), w1 AS (INSERT …) INSERT …`
pub(super) fn statement(pending: &[Pending]) -> String {
    let (mut text, mut bound) = (String::new(), 0);
    for (n, one) in pending.iter().enumerate() {
        let last = n + 1 == pending.len();
        if !last {
            let _ = write!(text, "{}w{n} AS (", if n == 0 { "WITH " } else { ", " });
        } else if n > 0 {
            text.push(' ');
        }
        one.write(&mut text, bound);
        if !last {
            text.push(')');
        }
        bound += one.table.columns.len();
    }
    text
}

impl Pending {
    /// Writes its part; the columns are bound behind `bound` others.
    fn write(&self, text: &mut String, bound: usize) {
        let names: Vec<&str> = self.table.columns.iter().map(|(name, _)| *name).collect();
        let columns = names.join(", ");
        let name = self.table.name;
        let _ = match self.what {
            Rows::Inserted => {
                let rows = unnest(self.table, bound, |array| array);
                write!(text, "INSERT INTO {name} ({columns}) SELECT * FROM {rows} {}", self.table.on_conflict)
            }
            Rows::Deleted => {
                // Its plan is kept, and right for any number of rows: the planner does not see how many there are, and looks
                // each of them up, even where it takes the table for small. A plan for each deletion took four times as long
                // as the deletion.
                let rows = unnest(self.table, bound, |array| format!("(SELECT {array})"));
                let equal: Vec<String> = names.iter().map(|column| format!("t.{column} = k.{column}")).collect();
                let place = format!("SELECT ctid FROM {name} AS t WHERE {} OFFSET 0", equal.join(" AND "));
                let places = format!("SELECT p.ctid FROM {rows} AS k({columns}) CROSS JOIN LATERAL ({place}) AS p");
                write!(text, "DELETE FROM {name} WHERE ctid = ANY (ARRAY({places}))")
            }
        };
    }

    /// Binds each column of the rows as one array.
    pub(super) fn bind<'q>(
        self,
        mut query: Query<'q, sqlx::Postgres, PgArguments>,
    ) -> Query<'q, sqlx::Postgres, PgArguments> {
        let width = self.table.columns.len();
        let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(self.rows.len())).collect();
        for row in self.rows {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        for (values, (_, kind)) in columns.into_iter().zip(self.table.columns) {
            query =
                match kind {
                    Kind::Int => query
                        .bind(values.iter().map(|v| if let Value::Int(n) = v { *n } else { 0 }).collect::<Vec<_>>()),
                    Kind::Real => query
                        .bind(values.iter().map(|v| if let Value::Real(n) = v { *n } else { 0.0 }).collect::<Vec<_>>()),
                    Kind::Text => {
                        let text = |value| if let Value::Text(text) = value { text } else { String::new() };
                        query.bind(values.into_iter().map(text).collect::<Vec<_>>())
                    }
                };
        }
        query
    }
}

/// `unnest($1::bigint[], $2::text[])`
fn unnest(table: &Table, bound: usize, array: impl Fn(String) -> String) -> String {
    let columns = table.columns.iter().enumerate();
    let arrays: Vec<String> =
        columns.map(|(n, (_, kind))| array(format!("${}::{}[]", bound + n + 1, kind.name()))).collect();
    format!("unnest({})", arrays.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    static A: Table = Table { name: "a", columns: &[("x", Kind::Int)], on_conflict: "ON CONFLICT DO NOTHING" };
    static B: Table = Table { name: "b", columns: &[("y", Kind::Text), ("z", Kind::Real)], on_conflict: "" };

    fn pending(what: Rows, table: &'static Table, count: usize) -> Pending {
        Pending { what, table, rows: vec![Vec::new(); count] }
    }

    #[test]
    fn rows_of_several_tables_are_one_statement() {
        let both = [pending(Rows::Inserted, &A, 1), pending(Rows::Inserted, &B, 1)];
        assert_eq!(
            statement(&both).replace("  ", " "),
            "WITH w0 AS (INSERT INTO a (x) SELECT * FROM unnest($1::bigint[]) ON CONFLICT DO NOTHING) \
             INSERT INTO b (y, z) SELECT * FROM unnest($2::text[], $3::double precision[]) "
        );
        assert_eq!(
            statement(&[pending(Rows::Deleted, &B, 1)]),
            "DELETE FROM b WHERE ctid = ANY (ARRAY(SELECT p.ctid \
             FROM unnest((SELECT $1::text[]), (SELECT $2::double precision[])) AS k(y, z) \
             CROSS JOIN LATERAL (SELECT ctid FROM b AS t WHERE t.y = k.y AND t.z = k.z OFFSET 0) AS p))"
        );
    }

    #[test]
    fn what_needs_an_order_is_not_one_statement() {
        let first = [pending(Rows::Inserted, &A, 1)];
        assert!(fits(&first, &pending(Rows::Inserted, &B, 1)));
        assert!(!fits(&first, &pending(Rows::Inserted, &A, 1)), "the same table");
        assert!(!fits(&first, &pending(Rows::Deleted, &B, 1)), "another kind");
        assert!(!fits(&first, &pending(Rows::Inserted, &B, ROWS_MAX)), "too many");
        assert!(fits(&[], &pending(Rows::Inserted, &B, ROWS_MAX + 1)), "alone, however many");
    }
}
