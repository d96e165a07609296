"""fhirclient, of SMART: https://github.com/smart-on-fhir/client-py. It checks every resource against its models."""

import sys
import uuid

from fhirclient import client as smart
from fhirclient.models.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.fhirreference import FHIRReference
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

from checks import Checks, equal, fails

BASE = sys.argv[1]
SYSTEM = "https://tessera.example/clients"
RUN = str(uuid.uuid4())

check = Checks("fhirclient")
server = smart.FHIRClient(settings={"app_id": "clients", "api_base": BASE}).server
state = {}


def somebody(name):
    return Patient(
        {
            "resourceType": "Patient",
            "identifier": [{"system": SYSTEM, "value": RUN + name}],
            "name": [{"family": f"Zoë-{RUN}", "given": [name]}],
            "birthDate": "1970-03-04",
        }
    )


def observation(value):
    return Observation(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": state["patient"].relativePath()},
            "effectiveDateTime": "2024-02-03T10:00:00.123+01:00",
            "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min", "unit": "/min"},
        }
    )


def transaction(*resources, kind="transaction"):
    bundle = Bundle({"resourceType": "Bundle", "type": kind, "entry": []})
    bundle.entry = []
    for resource in resources:
        request = BundleEntryRequest({"method": "POST", "url": resource.resource_type})
        entry = BundleEntry()
        entry.request, entry.resource, entry.fullUrl = request, resource, f"urn:uuid:{uuid.uuid4()}"
        bundle.entry.append(entry)
    return bundle


def outcome(failure):
    return OperationOutcome(failure.response.json())


@check("capabilities")
def _():
    statement = server.capabilityStatement
    equal(statement.fhirVersion, "4.0.1")
    equal(type(statement), CapabilityStatement)
    equal(len(statement.rest[0].resource), 146)


@check("create")
def _():
    created = Patient(somebody("Ann").create(server))
    equal(created.meta.versionId, "1")
    state["patient"] = created


@check("read")
def _():
    read = Patient.read(state["patient"].id, server)
    equal(read.as_json(), state["patient"].as_json())


@check("vread")
def _():
    read = Patient.read_from(f"{state['patient'].relativePath()}/_history/1", server)
    equal(read.meta.versionId, "1")


@check("update")
def _():
    patient = Patient.read(state["patient"].id, server)
    patient.active = True
    state["patient"] = Patient(patient.update(server))
    equal(state["patient"].meta.versionId, "2")


@check("update with If-Match, lost update is refused")
def _():
    # The client has no call for it; its session takes the header.
    server.session.headers["If-Match"] = 'W/"2"'
    try:
        patient = Patient(state["patient"].as_json())
        patient.active = False
        equal(Patient(patient.update(server)).meta.versionId, "3")
        refused = fails(HTTPError, lambda: patient.update(server))
    finally:
        del server.session.headers["If-Match"]
    equal(refused.response.status_code, 412)
    equal(outcome(refused).issue[0].code, "conflict")


@check("conditional create")
def _():
    server.session.headers["If-None-Exist"] = f"identifier={SYSTEM}|{RUN}Ann"
    try:
        equal(Patient(somebody("Ann").create(server)).id, state["patient"].id)
    finally:
        del server.session.headers["If-None-Exist"]


@check("search")
def _():
    found = list(Patient.where({"family": f"zoe-{RUN}", "birthdate": "le1970-12"}).perform_resources_iter(server))
    equal([patient.id for patient in found], [state["patient"].id])


@check("transaction")
def _():
    bundle = transaction(*[observation(value) for value in range(23)])
    response = Bundle(bundle.create(server))
    equal(response.type, "transaction-response")
    equal([entry.response.status for entry in response.entry], ["201 Created"] * 23)


@check("page through")
def _():
    search = Observation.where({"subject": state["patient"].relativePath(), "_count": "5", "_sort": "-value-quantity"})
    values = [resource.valueQuantity.value for resource in search.perform_resources_iter(server)]
    equal(values, list(reversed(range(23))))


@check("chain and include")
def _():
    search = Observation.where({"patient.identifier": f"{SYSTEM}|{RUN}Ann", "value-quantity": "gt20"}).include("subject")
    found = list(search.perform_resources_iter(server))
    equal([resource.resource_type for resource in found], ["Observation", "Observation", "Patient"])
    equal(found[0].subject.resolved(Patient).id, state["patient"].id)


@check("batch")
def _():
    response = Bundle(transaction(observation(40), observation(41), kind="batch").create(server))
    equal(response.type, "batch-response")
    equal([entry.response.status for entry in response.entry], ["201 Created"] * 2)


@check("history")
def _():
    bundle = Bundle.read_from(f"{state['patient'].relativePath()}/_history", server)
    equal([entry.resource.meta.versionId for entry in bundle.entry], ["3", "2", "1"])
    equal(bundle.entry[2].request.method, "POST")


@check("absolute reference")
def _():
    other = observation(50)
    other.subject = FHIRReference({"reference": f"{BASE}/{state['patient'].relativePath()}"})
    created = Observation(other.create(server))
    search = Observation.where({"subject": state["patient"].relativePath(), "value-quantity": "50"})
    equal([resource.id for resource in search.perform_resources_iter(server)], [created.id])


@check("delete")
def _():
    patient = Patient(somebody("Dee").create(server))
    patient.delete(server)
    equal(fails(HTTPError, lambda: Patient.read(patient.id, server)).response.status_code, 410)


@check("errors are outcomes")
def _():
    missing = fails(FHIRNotFoundException, lambda: Patient.read("no-such-patient-is-here", server))
    equal(outcome(missing).issue[0].code, "not-found")
    unknown = fails(HTTPError, lambda: list(Patient.where({"colour": "red"}).perform_resources_iter(server)))
    equal((unknown.response.status_code, outcome(unknown).issue[0].code), (400, "not-supported"))


sys.exit(0 if check.passed else 1)
