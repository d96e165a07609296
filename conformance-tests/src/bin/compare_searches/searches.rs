//! The searches, each beside straightforward code that says which resources of the data answer it.

use crate::data::{Data, Held, at, seconds};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

/// A search and its right answer.
pub(crate) struct Search {
    /// `Type?parameters`.
    pub(crate) query: String,
    /// The places of the matches in the data.
    pub(crate) matches: Vec<usize>,
    /// The places of what is included.
    pub(crate) included: Vec<usize>,
}

struct Searches<'a> {
    data: &'a Data,
    all: Vec<Search>,
}

impl Searches<'_> {
    fn add(&mut self, resource_type: &str, parameters: &str, wanted: impl Fn(&Held) -> bool) {
        let held = self.data.resources.iter().enumerate().filter(|(_, held)| held.is(resource_type) && wanted(held));
        let query =
            if parameters.is_empty() { resource_type.to_owned() } else { format!("{resource_type}?{parameters}") };
        self.all.push(Search { query, matches: held.map(|(place, _)| place).collect(), included: Vec::new() });
    }

    /// Adds to the last search what its matches refer to.
    fn including(&mut self, path: &str) {
        let Some(search) = self.all.last_mut() else { return };
        let targets = search.matches.iter().flat_map(|&m| self.data.targets(&self.data.resources[m], path));
        search.included = targets.collect();
        search.included.sort_unstable();
        search.included.dedup();
    }

    /// Adds to the last search the resources of a type that refer to its matches.
    fn including_back(&mut self, resource_type: &str, path: &str) {
        let Some(search) = self.all.last_mut() else { return };
        let held = self.data.resources.iter().enumerate().filter(|(_, held)| held.is(resource_type));
        let refers = |held: &Held| self.data.targets(held, path).iter().any(|target| search.matches.contains(target));
        search.included = held.filter(|(_, held)| refers(held)).map(|(place, _)| place).collect();
    }
}

/// All searches with their answers.
pub(crate) fn searches(data: &Data) -> Vec<Search> {
    let mut searches = Searches { data, all: Vec::new() };
    patients(&mut searches);
    observations(&mut searches);
    clinical(&mut searches);
    linked(&mut searches);
    searches.all
}

const NAME: [&str; 5] = ["name.family", "name.given", "name.prefix", "name.suffix", "name.text"];

fn patients(s: &mut Searches<'_>) {
    s.add("Patient", "", |_| true);
    s.add("Patient", "gender=female", |p| p.text_is("gender", "female"));
    s.add("Patient", "gender:not=male", |p| !p.text_is("gender", "male"));
    s.add("Patient", "birthdate=ge1980-01-01", |p| starts(p, "birthDate", "1980-01-01"));
    s.add("Patient", "birthdate=1958,1974", |p| within(p, "birthDate", "1958") || within(p, "birthDate", "1974"));
    s.add("Patient", "birthdate=lt1960&birthdate=ge1930", |p| {
        ends(p, "birthDate", "1960") && starts(p, "birthDate", "1930")
    });
    s.add("Patient", "death-date:missing=false", |p| p.has("deceasedDateTime"));
    s.add("Patient", "death-date=gt2000-06", |p| p.range("deceasedDateTime").is_some_and(|r| r.1 > end("2000-06")));
    s.add("Patient", "name=ma", |p| p.folded(&NAME, |text| text.starts_with("ma")));
    s.add("Patient", "family:contains=SCH", |p| p.folded(&["name.family"], |text| text.contains("sch")));
    s.add("Patient", "family:exact=schaden", |p| p.text_is("name.family", "schaden"));
    if let Some(family) = first_text(s.data, "Patient", "name.family") {
        s.add("Patient", &format!("family:exact={family}"), |p| p.text_is("name.family", &family));
    }
    s.add("Patient", "address-city=boston,reading", |p| {
        p.folded(&["address.city"], |city| city.starts_with("boston") || city.starts_with("reading"))
    });
    s.add("Patient", "address-postalcode:missing=true", |p| !p.has("address.postalCode"));
    let licence = "urn:oid:2.16.840.1.113883.4.3.25";
    s.add("Patient", &format!("identifier={licence}|&gender=male"), |p| {
        p.text_is("identifier.system", licence) && p.text_is("gender", "male")
    });
}

