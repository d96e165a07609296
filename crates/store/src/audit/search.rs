//! Finds recorded events: by their own few columns, not by the index of resources (AUD-9).

use super::{
    Audit, Event,
    record::{COLUMNS, Record, id_of, place_of},
};
use crate::{Error, backend::Connection, sql::Sql};
use tessera_model::temporal::Micros;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// With one of these ids.
    pub ids: Option<Vec<String>>,
    /// Recorded in each of these ranges: from the first time, before the second.
    pub times: Vec<(Option<Micros>, Option<Micros>)>,
    /// With one of these outcomes.
    pub outcomes: Option<Vec<i64>>,
    /// Of each of these lists, one holds.
    pub fields: Vec<Vec<EventField>>,
}

/// A field with one of these values.
#[expect(missing_docs, reason = "the names are those of `Event`")]
#[derive(Clone, Debug)]
pub enum EventField {
    Interaction(Vec<String>),
    Action(Vec<String>),
    Client(Vec<String>),
    Agent(Vec<String>),
    Patient(Vec<String>),
    What(Vec<String>),
    /// An operation, whatever its name.
    Operations,
    /// An interaction of FHIR, or what nobody could tell.
    Rest,
}

/// Which of them at a time.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// How many at most.
    pub count: u32,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Count them all, too.
    pub total: bool,
}

/// A page of events.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// In order.
    pub events: Vec<RecordedEvent>,
    /// For [`EventPage::cursor`], if there are more.
    pub next: Option<String>,
    /// How many there are, if that was asked for.
    pub total: Option<i64>,
}

/// An event with its id.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Its id.
    pub id: String,
    /// What it says; the query is empty if its key is gone.
    pub event: Event,
}

pub(crate) async fn find(
    audit: &Audit,
    query: &EventQuery,
    page: &EventPage,
    connection: &mut dyn Connection,
) -> Result<Events, Error> {
    let total = if page.total { Some(count(query, connection).await?) } else { None };
    if page.count == 0 {
        return Ok(Events { total, ..Events::default() });
    }
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS).push(" FROM audit");
    conditions(query, &mut sql);
    if let Some(cursor) = &page.cursor {
        let (at, chain, seq) = parse(cursor).ok_or(Error::BadCursor)?;
        sql.push(" AND (at, chain, seq) ").push(if page.oldest_first { "> (" } else { "< (" });
        sql.bind(at).push(", ").bind(chain).push(", ").bind(seq).push(")");
    }
    sql.push(if page.oldest_first { " ORDER BY at, chain, seq" } else { " ORDER BY at DESC, chain DESC, seq DESC" });
    sql.push(" LIMIT ").bind(i64::from(page.count) + 1);
    let mut rows = connection.query(&sql).await?;
    let more = rows.len() > usize::try_from(page.count).unwrap_or(usize::MAX);
    if more {
        rows.pop();
    }
    let records: Vec<Record> = rows.iter_mut().map(Record::of_row).collect();
    let next = records.last().filter(|_| more).map(|last| format!("{}.{:x}.{}", last.at, last.chain, last.seq));
    let event = |record: Record| {
        let id = id_of(record.chain, record.seq);
        let mut event = record.into_event();
        event.query = audit.keys.decrypt(&event.query);
        RecordedEvent { id, event }
    };
    Ok(Events { events: records.into_iter().map(event).collect(), next, total })
}

async fn count(query: &EventQuery, connection: &mut dyn Connection) -> Result<i64, Error> {
    let mut sql = Sql::new("SELECT COUNT(*) FROM audit");
    conditions(query, &mut sql);
    Ok(connection.query(&sql).await?.first().map_or(0, |row| row.int(0)))
}

fn conditions(query: &EventQuery, sql: &mut Sql) {
    sql.push(" WHERE 1 = 1");
    if let Some(ids) = &query.ids {
        let places = ids.iter().filter_map(|id| place_of(id));
        sql.push(" AND (1 = 0");
        for (chain, seq) in places {
            sql.push(" OR (chain = ").bind(chain).push(" AND seq = ").bind(seq).push(")");
        }
        sql.push(")");
    }
    for (from, before) in &query.times {
        if let Some(from) = from {
            sql.push(" AND at >= ").bind(*from);
        }
        if let Some(before) = before {
            sql.push(" AND at < ").bind(*before);
        }
    }
    if let Some(outcomes) = &query.outcomes {
        sql.push(" AND outcome IN ").bind_list(outcomes.iter().copied());
    }
    for any in &query.fields {
        sql.push(" AND (").join(" OR ", any, field).push(")");
    }
}

/// The indexes hold no empty values, which a condition must say to be found there.
fn field(sql: &mut Sql, field: &EventField) {
    // Names of operations begin with a dollar sign, codes of DICOM with a digit.
    let (column, values) = match field {
        EventField::Operations => {
            sql.push("interaction >= '$' AND interaction < '%'");
            return;
        }
        EventField::Rest => {
            sql.push("(interaction < '0' OR interaction >= ':')");
            return;
        }
        EventField::Interaction(values) => ("interaction IN ", values),
        EventField::Action(values) => ("action IN ", values),
        EventField::Client(values) => ("client IN ", values),
        EventField::Agent(values) => ("agent <> '' AND agent IN ", values),
        EventField::Patient(values) => ("patient <> '' AND patient IN ", values),
        EventField::What(values) => ("what <> '' AND what IN ", values),
    };
    sql.push(column).bind_list(values.iter().map(String::as_str));
}

fn parse(cursor: &str) -> Option<(Micros, i64, i64)> {
    let mut parts = cursor.split('.');
    let place =
        (parts.next()?.parse().ok()?, i64::from_str_radix(parts.next()?, 16).ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(place)
}
