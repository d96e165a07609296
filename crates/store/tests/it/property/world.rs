//! Random resources with few distinct values, so that queries meet them.

use serde_json::{Value, json};

pub(crate) const TYPES: [&str; 8] =
    ["Patient", "Observation", "Condition", "Organization", "RiskAssessment", "ValueSet", "Location", "List"];
/// Degrees, on both sides of the date line.
pub(crate) const PLACES: [(&str, &str); 6] = [
    ("0", "179.9"),
    ("0.5", "-179.9"),
    ("42.36", "-71.06"),
    ("42.361", "-71.0600001"),
    ("-90", "12"),
    ("40.71", "-74.01"),
];
pub(crate) const NAMES: [&str; 9] =
    ["Müller", "muller", "Mul", "O'Neil", "%", "_a", "山田", "Ångström", "van der Berg"];
pub(crate) const CODES: [&str; 5] = ["c1", "c2", "c,3", "c|4", "c$5"];
pub(crate) const SYSTEMS: [&str; 3] = ["http://s/1", "http://s/2", ""];
pub(crate) const DATES: [&str; 10] = [
    "2019",
    "2020",
    "2020-01",
    "2020-01-31",
    "2020-02-01",
    "2020-02-01T10:00:00Z",
    "2020-02-01T23:30:00-05:00",
    "2020-02-02T04:30:00Z",
    "2021-12-31",
    "2020-02-01T10:00:00.123Z",
];
pub(crate) const NUMBERS: [&str; 8] = ["5.4", "5.40", "5.35", "5.45", "100", "99.5", "0.1", "-3"];
pub(crate) const UNITS: [(&str, &str); 5] = [
    ("http://unitsofmeasure.org", "mg"),
    ("http://unitsofmeasure.org", "g"),
    ("http://unitsofmeasure.org", "mmol/L"),
    ("http://u/x", "mg"),
    ("", "tab"),
];
pub(crate) const URLS: [&str; 5] = ["http://v/a", "http://v/a/b", "http://v/ab", "urn:oid:1.2.3", "http://V/a"];

/// The id of a contained resource.
pub(crate) fn within(prefix: &str) -> String {
    format!("k{prefix}")
}

