//! Stored SearchParameters: what they define stands in a table of its own, is loaded into [`Definitions`], and changes in the
//! transaction that changes the resource. <https://hl7.org/fhir/R4/searchparameter.html>
//!
//! A parameter's index rows carry its number. Another definition is another number, so rows of two definitions never mix;
//! those of the old one are cleared away by and by (`indexing.rs`). Whoever writes resources does so by the newest state of
//! the table, or does it again: see [`Dialect::parameters_version`](crate::backend::Dialect).

pub(crate) mod indexing;

use crate::{
    Error,
    backend::{Connection, Kind, Table},
    sql::{Row, Sql},
};
use std::sync::{Arc, PoisonError, RwLock};
use tessera_model::{
    Definitions, Key, Resource, ResourceType,
    definitions::{COMPONENTS_MAX, ParameterId, Readiness, StoredDefinition, is_definition},
};

use Kind::{Int, Text};

pub(crate) static SEARCH_PARAMETER: Table = Table {
    name: "search_parameter",
    columns: &[
        ("param", Int),
        ("rid", Int),
        ("type", Int),
        ("code", Text),
        ("definition", Text),
        ("state", Int),
        ("done", Int),
    ],
    on_conflict: "",
};

/// The numbers of the specification's parameters are all below.
pub(crate) const FIRST: i64 = ParameterId::STORED_FIRST;
/// A parameter, then its components.
const NUMBERS_EACH: i64 = COMPONENTS_MAX as i64 + 1;

/// The parameter that a number stands for, be it that of a component.
pub(crate) fn whole(number: i64) -> i64 {
    number - (number - FIRST) % NUMBERS_EACH
}

/// How far a parameter is; databases hold the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything is indexed for it.
    Ready = 0,
    /// What was stored before it is being indexed.
    Indexing = 1,
    /// Whether all of it is indexed is being looked at.
    Verifying = 2,
    /// It is no more; its rows are being cleared away.
    Retired = 3,
    /// It could not be verified.
    Failed = 4,
}

impl State {
    fn numbered(number: i64) -> Self {
        match number {
            0 => Self::Ready,
            1 => Self::Indexing,
            2 => Self::Verifying,
            3 => Self::Retired,
            _ => Self::Failed,
        }
    }
}

/// A row of the table.
pub(crate) struct Stored {
    param: i64,
    resource_type: ResourceType,
    definition: StoredDefinition,
    state: State,
    done: i64,
}

const COLUMNS: &str = "SELECT param, type, definition, state, done FROM search_parameter";

impl Stored {
    fn read(row: &Row) -> Result<Self, Error> {
        let broken = || Error::Backend(format!("search parameter {} cannot be read", row.int(0)));
        let definitions = Definitions::r4();
        Ok(Self {
            param: row.int(0),
            resource_type: definitions.resource_type_numbered(row.int(1)).ok_or_else(broken)?,
            definition: StoredDefinition::parse(row.text(2)).ok_or_else(broken)?,
            state: State::numbered(row.int(3)),
            done: row.int(4),
        })
    }

    fn parameter(&self, highest: i64) -> tessera_model::definitions::SearchParameter {
        let done = u8::try_from(self.done.saturating_mul(100) / highest.max(1)).unwrap_or(100).min(99);
        let readiness = match self.state {
            State::Ready => Readiness::Ready,
            // Two passes over everything: one that writes, one that verifies.
            State::Indexing => Readiness::Indexing(done / 2),
            State::Verifying => Readiness::Indexing(50 + done / 2),
            State::Retired | State::Failed => {
                Readiness::Unusable("indexing it has failed; an administrator can start it again with $reindex".into())
            }
        };
        self.definition.parameter(ParameterId(self.param), self.resource_type, readiness, Definitions::r4())
    }
}

/// The definitions as they were when last looked at.
#[derive(Debug)]
pub(crate) struct Current(RwLock<Arc<Definitions>>);

impl Default for Current {
    fn default() -> Self {
        Self(RwLock::new(Arc::new(Definitions::with_stored(0, Vec::new()))))
    }
}

impl Current {
    /// The definitions.
    pub(crate) fn get(&self) -> Arc<Definitions> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what was loaded, unless somebody who loaded later was faster.
    pub(crate) fn keep(&self, loaded: Arc<Definitions>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if loaded.stored_version() >= current.stored_version() {
            *current = loaded;
        }
    }
}

/// The definitions as the table has them now.
pub(crate) async fn load(connection: &mut dyn Connection) -> Result<Arc<Definitions>, Error> {
    // Whoever has just counted up must have ended, or the new count would be taken for the old rows.
    lock(connection, false).await?;
    let version = version(connection).await?;
    let highest =
        connection.query(&Sql::new("SELECT MAX(rid) FROM resource")).await?.first().map_or(0, |row| row.int(0));
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE state <> ").bind(State::Retired as i64).push(" ORDER BY param");
    let rows = connection.query(&sql).await?;
    let stored = rows.iter().map(Stored::read).collect::<Result<Vec<_>, _>>()?;
    let parameters = stored.iter().map(|stored| stored.parameter(highest)).collect();
    Ok(Arc::new(Definitions::with_stored(version, parameters)))
}