fn observations(s: &mut Searches<'_>) {
    let code = |o: &Held, code: &str| o.coded("code.coding", None, code);
    s.add("Observation", "code=8302-2", |o| code(o, "8302-2"));
    s.add("Observation", &format!("code={LOINC}|8302-2,{LOINC}|29463-7,http://snomed.info/sct|8302-2"), |o| {
        o.coded("code.coding", Some(LOINC), "8302-2") || o.coded("code.coding", Some(LOINC), "29463-7")
    });
    s.add("Observation", "category=laboratory&status=final", |o| {
        o.coded("category.coding", None, "laboratory") && o.text_is("status", "final")
    });
    s.add("Observation", "category:not=laboratory", |o| !o.coded("category.coding", None, "laboratory"));
    s.add("Observation", "date=ge2015-01-01T00:00:00Z&date=lt2016-01-01T00:00:00Z", |o| {
        starts(o, "effectiveDateTime", "2015-01-01T00:00:00Z") && ends(o, "effectiveDateTime", "2016-01-01T00:00:00Z")
    });
    s.add("Observation", "date=2014-05&code=29463-7", |o| {
        within(o, "effectiveDateTime", "2014-05") && code(o, "29463-7")
    });
    s.add("Observation", "value-quantity:missing=true", |o| !o.has("valueQuantity"));
    s.add("Observation", "value-concept:missing=false", |o| o.has("valueCodeableConcept"));
    s.add("Observation", "value-quantity=lt25.5&code=39156-5", |o| {
        code(o, "39156-5") && number(o).is_some_and(|n| n < 25.5)
    });
    // Every unit of mass by volume converts, whatever it was sent in.
    s.add("Observation", &format!("value-quantity=gt149.95|{UCUM}|mg/dL"), |o| {
        milligrams_per_decilitre(o).is_some_and(|n| n > 149.95)
    });
    s.add("Observation", &format!("value-quantity=ge1.795|{UCUM}|m&code=8302-2"), |o| {
        code(o, "8302-2") && number(o).is_some_and(|n| n >= 179.5)
    });
    s.add("Observation", &format!("value-quantity=ge70.005||kg&value-quantity=lt80.005|{UCUM}|kg"), |o| {
        o.text_is("valueQuantity.code", "kg") && number(o).is_some_and(|n| (70.005..80.005).contains(&n))
    });
    s.add("Observation", &format!("code-value-quantity={LOINC}|29463-7$gt90.005|{UCUM}|kg"), |o| {
        code(o, "29463-7") && number(o).is_some_and(|n| n > 90.005)
    });
    s.add("Observation", &format!("component-code-value-quantity={LOINC}|8462-4$gt89.995"), |o| {
        let component = |c: &&serde_json::Value| {
            at(c, "code.coding").iter().any(|coding| coding["code"] == "8462-4")
                && c["valueQuantity"]["value"].as_f64().is_some_and(|n| n > 89.995)
        };
        at(&o.body, "component").iter().any(component)
    });
}

