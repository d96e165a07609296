//! CMP-21: every resource type, every interaction, twelve shapes of scopes, and resources of the caller's record, of another's and
//! of nobody's, compared with an oracle that knows nothing of how the server decides.
//!
//! `TESSERA_MATRIX=all` takes every type; else one type of each kind.

use crate::world::{Server, base64, get, grant, on_both};
use serde_json::{Value, json};
use std::time::Duration;
use tessera_http::Local;
use tessera_model::{
    Definitions, Grant,
    definitions::{Primitive, TypeId, TypeKind},
    interaction::Method,
};

/// How a patient's app may see a type. Written down from R4's patient compartment and docs/access.md, not from the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The patient's own resource.
    Patient,
    /// Theirs by the reference at this path; `*` after a name: the first of an array.
    Theirs(&'static str),
    /// The same, by `patient`, and nothing that is there is changed.
    RelatedPerson,
    /// The same, and what is nobody's may be read.
    Device,
    /// What is about something that they may read.
    Provenance,
    /// What has a security context that they may read.
    Binary,
    /// Read only.
    Shared,
    Hidden,
}

const THEIRS: &str = "Account subject*,AdverseEvent subject,AllergyIntolerance patient,Appointment participant*.actor,\
AppointmentResponse actor,BodyStructure patient,CarePlan subject,CareTeam subject,ChargeItem subject,Claim patient,\
ClaimResponse patient,ClinicalImpression subject,Communication subject,CommunicationRequest subject,Composition subject,\
Condition subject,Consent patient,Coverage beneficiary,CoverageEligibilityRequest patient,\
CoverageEligibilityResponse patient,DetectedIssue patient,DeviceRequest subject,DeviceUseStatement subject,\
DiagnosticReport subject,DocumentManifest subject,DocumentReference subject,Encounter subject,EnrollmentRequest candidate,\
EpisodeOfCare patient,ExplanationOfBenefit patient,FamilyMemberHistory patient,Flag subject,Goal subject,\
ImagingStudy subject,Immunization patient,ImmunizationEvaluation patient,ImmunizationRecommendation patient,Invoice subject,\
List subject,MeasureReport subject,Media subject,MedicationAdministration subject,MedicationDispense subject,\
MedicationRequest subject,MedicationStatement subject,MolecularSequence patient,NutritionOrder patient,Observation subject,\
Procedure subject,QuestionnaireResponse subject,RequestGroup subject,ResearchSubject individual,\
RiskAssessment subject,Schedule actor*,ServiceRequest subject,Specimen subject,SupplyDelivery patient,\
SupplyRequest deliverTo,VisionPrescription patient";
const SHARED: &str = "ActivityDefinition CapabilityStatement ChargeItemDefinition CodeSystem CompartmentDefinition ConceptMap \
DeviceDefinition Endpoint EventDefinition ExampleScenario GraphDefinition HealthcareService ImplementationGuide InsurancePlan \
Library Location Measure Medication MedicationKnowledge MessageDefinition NamingSystem ObservationDefinition \
OperationDefinition Organization OrganizationAffiliation PlanDefinition Practitioner PractitionerRole Questionnaire \
ResearchDefinition ResearchElementDefinition SearchParameter SpecimenDefinition StructureDefinition StructureMap Substance \
TerminologyCapabilities TestScript ValueSet";

fn kind(name: &str) -> Kind {
    let theirs = THEIRS.split(',').filter_map(|entry| entry.split_once(' ')).find(|(of, _)| *of == name);
    match name {
        "Patient" => Kind::Patient,
        "Device" => Kind::Device,
        "RelatedPerson" => Kind::RelatedPerson,
        "Provenance" => Kind::Provenance,
        "Binary" => Kind::Binary,
        _ if theirs.is_some() => Kind::Theirs(theirs.unwrap().1),
        _ if SHARED.split_whitespace().any(|shared| shared == name) => Kind::Shared,
        _ => Kind::Hidden,
    }
}

/// Whose a resource is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Own,
    Other,
    Nobody,
}

