//! A page of matches, found by key and never by offset: the cursor holds the last row's sort keys and rid, and the highest
//! rid there was at the first page, so that what is written meanwhile neither repeats nor hides a row (REL-7).

use super::{
    compile::Compiler,
    contained,
    sort::{KEYS, fits, write_after, write_joins, write_keys, write_order},
    task::Search,
};
use crate::{
    Error, Matches, Version,
    backend::{Connection, Dialect},
    sql::{Alias, Row, Sql, Value},
    version::COLUMNS,
};
use tessera_model::{ResourceType, search::query::Contained};

/// A page of rids: those after one and up to another, the lowest first.
pub(crate) struct Window {
    pub(crate) after: i64,
    pub(crate) ceiling: i64,
    pub(crate) limit: i64,
}

impl Compiler<'_> {
    pub(super) fn within(&mut self, window: &Window, alias: Alias) {
        self.sql.column(alias, "rid").push(" > ").bind(window.after);
        self.sql.push(" AND ").column(alias, "rid").push(" <= ").bind(window.ceiling);
    }

    pub(super) fn cut(&mut self, window: &Window, alias: Alias) {
        self.sql.push(" ORDER BY ").column(alias, "rid").limit(window.limit);
    }
}

/// What has been found so far.
pub(super) struct Found {
    pub(super) rids: Vec<i64>,
    pub(super) matches: Vec<Version>,
    pub(super) included: Vec<Version>,
    pub(super) included_cut: bool,
    pub(super) not_granted: Vec<ResourceType>,
    pub(super) total: Option<i64>,
    next: Option<String>,
}

impl Found {
    pub(super) fn into_matches(self) -> Matches {
        Matches {
            contained: self.rids.iter().map(|rid| contained::number(*rid)).collect(),
            matches: self.matches,
            included: self.included,
            included_cut: self.included_cut,
            not_granted: self.not_granted,
            total: self.total,
            next: self.next,
            explanation: None,
        }
    }
}

pub(super) async fn run(search: &Search, connection: &mut dyn Connection) -> Result<Found, Error> {
    let (sql, cursor) = statement(search, connection.dialect())?;
    let rows = connection.query(&sql).await?;
    found(search, cursor.as_deref(), rows)
}

/// The statement that finds a page, and where it goes on from.
pub(super) fn statement(search: &Search, dialect: &'static Dialect) -> Result<(Sql, Option<Vec<Value>>), Error> {
    let keys = search.query.sort.len();
    let cursor = search.cursor.as_deref().map(|cursor| decode_cursor(cursor, keys + 2)).transpose()?;
    if let Some(values) = &cursor
        && !(fits(&search.query.sort, values) && matches!(values[keys..], [Value::Int(_), Value::Int(_)]))
    {
        return Err(Error::BadCursor);
    }
    let limit = i64::from(search.query.count) + 1;
    let returned = search.query.returned();
    let mut sql = Sql::new("SELECT ");
    let (resource, page) = (sql.alias(), sql.alias());
    sql.join(", ", COLUMNS, |sql, column| {
        sql.column(resource, column);
    });
    sql.push(", ").column(page, "rid").push(", (SELECT MAX(rid) FROM resource)");
    for name in &KEYS[..keys] {
        sql.push(", ").column(page, name);
    }
    sql.push(" FROM (");
    let mut compiler = search.compiler(sql, dialect);
    if keys == 0 {
        let (after, ceiling) = match cursor.as_deref() {
            Some([Value::Int(after), Value::Int(ceiling)]) => (*after, *ceiling),
            Some(_) => return Err(Error::BadCursor),
            None => (i64::MIN, i64::MAX),
        };
        let (lowest, highest) = contained::bounds(returned);
        let window = Window { after: after.max(lowest), ceiling: ceiling.min(highest), limit };
        compiler.returned(&search.query, Some(&window));
    } else {
        sorted(&mut compiler, search, cursor.as_deref(), limit)?;
    }
    compiler.sql.push(") ").name(page).push(" JOIN resource ").name(resource).push(" ON ");
    compiler.sql.column(resource, "rid").push(" = ");
    match returned {
        Contained::False => {
            compiler.sql.column(page, "rid");
        }
        Contained::True | Contained::Both => contained::write_container(&mut compiler.sql, page, "rid"),
    }
    write_order(&mut compiler, &search.query.sort, page);
    Ok((compiler.sql, cursor))
}

