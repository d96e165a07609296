//! `tessera check`: recomputes every index row from the stored JSON, looks for gaps between versions, and mends the index if
//! asked to (REL-5).

use crate::{
    Error, Method, SqlStore,
    backend::{Connection, Isolation, Reading},
    index::{Rows, TABLES, Tables},
    job::{Shared, job},
    parameters,
    search::contained,
    sql::{Row, Sql, Value},
    transact::write,
};
use rustc_hash::{FxHashMap, FxHashSet};
use tessera_model::{
    Id, Key, Patients, Resource,
    definitions::{Readiness, SearchParameter},
    search::extract,
};

/// Resources looked at in one go. Two index tables have no key by rid, so each go is one pass over them.
const BATCH: i64 = 20_000;

/// What a check has found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Resources looked at, deleted ones not counted.
    pub resources: u64,
    /// What differs, the first few of it.
    pub differences: Vec<Difference>,
    /// How much differs.
    pub count: u64,
}

/// A resource that is not as it should be.
#[derive(Clone, Debug)]
pub struct Difference {
    /// `Type/id`, or a rid where there is no such resource.
    pub resource: String,
    /// What is wrong.
    pub text: String,
}

/// Differences named in a report.
const NAMED_MAX: usize = 100;

impl Report {
    fn add(&mut self, resource: String, text: String) {
        self.count += 1;
        if self.differences.len() < NAMED_MAX {
            self.differences.push(Difference { resource, text });
        }
    }
}

impl SqlStore {
    /// Compares every index row with what the stored JSON says; with `repair`, replaces those that differ.
    ///
    /// # Errors
    /// [`Error::Backend`] if the database fails.
    pub async fn check(&self, repair: bool) -> Result<Report, Error> {
        let shared = self.shared();
        let highest = job(shared.clone(), |_, c| {
            Box::pin(async move {
                Ok(c.query(&Sql::new("SELECT MAX(rid) FROM resource")).await?.first().map_or(0, |r| r.int(0)))
            })
        });
        let highest: i64 = self.backend().read(Reading::Once, highest).await?;
        let mut report = Report::default();
        let mut from = 0;
        while from <= highest {
            let state = (shared.clone(), from, repair);
            let run = job(state, |s, c| Box::pin(async move { batch(&s.0, s.1, s.2, c).await }));
            // The time limit of a read is for searches; this takes what it takes.
            let part: Report = self.writing(Isolation::ReadCommitted, run).await?;
            report.resources += part.resources;
            report.count += part.count;
            report.differences.extend(part.differences);
            report.differences.truncate(NAMED_MAX);
            from += BATCH;
        }
        Ok(report)
    }
}

async fn batch(shared: &Shared, from: i64, repair: bool, connection: &mut dyn Connection) -> Result<Report, Error> {
    let mut report = Report::default();
    let keys = keys(shared, connection).await?;
    let mut sql =
        Sql::new("SELECT rid, type, id, version, deleted, body, patient FROM resource WHERE version > 0 AND rid >= ");
    sql.bind(from).push(" AND rid < ").bind(from + BATCH);
    let mut names: FxHashMap<i64, String> = FxHashMap::default();
    let mut expected = Rows::default();
    let mut patients: Vec<Misfiled> = Vec::new();
    for row in connection.query(&sql).await? {
        let name = keys.names.get(&row.int(0)).cloned().unwrap_or_default();
        if row.int(4) == 0 {
            report.resources += 1;
            match Resource::parse(row.text(5), &shared.definitions) {
                Ok(resource) => {
                    stamped(&resource, &row, &name, &mut report);
                    let rows = rows_of(&resource, shared);
                    let patient = patient_of(&resource, &row, &rows, &keys);
                    if patient != row.int(6) {
                        report.add(name.clone(), OTHER_PATIENT.to_owned());
                        patients.push(Misfiled { rid: row.int(0), version: None, patient });
                    }
                    expected.add(row.int(0), &rows, &keys.rids);
                }
                Err(error) => report.add(name.clone(), format!("the stored body cannot be read: {error}")),
            }
        }
        names.insert(row.int(0), name);
    }
    versions(from, &names, &mut report, connection).await?;
    let settled = shared.definitions.stored_parameters().filter(|p| is_settled(p)).map(|p| p.id.0).collect();
    let actual = actual(from, &settled, connection).await?;
    compare(expected, actual, &names, repair, &mut report, connection).await?;
    forerunners(shared, from, &keys, &mut patients, &mut report, connection).await?;
    if repair {
        refile(&patients, connection).await?;
    }
    Ok(report)
}

