//! [`Event`]: what an audit record says; and its one form, a line of text, that the chain covers, a segment holds and a row of
//! `audit` is made of.

use super::chain::{Hash, Head};
use crate::{
    Error,
    backend::{
        Kind::{Int, Text},
        Table,
    },
    sql::{Row, Value},
};
use std::fmt::Write as _;
use tessera_model::{Id, temporal::Micros};

/// Who did what to which resource, and how it ended (AUD-2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub at: Micros,
    /// The code of the interaction, `read`; of an operation its name, `$everything`; of what is no interaction a code of DICOM,
    /// `110122`. Empty: nobody could tell.
    pub interaction: String,
    /// What kind of thing was done.
    pub action: AuditAction,
    /// How it ended: 0, 4 (refused or not possible) or 8 (the server has failed).
    /// <https://hl7.org/fhir/R4/valueset-audit-event-outcome.html>
    pub outcome: i64,
    /// The client that asked.
    pub client: String,
    /// On whose behalf: `Practitioner/1`. Empty: nobody's.
    pub agent: String,
    /// The id of the patient it is about. Empty: none, or no one.
    pub patient: String,
    /// The resource it was done to: `Observation/1`. Empty: none, or no one.
    pub what: String,
    /// Its version; 0 if none is known.
    pub version: i64,
    /// Why it was refused: status and code of the issue, `404 not-found`.
    pub reason: String,
    /// For which organization.
    pub organization: String,
    /// For which purpose.
    pub purpose: String,
    /// The id of the token, never the token.
    pub token: String,
    /// The id of the request.
    pub request: String,
    /// The request line and what belongs to it. It is encrypted when it is recorded (AUD-6).
    pub query: String,
}

impl Event {
    /// One event for each patient it is about, or one that is about none.
    pub fn about(mut self, patients: &[Id], events: &mut Vec<Self>) {
        if let [others @ .., last] = patients {
            events.extend(others.iter().map(|id| Self { patient: id.to_string(), ..self.clone() }));
            self.patient = last.to_string();
        }
        events.push(self);
    }
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-action.html>
#[expect(missing_docs, reason = "the names are the specification's")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditAction {
    Create,
    Read,
    Update,
    Delete,
    #[default]
    Execute,
}

impl AuditAction {
    const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Execute];

    /// The code: `C`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Create => "C",
            Self::Read => "R",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Execute => "E",
        }
    }

    /// The action of that code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.code() == code)
    }
}

/// The rows of events. A row that is there already is the same one, drained before.
pub(crate) static AUDIT: Table = Table {
    name: "audit",
    columns: &[
        ("chain", Int),
        ("seq", Int),
        ("at", Int),
        ("interaction", Text),
        ("action", Text),
        ("outcome", Int),
        ("client", Text),
        ("agent", Text),
        ("patient", Text),
        ("what", Text),
        ("rest", Text),
        ("hash", Text),
    ],
    on_conflict: "ON CONFLICT (chain, seq) DO NOTHING",
};

/// The columns, in the order in which [`Record::of_row`] reads them.
pub(super) const COLUMNS: &str =
    "a.chain, a.seq, a.at, a.interaction, a.action, a.outcome, a.client, a.agent, a.patient, a.what, a.rest, a.hash";

/// An event in its place in a chain, as its row has it. `rest` is what no search looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) chain: i64,
    pub(crate) seq: i64,
    pub(crate) at: Micros,
    pub(crate) outcome: i64,
    /// interaction, action, client, agent, patient, what
    pub(crate) texts: [String; 6],
    pub(crate) rest: String,
    pub(crate) hash: String,
}

impl Record {
    /// The event as the next of a chain, which moves on.
    pub(super) fn next(event: Event, head: &mut Head) -> Self {
        let mut record = Self::behind(event, head);
        let mut line = String::new();
        record.write_canonical(&mut line);
        record.hash = head.go_on(&line);
        record
    }

    /// The same, as a line of a segment.
    pub(super) fn write_next(event: Event, head: &mut Head, out: &mut String) {
        let start = out.len();
        Self::behind(event, head).write_canonical(out);
        let hash = head.go_on(&out[start..]);
        out.push('\t');
        out.push_str(&hash);
        out.push('\n');
    }

