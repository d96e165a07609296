//! The rows of a transaction: a handful of statements, however many resources it writes.

use super::transaction::Written;
use crate::{
    Error,
    backend::{Connection, Kind, Stamp, Table},
    index::Rows,
    job::Shared,
    sql::{Sql, Value},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::Ordering::Relaxed;
use tessera_model::{Id, IndexRow, IndexValue, Key, Patients};

use Kind::{Int, Text};

pub(crate) static RESOURCE: Table = Table {
    name: "resource",
    columns: &[
        ("rid", Int),
        ("type", Int),
        ("id", Text),
        ("version", Int),
        ("last_updated", Int),
        ("seq", Int),
        ("method", Int),
        ("deleted", Int),
        ("patient", Int),
        ("body", Text),
    ],
    on_conflict: "ON CONFLICT (rid) DO UPDATE SET version = excluded.version, last_updated = excluded.last_updated,
        seq = excluded.seq, method = excluded.method, deleted = excluded.deleted,
        patient = excluded.patient, body = excluded.body",
};

/// Resources that something refers to and that do not exist (yet).
static PLACEHOLDER: Table =
    Table { name: "resource", columns: RESOURCE.columns, on_conflict: "ON CONFLICT (type, id) DO NOTHING" };

/// Rids of superseded versions that one statement moves to the history.
const MOVED_MAX: usize = 500;

/// Writes the versions, their forerunners and their index rows. The rids of all that was written and is referred to come back.
pub(super) async fn write(
    shared: &Shared,
    written: Vec<Written>,
    stamp: Stamp,
    connection: &mut dyn Connection,
) -> Result<FxHashMap<Key, i64>, Error> {
    if written.is_empty() {
        return Ok(FxHashMap::default());
    }
    let mut rids = own_rids(&written, stamp.rids, connection).await?;
    supersede(&written, connection).await?;
    let unknown = unknown_targets(written.iter().flat_map(|w| w.rows.iter().chain(&w.old_rows)), &rids);
    add_targets(shared, unknown, &mut rids, connection).await?;
    let resources = written.iter().map(|written| resource_row(written, stamp.seq, &rids)).collect();
    let (mut old, mut new) = (Rows::default(), Rows::default());
    let mut redefinitions = Vec::new();
    for written in written {
        let rid = rids[&written.key];
        let (mut before, mut after) = (Rows::default(), Rows::default());
        before.add(rid, &written.old_rows, &rids);
        after.add(rid, &written.rows, &rids);
        if !written.old_rows.is_empty() {
            after.cancel(&mut before);
        }
        old.append(before);
        new.append(after);
        redefinitions.extend(written.redefinition);
    }
    old.delete(connection).await?;
    connection.insert(&RESOURCE, resources).await?;
    shared.measures.index_rows.fetch_add(new.count(), Relaxed);
    new.insert(connection).await?;
    for redefinition in redefinitions {
        redefinition.perform(connection).await?;
    }
    Ok(rids)
}

fn resource_row(written: &Written, seq: i64, rids: &FxHashMap<Key, i64>) -> Vec<Value> {
    let version = &written.version;
    // A deletion belongs to whom its forerunner belonged to.
    let patient = match &written.before {
        Some(before) if version.is_deletion() => before.patient,
        _ => patient(&Patients::of(&written.key, &written.rows), rids),
    };
    vec![
        rids[&written.key].into(),
        written.key.resource_type.into(),
        written.key.id.as_str().into(),
        version.version.into(),
        version.last_updated.into(),
        seq.into(),
        version.method.number().into(),
        i64::from(version.is_deletion()).into(),
        patient.into(),
        version.body.as_str().into(),
    ]
}

/// Whose record it is of, as the column `patient` holds it. `rids` knows every key that is referred to.
pub(crate) fn patient(patients: &Patients, rids: &FxHashMap<Key, i64>) -> i64 {
    match patients {
        Patients::None => 0,
        Patients::One(key) => rids.get(key).copied().unwrap_or(SEVERAL),
        Patients::Several => SEVERAL,
    }
}

/// It is of the records of several patients, or of one kept elsewhere.
const SEVERAL: i64 = -1;

/// The rids of the resources written: new ones for those that have no row yet, `drawn` of them already.
async fn own_rids(
    written: &[Written],
    mut drawn: Vec<i64>,
    connection: &mut dyn Connection,
) -> Result<FxHashMap<Key, i64>, Error> {
    let new = written.iter().filter(|w| w.before.is_none()).count();
    if drawn.len() < new {
        drawn.extend(connection.new_rids(new - drawn.len()).await?);
    }
    let mut drawn = drawn.into_iter();
    let mut rid = |w: &Written| w.before.as_ref().map(|before| before.rid).or_else(|| drawn.next());
    Ok(written.iter().filter_map(|w| Some((w.key.clone(), rid(w)?))).collect())
}

/// Copies the versions that are about to be replaced into the history.
async fn supersede(written: &[Written], connection: &mut dyn Connection) -> Result<(), Error> {
    let live = |w: &Written| w.before.as_ref().filter(|b| b.version > 0).map(|b| b.rid);
    let rids: Vec<i64> = written.iter().filter_map(live).collect();
    for rids in rids.chunks(MOVED_MAX) {
        let mut sql = Sql::new(
            "INSERT INTO resource_history (rid, type, version, last_updated, seq, method, patient, body)
             SELECT rid, type, version, last_updated, seq, method, patient, body FROM resource WHERE rid IN ",
        );
        sql.bind_list(rids.iter().copied());
        connection.query(&sql).await?;
    }
    Ok(())
}

/// What the rows refer to and has no known rid yet, in order.
pub(crate) fn unknown_targets<'a>(rows: impl Iterator<Item = &'a IndexRow>, rids: &FxHashMap<Key, i64>) -> Vec<Key> {
    let referred = rows.filter_map(|row| if let IndexValue::Reference(key) = &row.value { Some(key) } else { None });
    let unknown: FxHashSet<&Key> = referred.filter(|key| !rids.contains_key(key)).collect();
    let mut unknown: Vec<Key> = unknown.into_iter().cloned().collect();
    unknown.sort_unstable();
    unknown
}