/// A version whose row names another patient than its content.
struct Misfiled {
    rid: i64,
    /// Which one; `None`: the current one.
    version: Option<i64>,
    patient: i64,
}

/// Writes whose record they are of.
async fn refile(misfiled: &[Misfiled], connection: &mut dyn Connection) -> Result<(), Error> {
    for Misfiled { rid, version, patient } in misfiled {
        let table = if version.is_some() { "resource_history" } else { "resource" };
        let mut sql = Sql::new("UPDATE ");
        sql.push(table).push(" SET patient = ").bind(*patient).push(" WHERE rid = ").bind(*rid);
        if let Some(version) = version {
            sql.push(" AND version = ").bind(*version);
        }
        connection.query(&sql).await?;
    }
    Ok(())
}

const OTHER_PATIENT: &str = "its row says that it belongs to another patient's record, or to none";

/// The rid of the patient whose record a version is of, as its content says.
fn patient_of(resource: &Resource, row: &Row, rows: &[tessera_model::IndexRow], keys: &Keys) -> i64 {
    let key = Id::parse(row.text(2)).map(|id| Key::new(resource.resource_type(), id));
    key.map_or(0, |key| write::patient(&Patients::of(&key, rows), &keys.rids))
}

/// Whose record the versions before the current one are of; a deletion is of its forerunner's.
async fn forerunners(
    shared: &Shared,
    from: i64,
    keys: &Keys,
    wrong: &mut Vec<Misfiled>,
    report: &mut Report,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let mut sql = Sql::new(
        "SELECT h.rid, h.type, r.id, h.version, h.method, h.body, h.patient, r.version, r.deleted, r.patient
         FROM resource_history h JOIN resource r ON r.rid = h.rid WHERE h.rid >= ",
    );
    sql.bind(from).push(" AND h.rid < ").bind(from + BATCH).push(" ORDER BY h.rid, h.version");
    let mut before = (0, 0);
    for row in connection.query(&sql).await? {
        let rid = row.int(0);
        let inherited = if before.0 == rid { before.1 } else { row.int(6) };
        let patient = if row.int(4) == Method::Delete.number() {
            inherited
        } else {
            let resource = Resource::parse(row.text(5), &shared.definitions)?;
            let rows = extract::extract(&resource, &shared.base, &shared.definitions);
            patient_of(&resource, &row, &rows, keys)
        };
        before = (rid, patient);
        let name = || keys.names.get(&rid).cloned().unwrap_or_default();
        if patient != row.int(6) {
            report.add(name(), format!("version {}: {OTHER_PATIENT}", row.int(3)));
            wrong.push(Misfiled { rid, version: Some(row.int(3)), patient });
        }
        if row.int(8) != 0 && row.int(3) + 1 == row.int(7) && patient != row.int(9) {
            report.add(name(), OTHER_PATIENT.to_owned());
            wrong.push(Misfiled { rid, version: None, patient });
        }
    }
    Ok(())
}

/// What the index must hold. What is being indexed for a stored parameter has a verification of its own.
fn rows_of(resource: &Resource, shared: &Shared) -> Vec<tessera_model::IndexRow> {
    let settled = |of_type| shared.definitions.indexed_parameters(of_type).filter(|p| is_settled(p)).collect();
    extract::extract_for(resource, &settled, &shared.base, &shared.definitions)
}

fn is_settled(parameter: &SearchParameter) -> bool {
    parameter.readiness == Readiness::Ready
}

/// The rid of every key, and the key of every rid.
struct Keys {
    rids: FxHashMap<Key, i64>,
    names: FxHashMap<i64, String>,
}

async fn keys(shared: &Shared, connection: &mut dyn Connection) -> Result<Keys, Error> {
    let mut keys = Keys { rids: FxHashMap::default(), names: FxHashMap::default() };
    for row in connection.query(&Sql::new("SELECT rid, type, id FROM resource")).await? {
        let resource_type = shared.definitions.resource_type_numbered(row.int(1));
        if let (Some(resource_type), Some(id)) = (resource_type, Id::parse(row.text(2))) {
            let key = Key::new(resource_type, id);
            keys.names.insert(row.int(0), key.to_string());
            keys.rids.insert(key, row.int(0));
        }
    }
    Ok(keys)
}