    /// The event with its place in the chain, before there is a hash.
    fn behind(event: Event, head: &Head) -> Self {
        let mut rest = String::with_capacity(96 + event.query.len());
        let _ = write!(rest, "{}", event.version);
        for text in [&event.reason, &event.organization, &event.purpose, &event.token, &event.request, &event.query] {
            rest.push('\t');
            escape(text, &mut rest);
        }
        let texts =
            [event.interaction, event.action.code().to_owned(), event.client, event.agent, event.patient, event.what];
        // PostgreSQL's texts have no NUL.
        let texts = texts.map(|text| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text });
        Self {
            chain: head.chain,
            seq: head.seq + 1,
            at: event.at,
            outcome: event.outcome,
            texts,
            rest,
            hash: String::new(),
        }
    }

    /// What the chain covers: everything but the hash, in one line that can be read in one way only.
    pub(super) fn canonical(&self) -> String {
        let mut line = String::new();
        self.write_canonical(&mut line);
        line
    }

    fn write_canonical(&self, line: &mut String) {
        let texts: usize = self.texts.iter().map(String::len).sum();
        line.reserve(texts + self.rest.len() + 128);
        let _ = write!(line, "{:x}\t{}\t{}\t{}", self.chain, self.seq, self.at, self.outcome);
        for text in &self.texts {
            line.push('\t');
            escape(text, line);
        }
        line.push('\t');
        line.push_str(&self.rest);
    }

    /// The record of a line; `None` if it is none.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (line, hash) = line.rsplit_once('\t')?;
        let mut fields = line.splitn(11, '\t');
        let chain = i64::from_str_radix(fields.next()?, 16).ok()?;
        let mut number = || fields.next()?.parse().ok();
        let (seq, at, outcome) = (number()?, number()?, number()?);
        let mut texts: [String; 6] = Default::default();
        for text in &mut texts {
            *text = unescape(fields.next()?);
        }
        let rest = fields.next()?.to_owned();
        Hash::parse(hash).map(|_| Self { chain, seq, at, outcome, texts, rest, hash: hash.to_owned() })
    }

    pub(super) fn of_row(row: &mut Row) -> Self {
        Self {
            chain: row.int(0),
            seq: row.int(1),
            at: row.int(2),
            outcome: row.int(5),
            texts: [3, 4, 6, 7, 8, 9].map(|column| row.take_text(column)),
            rest: row.take_text(10),
            hash: row.take_text(11),
        }
    }

    pub(super) fn into_row(self) -> Vec<Value> {
        let [interaction, action, client, agent, patient, what] = self.texts;
        vec![
            self.chain.into(),
            self.seq.into(),
            self.at.into(),
            interaction.into(),
            action.into(),
            self.outcome.into(),
            client.into(),
            agent.into(),
            patient.into(),
            what.into(),
            self.rest.into(),
            self.hash.into(),
        ]
    }

    /// The event, its query still encrypted.
    pub(super) fn into_event(self) -> Event {
        let [interaction, action, client, agent, patient, what] = self.texts;
        let mut rest = self.rest.split('\t');
        let version = rest.next().and_then(|version| version.parse().ok()).unwrap_or(0);
        let [reason, organization, purpose, token, request, query] =
            std::array::from_fn(|_| rest.next().map(unescape).unwrap_or_default());
        Event {
            at: self.at,
            interaction,
            action: AuditAction::parse(&action).unwrap_or_default(),
            outcome: self.outcome,
            client,
            agent,
            patient,
            what,
            version,
            reason,
            organization,
            purpose,
            token,
            request,
            query,
        }
    }
}

/// Fields end with a tab and lines with a line feed, so neither is in a field.
fn escape(text: &str, out: &mut String) {
    if !text.bytes().any(|byte| byte < b' ' || byte == b'\\') {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// The patient that an event is about, as a reference.
pub(super) fn patient_reference(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!("Patient/{id}") }
}

/// An id of an event: its chain and its number there.
pub(super) fn id_of(chain: i64, seq: i64) -> String {
    format!("{chain:x}-{seq}")
}

/// The chain and number that an id means; `None`: it is none of ours.
pub(super) fn place_of(id: &str) -> Option<(i64, i64)> {
    let (chain, seq) = id.split_once('-')?;
    let place = (i64::from_str_radix(chain, 16).ok()?, seq.parse().ok()?);
    // One id, one way to write it.
    (id_of(place.0, place.1) == id).then_some(place)
}

pub(super) fn broken(text: &str) -> Error {
    Error::Backend(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            at: 7,
            interaction: "search-type".into(),
            client: "a\tb\\c\nd".into(),
            patient: "1".into(),
            version: 3,
            reason: "404 not-found".into(),
            query: "x:y=".into(),
            ..Event::default()
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut head = Head::start(0x0a00);
        let record = Record::next(event(), &mut head.clone());
        let mut line = String::new();
        Record::write_next(event(), &mut head, &mut line);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert_eq!(Record::parse(line.trim_end_matches('\n')).unwrap(), record);
        assert_eq!(record.into_event(), event());
        for cut in 1..line.len() - 1 {
            assert_eq!(Record::parse(&line[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn ids_name_one_place() {
        assert_eq!(place_of(&id_of(0x1ff, 12)), Some((0x1ff, 12)));
        for id in ["1FF-12", "1ff-012", "1ff", "-", "1ff-", "1ff-12-", "x-1"] {
            assert_eq!(place_of(id), None, "{id}");
        }
    }
}