fn clinical(s: &mut Searches<'_>) {
    s.add("Condition", "clinical-status=active", |c| c.coded("clinicalStatus.coding", None, "active"));
    s.add("Condition", "clinical-status:not=resolved&onset-date=lt2000-01-01T00:00:00Z", |c| {
        !c.coded("clinicalStatus.coding", None, "resolved") && ends(c, "onsetDateTime", "2000-01-01T00:00:00Z")
    });
    s.add("Condition", "abatement-date:missing=true", |c| !c.has("abatementDateTime"));
    let codes = ["444814009", "195662009", "10509002", "15777000", "38341003"];
    s.add("Condition", &format!("code={}", codes.join(",")), |c| {
        codes.iter().any(|code| c.coded("code.coding", None, code))
    });
    s.add("Encounter", "class=EMER", |e| e.coded("class", None, "EMER"));
    s.add("Encounter", "class:not=AMB&status=finished", |e| {
        !e.coded("class", None, "AMB") && e.text_is("status", "finished")
    });
    s.add("Encounter", "date=ge2010-01-01T00:00:00Z&date=le2012-12-31T23:59:59Z", |e| {
        starts(e, "period", "2010-01-01T00:00:00Z")
            && e.range("period").is_some_and(|r| r.0 < end("2012-12-31T23:59:59Z"))
    });
    s.add("MedicationRequest", "status=stopped&authoredon=ge2010", |m| {
        m.text_is("status", "stopped") && starts(m, "authoredOn", "2010")
    });
    s.add("MedicationRequest", "intent=order&status:not=stopped", |m| {
        m.text_is("intent", "order") && !m.text_is("status", "stopped")
    });
    s.add("Immunization", "vaccine-code=140&date=2016", |i| {
        i.coded("vaccineCode.coding", None, "140") && within(i, "occurrenceDateTime", "2016")
    });
    s.add("Procedure", "date=sa2015-06-30T23:59:59Z", |p| {
        p.range("performedPeriod").is_some_and(|r| r.0 >= end("2015-06-30T23:59:59Z"))
    });
    s.add("CarePlan", "date=eb1990-01-01T00:00:00Z", |c| {
        let start = seconds("1990-01-01T00:00:00Z").map_or(0, |r| r.0);
        c.range("period").is_some_and(|r| r.1 <= start)
    });
    s.add("AllergyIntolerance", "category=food,environment&criticality=low", |a| {
        (a.text_is("category", "food") || a.text_is("category", "environment")) && a.text_is("criticality", "low")
    });
    s.add("ExplanationOfBenefit", "created=ge2015-01-01T00:00:00Z", |e| starts(e, "created", "2015-01-01T00:00:00Z"));
    s.add("Goal", "lifecycle-status=accepted", |g| g.text_is("lifecycleStatus", "accepted"));
    s.add("ImagingStudy", "modality=US", |i| i.coded("series.modality", None, "US"));
    s.add("Organization", "name:contains=hospital", |o| o.folded(&["name", "alias"], |name| name.contains("hospital")));
    s.add("Practitioner", "family=schneider,wei", |p| {
        p.folded(&["name.family"], |family| family.starts_with("schneider") || family.starts_with("wei"))
    });
}