/// The body says the id and version that its row says.
fn stamped(resource: &Resource, row: &Row, name: &str, report: &mut Report) {
    let version =
        resource.node().get("meta").and_then(|meta| meta.get_str("versionId").map(std::borrow::Cow::into_owned));
    if resource.id().as_deref() != Some(row.text(2)) || version.as_deref() != Some(row.int(3).to_string().as_str()) {
        report.add(name.to_owned(), "the stored body has another id or version than its row".to_owned());
    }
}

/// Versions 1 … n without gaps: n − 1 of them in the history, from 1, or from the first one that was not purged (REL-4).
async fn versions(
    from: i64,
    names: &FxHashMap<i64, String>,
    report: &mut Report,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let mut sql = Sql::new(
        "SELECT r.rid, r.version, COUNT(h.version), MIN(h.version), MAX(h.version), COALESCE(MAX(p.version), 1)
         FROM resource r LEFT JOIN resource_history h ON h.rid = r.rid LEFT JOIN history_purge p ON p.rid = r.rid
         WHERE r.version > 0 AND r.rid >= ",
    );
    sql.bind(from).push(" AND r.rid < ").bind(from + BATCH).push(" GROUP BY r.rid, r.version");
    for row in connection.query(&sql).await? {
        let (current, count, first, last, oldest) = (row.int(1), row.int(2), row.int(3), row.int(4), row.int(5));
        let whole = count == current - oldest && (count == 0 || first == oldest && last == current - 1);
        if !whole {
            let name = names.get(&row.int(0)).cloned().unwrap_or_default();
            report.add(name, format!("version {current} has {count} forerunners"));
        }
    }
    Ok(())
}

/// The rows that the tables hold, of the specification's parameters and of these.
async fn actual(from: i64, settled: &FxHashSet<i64>, connection: &mut dyn Connection) -> Result<Rows, Error> {
    let counts = |row: &Row| row.int(1) < parameters::FIRST || settled.contains(&parameters::whole(row.int(1)));
    let mut tables = Tables::default();
    for (rows, table) in tables.iter_mut().zip(TABLES) {
        let mut sql = Sql::new("SELECT ");
        sql.join(", ", table.columns, |sql, (column, _)| {
            sql.push(column);
        });
        sql.push(" FROM ").push(table.name).push(" WHERE ");
        contained::write_range(&mut sql, from, from + BATCH);
        *rows = connection.query(&sql).await?.into_iter().filter(&counts).map(|row| row.0).collect();
    }
    Ok(Rows::from_tables(tables))
}

async fn compare(
    expected: Rows,
    actual: Rows,
    names: &FxHashMap<i64, String>,
    repair: bool,
    report: &mut Report,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let (mut missing, mut surplus): (Tables, Tables) = Default::default();
    for (n, (expected, actual)) in expected.into_tables().into_iter().zip(actual.into_tables()).enumerate() {
        let mut counts: FxHashMap<String, (i64, Vec<Value>)> = FxHashMap::default();
        for (rows, sign) in [(expected, 1), (actual, -1)] {
            for row in rows {
                let entry = counts.entry(format!("{row:?}")).or_insert((0, row));
                // An index is a set: a value that stands twice in a resource stands once in it.
                entry.0 = if sign > 0 { 1 } else { entry.0 - 1 };
            }
        }
        for (balance, row) in counts.into_values().filter(|(balance, _)| *balance != 0) {
            let rid = if let Some(Value::Int(rid)) = row.first() { *rid } else { 0 };
            let name = names.get(&contained::container(rid)).cloned().unwrap_or_else(|| format!("rid {rid}"));
            let verb = if balance > 0 { "lacks a row" } else { "holds a row too many" };
            report.add(name, format!("{} {verb}", TABLES[n].name));
            if balance > 0 { missing[n].push(row) } else { surplus[n].push(row) }
        }
    }
    if repair {
        Rows::from_tables(surplus).delete(connection).await?;
        Rows::from_tables(missing).insert(connection).await?;
    }
    Ok(())
}
