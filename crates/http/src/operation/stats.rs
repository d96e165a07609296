//! `$stats`: figures of a subject's measurements. <https://hl7.org/fhir/R4/observation-operation-stats.html>

use super::{Call, Output, input::bad, statistic::Statistic};
use crate::{error::Error, reply::Reply};
use rust_decimal::Decimal;
use std::{borrow::Cow, fmt::Write as _};
use tessera_model::{
    Error as ModelError, Resource,
    json::{Node, write_string},
    operation_outcome::IssueCode,
    search::parse::parse,
    temporal::format_instant,
};

/// Observations looked at for a code; beyond, the question costs too much.
const LOOKED_AT_MAX: usize = 20_000;
/// How many at a time.
const PAGE: u32 = 1000;
/// Most codes of one question, and most source observations in the answer.
const CODES_MAX: usize = 20;
const SOURCES_MAX: usize = 1000;
const UCUM: &str = "http://unitsofmeasure.org";

/// What a code was measured as.
#[derive(Default)]
struct Measured {
    values: Vec<Decimal>,
    unit: Option<Unit>,
    /// Observations, whether they have a usable value or not.
    total: usize,
    sources: Vec<String>,
}

#[derive(Clone, PartialEq)]
struct Unit {
    code: String,
    display: Option<String>,
}

pub(super) async fn perform(call: Call<'_>) -> Result<Reply, Error> {
    let codes = codes(&call)?;
    let statistics: Vec<Statistic> = call
        .input
        .texts("statistic")
        .map(|code| {
            Statistic::parse(&code).ok_or_else(|| {
                bad(IssueCode::Value, format!("statistic={code}: expected one of {}", Statistic::codes()))
            })
        })
        .collect::<Result<_, Error>>()?;
    let subject = call.input.text("subject").unwrap_or_default().into_owned();
    let period = period(&call)?;
    let wants_sources = call.input.text("include").as_deref() == Some("true");
    let limit = call.input.text("limit").and_then(|limit| limit.parse().ok()).unwrap_or(SOURCES_MAX).min(SOURCES_MAX);
    let mut output = Output::default();
    let mut sources = Vec::new();
    for (system, code) in &codes {
        let measured = measure(&call, &subject, (system, code), &period, wants_sources).await?;
        output = output
            .resource("statistics", &observation(&call, &subject, (system, code), &period, &statistics, &measured));
        sources.extend(measured.sources);
    }
    for source in sources.iter().take(limit) {
        output = output.resource("source", source);
    }
    Ok(output.reply())
}

/// The codes asked about: `code` with `system`, or `coding`.
fn codes(call: &Call<'_>) -> Result<Vec<(String, String)>, Error> {
    let system = call.input.text("system").map(Cow::into_owned);
    let mut codes: Vec<(String, String)> = Vec::new();
    for code in call.input.texts("code") {
        let system =
            system.clone().ok_or_else(|| bad(IssueCode::Required, "code needs the parameter system".to_owned()))?;
        codes.extend(code.split(',').map(|code| (system.clone(), code.trim().to_owned())));
    }
    for coding in call.input.all("coding").filter_map(super::input::Parameter::value) {
        let member = |name: &str| coding.get_str(name).unwrap_or_default().into_owned();
        codes.push((member("system"), member("code")));
    }
    if codes.is_empty() || codes.iter().any(|(_, code)| code.is_empty()) {
        return Err(bad(IssueCode::Required, "$stats needs code and system, or coding".to_owned()));
    }
    if codes.len() > CODES_MAX {
        return Err(ModelError::TooCostly(format!("more than {CODES_MAX} codes in one question")).into());
    }
    Ok(codes)
}

/// The time asked about, as start and end of a Period.
fn period(call: &Call<'_>) -> Result<(Option<String>, Option<String>), Error> {
    if let Some(period) = call.input.all("period").find_map(super::input::Parameter::value) {
        if call.input.text("duration").is_some() {
            return Err(bad(IssueCode::Invalid, "duration and period exclude each other".to_owned()));
        }
        let member = |name: &str| period.get_str(name).map(Cow::into_owned);
        return Ok((member("start"), member("end")));
    }
    let Some(hours) = call.input.text("duration") else { return Ok((None, None)) };
    let hours_number = hours.parse::<f64>().ok().filter(|hours| (0.0..=1e6).contains(hours));
    let hours = hours_number.ok_or_else(|| bad(IssueCode::Value, format!("duration={hours}: expected hours")))?;
    let now = call.context.clock.now();
    // Hours within a century: the float holds their microseconds.
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e6 hours")]
    let micros = (hours * 3_600_000_000.0) as i64;
    Ok((Some(format_instant(now - micros)), Some(format_instant(now))))
}

