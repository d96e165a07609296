//! `$translate`: <https://hl7.org/fhir/R4/conceptmap-operation-translate.html>

use super::{
    Call, Output, Parameter,
    coded::{Names, add, codings, codings_of, flag, subject},
};
use crate::{
    error::Error,
    reply::Reply,
    terminology::{gather, stored},
};
use std::borrow::Cow;
use tessera_model::{
    Error as ModelError,
    json::Node,
    terminology::{
        Canonical, Coding, Kind, Library, bundled,
        translate::{Question, translate},
    },
};

const CONCEPT_MAP: Names =
    Names { kind: Kind::ConceptMap, url: "url", version: "conceptMapVersion", resource: "conceptMap" };

/// Most dependencies of one question.
const DEPENDENCIES_MAX: usize = 20;

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let input = &call.input;
    let text = |name: &str| input.text(name).map(Cow::into_owned);
    let question = Question {
        codings: codings(input, input.text("system"), input.text("version"))?,
        source: text("source"),
        target: text("target"),
        target_system: text("targetsystem"),
        reverse: flag(input, "reverse"),
        dependencies: dependencies(&call)?,
    };
    let mut library = Library::default();
    let maps = match subject(&call, &CONCEPT_MAP, &mut library).await? {
        Some(map) => vec![map],
        None => known(&call, &question, &mut library).await?,
    };
    gather(call.context, call.access, &mut library).await?;
    Ok(Output::of(&translate(&library, &maps, &question)?).reply())
}

/// The maps that have something to say of the systems of the codes: what is stored, and what is bundled under other URLs.
async fn known(call: &Call<'_>, question: &Question, library: &mut Library) -> Result<Vec<Canonical>, Error> {
    let systems: Vec<&str> = question.codings.iter().map(|coding| coding.system.as_str()).collect();
    let (parameter, side) = if question.reverse { ("target-system", "target") } else { ("source-system", "source") };
    let mut maps = Vec::new();
    for resource in stored(call.context, call.access, Kind::ConceptMap, parameter, &systems).await? {
        let canonical = match (resource.node().get_str("url"), resource.id()) {
            // Of several versions the newest will be taken.
            (Some(url), _) => Canonical::new(Kind::ConceptMap, &url, None),
            (None, id) => add(library, Kind::ConceptMap, &resource, &format!("ConceptMap/{}", id.unwrap_or_default()))?,
        };
        if !maps.contains(&canonical) {
            library.want(canonical.clone());
            maps.push(canonical);
        }
    }
    for document in bundled::all(Kind::ConceptMap) {
        let map = document.root();
        let mut groups = map.get("group").into_iter().flat_map(Node::children);
        let concerned = groups.any(|group| group.get_str(side).is_some_and(|system| systems.contains(&&*system)));
        let canonical = Canonical::parse(Kind::ConceptMap, &map.get_str("url").unwrap_or_default());
        if concerned && !maps.contains(&canonical) {
            library.want(canonical.clone());
            maps.push(canonical);
        }
    }
    Ok(maps)
}

/// Each coding of each dependency, with the property it is a value of.
fn dependencies(call: &Call<'_>) -> Result<Vec<(String, Coding)>, Error> {
    let mut found = Vec::new();
    for dependency in call.input.all("dependency").take(DEPENDENCIES_MAX) {
        let part = |name: &str| dependency.parts().iter().find(|part| part.is(name)).and_then(Parameter::value);
        let element = part("element").and_then(Node::as_text).unwrap_or_default();
        for coding in part("concept").map(codings_of).transpose()?.unwrap_or_default() {
            found.push((element.clone().into_owned(), coding));
        }
    }
    match call.input.all("dependency").count() {
        0..=DEPENDENCIES_MAX => Ok(found),
        _ => Err(ModelError::TooCostly(format!("more than {DEPENDENCIES_MAX} dependencies")).into()),
    }
}
