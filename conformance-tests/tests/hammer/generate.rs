//! One request after the other.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::bodies::{bytes, json_patch, parameters, resource_type, sound, spoil};
use crate::statement::{Statement, Type};
use crate::values::{self, ODD, pick};
use crate::wire::Request;

/// Types of resources that are there.
const LIVELY: [&str; 8] = [
    "Patient",
    "Observation",
    "Condition",
    "AllergyIntolerance",
    "MedicationStatement",
    "Location",
    "ValueSet",
    "Group",
];

const FHIR_JSON: &str = "application/fhir+json";

/// Makes requests.
pub(crate) struct Generator<'a> {
    statement: &'a Statement,
    /// The path of the base URL.
    root: &'a str,
    random: Rng,
}

/// `GET` of a path from the server's root.
pub(crate) fn get(path: &str) -> Request {
    Request { method: "GET", path: path.to_owned(), headers: Vec::new(), body: None }
}

impl<'a> Generator<'a> {
    pub(crate) fn new(statement: &'a Statement, root: &'a str, random: Rng) -> Self {
        Self { statement, root, random }
    }

    /// Writes that make resources to be found.
    pub(crate) fn seeds(&mut self) -> Vec<Request> {
        let mut seeds = Vec::new();
        for number in 0..40 {
            let id = format!("h{}", number % 5);
            let body = sound(&mut self.random, &id);
            let path = format!("{}/{}/{id}", self.root, resource_type(&body));
            seeds.push(write("PUT", path, body.to_string().into_bytes()));
        }
        seeds
    }

    pub(crate) fn request(&mut self) -> Request {
        let mut request = match self.random.u8(..20) {
            0..8 => self.search(),
            8 => self.read(),
            9 => self.history(),
            10..12 => self.create(),
            12..14 => self.update(),
            14 => self.delete(),
            15 => self.patch(),
            16 => self.bundle(),
            17..19 => self.operation(),
            _ => self.odd(),
        };
        if self.random.u8(..5) == 0 {
            for _ in 0..=self.random.u8(..2) {
                let (name, value) = values::header(&mut self.random);
                request.headers.retain(|(known, _)| *known != name);
                request.headers.push((name, value));
            }
        }
        if self.random.u8(..40) == 0 {
            request.method =
                ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"][self.random.usize(..8)];
        }
        request
    }

    fn one_in(&mut self, many: u8) -> bool {
        self.random.u8(..many) == 0
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    fn any_type(&mut self) -> &'a Type {
        let types = &self.statement.types;
        if self.one_in(3) {
            return &types[self.random.usize(..types.len())];
        }
        let name = pick(&mut self.random, &LIVELY);
        types.iter().find(|known| known.name == name).unwrap_or(&types[0])
    }