/// Collects the values: of observations with the code, and of their components with it.
async fn measure(
    call: &Call<'_>,
    subject: &str,
    code: (&str, &str),
    (start, end): &(Option<String>, Option<String>),
    wants_sources: bool,
) -> Result<Measured, Error> {
    let types: Vec<_> = call.operation.level.resource_type().into_iter().collect();
    let escape = |text: &str| text.replace('\\', "\\\\").replace(['|'], "\\|").replace(',', "\\,").replace('$', "\\$");
    let mut parameters = vec![
        ("subject".to_owned(), escape(subject)),
        ("combo-code".to_owned(), format!("{}|{}", escape(code.0), escape(code.1))),
        ("status:not".to_owned(), "entered-in-error".to_owned()),
    ];
    parameters.extend(start.iter().map(|start| ("date".to_owned(), format!("ge{start}"))));
    parameters.extend(end.iter().map(|end| ("date".to_owned(), format!("le{end}"))));
    let mut query = parse(&types, &parameters, call.context.search(call.context.definitions, false))?.query;
    query.count = PAGE;
    let mut measured = Measured::default();
    let mut cursor = None;
    loop {
        let page = call.context.store.search(call.access, query.clone(), cursor).await?;
        for version in page.matches {
            let resource = Resource::parse(version.body.as_str(), call.context.definitions)?;
            let node = resource.node();
            let components = node.get("component").into_iter().flat_map(Node::children);
            for holder in std::iter::once(node).chain(components).filter(|holder| has_code(*holder, code)) {
                measured.total += 1;
                if let Some((value, unit)) = quantity(holder) {
                    let known = measured.unit.get_or_insert_with(|| unit.clone());
                    if known.code != unit.code {
                        let text = format!("the values of {} are in {} and in {}", code.1, known.code, unit.code);
                        return Err(bad(IssueCode::NotSupported, text));
                    }
                    measured.values.push(value);
                }
            }
            if wants_sources && measured.sources.len() < SOURCES_MAX {
                measured.sources.push(version.body);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(measured);
        }
        if measured.total >= LOOKED_AT_MAX {
            let text = format!("more than {LOOKED_AT_MAX} values: narrow by period or duration");
            return Err(ModelError::TooCostly(text).into());
        }
    }
}

fn has_code(holder: Node<'_>, (system, code): (&str, &str)) -> bool {
    let codings = holder.get("code").and_then(|code| code.get("coding")).into_iter().flat_map(Node::children);
    codings.into_iter().any(|coding| {
        coding.get_str("code").as_deref() == Some(code)
            && coding.get_str("system").as_deref().unwrap_or_default() == system
    })
}

/// "Observation resources having valueQuantity elements that have UCUM unit codes": other values are none.
fn quantity(holder: Node<'_>) -> Option<(Decimal, Unit)> {
    let quantity = holder.get("valueQuantity")?;
    if quantity.get("comparator").is_some() || quantity.get_str("system").as_deref() != Some(UCUM) {
        return None;
    }
    let text = quantity.get("value")?.as_text()?;
    let value = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    let display = quantity.get_str("unit").map(Cow::into_owned);
    Some((value, Unit { code: quantity.get_str("code")?.into_owned(), display }))
}

/// "The operation returns an Observation resource for each code with the results … as component value pairs".
fn observation(
    call: &Call<'_>,
    subject: &str,
    (system, code): (&str, &str),
    (start, end): &(Option<String>, Option<String>),
    statistics: &[Statistic],
    measured: &Measured,
) -> String {
    let string = |text: &str| {
        let mut out = String::with_capacity(text.len() + 2);
        write_string(&mut out, text);
        out
    };
    let mut out = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"#.to_owned();
    if !system.is_empty() {
        let _ = write!(out, "\"system\":{},", string(system));
    }
    let reference = call.local(subject).map_or_else(|| subject.to_owned(), |key| key.to_string());
    let _ = write!(out, "\"code\":{}}}]}},\"subject\":{{\"reference\":{}}}", string(code), string(&reference));
    let members = [("start", start), ("end", end)].into_iter();
    let members = members.filter_map(|(name, at)| Some(format!("\"{name}\":{}", string(at.as_deref()?))));
    let members = members.collect::<Vec<_>>().join(",");
    if !members.is_empty() {
        let _ = write!(out, ",\"effectivePeriod\":{{{members}}}");
    }
    let components = statistics.iter().map(|statistic| {
        let coding = format!(
            r#"{{"code":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-statistics","code":"{}"}}]}}"#,
            statistic.code()
        );
        match statistic.of(&measured.values, measured.total) {
            None => format!(
                r#"{coding},"dataAbsentReason":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"not-applicable"}}]}}}}"#
            ),
            Some(value) => {
                let (unit, display) = match &measured.unit {
                    Some(unit) if statistic.has_unit() => (unit.code.as_str(), unit.display.as_deref()),
                    _ => ("1", None),
                };
                // A variance is in the square of the unit.
                let unit = if *statistic == Statistic::Variance && unit != "1" { format!("({unit})2") } else { unit.to_owned() };
                let display = display.filter(|_| *statistic != Statistic::Variance);
                let display = display.map_or_else(String::new, |display| format!("\"unit\":{},", string(display)));
                format!(
                    r#"{coding},"valueQuantity":{{"value":{value},{display}"system":"{UCUM}","code":{}}}}}"#,
                    string(&unit)
                )
            }
        }
    });
    let components: Vec<String> = components.collect::<Vec<String>>();
    if !components.is_empty() {
        let _ = write!(out, ",\"component\":[{}]", components.join(","));
    }
    out.push('}');
    out
}
