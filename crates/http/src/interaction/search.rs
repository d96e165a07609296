//! search: the Bundle is written as bytes around the stored bodies. <https://hl7.org/fhir/R4/http.html#search>

use super::audit_event;
use crate::{
    Context,
    error::Error,
    links::{self, Pages},
    reply::Reply,
    request::Request,
    terminology::parse_search,
};
use std::fmt::Write as _;
use tessera_model::{
    AccessContext, Resource, ResourceType,
    interaction::Interaction,
    json::write_string,
    operation_outcome::{Issue, IssueCode, OperationOutcome},
    search::{compartment, parse::Parsed},
    subset::Subset,
};
use tessera_store::{Matches, Read, Version};

pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let (parameters, cursor) = Pages::of(context, access).resolve(&request.parameters)?;
    let parsed = parsed(context, access, &request.interaction, &parameters, request.preferences.lenient).await?;
    explainable(access, &parsed)?;
    let matches = context.store.search(access, parsed.query.clone(), cursor).await?;
    let url = request.shaped(&url(context, &request.interaction));
    bundle(context, access, &url, &parsed, &matches, request.parameters.iter().any(|(name, _)| name == links::PAGE))
}

/// SQL and plans tell of others' data: only who may see everything is told.
fn explainable(access: &AccessContext, parsed: &Parsed) -> Result<(), Error> {
    if parsed.query.explain && !access.administers() { Err(Error::Forbidden) } else { Ok(()) }
}

/// The same as an entry of a transaction, with what is needed to answer it.
pub(crate) async fn entry_read(
    context: &Context,
    access: &AccessContext,
    request: &Request,
) -> Result<(Read, Parsed), Error> {
    let lenient = request.preferences.lenient;
    let parsed = parsed(context, access, &request.interaction, &request.parameters, lenient).await?;
    if parsed.query.explain {
        return Err(Error::BadRequest("_explain is for a search of its own, not for an entry of a transaction".into()));
    }
    Ok((Read::Search(Box::new(parsed.query.clone())), parsed))
}

async fn parsed(
    context: &Context,
    access: &AccessContext,
    interaction: &Interaction,
    parameters: &[(String, String)],
    lenient: bool,
) -> Result<Parsed, Error> {
    let types: Vec<ResourceType> = interaction.code().1.into_iter().collect();
    audit_event::refuse_elsewhere(parameters)?;
    let mut parsed = parse_search(context, access, &types, parameters, lenient).await?;
    if let Interaction::SearchCompartment(owner, _) = interaction {
        compartment::confine(&mut parsed.query, owner, &context.store.definitions())?;
    }
    Ok(parsed)
}

/// The URL that is searched.
pub(crate) fn url(context: &Context, interaction: &Interaction) -> String {
    let base = &context.base;
    match (interaction, interaction.code().1) {
        (Interaction::SearchCompartment(owner, None), _) => format!("{base}/{owner}/*"),
        (Interaction::SearchCompartment(owner, Some(resource_type)), _) => format!("{base}/{owner}/{resource_type}"),
        (_, Some(resource_type)) => format!("{base}/{resource_type}"),
        (_, None) => base.to_string(),
    }
}