/// Writes the candidates with their sort keys, cut to the page.
fn sorted(compiler: &mut Compiler<'_>, search: &Search, cursor: Option<&[Value]>, limit: i64) -> Result<(), Error> {
    let sort = &search.query.sort;
    let (keyed, candidate) = (compiler.sql.alias(), compiler.sql.alias());
    compiler.sql.push("SELECT * FROM (SELECT ").column(candidate, "rid").push(" AS rid");
    let gathered = write_keys(compiler, sort, candidate, search.query.returned());
    compiler.sql.push(" FROM (");
    compiler.returned(&search.query, None);
    compiler.sql.push(") ").name(candidate);
    write_joins(compiler, &gathered, candidate);
    if let Some(ceiling) = cursor.and_then(<[Value]>::last) {
        compiler.sql.push(" WHERE ").column(candidate, "rid").push(" <= ").bind(ceiling.clone());
    }
    compiler.sql.push(") ").name(keyed);
    if let Some(cursor) = cursor {
        let Some(Value::Int(rid)) = cursor.get(sort.len()) else { return Err(Error::BadCursor) };
        compiler.sql.push(" WHERE ");
        write_after(compiler, sort, keyed, &cursor[..sort.len()], *rid);
    }
    write_order(compiler, sort, keyed);
    compiler.sql.limit(limit);
    Ok(())
}

fn found(search: &Search, cursor: Option<&[Value]>, mut rows: Vec<Row>) -> Result<Found, Error> {
    let count = usize::try_from(search.query.count).unwrap_or(usize::MAX);
    let more = rows.len() > count;
    rows.truncate(count);
    let first_key = COLUMNS.len() + 2;
    let next = rows.last().filter(|_| more).map(|row| {
        let highest = Value::Int(row.int(COLUMNS.len() + 1));
        let mut values = row.0[first_key..].to_vec();
        values.push(Value::Int(row.int(COLUMNS.len())));
        values.push(cursor.and_then(<[Value]>::last).cloned().unwrap_or(highest));
        encode_cursor(&values)
    });
    // The whole result is on this page: then its size is known.
    let total = (cursor.is_none() && !more).then(|| i64::try_from(rows.len()).unwrap_or(0));
    let rids = rows.iter().map(|row| row.int(COLUMNS.len())).collect();
    let matches = rows.iter_mut().map(|row| search.shown(row)).collect::<Result<_, _>>()?;
    Ok(Found { rids, matches, included: Vec::new(), included_cut: false, not_granted: Vec::new(), total, next })
}

/// A cursor as text of letters, digits, `-` and `_`.
pub(crate) fn encode_cursor(values: &[Value]) -> String {
    let mut out = String::new();
    for value in values {
        match value {
            Value::Null => out.push('n'),
            Value::Int(number) => {
                out.push('i');
                out.push_str(&number.to_string());
            }
            // The bits, so that the number comes back as it was.
            Value::Real(number) => {
                out.push('r');
                out.push_str(&number.to_bits().to_string());
            }
            Value::Text(text) => {
                out.push('t');
                text.bytes().for_each(|byte| out.push_str(&format!("{byte:02x}")));
            }
            // No column holds any.
            Value::Texts(_) => {}
        }
        out.push('_');
    }
    out
}

/// A cursor of that many values.
pub(crate) fn decode_cursor(text: &str, length: usize) -> Result<Vec<Value>, Error> {
    let value = |part: &str| -> Option<Value> {
        let rest = part.get(1..)?;
        Some(match part.as_bytes()[0] {
            b'n' if rest.is_empty() => Value::Null,
            b'i' => Value::Int(rest.parse().ok()?),
            b'r' => Value::Real(f64::from_bits(rest.parse().ok()?)),
            b't' => {
                let bytes: Option<Vec<u8>> =
                    (0..rest.len()).step_by(2).map(|at| u8::from_str_radix(rest.get(at..at + 2)?, 16).ok()).collect();
                // PostgreSQL has no text with U+0000.
                Value::Text(String::from_utf8(bytes?).ok().filter(|text| !text.contains('\0'))?)
            }
            _ => return None,
        })
    };
    let values: Option<Vec<Value>> = text.strip_suffix('_').and_then(|text| text.split('_').map(value).collect());
    values.filter(|values| values.len() == length).ok_or(Error::BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_were() {
        let values =
            [Value::Null, Value::Int(-7), Value::Real(0.1), Value::Text("é_x".into()), Value::Text(String::new())];
        let text = encode_cursor(&values);
        assert_eq!(decode_cursor(&text, 5).unwrap(), values);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        for bad in ["", "x_", "i_", "i1", "t0_", "t00_", "té_", "i1_i2_"] {
            assert!(decode_cursor(bad, 1).is_err(), "{bad}");
        }
    }
}
