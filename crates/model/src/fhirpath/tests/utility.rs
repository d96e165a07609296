//! <http://hl7.org/fhirpath/N1/#utility-functions>, navigation, types and variables.

use super::check;

#[test]
fn time_stands_still() {
    check("now()", "2026-01-02T03:04:05.678Z");
    check("today()", "2026-01-02");
    check("timeOfDay()", "03:04:05.678");
    check("now() = now()", "true");
}

#[test]
fn trace_and_aggregate() {
    check("name.trace('names').use", "official, usual");
    check("name.trace('names', given).use", "official, usual");
    check("(1 | 2 | 3).aggregate($total + $this, 0)", "6");
    check("(1 | 2 | 3).aggregate(iif($total.empty(), $this, $total * $this))", "6");
    check("(5 | 6).aggregate($total + $index, 0)", "1");
}

#[test]
fn navigation() {
    check("name[0].children()", "official, Chalmers, Peter, James");
    check("name[1].given[1].children().value", "5");
    check("birthDate.children().count()", "2");
    check("managingOrganization.descendants()", "#o");
    check("contained.descendants()", "o, Acme");
    check("contained.children().first()", "o");
    check("1.children()", "");
}

#[test]
fn types() {
    check("active is boolean", "true");
    check("active is Boolean", "false");
    check("true is Boolean", "true");
    check("1.is(System.Integer)", "true");
    check("gender is string", "true");
    check("gender as string", "");
    check("gender.as(code)", "male");
    check("Patient is DomainResource", "true");
    check("Patient as DomainResource", "Patient");
    check("extension.value is FHIR.Quantity", "true");
    check("1 is FHIR.integer", "false");
    check("Patient is System.Patient", "false");
    check("active is Nothing", "error: there is no type Nothing");
    check("active is Other.Patient", "error: there is no type Patient");
    check("name is HumanName", "error: is: expected one item, found 2");
    check("name as HumanName", "error: as: expected one item, found 2");
    check("{} is Boolean", "");
    check("1.type().namespace & 1.type().name", "SystemInteger");
    check("contained.type().name | name[0].type().name", "Organization, HumanName");
}

#[test]
fn variables() {
    check("%resource.id & %rootResource.id & %context.id", "ppp");
    check("name.select(%context.id)", "p, p");
    check("%ucum", "http://unitsofmeasure.org");
    check("%sct", "http://snomed.info/sct");
    check("%loinc", "http://loinc.org");
    check("%`vs-name-use`", "http://hl7.org/fhir/ValueSet/name-use");
    check("%'ext-patient-birthTime'", "http://hl7.org/fhir/StructureDefinition/patient-birthTime");
    check("%mine + 1", "8");
    check("%nobody", "error: there is no variable %nobody");
    check("$nobody", "error: there is no variable $nobody");
    check("$this.id", "p");
    check("name.select($index)", "0, 1");
    check("$index", "");
}

#[test]
fn what_is_no_expression() {
    check("nothing()", "error: there is no function nothing()");
    check("name.first(1)", "error: first() takes 0 arguments, not 1");
    check("'a'.substring()", "error: substring() takes 1 to 2 arguments, not 0");
    check("@2020-02-30", "error: @2020-02-30 is no date or time");
    check("@T25", "error: @T25 is no date or time");
    check("@x", "error: no FHIRPath expression: expected a date or time after @ at offset 0");
    check("3000000000", "error: 3000000000 is beyond 2147483647; write it as a decimal: 3000000000.0");
    check("name.ofType(1)", "error: expected the name of a type");
    check("@2020-01-02-1 day", "2020-01-01");
}