/// Adds the rids of what is referred to; what does not exist gets a row of version 0, and keeps its rid when it is created. In
/// (type, id) order, so that two writers never wait for each other.
pub(crate) async fn add_targets(
    shared: &Shared,
    mut unknown: Vec<Key>,
    rids: &mut FxHashMap<Key, i64>,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    if unknown.is_empty() {
        return Ok(());
    }
    look_up(shared, &unknown, rids, connection).await?;
    unknown.retain(|key| !rids.contains_key(key));
    if unknown.is_empty() {
        return Ok(());
    }
    let new = connection.new_rids(unknown.len()).await?;
    let placeholder = |(key, rid): (&Key, i64)| {
        let zero = || Value::Int(0);
        vec![
            rid.into(),
            key.resource_type.into(),
            key.id.as_str().into(),
            zero(),
            zero(),
            zero(),
            zero(),
            1.into(),
            zero(),
            "".into(),
        ]
    };
    connection.insert(&PLACEHOLDER, unknown.iter().zip(new).map(placeholder).collect()).await?;
    // Another writer may have made some of them in the meantime: then theirs count.
    look_up(shared, &unknown, rids, connection).await
}

async fn look_up(
    shared: &Shared,
    keys: &[Key],
    rids: &mut FxHashMap<Key, i64>,
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let wanted: Vec<(i64, String)> = keys.iter().map(|key| (key.resource_type.number(), key.id.to_string())).collect();
    for row in connection.find(&wanted, false).await? {
        let resource_type = shared.definitions.resource_type_numbered(row.int(1));
        if let (Some(resource_type), Some(id)) = (resource_type, Id::parse(row.text(2))) {
            rids.insert(Key::new(resource_type, id), row.int(0));
        }
    }
    Ok(())
}
