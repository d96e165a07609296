//! Asks a server everything.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::Check;
use super::checks::checks;
use super::exchange::Exchange;
use super::request::{Reply, Request};
use super::statement::Statement;
use super::subject::Subject;
use super::verdict::{Outcome, Stop};
use super::visit::Visit;

/// Whom to ask, and what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The base URL, such as `https://example.org/fhir`.
    pub base: String,
    /// An access token for every request.
    pub token: Option<String>,
    /// Only checks whose ids begin with one of these; all if there is none.
    pub only: Vec<String>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long to wait between writing and searching, for servers that index later.
    pub settle: Duration,
}

impl Options {
    /// All checks of a server, without a token.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let timeout = Duration::from_secs(30);
        Self { base: base.to_owned(), token: None, only: vec![], timeout, settle: Duration::ZERO }
    }

    /// The checks that are to be asked.
    #[must_use]
    pub fn checks(&self) -> Vec<&'static Check> {
        let wanted = |check: &&Check| self.only.is_empty() || self.only.iter().any(|only| check.id.starts_with(only));
        checks().filter(wanted).collect()
    }
}

/// What came of a check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The check.
    pub check: &'static Check,
    /// How it ended.
    pub outcome: Outcome,
    /// What was said.
    pub exchanges: Vec<Exchange>,
    /// How long it took.
    pub took: Duration,
}

/// What came of all checks.
#[derive(Clone, Debug)]
pub struct Report {
    /// The base URL.
    pub base: String,
    /// What the server says that it is.
    pub software: String,
    /// When it was, by the server's clock; empty if it has none.
    pub date: String,
    /// Each check.
    pub checked: Vec<Checked>,
    /// `Type/id` of data that could not be taken away.
    pub remaining: Vec<String>,
}

impl Report {
    /// How many checks have this outcome, see [`Outcome::NAMES`].
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.checked.iter().filter(|checked| checked.outcome.name() == name).count()
    }

    /// Whether any has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.count("failed") > 0
    }

    /// The checks by group, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<(&'static str, Vec<&Checked>)> {
        let mut groups: Vec<(&'static str, Vec<&Checked>)> = vec![];
        for checked in &self.checked {
            match groups.last_mut() {
                Some((name, members)) if *name == checked.check.group() => members.push(checked),
                _ => groups.push((checked.check.group(), vec![checked])),
            }
        }
        groups
    }
}

/// Why nothing could be asked.
#[derive(Clone, Debug)]
pub struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Asks a server all that is wanted, one check after the other, and tells of each as it ends.
///
/// # Errors
/// When the base URL is none, the server does not answer, or it refuses the token.
pub async fn run(options: &Options, mut each: impl FnMut(&Checked)) -> Result<Report, Unreachable> {
    let subject = Subject::new(&options.base, options.token.as_deref(), options.timeout, options.settle);
    let mut subject = subject.map_err(Unreachable)?;
    let (statement, _) = subject.send(Request::new("GET", "metadata")).await;
    let statement = statement.map_err(|error| Unreachable(format!("{} does not answer: {error}", subject.base())))?;
    let date = subject.hide(statement.header("date").unwrap_or_default());
    if statement.status == 200 && statement.body["resourceType"] == "CapabilityStatement" {
        subject.statement = Statement(statement.body);
    }
    let closed = closed(&subject).await?;
    let software = &subject.statement.0["software"];
    let of = |member: &str| software[member].as_str().unwrap_or_default();
    let software = subject.hide(format!("{} {}", of("name"), of("version")).trim());
    let subject = Arc::new(subject);
    let mut report = Report { base: subject.base().to_owned(), software, date, checked: vec![], remaining: vec![] };
    for check in options.checks() {
        let begin = Instant::now();
        let mut visit = Visit::new(Arc::clone(&subject));
        let outcome = ask(check, &mut visit, closed).await;
        let remaining = visit.clean().await;
        report.remaining.extend(remaining);
        let checked = Checked { check, outcome, exchanges: visit.exchanges, took: begin.elapsed() };
        each(&checked);
        report.checked.push(checked);
    }
    Ok(report)
}

/// Whether the server answers nobody without a token, and there is none.
async fn closed(subject: &Subject) -> Result<bool, Unreachable> {
    let searched = subject.statement.types().find(|name| subject.statement.allows(name, "search-type"));
    let Some(resource_type) = searched else { return Ok(false) };
    let (answer, _) = subject.send(Request::new("GET", format!("{resource_type}?_count=1"))).await;
    let refused = answer.is_ok_and(|reply: Reply| reply.status == 401);
    if refused && subject.has_token() {
        return Err(Unreachable(format!("{} refuses the token (401)", subject.base())));
    }
    Ok(refused)
}

async fn ask(check: &Check, visit: &mut Visit, closed: bool) -> Outcome {
    if let Some(lacking) = check.needs.iter().find_map(|need| visit.statement().lacks(*need)) {
        return Outcome::NotStated(lacking);
    }
    if closed && !check.is_open() {
        return Outcome::NotApplicable("the server wants a token, and none was given (--token)".into());
    }
    let verdict = (check.run)(visit).await;
    // What the token may not do says nothing of the server.
    if matches!(verdict, Err(Stop::Failed { .. }))
        && visit.has_token()
        && visit.exchanges.last().is_some_and(|last| last.status == Ok(403))
    {
        return Outcome::NotApplicable("the server says that the token does not allow it (403)".into());
    }
    Outcome::of(verdict, check.strength)
}
