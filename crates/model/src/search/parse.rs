//! Query string + definitions → [`Query`], or the reasons why not. Everything is checked here: what comes out can be run.
//! <https://hl7.org/fhir/R4/search.html>

use super::{
    context::Context,
    filter,
    parameter::{Depth, Parser},
    query::{Contained, ContainedType, Filter, Query, Summary, Total},
    result_parameters,
};
use crate::{Error, ResourceType};

/// Most parameters of one search (HTTP-5).
pub const PARAMETERS_MAX: usize = 50;

/// A parsed search.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The search.
    pub query: Query,
    /// The parameters that were applied, for the self link.
    pub applied: Vec<(String, String)>,
    /// The parameters that were left out.
    pub ignored: Vec<String>,
}

/// Parses the parameters of a search over `types` (empty: every type).
///
/// # Errors
/// [`Error::UnknownParameter`] unless lenient, [`Error::BadParameter`], [`Error::NotSupported`], [`Error::TooCostly`].
pub fn parse(types: &[ResourceType], parameters: &[(String, String)], context: Context<'_>) -> Result<Parsed, Error> {
    if parameters.len() > PARAMETERS_MAX {
        return Err(Error::TooCostly(format!("more than {PARAMETERS_MAX} search parameters")));
    }
    let mut query = Query {
        types: types.to_vec(),
        filter: Filter::always(),
        sort: Vec::new(),
        count: result_parameters::COUNT_DEFAULT,
        total: Total::Unspecified,
        summary: Summary::False,
        elements: Vec::new(),
        contained: Contained::False,
        contained_type: ContainedType::Container,
        includes: Vec::new(),
        explain: false,
    };
    let (mut filters, mut applied, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    if types.is_empty() {
        result_parameters::types(&mut query, parameters, context.definitions)?;
    }
    for (name, value) in parameters {
        let done = match result_parameters::apply(&mut query, name, value, context) {
            Ok(true) => Ok(()),
            Ok(false) => Parser { context, filter: filter::parse }
                .filter(&query.types, name, value, Depth::default())
                .map(|filter| filters.push(filter)),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => applied.push((name.clone(), value.clone())),
            Err(Error::UnknownParameter { .. }) if context.lenient => ignored.push(name.clone()),
            Err(error) => return Err(error),
        }
    }
    query.filter = Filter::All(filters);
    result_parameters::check(&query)?;
    Ok(Parsed { query, applied, ignored })
}
