//! `$validate-code`: whether a code is in a value set or a code system, under that name.
//! <https://hl7.org/fhir/R4/valueset-operation-validate-code.html>

use super::{CodeSystem, Coding, Member, ValueSet, member::is_ucum};
use crate::{
    Error,
    search::{quantity::UCUM, string::fold},
};
use serde_json::{Value, json};

/// How a code is judged.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether a code that only groups others is in its place here.
    pub abstract_allowed: bool,
    /// The language of the display that is answered.
    pub display_language: Option<String>,
}

/// What is found of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is right.
    pub result: bool,
    /// Why not.
    pub message: Option<String>,
    /// What it is called.
    pub display: Option<String>,
}

impl Verdict {
    /// The answer as parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<Value> {
        let text =
            |name: &str, text: &Option<String>| text.as_ref().map(|text| json!({"name": name, "valueString": text}));
        [
            Some(json!({"name": "result", "valueBoolean": self.result})),
            text("message", &self.message),
            text("display", &self.display),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Whether one of the codings is in the value set that is called `name`.
///
/// # Errors
/// If none is and of one that cannot be known.
pub fn in_value_set(
    value_set: &ValueSet<'_>,
    name: &str,
    codings: &[Coding],
    options: &Options,
) -> Result<Verdict, Error> {
    first_right(codings, |coding| match value_set.find(&coding.system, &coding.code)? {
        Some(member) => Ok(judge(&member, coding, options)),
        None => Ok(wrong(format!("{} is not in the value set {name}", written(coding)))),
    })
}

/// Whether one of the codings is in the code system.
///
/// # Errors
/// If none is and only some of the system's codes are known.
pub fn in_code_system(system: &CodeSystem<'_>, codings: &[Coding], options: &Options) -> Result<Verdict, Error> {
    first_right(codings, |coding| {
        if coding.system != system.url {
            return Ok(wrong(format!("{} is not of the code system {}", written(coding), system.url)));
        }
        match system.find(&coding.code) {
            Some(concept) => Ok(judge(&Member::of_concept(system, &concept), coding, options)),
            None if system.complete => Ok(wrong(format!("the code system {} has no code {}", system.url, coding.code))),
            None => {
                Err(Error::NotSupported(format!("only some of the codes of the code system {} are here", system.url)))
            }
        }
    })
}

/// Whether one of the codings is a unit of UCUM, which no list of codes can say.
#[must_use]
pub fn in_ucum(codings: &[Coding]) -> Verdict {
    let judge = |coding: &Coding| match coding.system == UCUM && is_ucum(&coding.code) {
        true => Verdict { result: true, message: None, display: None },
        false => wrong(format!("{} is no unit of UCUM", written(coding))),
    };
    first_right(codings, |coding| Ok(judge(coding))).unwrap_or_else(|_| wrong(String::new()))
}

/// The first verdict that is good; all complaints if none is.
fn first_right(codings: &[Coding], judge: impl Fn(&Coding) -> Result<Verdict, Error>) -> Result<Verdict, Error> {
    let (mut complaints, mut display, mut unknown) = (Vec::new(), None, None);
    for coding in codings {
        match judge(coding) {
            Ok(verdict) if verdict.result => return Ok(verdict),
            Ok(verdict) => {
                complaints.extend(verdict.message);
                display = display.or(verdict.display);
            }
            Err(error) => unknown = Some(error),
        }
    }
    match unknown {
        Some(error) => Err(error),
        None if complaints.is_empty() => Ok(wrong("there is no coding to validate".into())),
        None => Ok(Verdict { result: false, message: Some(complaints.join("; ")), display }),
    }
}

fn judge(member: &Member<'_>, coding: &Coding, options: &Options) -> Verdict {
    let display = member.display(options.display_language.as_deref());
    let names = member
        .designations()
        .filter_map(|node| node.get_str("value"))
        .chain(display.clone())
        .chain(member.display(None));
    let named = coding.display.as_ref().is_none_or(|given| {
        let given = fold(given);
        // What is called nothing may be called anything.
        display.is_none() || names.into_iter().any(|name| fold(&name) == given)
    });
    let message = if coding.version.is_some()
        && member.version.is_some()
        && coding.version.as_deref() != member.version.as_deref()
    {
        Some(format!(
            "{} is of version {}, not {}",
            written(coding),
            member.version.as_deref().unwrap_or_default(),
            coding.version.as_deref().unwrap_or_default()
        ))
    } else if member.is_abstract && !options.abstract_allowed {
        Some(format!("{} is abstract: it only groups other codes", written(coding)))
    } else if !named {
        let right = display.as_deref().unwrap_or_default();
        Some(format!(
            "the display \"{}\" of {} is not right: it is \"{right}\"",
            coding.display.as_deref().unwrap_or_default(),
            written(coding)
        ))
    } else {
        None
    };
    Verdict { result: message.is_none(), message, display: display.map(std::borrow::Cow::into_owned) }
}

fn wrong(message: String) -> Verdict {
    Verdict { result: false, message: Some(message), display: None }
}

fn written(coding: &Coding) -> String {
    if coding.system.is_empty() {
        format!("the code {} without system", coding.code)
    } else {
        format!("{}|{}", coding.system, coding.code)
    }
}