/// Chains, reverse chains and includes.
fn linked(s: &mut Searches<'_>) {
    let data = s.data;
    let synthea = "https://github.com/synthetichealth/synthea";
    let identifiers = data.resources.iter().filter(|p| p.is("Patient")).flat_map(|p| at(&p.body, "identifier"));
    if let Some(value) = identifiers.filter(|i| i["system"] == synthea).filter_map(|i| i["value"].as_str()).nth(1) {
        let same = |p: &Held| at(&p.body, "identifier").iter().any(|i| i["system"] == synthea && i["value"] == value);
        let chain = format!("{synthea}|{value}");
        s.add("Observation", &format!("subject:Patient.identifier={chain}"), |o| data.leads(o, "subject", same));
        s.add("ExplanationOfBenefit", &format!("patient.identifier={chain}&status=active"), |e| {
            data.leads(e, "patient", same)
        });
    }
    s.add("Observation", "patient.gender=male&code=4548-4", |o| {
        o.coded("code.coding", None, "4548-4") && data.leads(o, "subject", |p| p.text_is("gender", "male"))
    });
    s.add("Observation", "patient.birthdate=lt1940&category=survey", |o| {
        o.coded("category.coding", None, "survey") && data.leads(o, "subject", |p| ends(p, "birthDate", "1940"))
    });
    let schneider = |p: &Held| p.folded(&["name.family"], |family| family.starts_with("schneider"));
    s.add("Encounter", "participant:Practitioner.family=schneider", |e| {
        data.leads(e, "participant.individual", schneider)
    });
    s.add("Encounter", "practitioner.family=schneider&class=AMB", |e| {
        e.coded("class", None, "AMB") && data.leads(e, "participant.individual", schneider)
    });
    s.add("Condition", "encounter.service-provider.name=winchester", |c| {
        let provided = |o: &Held| o.folded(&["name"], |name| name.starts_with("winchester"));
        data.leads(c, "encounter", |e| data.leads(e, "serviceProvider", provided))
    });
    s.add("DiagnosticReport", "result.code=2339-0", |r| {
        data.leads(r, "result", |o| o.coded("code.coding", None, "2339-0"))
    });
    let with_condition = pointed_at(data, "Condition", |c| c.coded("code.coding", None, "38341003"));
    s.add("Patient", "_has:Condition:patient:code=38341003", |p| {
        with_condition.iter().any(|&held| std::ptr::eq(p, held))
    });
    let measured = pointed_at(data, "Observation", |o| {
        o.coded("code.coding", None, "4548-4") && number(o).is_some_and(|n| n > 6.005)
    });
    s.add("Patient", "_has:Observation:patient:code-value-quantity=4548-4$gt6.005&gender=female", |p| {
        p.text_is("gender", "female") && measured.iter().any(|&held| std::ptr::eq(p, held))
    });
    s.add("Encounter", "class=EMER&_include=Encounter:patient", |e| e.coded("class", None, "EMER"));
    s.including("subject");
    s.add(
        "MedicationRequest",
        "status=active&_include=MedicationRequest:requester&_include=MedicationRequest:encounter",
        |m| m.text_is("status", "active"),
    );
    s.including("requester");
    let requesters = s.all.last_mut().map(|search| std::mem::take(&mut search.included)).unwrap_or_default();
    s.including("encounter");
    if let Some(search) = s.all.last_mut() {
        search.included.extend(requesters);
    }
    s.add("Patient", "gender=female&birthdate=lt1960&_revinclude=Condition:patient", |p| {
        p.text_is("gender", "female") && ends(p, "birthDate", "1960")
    });
    s.including_back("Condition", "subject");
}

/// The subjects of the resources of a type with that property.
fn pointed_at<'a>(data: &'a Data, resource_type: &str, wanted: impl Fn(&Held) -> bool) -> Vec<&'a Held> {
    let held = data.resources.iter().filter(|held| held.is(resource_type) && wanted(held));
    held.flat_map(|held| data.targets(held, "subject")).map(|target| &data.resources[target]).collect()
}

fn first_text(data: &Data, resource_type: &str, path: &str) -> Option<String> {
    let held = data.resources.iter().find(|held| held.is(resource_type) && held.has(path))?;
    at(&held.body, path).first()?.as_str().map(str::to_owned)
}

fn number(observation: &Held) -> Option<f64> {
    observation.body["valueQuantity"]["value"].as_f64()
}

fn milligrams_per_decilitre(observation: &Held) -> Option<f64> {
    let factor = match observation.body["valueQuantity"]["code"].as_str()? {
        "mg/dL" => 1.0,
        "g/dL" => 1000.0,
        "g/L" => 100.0,
        "ng/mL" => 1e-4,
        "pg/mL" => 1e-7,
        _ => return None,
    };
    Some(number(observation)? * factor)
}

/// `ge`: what lies partly after the searched date, or within it.
fn starts(held: &Held, path: &str, date: &str) -> bool {
    held.range(path).zip(seconds(date)).is_some_and(|((low, high), (from, until))| high > until || low >= from)
}

/// `lt`: what lies partly before the searched date.
fn ends(held: &Held, path: &str, date: &str) -> bool {
    held.range(path).zip(seconds(date)).is_some_and(|((low, _), (from, _))| low < from)
}

/// `eq`: what lies wholly within the searched date.
fn within(held: &Held, path: &str, date: &str) -> bool {
    held.range(path).zip(seconds(date)).is_some_and(|((low, high), (from, until))| low >= from && high <= until)
}

fn end(date: &str) -> i64 {
    seconds(date).map_or(0, |range| range.1)
}