/// A scope: of a patient's record or of everything, one type or all, and which letters.
#[derive(Clone, Copy, Debug)]
struct Shape {
    patient: bool,
    types: Types,
    letters: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Types {
    This,
    All,
    Another,
}

const SHAPES: [Shape; 12] = {
    const fn shape(patient: bool, types: Types, letters: &'static str) -> Shape {
        Shape { patient, types, letters }
    }
    [
        shape(true, Types::This, "cruds"),
        shape(true, Types::This, "rs"),
        shape(true, Types::This, "r"),
        shape(true, Types::This, "s"),
        shape(true, Types::This, "cud"),
        shape(true, Types::All, "cruds"),
        shape(true, Types::All, "rs"),
        shape(true, Types::Another, "cruds"),
        shape(false, Types::This, "cruds"),
        shape(false, Types::This, "rs"),
        shape(false, Types::All, "cruds"),
        shape(false, Types::Another, "cruds"),
    ]
};

/// What the oracle says: may this letter be used on the type at all, and on a resource of these?
struct Oracle {
    kind: Kind,
    shape: Shape,
}

impl Oracle {
    fn granted(&self, letter: char) -> bool {
        let writes = matches!(letter, 'c' | 'u' | 'd');
        let of_patient = match self.kind {
            Kind::Hidden => false,
            Kind::Shared => !writes,
            Kind::RelatedPerson => !matches!(letter, 'u' | 'd'),
            // Nothing else can be read, so nothing that it could be read through.
            Kind::Binary if self.shape.types == Types::This => false,
            _ => true,
        };
        self.shape.types != Types::Another && self.shape.letters.contains(letter) && (!self.shape.patient || of_patient)
    }

    /// Whether a grant that reads is there for what another resource is about.
    fn reads_all(&self) -> bool {
        self.shape.types == Types::All && self.shape.letters.contains('r')
    }

    fn sees(&self, letter: char, whose: Whose) -> bool {
        let writes = matches!(letter, 'c' | 'u' | 'd');
        let own = whose == Whose::Own;
        self.granted(letter)
            && match self.kind {
                // What has no security context is like anything else; what has one, is seen by who reads that.
                Kind::Binary if !self.shape.patient => whose == Whose::Nobody || self.reads_all(),
                Kind::Binary | Kind::Provenance if self.shape.patient => own && self.reads_all(),
                Kind::Device if self.shape.patient => own || whose == Whose::Nobody && !writes,
                Kind::Patient | Kind::Theirs(_) | Kind::RelatedPerson if self.shape.patient => own,
                _ => true,
            }
    }

    /// A write of an existing resource: what is not seen is not there, what is seen and not to be written is refused.
    fn write(&self, letter: char, whose: Whose, done: u16, absent: u16) -> u16 {
        match (self.granted(letter), self.sees(letter, whose), self.sees('r', whose)) {
            (false, ..) => 403,
            (_, true, _) => done,
            (_, false, true) => 403,
            (_, false, false) => absent,
        }
    }

    fn create(&self, whose: Whose) -> u16 {
        // A new Patient is another patient.
        let may = self.sees('c', whose) && !(self.shape.patient && self.kind == Kind::Patient);
        if may { 201 } else { 403 }
    }

