//! Random queries over the world's values: every parameter type with its prefixes and modifiers, chains, `_has`, composites,
//! sorting, any page size.

use super::world::{CODES, DATES, NAMES, NUMBERS, PLACES, SYSTEMS, TYPES, UNITS, URLS};
use tessera_model::interaction::percent_encode;

pub(crate) struct Queries {
    random: fastrand::Rng,
}

const WORDS: [&str; 9] = ["muller", "MUL", "O'Neil", "山田", "van", "der Berg", "angstrom", "c1", "final"];

const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

impl Queries {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed.wrapping_mul(31) + 7) }
    }

    /// `Type?…`
    pub(crate) fn next(&mut self) -> String {
        if self.random.u8(..12) == 0 {
            return self.in_compartment();
        }
        let name = *self.pick(&TYPES);
        let mut parameters: Vec<String> = (0..self.random.usize(0..3)).map(|_| self.parameter(name, 0)).collect();
        if parameters.is_empty() || self.random.u8(..) < 40 {
            parameters.push(self.parameter(name, 0));
        }
        parameters.push(format!("_count={}", *self.pick(&[3, 7, 1000])));
        let (contained, containers) = self.contained();
        parameters.extend(contained.map(str::to_owned));
        if self.random.u8(..) < 90 {
            let sort = if containers { (*self.pick(&["_id", "-_lastUpdated"])).to_owned() } else { self.sort(name) };
            parameters.push(format!("_sort={sort}"));
        }
        format!("{name}?{}", parameters.join("&"))
    }

    /// Among which resources, and whether their containers are returned.
    fn contained(&mut self) -> (Option<&'static str>, bool) {
        match self.random.u8(..8) {
            0 => (Some("_contained=true"), true),
            1 => (Some("_contained=both&_containedType=container"), true),
            2 => (Some("_contained=true&_containedType=contained"), false),
            3 => (Some("_contained=both&_containedType=contained"), false),
            4 => (Some("_contained=false&_containedType=contained"), false),
            _ => (None, false),
        }
    }

    /// `Patient/id/Type?…` or `Patient/id/*?…`
    fn in_compartment(&mut self) -> String {
        let owner = format!("Patient/pa{}", self.random.usize(..250));
        let name = *self.pick(&["Observation", "Condition", "Patient", "*"]);
        let parameter = match name {
            "*" => format!("_content={}", percent_encode(self.pick::<&str>(&WORDS))),
            _ => self.parameter(name, 1),
        };
        if self.random.bool() { format!("{owner}/{name}?{parameter}") } else { format!("{owner}/{name}?_count=3") }
    }

    fn words(&mut self) -> String {
        let code = *self.pick(&["_text", "_content"]);
        let mut word = || (*self.pick::<&str>(&WORDS)).to_owned();
        let (a, b, c) = (word(), word(), word());
        let value = match self.random.u8(..6) {
            0 => return self.missing(code),
            1 => a,
            2 => format!("{a} {b}"),
            3 => format!("{a},{b}"),
            4 => format!("({a} OR {b}) and {c}"),
            _ => format!("{a} NOT ({b} {c})"),
        };
        format!("{code}={}", percent_encode(&value))
    }

    fn filter(&mut self, name: &str) -> String {
        let mut tests: Vec<String> = (0..self.random.usize(1..4)).map(|_| self.test(name)).collect();
        if self.random.u8(..) < 80 {
            tests[0] = format!("not ({})", tests[0]);
        }
        let joined = tests.join(*self.pick(&[" and ", " or "]));
        format!("_filter={}", percent_encode(&joined))
    }

    fn test(&mut self, name: &str) -> String {
        let text = serde_json::to_string(*self.pick(&NAMES)).unwrap();
        let of_text = *self.pick(&["eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"]);
        let compared = *self.pick(&["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]);
        let of_time = *self.pick(&["co", "po", compared]);
        let (date, number, token) = (*self.pick(&DATES), *self.pick(&NUMBERS), self.one_token());
        let of_token = *self.pick(&["eq", "ne"]);
        match (name, self.random.u8(..6)) {
            ("Patient", 0) => format!("family {of_text} {text}"),
            ("Patient", 1) => format!("birthdate {of_time} {date}"),
            ("Patient", 2) => format!("identifier {of_token} {token}"),
            ("Patient", 3) => format!("organization[name pr true].name {of_text} {text}"),
            ("Patient", 4) => format!("gender {of_token} male and organization pr true"),
            ("Patient", _) => "_has:Observation:subject:status eq final".to_owned(),
            ("Observation", 0) => format!("value-quantity {compared} {number}||mg"),
            ("Observation", 1) => format!("date {of_time} {date}"),
            ("Observation", 2) => format!("code {of_token} {token}"),
            ("Observation", 3) => format!("subject:Patient.family {of_text} {text}"),
            ("Observation", 4) => format!("value-string {of_text} {text}"),
            ("Observation", _) => format!("subject re Patient/pa{}", self.random.usize(..250)),
            ("Condition", 0) => format!("code {} http://v/few", *self.pick(&["in", "ni"])),
            ("Condition", 1) => format!("code {} http://s/1|c2", *self.pick(&["ss", "sb"])),
            ("Condition", _) => format!("onset-age {compared} {number}"),
            ("Organization", _) => format!("address-city {of_text} {text}"),
            ("RiskAssessment", _) => format!("probability {compared} {number}"),
            ("ValueSet", 0) => format!("url {of_token} {}", self.uri()),
            ("ValueSet", _) => format!("title {of_text} {text}"),
            _ => format!("_content co {}", serde_json::to_string(*self.pick(&WORDS)).unwrap()),
        }
    }

    fn parameter(&mut self, name: &str, depth: usize) -> String {
        match self.random.u8(..24) {
            20 => return self.words(),
            21 => return self.filter(name),
            22 if depth == 0 => return format!("_list=li{},li{}", self.random.usize(..250), self.random.usize(..250)),
            0 => return format!("_id={}", self.ids(name)),
            1 => return format!("_tag{}={}", *self.pick(&["", ":not", ""]), self.token()),
            2 => return format!("_profile{}={}", *self.pick(&["", ":below", ":above"]), self.uri()),
            3 => return format!("_lastUpdated={}2020-09-13T12:26:40Z", *self.pick(&["ge", "lt", "gt"])),
            _ => {}
        }
        match name {
            "List" => self.token_parameter("_tag"),
            "Location" => {
                let (latitude, longitude) = *self.pick(&PLACES);
                match self.random.u8(..3) {
                    0 => self.missing("near"),
                    1 => format!("near={latitude}|{longitude}"),
                    _ => {
                        let distance = *self.pick(&["0|m", "0.2|km", "100", "306|km", "20000|km", "190|[mi_i]"]);
                        format!("near={latitude}|{longitude}|{distance},1|1|5")
                    }
                }
            }
            "Patient" => self.of_patient(depth),
            "Observation" => self.of_observation(depth),
            "Condition" => match self.random.u8(..6) {
                0 => self.token_parameter("code"),
                1 => self.date_parameter("onset-date"),
                2 => self.quantity_parameter("onset-age"),
                3 => self.chain("patient.", "Patient", depth),
                4 => self.missing("onset-date"),
                _ => self.reference_parameter("subject", "pa", "Patient"),
            },
            "Organization" => match self.random.u8(..6) {
                0 => self.string_parameter("name"),
                1 => self.string_parameter("address"),
                2 => self.string_parameter("address-city"),
                3 => self.chain("partof.", "Organization", depth),
                4 => self.has("Patient:organization:", "Patient", depth),
                _ => self.reference_parameter("partof", "or", "Organization"),
            },
            "RiskAssessment" => match self.random.u8(..3) {
                0 => self.missing("probability"),
                1 => format!("probability={}{}", *self.pick(&PREFIXES), *self.pick(&NUMBERS)),
                _ => self.chain("subject:Patient.", "Patient", depth),
            },
            _ => match self.random.u8(..5) {
                0 => self.string_parameter("title"),
                1 => self.token_parameter("identifier"),
                2 => self.missing("url"),
                _ => format!("url{}={}", *self.pick(&["", ":below", ":above"]), self.uri()),
            },
        }
    }

    fn of_patient(&mut self, depth: usize) -> String {
        match self.random.u8(..11) {
            0 => self.string_parameter("name"),
            1 => self.string_parameter("family"),
            2 => format!(
                "gender{}={}",
                *self.pick(&["", ":not"]),
                *self.pick(&["male", "female,other", "http://hl7.org/fhir/administrative-gender|male", "|male"])
            ),
            3 => self.date_parameter("birthdate"),
            4 => self.token_parameter("identifier"),
            5 => format!("active={}", *self.pick(&["true", "false"])),
            6 => format!("deceased={}", *self.pick(&["true", "false"])),
            7 => self.has("Observation:subject:", "Observation", depth),
            8 => self.chain("organization.", "Organization", depth),
            9 => {
                let code = *self.pick(&["gender", "birthdate", "name", "organization", "identifier"]);
                self.missing(code)
            }
            _ => self.reference_parameter("organization", "or", "Organization"),
        }
    }

    fn of_observation(&mut self, depth: usize) -> String {
        match self.random.u8(..13) {
            0 => self.token_parameter("code"),
            1 => self.token_parameter("category"),
            2 => format!("status={}", *self.pick(&["final", "amended,unknown"])),
            3 | 4 => self.date_parameter("date"),
            5 => self.quantity_parameter("value-quantity"),
            6 => self.quantity_parameter("combo-value-quantity"),
            7 => self.string_parameter("value-string"),
            8 => self.chain("subject:Patient.", "Patient", depth),
            9 => {
                let code = *self.pick(&[
                    "date",
                    "subject",
                    "value-quantity",
                    "category",
                    "value-string",
                    "code-value-quantity",
                ]);
                self.missing(code)
            }
            10 => {
                let (token, quantity) = (self.one_token(), self.one_quantity());
                let code =
                    *self.pick(&["component-code-value-quantity", "code-value-quantity", "combo-code-value-quantity"]);
                format!("{code}={token}${quantity}")
            }
            11 => self.token_parameter("combo-code"),
            _ => self.reference_parameter("subject", "pa", "Patient"),
        }
    }

    fn chain(&mut self, head: &str, target: &str, depth: usize) -> String {
        if depth >= 2 {
            return format!("{head}_id={}", self.ids(target));
        }
        format!("{head}{}", self.parameter(target, depth + 1))
    }

    fn has(&mut self, head: &str, source: &str, depth: usize) -> String {
        if depth >= 1 {
            return format!("_has:{head}_id={}", self.ids(source));
        }
        format!("_has:{head}{}", self.parameter(source, depth + 1))
    }

    fn missing(&mut self, code: &str) -> String {
        format!("{code}:missing={}", self.random.bool())
    }

    fn string_parameter(&mut self, code: &str) -> String {
        let name = *self.pick(&NAMES);
        let mut text: String = name.chars().take(self.random.usize(1..=name.chars().count())).collect();
        if code == "title" {
            text = text.repeat(self.random.usize(1..120));
        }
        let modifier = *self.pick(&["", ":exact", ":contains"]);
        format!("{code}{modifier}={}", percent_encode(&text))
    }

    fn token_parameter(&mut self, code: &str) -> String {
        match self.random.u8(..12) {
            0 => format!("{code}:text={}", percent_encode(self.pick::<&str>(&NAMES))),
            1 => format!("{code}:{}={}", *self.pick(&["in", "not-in"]), *self.pick(&["http://v/few", "http://v/all"])),
            2 => format!("{code}:{}={}|c2", *self.pick(&["above", "below"]), *self.pick(&SYSTEMS[..2])),
            3 if code == "identifier" => {
                format!("{code}:of-type={}|{}|{}", *self.pick(&SYSTEMS[..2]), *self.pick(&CODES[..2]), self.code())
            }
            _ => format!("{code}{}={}", *self.pick(&["", "", ":not"]), self.token()),
        }
    }

    fn date_parameter(&mut self, code: &str) -> String {
        let values: Vec<String> =
            (0..self.random.usize(1..3)).map(|_| format!("{}{}", *self.pick(&PREFIXES), *self.pick(&DATES))).collect();
        format!("{code}={}", values.join(","))
    }

    fn quantity_parameter(&mut self, code: &str) -> String {
        format!("{code}={}", self.one_quantity())
    }

    fn one_quantity(&mut self) -> String {
        let number = format!("{}{}", *self.pick(&PREFIXES), *self.pick(&NUMBERS));
        let (system, code) = *self.pick(&UNITS);
        match self.random.u8(..3) {
            0 => number,
            1 => format!("{number}||{code}"),
            _ if system.is_empty() => number,
            _ => format!("{number}|{system}|{code}"),
        }
    }

    fn reference_parameter(&mut self, code: &str, prefix: &str, target: &str) -> String {
        let id = format!("{prefix}{}", self.random.usize(..250));
        match self.random.u8(..7) {
            0 => format!("{code}={id}"),
            1 => format!("{code}:{target}={id}"),
            2 => format!("{code}=http://there/fhir/{target}/{id}"),
            3 => format!("{code}:identifier={}", self.token()),
            4 => format!("{code}={}/{target}/{id},{target}/{prefix}{}", crate::store::BASE, self.random.usize(..250)),
            5 => self.missing(code),
            _ => format!("{code}={target}/{id}"),
        }
    }

    fn ids(&mut self, name: &str) -> String {
        let prefix = name[..2].to_lowercase();
        let ids = (0..8).map(|_| format!("{prefix}{}", self.random.usize(..250)));
        ids.chain([super::world::within(&prefix)]).collect::<Vec<_>>().join(",")
    }

    fn token(&mut self) -> String {
        (0..self.random.usize(1..3)).map(|_| self.one_token()).collect::<Vec<_>>().join(",")
    }

    fn code(&mut self) -> String {
        self.pick(&CODES).replace(',', "\\,").replace('|', "\\|").replace('$', "\\$")
    }

    fn one_token(&mut self) -> String {
        let code = self.code();
        let system = *self.pick(&SYSTEMS);
        let text = match self.random.u8(..4) {
            0 => code,
            1 if !system.is_empty() => format!("{system}|"),
            2 => format!("|{code}"),
            _ => format!("{system}|{code}"),
        };
        text.replace('%', "%25")
    }

    fn uri(&mut self) -> String {
        (*self.pick(&URLS)).to_owned()
    }

    fn sort(&mut self, name: &str) -> String {
        let keys: &[&str] = match name {
            "Patient" => {
                &["family", "-family", "birthdate", "-birthdate,_id", "gender,-_id", "-_lastUpdated", "identifier"]
            }
            "Observation" => &["date", "-date", "value-quantity", "-value-quantity,code", "status,-date", "code,_id"],
            "Organization" => &["name", "-name,_id", "-address-city"],
            "RiskAssessment" => &["probability", "-probability"],
            "ValueSet" => &["url", "-url,title", "title"],
            "Condition" => &["onset-date", "-code", "_id"],
            _ => &["_id", "-_lastUpdated"],
        };
        (*self.pick(keys)).to_owned()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.random.usize(..items.len())]
    }
}