/// What a client is told of the matches.
pub(crate) fn bundle(
    context: &Context,
    access: &AccessContext,
    url: &str,
    parsed: &Parsed,
    matches: &Matches,
    later_page: bool,
) -> Result<Reply, Error> {
    if let Some(explanation) = &matches.explanation {
        let outcome: OperationOutcome =
            explanation.iter().map(|text| Issue::information(text.as_str())).collect::<Vec<_>>().into();
        return Ok(Reply::json(serde_json::to_string(&outcome).unwrap_or_default()));
    }
    let subset = Subset::of(&parsed.query);
    let size: usize = matches.matches.iter().chain(&matches.included).map(|version| version.body.len() + 160).sum();
    let mut out = String::with_capacity(size + 512);
    out.push_str(r#"{"resourceType":"Bundle","type":"searchset""#);
    if let Some(total) = matches.total {
        let _ = write!(out, ",\"total\":{total}");
    }
    out.push_str(r#","link":[{"relation":"self","url":"#);
    write_string(&mut out, &links::with_query(url, &parsed.applied));
    out.push('}');
    if let Some(next) = &matches.next {
        out.push_str(r#",{"relation":"next","url":"#);
        write_string(&mut out, &Pages::of(context, access).link(url, &parsed.applied, next)?);
        out.push('}');
    }
    out.push(']');
    let mut entries = Entries { out, any: false };
    let contained = matches.contained.iter().copied().chain(std::iter::repeat(0));
    for (version, number) in matches.matches.iter().zip(contained) {
        match number {
            0 => entries.resource(context, version, "match", subset.as_ref())?,
            _ => entries.contained(context, version, number, subset.as_ref())?,
        }
    }
    for version in &matches.included {
        entries.resource(context, version, "include", subset.as_ref())?;
    }
    let mut issues = Vec::new();
    // The first page has said it.
    if !parsed.ignored.is_empty() && !later_page {
        let text = format!("these parameters are unknown and were left out: {}", parsed.ignored.join(", "));
        issues.push(Issue::warning(IssueCode::NotSupported, text));
    }
    if matches.included_cut {
        issues.push(Issue::warning(IssueCode::TooCostly, "more than 1000 resources to include: the rest was left out"));
    }
    if !matches.not_granted.is_empty() {
        let names: Vec<&str> = matches.not_granted.iter().map(|t| t.name()).collect();
        issues.push(Issue::information(format!("not granted, and so not included: {}", names.join(", "))));
    }
    if !issues.is_empty() {
        entries.outcome(&issues.into());
    }
    Ok(Reply::json(entries.finish()))
}

/// The entries of a searchset being written; an empty array is no JSON of FHIR.
struct Entries {
    out: String,
    any: bool,
}

impl Entries {
    fn start(&mut self) {
        self.out.push_str(if self.any { "," } else { ",\"entry\":[" });
        self.any = true;
    }

    fn resource(
        &mut self,
        context: &Context,
        version: &Version,
        mode: &str,
        subset: Option<&Subset>,
    ) -> Result<(), Error> {
        self.start();
        let _ = write!(self.out, "{{\"fullUrl\":\"{}/{}\",\"resource\":", context.base, version.key);
        match subset {
            Some(subset) => self.out.push_str(&subset.apply(&version.body, context.definitions)?),
            None => self.out.push_str(&version.body),
        }
        let _ = write!(self.out, ",\"search\":{{\"mode\":\"{mode}\"}}}}");
        Ok(())
    }

    /// A match that is contained, by itself; its URL is its container's, then `#` and its own id.
    /// <https://hl7.org/fhir/R4/search.html#contained>
    fn contained(
        &mut self,
        context: &Context,
        version: &Version,
        number: u32,
        subset: Option<&Subset>,
    ) -> Result<(), Error> {
        let container = Resource::parse(version.body.as_str(), context.definitions)?;
        let at = usize::try_from(number).unwrap_or(0).saturating_sub(1);
        // What was found was found in this body.
        let Some(inner) = container.contained(context.definitions).nth(at).flatten() else { return Ok(()) };
        self.start();
        self.out.push('{');
        // Without an id it has no URL.
        if let Some(id) = inner.id() {
            self.out.push_str("\"fullUrl\":");
            write_string(&mut self.out, &format!("{}/{}#{id}", context.base, version.key));
            self.out.push(',');
        }
        self.out.push_str("\"resource\":");
        match subset {
            Some(subset) => self.out.push_str(&subset.of_resource(&inner, context.definitions)),
            None => inner.node().write_minified(&mut self.out),
        }
        self.out.push_str(",\"search\":{\"mode\":\"match\"}}");
        Ok(())
    }

    fn outcome(&mut self, outcome: &OperationOutcome) {
        self.start();
        let text = serde_json::to_string(outcome).unwrap_or_default();
        let _ = write!(self.out, "{{\"resource\":{text},\"search\":{{\"mode\":\"outcome\"}}}}");
    }

    fn finish(mut self) -> String {
        self.out.push_str(if self.any { "]}" } else { "}" });
        self.out
    }
}