    fn expected(&self, interaction: &str, whose: Whose) -> u16 {
        let found = |letter, whole: u16| match (self.granted(letter), self.sees(letter, whose)) {
            (false, _) => 403,
            (_, seen) => {
                if seen {
                    200
                } else {
                    whole
                }
            }
        };
        match interaction {
            "read" | "vread" | "history" => found('r', 404),
            // 204: it is answered, and is not among what is answered.
            "search" | "type history" => found('s', 204),
            "search all" if self.shape.letters.contains('s') => {
                if self.sees('s', whose) {
                    200
                } else {
                    204
                }
            }
            "search all" => 403,
            "create" => self.create(whose),
            "update" | "patch" => self.write('u', whose, 200, 404),
            "delete" => self.write('d', whose, 204, 205),
            _ if !self.granted('s') => 403,
            "conditional create" => match (self.granted('c'), self.sees('s', whose)) {
                (false, _) => 403,
                (_, true) => 200,
                _ => self.create(whose),
            },
            "conditional delete" if !self.granted('d') => 403,
            "conditional delete" if self.sees('s', whose) => self.write('d', whose, 204, 205),
            "conditional delete" => 205,
            _ if !self.granted('u') => 403,
            "conditional patch" if self.sees('s', whose) => self.write('u', whose, 200, 404),
            "conditional patch" => 404,
            other => panic!("{other}"),
        }
    }
}

const INTERACTIONS: [&str; 13] = [
    "read",
    "vread",
    "history",
    "search",
    "type history",
    "search all",
    "create",
    "update",
    "patch",
    "delete",
    "conditional create",
    "conditional delete",
    "conditional patch",
];

/// What has its own rules: AuditEvents are records of the server, and no tag is kept on what is not stored.
const NOT_ASKED: [&str; 1] = ["AuditEvent"];
/// One of each kind.
const FEW: [&str; 10] = [
    "Basic",
    "Binary",
    "Device",
    "DocumentReference",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Provenance",
    "RelatedPerson",
];

/// How often what a history does not have yet is asked for again.
const LATE_MAX: usize = 100;

#[test]
fn cmp_21_every_type_interaction_scope_and_owner_is_as_the_oracle_says() {
    let all = std::env::var("TESSERA_MATRIX").is_ok_and(|value| value == "all");
    let names = Definitions::r4().resource_types().iter().map(|t| t.name()).filter(|name| !NOT_ASKED.contains(name));
    let names: Vec<&str> = names.filter(|name| all || FEW.contains(name)).collect();
    on_both("cmp_21", &async |location| {
        let server = Server::new(location()).await;
        let mut asked = 0;
        let mut wrong = Vec::new();
        for patient in ["a", "b"] {
            server.put(&json!({"resourceType": "Patient", "id": patient})).await;
        }
        server.put(&json!({"resourceType": "Organization", "id": "o"})).await;
        for name in &names {
            for shape in SHAPES {
                for whose in [Whose::Own, Whose::Other, Whose::Nobody] {
                    if *name == "Patient" && whose == Whose::Nobody {
                        continue;
                    }
                    let oracle = Oracle { kind: kind(name), shape };
                    let local = server.with(grants(shape, name));
                    for interaction in INTERACTIONS {
                        asked += 1;
                        let expected = oracle.expected(interaction, whose);
                        let mut found = ask(&server, &local, interaction, name, whose).await;
                        // PostgreSQL's histories of types wait for whoever else of the cluster still writes (ADR 0008).
                        for _ in 0..LATE_MAX {
                            if !(interaction == "type history" && found == 204 && expected != 204) {
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            found = ask(&server, &local, interaction, name, whose).await;
                        }
                        if found != expected {
                            wrong.push(format!("{interaction} {name} {whose:?} {shape:?}: {found}, not {expected}"));
                        }
                    }
                }
            }
        }
        if all {
            for mismatch in &wrong {
                println!("{mismatch}");
            }
        }
        println!("CMP-21: {asked} questions, {} mismatches", wrong.len());
        assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    });
}

/// All types, with the one shape that tells most of whose they are. A test that asks the tables what they say of a type could not
/// notice that they are wrong.
#[test]
fn cmp_1_cmp_2_and_3_each_type_is_whose_the_specification_says() {
    let names = Definitions::r4().resource_types().iter().map(|t| t.name()).filter(|name| !NOT_ASKED.contains(name));
    let names: Vec<&str> = names.collect();
    let shape = Shape { patient: true, types: Types::All, letters: "cruds" };
    on_both("cmp_2_types", &async |location| {
        let server = Server::new(location()).await;
        for patient in ["a", "b"] {
            server.put(&json!({"resourceType": "Patient", "id": patient})).await;
        }
        server.put(&json!({"resourceType": "Organization", "id": "o"})).await;
        let local = server.with(grants(shape, "*"));
        let mut wrong = Vec::new();
        for name in &names {
            let oracle = Oracle { kind: kind(name), shape };
            for whose in [Whose::Own, Whose::Other, Whose::Nobody] {
                if *name == "Patient" && whose == Whose::Nobody {
                    continue;
                }
                for interaction in ["read", "search", "create", "update"] {
                    let (found, expected) =
                        (ask(&server, &local, interaction, name, whose).await, oracle.expected(interaction, whose));
                    if found != expected {
                        wrong.push(format!("{interaction} {name} {whose:?}: {found}, not {expected}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

fn grants(shape: Shape, name: &str) -> Vec<Grant> {
    let name = match shape.types {
        Types::All => "*",
        Types::This => name,
        Types::Another if name == "Flag" => "Goal",
        Types::Another => "Flag",
    };
    vec![grant(shape.patient.then_some("a"), &format!("{name}.{}", shape.letters))]
}

/// The status; for what answers with several, 204 if this one is not among them.
async fn ask(server: &Server, local: &Local, interaction: &str, name: &str, whose: Whose) -> u16 {
    let resource = of(name, whose);
    let id = resource["id"].as_str().unwrap().to_owned();
    // Whatever was done to it before.
    server.put(&resource).await;
    let (one, tag) = (format!("{name}/{id}"), format!("_tag=http://matrix|{id}"));
    let text = get(&server.all(), &one).await.text;
    let stored = text.split("\"versionId\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let mut new = resource.clone();
    new.as_object_mut().unwrap().remove("id");
    new["meta"] = json!({"tag": [{"system": "http://matrix", "code": "new"}]});
    let mut changed = resource.clone();
    changed["language"] = json!(format!("en-{stored}"));
    let patch = json!([{"op": "add", "path": "/language", "value": format!("de-{stored}")}]);
    let patch = || json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": base64(&patch.to_string())});
    let entry = |method: &str, url: &str, resource: Option<Value>, condition: Option<&str>| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        if let Some(resource) = resource {
            entry["resource"] = resource;
        }
        if let Some(condition) = condition {
            entry["request"]["ifNoneExist"] = condition.into();
        }
        entry
    };
    let is_there = async || server.all().send(Method::Get, &one, Vec::new(), None).await.status == 200;
    let entry = match interaction {
        "read" => entry("GET", &one, None, None),
        "vread" => entry("GET", &format!("{one}/_history/{stored}"), None, None),
        "history" => entry("GET", &format!("{one}/_history?_count=1"), None, None),
        "search" => entry("GET", &format!("{name}?{tag}"), None, None),
        "type history" => entry("GET", &format!("{name}/_history?_count=1000"), None, None),
        "search all" => entry("GET", &format!("?_type={name}&{tag}"), None, None),
        "create" => entry("POST", name, Some(new), None),
        "update" => entry("PUT", &one, Some(changed), None),
        "patch" => entry("PATCH", &one, Some(patch()), None),
        "delete" => entry("DELETE", &one, None, None),
        "conditional create" => entry("POST", name, Some(new), Some(&tag)),
        "conditional delete" => entry("DELETE", &format!("{name}?{tag}"), None, None),
        "conditional patch" => entry("PATCH", &format!("{name}?{tag}"), Some(patch()), None),
        other => panic!("{other}"),
    };
    let deletes = entry["request"]["method"] == "DELETE";
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]}).to_string();
    let answer = local.send(Method::Post, "", bundle.into_bytes(), None).await;
    let answer: Value = serde_json::from_str(&answer.text).unwrap();
    let entry = &answer["entry"][0];
    let status: u16 = entry["response"]["status"].as_str().unwrap()[..3].parse().unwrap();
    let found = || entry["resource"].to_string().contains(&format!("\"{id}\""));
    match interaction {
        "search" | "type history" | "search all" if status == 200 && !found() => 204,
        "read" | "vread" | "history" if status == 200 && !found() => 500,
        // 205: nothing was deleted.
        _ if deletes && status == 204 && is_there().await => 205,
        _ => status,
    }
}

/// The least that is valid of a type, of whose record it is asked for.
fn of(name: &str, whose: Whose) -> Value {
    let definitions = Definitions::r4();
    let suffix = match whose {
        Whose::Own => "a",
        Whose::Other => "b",
        Whose::Nobody => "n",
    };
    let mut resource = least(definitions.types().named(name).unwrap(), definitions, 0);
    let id = if name == "Patient" { suffix.to_owned() } else { format!("m-{suffix}") };
    resource["resourceType"] = name.into();
    resource["meta"] = json!({"tag": [{"system": "http://matrix", "code": id}]});
    resource["id"] = id.into();
    let patient = json!({"reference": format!("Patient/{suffix}")});
    match (kind(name), whose) {
        (Kind::Provenance, Whose::Nobody) => resource["target"] = json!([{"reference": "Organization/o"}]),
        (Kind::Provenance, _) => resource["target"] = json!([patient]),
        (_, Whose::Nobody) => {}
        (Kind::Theirs(path), _) => set(&mut resource, path, patient),
        (Kind::Device | Kind::RelatedPerson, _) => resource["patient"] = patient,
        (Kind::Binary, _) => resource["securityContext"] = patient,
        _ => {}
    }
    // A definition would be used.
    if resource.get("status").is_some() && name == "SearchParameter" {
        resource["status"] = "draft".into();
    }
    resource
}

fn set(resource: &mut Value, path: &str, reference: Value) {
    let mut at = resource;
    for name in path.split('.') {
        at = match name.strip_suffix('*') {
            None => &mut at[name],
            Some(name) => {
                if at[name].is_null() {
                    at[name] = json!([{}]);
                }
                &mut at[name][0]
            }
        };
    }
    // A participation needs its status still.
    match at.as_object_mut() {
        Some(object) if !object.contains_key("display") => object.extend(reference.as_object().unwrap().clone()),
        _ => *at = reference,
    }
}

/// The mandatory elements with a value each.
fn least(of: TypeId, definitions: &Definitions, depth: usize) -> Value {
    let types = definitions.types();
    let mut value = json!({});
    for element in types[of].elements.iter().filter(|element| element.min > 0) {
        let Some((name, type_id)) = types[of].json_names(&element.name).first().map(|(n, t)| ((*n).to_owned(), *t))
        else {
            continue;
        };
        let one = match types[type_id].kind {
            TypeKind::Primitive(primitive) => {
                let code = element.required_binding.as_ref().and_then(|set| definitions.codes(set));
                code.and_then(|codes| codes.codes().min()).map_or_else(|| primitive_value(primitive), Value::from)
            }
            TypeKind::AnyResource => json!({"resourceType": "Basic", "code": {"text": "x"}}),
            _ if &*types[type_id].name == "Reference" => json!({"display": "x"}),
            _ if depth < 6 => {
                let inner = least(type_id, definitions, depth + 1);
                if inner == json!({}) { something(&types[type_id].name) } else { inner }
            }
            _ => json!({}),
        };
        value[name] = if element.repeats { json!([one]) } else { one };
    }
    value
}

/// Of a type without mandatory elements.
fn something(name: &str) -> Value {
    match name {
        "CodeableConcept" => json!({"text": "x"}),
        "Coding" => json!({"code": "x"}),
        "Identifier" => json!({"value": "x"}),
        "Period" => json!({"start": "2020"}),
        "Quantity" | "Money" | "Duration" | "Age" | "SimpleQuantity" => json!({"value": 1}),
        "HumanName" | "Address" => json!({"text": "x"}),
        "Attachment" => json!({"title": "x"}),
        "Timing" => json!({"event": ["2020-01-01T00:00:00Z"]}),
        _ => json!({"extension": [{"url": "http://x", "valueString": "x"}]}),
    }
}

fn primitive_value(primitive: Primitive) -> Value {
    match primitive {
        Primitive::Boolean => json!(true),
        Primitive::Date | Primitive::DateTime => json!("2020-01-01"),
        Primitive::Instant => json!("2020-01-01T00:00:00Z"),
        Primitive::Time => json!("12:00:00"),
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => json!(1),
        Primitive::Canonical | Primitive::Uri | Primitive::Url | Primitive::Oid | Primitive::Uuid => json!("http://x"),
        Primitive::Base64Binary => json!("eA=="),
        Primitive::Xhtml => json!("<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"),
        Primitive::Code | Primitive::Id | Primitive::Markdown | Primitive::String => json!("x"),
    }
}