    fn search(&mut self) -> Request {
        let of = self.any_type();
        let mut pairs = Vec::new();
        for _ in 0..self.random.u8(..4) {
            pairs.push(if self.one_in(3) { self.of_result(of) } else { self.criterion(of, 0) });
        }
        let query = query(&pairs);
        match self.random.u8(..12) {
            0 => Request {
                method: "POST",
                path: self.path(&format!("{}/_search", of.name)),
                headers: vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())],
                body: Some(query.into_bytes()),
            },
            1 => get(&format!("{}?_type={}&{query}", self.root, of.name)),
            2 => {
                let compartment = pick(&mut self.random, &LIVELY);
                get(&self.path(&format!("{compartment}/h1/{}?{query}", of.name)))
            }
            3 => get(&self.path(&format!("Patient/h1/*?{query}"))),
            _ => get(&self.path(&format!("{}?{query}", of.name))),
        }
    }

    /// A criterion: a parameter, a chain or `_has`.
    fn criterion(&mut self, of: &Type, depth: u8) -> (String, String) {
        if of.parameters.is_empty() || self.one_in(20) {
            return (pick(&mut self.random, &ODD).to_owned(), "a".to_owned());
        }
        let references = of.of_search_type("reference");
        if depth < 4 && !references.is_empty() && self.one_in(5) {
            let reference = references[self.random.usize(..references.len())].name.clone();
            let far = self.any_type();
            let (name, value) = self.criterion(far, depth + 1);
            let target = if self.one_in(2) { String::new() } else { format!(":{}", far.name) };
            return (format!("{reference}{target}.{name}"), value);
        }
        if depth < 4 && self.one_in(10) {
            let far = self.any_type();
            let references = far.of_search_type("reference");
            if !references.is_empty() {
                let reference = references[self.random.usize(..references.len())].name.clone();
                let (name, value) = self.criterion(far, depth + 1);
                return (format!("_has:{}:{reference}:{name}", far.name), value);
            }
        }
        let parameter = &of.parameters[self.random.usize(..of.parameters.len())];
        let value = values::of_search_type(&mut self.random, &parameter.search_type);
        (format!("{}{}", parameter.name, values::modifier(&mut self.random)), value)
    }

    /// A parameter of the result, or one that all types have.
    fn of_result(&mut self, of: &Type) -> (String, String) {
        let random = &mut self.random;
        let parameter = |random: &mut Rng| match of.parameters.len() {
            0 => "_id".to_owned(),
            many => of.parameters[random.usize(..many)].name.clone(),
        };
        let include = |random: &mut Rng| match of.includes.len() {
            0 => "*".to_owned(),
            many => of.includes[random.usize(..many)].clone(),
        };
        let count = ["0", "1", "2", "1000", "-1", "99999999999999999999", "a", ""];
        let (name, value) = match random.u8(..19) {
            0 => ("_count", pick(random, &count).to_owned()),
            1 => ("_sort", parameter(random)),
            2 => ("_sort", format!("-{},{},_lastUpdated", parameter(random), parameter(random))),
            3 => ("_sort", pick(random, &ODD).to_owned()),
            4 => ("_include", include(random)),
            5 => ("_include:iterate", format!("{}:Patient", include(random))),
            6 => (
                "_revinclude",
                pick(random, &["Observation:subject", "*", "Observation:*", "Condition:patient:Patient", "a:b:c:d"])
                    .to_owned(),
            ),
            7 => ("_summary", pick(random, &["true", "false", "text", "data", "count", "x", ""]).to_owned()),
            8 => {
                ("_elements", pick(random, &["name", "code,status", "Patient.name", "", "a.b.c", ",", "*"]).to_owned())
            }
            9 => ("_total", pick(random, &["none", "estimate", "accurate", "x"]).to_owned()),
            10 => ("_contained", pick(random, &["true", "false", "both", "x"]).to_owned()),
            17 => ("_containedType", pick(random, &["container", "contained", "x"]).to_owned()),
            11 => ("_filter", values::filter(random)),
            12 => (
                ["_text", "_content"][random.usize(..2)],
                pick(random, &["a", "a AND b", "\"", "a NEAR b", "*", "(a", "peter*", "NOT", "a OR"]).to_owned(),
            ),
            13 => ("_list", pick(random, &["h1", "$current-problems", "List/h1", "$"]).to_owned()),
            14 => ("_query", "nonsense".to_owned()),
            15 => ("_page", pick(random, &["", "AAAA", "////", "MTIzPw", "eyJhIjoxfQ", "MTo6MTo6Pz0"]).to_owned()),
            16 => {
                ("_format", pick(random, &["json", "xml", "ttl", "application/fhir+json", "html/json", ""]).to_owned())
            }
            _ => {
                let search_type = pick(random, &["token", "date", "uri"]);
                (
                    ["_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_pretty", "_type"]
                        [random.usize(..8)],
                    values::of_search_type(random, search_type),
                )
            }
        };
        (name.to_owned(), value)
    }

    fn instance(&mut self) -> String {
        let name = pick(&mut self.random, &LIVELY);
        format!("{name}/{}", encode(&values::id(&mut self.random)))
    }

    fn read(&mut self) -> Request {
        let instance = self.instance();
        let version = match self.random.u8(..6) {
            0 => format!(
                "/_history/{}",
                encode(pick(&mut self.random, &["1", "2", "0", "-1", "a", "99999999999999999999", "+1", ""]))
            ),
            _ => String::new(),
        };
        let pairs = if self.one_in(3) { vec![self.of_result(&self.statement.types[0])] } else { Vec::new() };
        get(&self.path(&format!("{instance}{version}?{}", query(&pairs))))
    }

    fn history(&mut self) -> Request {
        let level = match self.random.u8(..3) {
            0 => String::new(),
            1 => format!("{}/", pick(&mut self.random, &LIVELY)),
            _ => format!("{}/", self.instance()),
        };
        let mut pairs = Vec::new();
        for _ in 0..self.random.u8(..3) {
            let name = ["_since", "_at", "_count", "_list", "_sort", "nonsense"][self.random.usize(..6)];
            let search_type = ["date", "number"][self.random.usize(..2)];
            pairs.push((name.to_owned(), values::of_search_type(&mut self.random, search_type)));
        }
        get(&self.path(&format!("{level}_history?{}", query(&pairs))))
    }

    /// A resource, often spoilt.
    fn resource(&mut self, id: &str) -> Value {
        let mut resource = sound(&mut self.random, id);
        for _ in 0..self.random.u8(..4) / 2 {
            spoil(&mut self.random, &mut resource);
        }
        resource
    }

    fn create(&mut self) -> Request {
        let resource = self.resource("x");
        let path = self.path(&encode(resource_type(&resource)));
        write("POST", path, bytes(&mut self.random, &resource))
    }

    fn update(&mut self) -> Request {
        let id = values::id(&mut self.random);
        let resource = self.resource(&id);
        let of = encode(resource_type(&resource));
        let path = match self.random.u8(..4) {
            0 => {
                let criterion = self.criterion(
                    self.statement.types.iter().find(|known| known.name == of).unwrap_or(&self.statement.types[0]),
                    3,
                );
                format!("{of}?{}", query(&[criterion]))
            }
            _ => format!("{of}/{}", encode(&id)),
        };
        write("PUT", self.path(&path), bytes(&mut self.random, &resource))
    }

    fn delete(&mut self) -> Request {
        let path = if self.one_in(3) {
            let of = self.any_type();
            let criterion = self.criterion(of, 3);
            format!("{}?{}", of.name, query(&[criterion]))
        } else {
            self.instance()
        };
        Request { method: "DELETE", ..get(&self.path(&path)) }
    }

    fn patch(&mut self) -> Request {
        let (media_type, body) = match self.random.u8(..4) {
            0 => ("application/merge-patch+json", self.resource("h1")),
            1 => (FHIR_JSON, parameters(&mut self.random)),
            _ => ("application/json-patch+json", json_patch(&mut self.random)),
        };
        let path = format!("{}/h{}", pick(&mut self.random, &LIVELY), self.random.u8(..5));
        let mut request = write("PATCH", self.path(&path), bytes(&mut self.random, &body));
        request.headers = vec![("Content-Type", media_type.to_owned())];
        request
    }

    fn bundle(&mut self) -> Request {
        let mut entries = Vec::new();
        for _ in 0..self.random.u8(..5) {
            let request = match self.random.u8(..5) {
                0 => self.search(),
                1 => self.read(),
                2 => self.delete(),
                3 => self.update(),
                _ => self.create(),
            };
            let url = request.path.trim_start_matches(self.root).trim_start_matches('/').to_owned();
            let mut entry = json!({ "request": { "method": request.method, "url": url } });
            if let Some(body) = request.body.and_then(|body| serde_json::from_slice::<Value>(&body).ok()) {
                entry["resource"] = body;
                entry["fullUrl"] = json!(pick(
                    &mut self.random,
                    &["urn:uuid:1", "urn:uuid:2", "Patient/h1", "http://a.example/Patient/h1", ""]
                ));
            }
            for (member, values) in
                [("ifMatch", ["W/\"1\"", "", "*"]), ("ifNoneExist", ["_id=h1", "?", "identifier=x"])]
            {
                if self.one_in(8) {
                    entry["request"][member] = json!(pick(&mut self.random, &values));
                }
            }
            entries.push(entry);
        }
        let bundle_type = pick(&mut self.random, &["batch", "transaction", "batch", "transaction", "history", "x"]);
        let mut bundle = json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries });
        if self.one_in(6) {
            spoil(&mut self.random, &mut bundle);
        }
        write("POST", self.root.to_owned(), bytes(&mut self.random, &bundle))
    }

    fn operation(&mut self) -> Request {
        let of = self.any_type();
        let known: Vec<&str> = of.operations.iter().chain(&self.statement.operations).map(String::as_str).collect();
        let name = match known.len() {
            0 => "nonsense",
            _ if self.one_in(8) => {
                pick(&mut self.random, &["validate", "everything", "nonsense", "", "$", "meta", "expand"])
            }
            many => known[self.random.usize(..many)],
        };
        let level = match self.random.u8(..3) {
            0 => String::new(),
            1 => format!("{}/", of.name),
            _ => format!("{}/h{}/", of.name, self.random.u8(..5)),
        };
        let path = self.path(&format!("{level}${}", name.trim_start_matches('$')));
        if self.one_in(2) {
            let body = if self.one_in(3) { self.resource("h1") } else { parameters(&mut self.random) };
            return write("POST", path, bytes(&mut self.random, &body));
        }
        let mut pairs = Vec::new();
        for _ in 0..self.random.u8(..4) {
            let names = [
                "url",
                "code",
                "system",
                "filter",
                "_count",
                "start",
                "end",
                "_since",
                "_type",
                "max",
                "offset",
                "date",
                "valueSet",
                "codeA",
                "codeB",
                "resource",
                "profile",
                "mode",
                "statistic",
                "period",
                "displayLanguage",
                "target",
                "reverse",
            ];
            let name = pick(&mut self.random, &names).to_owned();
            let search_type = pick(&mut self.random, &["date", "number", "token", "uri", "string"]);
            pairs.push((name, values::of_search_type(&mut self.random, search_type)));
        }
        get(&format!("{path}?{}", query(&pairs)))
    }

    fn odd(&mut self) -> Request {
        let paths = [
            "",
            "/",
            "//",
            "///Patient",
            "Patient/",
            "Patient//h1",
            "Patient/h1/",
            "Patient/h1/_history/1/",
            "%2e%2e/Patient",
            "../fhir/metadata",
            "Patient/%00",
            "Patient/%ff%fe",
            "Patient/%zz",
            "%50atient/h1",
            "Patient%2Fh1",
            "Patient/h1%3F_format=json",
            "Patient?%",
            "Patient?=",
            "Patient?=a&&&=",
            "Patient?a",
            "Patient?name",
            "Patient?name=a=b",
            "Patient?na%6De=a",
            "patient",
            "metadata?mode=full",
            "metadata?mode=x",
            "metadata/",
            "_history/1",
            "_search",
            "Patient/_search",
            "Patient/_search?name=a",
            "Patient/h1/_search",
            ";a=b",
            "Patient;a=b",
            "Patient/h1;a",
            "$",
            "$$",
            "Patient/$",
            "Patient/h1/$/x",
            "Patient/h1/Observation/$validate",
            "Patient/h1/*",
            "Patient/*",
            "*",
            "Observation/h1/Patient",
            "Bundle",
            "Binary/h1",
            "Parameters/h1",
            "OperationOutcome",
            "DomainResource",
            "Resource/h1",
            "Patient?name=%ED%A0%80",
            "Patient?name=+%2B",
        ];
        let path = pick(&mut self.random, &paths).to_owned();
        get(&self.path(&path))
    }
}

fn write(method: &'static str, path: String, body: Vec<u8>) -> Request {
    Request { method, path, headers: vec![("Content-Type", FHIR_JSON.to_owned())], body: Some(body) }
}

fn query(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes what no URL may hold.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,/*$|'()@!;".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
