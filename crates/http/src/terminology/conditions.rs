//! What the conditions of writes ask of terminology. They are searched inside the transaction, where nothing can be looked
//! up; so the answers are gathered before it begins, and handed down with its changes. What a value set says is therefore
//! what it said then, whatever the transaction itself writes.

use super::{Known, gather};
use crate::{Context, error::Error};
use std::sync::{Mutex, PoisonError};
use tessera_model::{
    AccessContext, Error as ModelError, Resource, ResourceType,
    interaction::query_pairs,
    reference::{self, Literal},
    search::{self, Answers, Coded, Question, Terminology, parse::parse},
};
use tessera_store::{Action, Change};

/// Most questions to terminology that the conditions of one request may ask.
const QUESTIONS_MAX: usize = 200;
/// Most codes that they may stand for, all together: they are parsed and searched inside the transaction.
const CODES_MAX: usize = 100_000;

/// A condition: which type is searched, and for what.
type Condition = (ResourceType, Vec<(String, String)>);

/// The answers to whatever the conditions of these changes ask.
pub(crate) async fn answers(context: &Context, access: &AccessContext, changes: &[Change]) -> Result<Answers, Error> {
    let mut conditions = Vec::new();
    changes.iter().for_each(|change| conditions_of(context, &change.action, &mut conditions));
    let mut known = Known::default();
    loop {
        let definitions = context.store.definitions();
        let asked = Recorder { known: &known, kept: Mutex::default() };
        for (resource_type, parameters) in &conditions {
            let terms = search::Context { terminology: &asked, ..context.search(&definitions, false) };
            // What is wrong with a condition, the store says of the entry that it stands in.
            let _ = parse(&[*resource_type], parameters, terms);
        }
        let kept = asked.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = std::mem::take(&mut *known.missing.lock().unwrap_or_else(PoisonError::into_inner));
        if kept.too_many {
            let text = format!(
                "the conditions ask for more than {QUESTIONS_MAX} value sets and hierarchies, or stand for more than {CODES_MAX} codes"
            );
            return Err(ModelError::TooCostly(text).into());
        }
        if missing.is_empty() {
            return Ok(kept.answers);
        }
        missing.into_iter().for_each(|canonical| known.library.want(canonical));
        gather(context, access, &mut known.library).await?;
    }
}

/// The conditions of a change that may ask something: its criteria and its conditional references. What a patch makes of the
/// resource is not known yet, but the references that it brings are among its texts.
fn conditions_of(context: &Context, action: &Action, out: &mut Vec<Condition>) {
    let (criteria, resource) = match action {
        Action::Create { resource, if_none_exist } => (if_none_exist.as_ref(), Some(resource)),
        Action::Update { resource, .. } => (None, Some(resource)),
        Action::ConditionalUpdate { criteria, resource, .. } => (Some(criteria), Some(resource)),
        Action::Patch { patch, .. } => {
            patch.each_text(&mut |text| conditional_reference(context, text, out));
            (None, None)
        }
        Action::ConditionalPatch { criteria, patch, .. } => {
            patch.each_text(&mut |text| conditional_reference(context, text, out));
            (Some(criteria), None)
        }
        Action::ConditionalDelete { criteria, .. } => (Some(criteria), None),
        Action::Delete { .. } | Action::Purge { .. } => (None, None),
    };
    if let Some(criteria) = criteria.filter(|criteria| may_ask(&criteria.parameters)) {
        out.push((criteria.resource_type, criteria.parameters.clone()));
    }
    if let Some(resource) = resource {
        conditional_references(context, resource, out);
    }
}

fn conditional_references(context: &Context, resource: &Resource, out: &mut Vec<Condition>) {
    // Most resources have none, and need not be walked to see that.
    let text = resource.node().raw();
    if !text.contains('?') && !text.contains("\\u") {
        return;
    }
    resource.each_reference(context.definitions, &mut |text| conditional_reference(context, text, out));
}

/// What a text says if it is a conditional reference.
fn conditional_reference(context: &Context, text: &str, out: &mut Vec<Condition>) {
    let Literal::Conditional(relative) = reference::parse(text, &context.base, context.definitions) else { return };
    let (name, query) = relative.split_once('?').unwrap_or((relative, ""));
    let parameters = query_pairs(query);
    if let Some(resource_type) = context.definitions.resource_type(name).filter(|_| may_ask(&parameters)) {
        out.push((resource_type, parameters));
    }
}

/// Whether there is a modifier or a filter, without which nothing asks terminology.
fn may_ask(parameters: &[(String, String)]) -> bool {
    parameters.iter().any(|(name, _)| name.contains(':') || name.contains("_filter"))
}

/// Answers from what was gathered, each question once, and keeps the answers.
struct Recorder<'a> {
    known: &'a Known,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: Answers,
    codes: usize,
    too_many: bool,
}

impl Recorder<'_> {
    fn answer(
        &self,
        question: &Question,
        ask: impl FnOnce(&Known) -> Result<Vec<Coded>, ModelError>,
    ) -> Result<Vec<Coded>, ModelError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let new = kept.answers.get(question).is_none();
        kept.too_many |= new && kept.answers.count() >= QUESTIONS_MAX;
        if kept.too_many {
            return Ok(Vec::new());
        }
        if new {
            let answer = ask(self.known);
            kept.answers.keep(question.clone(), answer);
        }
        let answer = kept.answers.get(question).cloned().unwrap_or_else(|| Ok(Vec::new()));
        kept.codes += answer.as_ref().map_or(0, Vec::len);
        kept.too_many |= kept.codes > CODES_MAX;
        answer
    }
}

impl Terminology for Recorder<'_> {
    fn members(&self, value_set: &str) -> Result<Vec<Coded>, ModelError> {
        self.answer(&Question::Members(value_set.to_owned()), |known| known.members(value_set))
    }

    fn ancestors_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, ModelError> {
        let question = Question::AncestorsOrSelf(system.to_owned(), code.to_owned());
        self.answer(&question, |known| known.ancestors_or_self(system, code))
    }

    fn descendants_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, ModelError> {
        let question = Question::DescendantsOrSelf(system.to_owned(), code.to_owned());
        self.answer(&question, |known| known.descendants_or_self(system, code))
    }
}