pub(crate) struct World {
    random: fastrand::Rng,
    made: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), made: 1 }
    }

    /// A new resource; its id tells its type.
    pub(crate) fn resource(&mut self, number: usize) -> Value {
        self.made = number.max(1);
        let name = *self.pick(&TYPES);
        self.again(name, &format!("{}{number}", name[..2].to_lowercase()))
    }

    /// Other content for a resource, and sometimes others within it.
    pub(crate) fn again(&mut self, name: &str, id: &str) -> Value {
        let mut value = self.content(name, id);
        if self.random.u8(..) < 80 {
            let contained: Vec<Value> = (0..self.random.usize(1..4)).map(|_| self.contained()).collect();
            value["contained"] = json!(contained);
        }
        value
    }

    /// Mostly what references within the container lead to; sometimes under an id that a resource of its own has, too.
    fn contained(&mut self) -> Value {
        let name = *self.pick(&TYPES);
        let prefix = name[..2].to_lowercase();
        let id =
            if self.random.u8(..) < 60 { format!("{prefix}{}", self.random.usize(..250)) } else { within(&prefix) };
        self.content(name, &id)
    }

    fn content(&mut self, name: &str, id: &str) -> Value {
        let mut value = json!({"resourceType": name, "id": id});
        if self.random.u8(..) < 60 {
            value["meta"] = json!({"tag": [self.coding()], "profile": [*self.pick(&URLS)]});
        }
        self.maybe(&mut value, "text", |w| {
            let (a, b) = (*w.pick(&NAMES), *w.pick(&NAMES));
            let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{a}<b title=\"c1\">{b}</b>&amp;</div>");
            json!({"status": "generated", "div": div})
        });
        match name {
            "Location" => self.maybe(&mut value, "position", |w| {
                let (latitude, longitude) = *w.pick(&PLACES);
                let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                json!({"latitude": number(latitude), "longitude": number(longitude)})
            }),
            "List" => self.list(&mut value),
            "Patient" => self.patient(&mut value),
            "Observation" => self.observation(&mut value),
            "Condition" => self.condition(&mut value),
            "Organization" => self.organization(&mut value),
            "RiskAssessment" => self.risk_assessment(&mut value),
            _ => self.value_set(&mut value),
        }
        value
    }

    fn list(&mut self, value: &mut Value) {
        value["status"] = json!("current");
        value["mode"] = json!("working");
        let items: Vec<Value> = (0..self.random.usize(..12))
            .map(|n| {
                let (name, prefix) = if n % 2 == 0 { ("Patient", "pa") } else { ("Observation", "ob") };
                json!({"item": self.reference(name, prefix)})
            })
            .collect();
        self.set(value, "entry", json!(items));
    }

    fn patient(&mut self, value: &mut Value) {
        let names: Vec<Value> = (0..self.random.usize(..3))
            .map(|_| json!({"family": *self.pick(&NAMES), "given": [*self.pick(&NAMES)]}))
            .collect();
        self.set(value, "name", json!(names));
        let gender = *self.pick(&["male", "female", "other"]);
        self.maybe(value, "gender", |_| json!(gender));
        self.maybe(value, "birthDate", |w| json!(*w.pick(&["2019", "2020-01", "2020-02-01"])));
        self.maybe(value, "active", |w| json!(w.random.bool()));
        self.maybe(value, "identifier", |w| json!([w.identifier()]));
        self.maybe(value, "managingOrganization", |w| w.reference("Organization", "or"));
        self.maybe(value, "deceasedBoolean", |w| json!(w.random.bool()));
    }

    fn observation(&mut self, value: &mut Value) {
        value["status"] = json!(*self.pick(&["final", "amended", "unknown"]));
        value["code"] = self.concept(1);
        self.maybe(value, "category", |w| json!([w.concept(2)]));
        self.maybe(value, "subject", |w| w.reference("Patient", "pa"));
        match self.random.u8(..3) {
            0 => self.maybe(value, "effectiveDateTime", |w| json!(*w.pick(&DATES))),
            1 => self.maybe(value, "effectivePeriod", |w| {
                let mut period = json!({});
                w.maybe(&mut period, "start", |w| json!(*w.pick(&DATES)));
                w.maybe(&mut period, "end", |w| json!(*w.pick(&DATES)));
                period
            }),
            _ => {}
        }
        match self.random.u8(..3) {
            0 => self.maybe(value, "valueQuantity", Self::quantity),
            1 => self.maybe(value, "valueCodeableConcept", |w| json!({"coding": [w.coding()]})),
            _ => self.maybe(value, "valueString", |w| json!(*w.pick(&NAMES))),
        }
        self.maybe(value, "component", |w| {
            let component = |w: &mut Self| json!({"code": {"coding": [w.coding()]}, "valueQuantity": w.quantity()});
            json!([component(w), component(w)])
        });
    }

    fn condition(&mut self, value: &mut Value) {
        value["subject"] = self.reference("Patient", "pa");
        self.maybe(value, "code", |w| w.concept(2));
        self.maybe(value, "onsetDateTime", |w| json!(*w.pick(&DATES)));
        self.maybe(value, "onsetAge", Self::quantity);
        if value.get("onsetDateTime").is_some() {
            value.as_object_mut().unwrap().remove("onsetAge");
        }
    }

    fn organization(&mut self, value: &mut Value) {
        self.maybe(value, "name", |w| json!(*w.pick(&NAMES)));
        self.maybe(value, "partOf", |w| w.reference("Organization", "or"));
        self.maybe(value, "address", |w| json!([{"city": *w.pick(&NAMES), "postalCode": "1234"}]));
    }

    fn risk_assessment(&mut self, value: &mut Value) {
        value["status"] = json!("final");
        value["subject"] = self.reference("Patient", "pa");
        let number = |w: &mut Self| w.number();
        self.maybe(
            value,
            "prediction",
            |w| json!([{"probabilityDecimal": number(w)}, {"probabilityDecimal": number(w)}]),
        );
    }

    fn value_set(&mut self, value: &mut Value) {
        value["status"] = json!("active");
        self.maybe(value, "url", |w| json!(*w.pick(&URLS)));
        self.maybe(value, "title", |w| json!(w.pick(&NAMES).repeat(w.random.usize(1..120))));
        self.maybe(value, "identifier", |w| json!([w.identifier()]));
    }

    fn coding(&mut self) -> Value {
        let mut coding = json!({"code": *self.pick(&CODES)});
        let system = *self.pick(&SYSTEMS);
        if !system.is_empty() {
            coding["system"] = json!(system);
        }
        self.maybe(&mut coding, "display", |w| json!(*w.pick(&NAMES)));
        coding
    }

    /// A concept with codings, a text, or both.
    fn concept(&mut self, codings: usize) -> Value {
        let codings: Vec<Value> = (0..codings).map(|_| self.coding()).collect();
        let mut concept = json!({"coding": codings});
        if self.random.u8(..) < 60 {
            concept["text"] = json!(*self.pick(&NAMES));
            if self.random.bool() {
                concept.as_object_mut().unwrap().remove("coding");
            }
        }
        concept
    }

    fn identifier(&mut self) -> Value {
        let coding = self.coding();
        let mut identifier = json!({"value": coding["code"]});
        self.maybe(&mut identifier, "type", |w| w.concept(1));
        self.set(&mut identifier, "system", coding.get("system").cloned().unwrap_or(Value::Null));
        identifier
    }

    /// A reference: relative, absolute, elsewhere, by identifier, to what does not exist, to what is contained.
    fn reference(&mut self, name: &str, prefix: &str) -> Value {
        let id = format!("{prefix}{}", self.random.usize(..self.made + 3));
        match self.random.u8(..14) {
            10..=12 => json!({"reference": format!("#{}", within(prefix))}),
            13 => json!({"reference": "#"}),
            0 => json!({"reference": format!("http://there/fhir/{name}/{id}")}),
            1 => json!({"identifier": self.identifier()}),
            2 => json!({"display": "somebody"}),
            3 => json!({"reference": format!("{}/{name}/{id}", crate::store::BASE)}),
            4 => json!({"reference": format!("{name}/{id}/_history/1")}),
            _ => json!({"reference": format!("{name}/{id}")}),
        }
    }

    fn quantity(&mut self) -> Value {
        let (system, code) = *self.pick(&UNITS);
        let mut quantity = json!({"value": self.number(), "unit": code});
        if !system.is_empty() {
            quantity["system"] = json!(system);
            quantity["code"] = json!(code);
        }
        quantity
    }

    fn number(&mut self) -> Value {
        let text = *self.pick(&NUMBERS);
        serde_json::from_str(text).unwrap()
    }

    fn maybe(&mut self, value: &mut Value, name: &str, make: impl FnOnce(&mut Self) -> Value) {
        if self.random.u8(..) < 170 {
            let made = make(self);
            self.set(value, name, made);
        }
    }

    /// Empty arrays and objects are no FHIR.
    fn set(&mut self, value: &mut Value, name: &str, made: Value) {
        if made != json!([]) && made != json!({}) && !made.is_null() {
            value[name] = made;
        }
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.random.usize(..items.len())]
    }
}
