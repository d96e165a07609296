//! Finds recorded events: by an index of their own, not by that of resources (AUD-9).

use super::{
    Audit, Event,
    index::mark,
    record::{COLUMNS, Record, id_of, patient_reference, place_of},
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
    let lead = lead(query);
    let mut sql = Sql::new(if lead.len() > 1 { "SELECT DISTINCT " } else { "SELECT " });
    sql.push(COLUMNS);
    conditions(query, &lead, &mut sql);
    if let Some(cursor) = &page.cursor {
        let (at, chain, seq) = parse(cursor).ok_or(Error::BadCursor)?;
        sql.push(if query.ids.is_some() { " AND (a.at, a.chain, a.seq) " } else { " AND (i.at, i.chain, i.seq) " });
        sql.push(if page.oldest_first { "> (" } else { "< (" });
        sql.bind(at).push(", ").bind(chain).push(", ").bind(seq).push(")");
    }
    // By the index where it has one value, by the rows where they must be told apart.
    sql.push(match (lead.len() > 1 || query.ids.is_some(), page.oldest_first) {
        (false, true) => " ORDER BY i.at, i.chain, i.seq",
        (false, false) => " ORDER BY i.at DESC, i.chain DESC, i.seq DESC",
        (true, true) => " ORDER BY a.at, a.chain, a.seq",
        (true, false) => " ORDER BY a.at DESC, a.chain DESC, a.seq DESC",
    });
    sql.limit(i64::from(page.count) + 1);
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
    let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT DISTINCT a.chain, a.seq");
    conditions(query, &lead(query), &mut sql);
    sql.push(") AS found");
    Ok(connection.query(&sql).await?.first().map_or(0, |row| row.int(0)))
}

/// The references by which the index is entered: those of the first condition that names some, or the one that all events have.
fn lead(query: &EventQuery) -> Vec<i64> {
    let references = |field: &EventField| match field {
        EventField::Agent(values) | EventField::What(values) => Some(values.clone()),
        EventField::Patient(values) => Some(values.iter().map(|id| patient_reference(id)).collect()),
        EventField::Interaction(_)
        | EventField::Action(_)
        | EventField::Client(_)
        | EventField::Operations
        | EventField::Rest => None,
    };
    let of_all = |any: &Vec<EventField>| any.iter().map(references).collect::<Option<Vec<Vec<String>>>>();
    let references = query.fields.iter().find_map(of_all).map_or_else(|| vec![String::new()], |lists| lists.concat());
    let mut lead: Vec<i64> = references.iter().map(|reference| mark(reference)).collect();
    lead.sort_unstable();
    lead.dedup();
    lead
}

/// Ids are places; else the index goes first, and whatever more is asked is looked for in the rows that it leads to.
fn conditions(query: &EventQuery, lead: &[i64], sql: &mut Sql) {
    let by_id = query.ids.is_some();
    if let Some(ids) = &query.ids {
        sql.push(" FROM audit a WHERE (1 = 0");
        for (chain, seq) in ids.iter().filter_map(|id| place_of(id)) {
            sql.push(" OR (a.chain = ").bind(chain).push(" AND a.seq = ").bind(seq).push(")");
        }
        sql.push(")");
    } else {
        sql.push(" FROM audit_index i CROSS JOIN audit a WHERE a.chain = i.chain AND a.seq = i.seq AND i.reference");
        match lead {
            [one] => sql.push(" = ").bind(*one),
            several => sql.push(" IN ").bind_list(several.iter().copied()),
        };
    }
    for (from, before) in &query.times {
        if let Some(from) = from {
            sql.push(if by_id { " AND a.at >= " } else { " AND i.at >= " }).bind(*from);
        }
        if let Some(before) = before {
            sql.push(if by_id { " AND a.at < " } else { " AND i.at < " }).bind(*before);
        }
    }
    if let Some(outcomes) = &query.outcomes {
        sql.push(" AND a.outcome IN ").bind_list(outcomes.iter().copied());
    }
    for any in &query.fields {
        sql.push(" AND (").join(" OR ", any, field).push(")");
    }
}

fn field(sql: &mut Sql, field: &EventField) {
    // Names of operations begin with a dollar sign, codes of DICOM with a digit.
    let (column, values) = match field {
        EventField::Operations => {
            sql.push("(a.interaction >= '$' AND a.interaction < '%')");
            return;
        }
        EventField::Rest => {
            sql.push("(a.interaction < '0' OR a.interaction >= ':')");
            return;
        }
        EventField::Interaction(values) => ("a.interaction IN ", values),
        EventField::Action(values) => ("a.action IN ", values),
        EventField::Client(values) => ("a.client IN ", values),
        EventField::Agent(values) => ("a.agent IN ", values),
        EventField::Patient(values) => ("a.patient IN ", values),
        EventField::What(values) => ("a.what IN ", values),
    };
    sql.push(column).bind_list(values.iter().map(String::as_str));
}

fn parse(cursor: &str) -> Option<(Micros, i64, i64)> {
    let mut parts = cursor.split('.');
    let place =
        (parts.next()?.parse().ok()?, i64::from_str_radix(parts.next()?, 16).ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(place)
}