/// The number of the state of the table.
pub(crate) async fn version(connection: &mut dyn Connection) -> Result<i64, Error> {
    let sql = Sql::new(connection.dialect().parameters_version);
    Ok(connection.query(&sql).await?.first().map_or(0, |row| row.int(0)))
}

/// Keeps the table as it is until the transaction ends; `alone`: and keeps away whoever writes by it.
pub(crate) async fn lock(connection: &mut dyn Connection, alone: bool) -> Result<(), Error> {
    if let Some((shared, exclusive)) = connection.dialect().lock_parameters {
        connection.query(&Sql::new(if alone { exclusive } else { shared })).await?;
    }
    Ok(())
}

async fn count_up(connection: &mut dyn Connection) -> Result<(), Error> {
    let sql = Sql::new(connection.dialect().parameters_changed);
    connection.query(&sql).await?;
    Ok(())
}

/// What a written version defines from now on.
pub(crate) struct Redefinition {
    key: Key,
    definition: Option<StoredDefinition>,
    types: Vec<ResourceType>,
}

impl Redefinition {
    /// `None` if resources of this type define nothing. `resource`: the new version; `None`: it is deleted.
    pub(crate) fn of(key: &Key, resource: Option<&Resource>, definitions: &Definitions) -> Option<Self> {
        if !is_definition(key.resource_type) {
            return None;
        }
        let definition = resource.and_then(StoredDefinition::of);
        let types = resource.filter(|_| definition.is_some()).map(|r| StoredDefinition::types(r, definitions));
        Some(Self { key: key.clone(), definition, types: types.unwrap_or_default() })
    }

    /// Brings the table up to it, after the resource was written. The lock is held alone.
    pub(crate) async fn perform(&self, connection: &mut dyn Connection) -> Result<(), Error> {
        let key = (self.key.resource_type.number(), self.key.id.to_string());
        let Some(rid) = connection.find(&[key], false).await?.first().map(|row| row.int(0)) else { return Ok(()) };
        let mut sql = Sql::new(COLUMNS);
        sql.push(" WHERE rid = ").bind(rid).push(" AND state <> ").bind(State::Retired as i64);
        let before = connection.query(&sql).await?.iter().map(Stored::read).collect::<Result<Vec<_>, _>>()?;
        let text = self.definition.as_ref().map_or("", StoredDefinition::text);
        let stays = |stored: &&Stored| self.types.contains(&stored.resource_type) && stored.definition.text() == text;
        let retired: Vec<i64> = before.iter().filter(|stored| !stays(stored)).map(|stored| stored.param).collect();
        let has = |t: &ResourceType| before.iter().any(|stored| stored.resource_type == *t && stays(&stored));
        let new: Vec<ResourceType> = self.types.iter().copied().filter(|t| !has(t)).collect();
        if retired.is_empty() && new.is_empty() {
            return Ok(());
        }
        if !retired.is_empty() {
            set_state(&retired, State::Retired, connection).await?;
        }
        if let Some(definition) = &self.definition {
            define(rid, definition, &new, connection).await?;
        }
        count_up(connection).await
    }
}

async fn set_state(params: &[i64], state: State, connection: &mut dyn Connection) -> Result<(), Error> {
    let mut sql = Sql::new("UPDATE search_parameter SET done = 0, state = ");
    sql.bind(state as i64).push(" WHERE param IN ").bind_list(params.iter().copied());
    connection.query(&sql).await?;
    Ok(())
}

/// Adds a row for each of the types.
async fn define(
    rid: i64,
    definition: &StoredDefinition,
    types: &[ResourceType],
    connection: &mut dyn Connection,
) -> Result<(), Error> {
    let code = definition.code();
    let highest = connection.query(&Sql::new("SELECT MAX(param) FROM search_parameter")).await?;
    let mut param = highest.first().map_or(0, |row| row.int(0)).max(FIRST);
    let mut rows = Vec::with_capacity(types.len());
    for &resource_type in types {
        let mut sql = Sql::new("SELECT 1 FROM search_parameter WHERE type = ");
        sql.bind(resource_type).push(" AND code = ").bind(code.as_str());
        sql.push(" AND state <> ").bind(State::Retired as i64).push(" LIMIT 1");
        if !connection.query(&sql).await?.is_empty() {
            return Err(Error::ParameterTaken { code, resource_type });
        }
        let mut sql = Sql::new("SELECT 1 FROM resource WHERE type = ");
        sql.bind(resource_type).push(" AND deleted = 0 LIMIT 1");
        // Where there is nothing yet, everything that comes will be indexed as it is written.
        let state = if connection.query(&sql).await?.is_empty() { State::Ready } else { State::Indexing };
        param += NUMBERS_EACH;
        rows.push(vec![
            param.into(),
            rid.into(),
            resource_type.into(),
            code.as_str().into(),
            definition.text().into(),
            (state as i64).into(),
            0.into(),
        ]);
    }
    connection.insert(&SEARCH_PARAMETER, rows).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_that_were_loaded_before_others_do_not_replace_them() {
        let current = Current::default();
        let loaded = |version| Arc::new(Definitions::with_stored(version, Vec::new()));
        for (version, stays) in [(2, 2), (1, 2), (3, 3), (3, 3)] {
            current.keep(loaded(version));
            assert_eq!(current.get().stored_version(), stays);
        }
    }
}
