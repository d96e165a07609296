"""fhirpy: https://github.com/beda-software/fhir-py"""

import json
import sys
import uuid

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from checks import Checks, equal, fails

BASE = sys.argv[1]
SYSTEM = "https://tessera.example/clients"
RUN = str(uuid.uuid4())
# fhirpy leaves the status 412 to its exception for several matches.
PreconditionFailed = MultipleResourcesFound

check = Checks("fhirpy")
client = SyncFHIRClient(BASE)
patient = client.resource(
    "Patient",
    identifier=[{"system": SYSTEM, "value": RUN}],
    name=[{"family": f"Zoë-{RUN}", "given": ["Ann"]}],
    birthDate="1970-03",
)


def with_headers(**headers):
    return SyncFHIRClient(BASE, extra_headers={name.replace("_", "-"): value for name, value in headers.items()})


def observation(value):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{patient.id}"},
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min", "unit": "/min"},
    }


def transaction(*entries):
    return client.execute("", data={"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


@check("create")
def _():
    patient.save()
    equal(patient.meta.versionId, "1")
    equal(bool(patient.id), True)


@check("read")
def _():
    read = client.reference("Patient", patient.id).to_resource()
    equal(read.serialize(), patient.serialize())
    equal(read.birthDate, "1970-03")


@check("vread")
def _():
    read = client.execute(f"Patient/{patient.id}/_history/1", method="get")
    equal(read.meta.versionId, "1")


@check("update")
def _():
    patient.active = True
    patient.save()
    equal(patient.meta.versionId, "2")


@check("conditional read")
def _():
    # The client sends If-None-Match and expects 304.
    equal(patient.refresh().meta.versionId, "2")
    _, status = client._do_request(
        "get", f"Patient/{patient.id}", extra_headers={"If-None-Match": 'W/"2"'}, returning_status=True
    )
    equal(status, 304)


@check("update with If-Match")
def _():
    changed = {**patient.serialize(), "active": False}
    updated = with_headers(If_Match='W/"2"').resource("Patient", **changed).save()
    equal(updated.meta.versionId, "3")


@check("lost update is refused")
def _():
    changed = {**patient.serialize(), "active": True}
    resource = with_headers(If_Match='W/"2"').resource("Patient", **changed)
    outcome = json.loads(str(fails(PreconditionFailed, resource.save)))
    equal(outcome["issue"][0]["code"], "conflict")
    patient.refresh()
    equal(patient.active, False)


@check("conditional create")
def _():
    again = {key: value for key, value in patient.serialize().items() if key != "id"}
    conditional = with_headers(If_None_Exist=f"identifier={SYSTEM}|{RUN}")
    equal(conditional.resource("Patient", **again).save().id, patient.id)


@check("conditional update")
def _():
    other = client.resource(
        "Patient", identifier=patient.identifier, name=patient.name, gender="female", birthDate="1970-03"
    )
    updated, created = client.resources("Patient").search(identifier=f"{SYSTEM}|{RUN}").update(other)
    equal((updated.id, created, updated.meta.versionId), (patient.id, False, "4"))
    patient.refresh()


@check("search")
def _():
    found = client.resources("Patient").search(family=f"zoe-{RUN}", gender="female", birthdate__lt="1971").fetch()
    equal([resource.id for resource in found], [patient.id])
    equal(client.resources("Patient").search(family=f"zoe-{RUN}", birthdate__lt="1970").fetch(), [])
    equal(client.resources("Patient").search(identifier=f"{SYSTEM}|{RUN}").get().id, patient.id)


@check("page through")
def _():
    entries = [{"resource": observation(value), "request": {"method": "POST", "url": "Observation"}} for value in range(23)]
    transaction(*entries)
    found = client.resources("Observation").search(subject=f"Patient/{patient.id}").sort("-value-quantity").limit(5)
    equal([resource.valueQuantity.value for resource in found], list(reversed(range(23))))


@check("chain, include, count")
def _():
    search = client.resources("Observation").search(patient__identifier=f"{SYSTEM}|{RUN}", value_quantity__gt=20)
    equal(len(search.fetch()), 2)
    bundle = search.include("Observation", "subject").fetch_raw()
    equal([entry.search.mode for entry in bundle.entry], ["match", "match", "include"])
    # The client asks with a parameter of its own server.
    lenient = with_headers(Prefer="handling=lenient")
    equal(lenient.resources("Observation").search(subject=f"Patient/{patient.id}").count(), 23)


@check("transaction")
def _():
    url = f"urn:uuid:{uuid.uuid4()}"
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient.id}"},
    }
    within = {**observation(100), "encounter": {"reference": url}}
    response = transaction(
        {"fullUrl": url, "resource": encounter, "request": {"method": "POST", "url": "Encounter"}},
        {"resource": within, "request": {"method": "POST", "url": "Observation"}},
    )
    equal(response.type, "transaction-response")
    locations = [entry.response.location.removeprefix(f"{BASE}/").split("/_history/")[0] for entry in response.entry]
    equal(client.execute(locations[1], method="get").encounter.reference, locations[0])


# A merge patch, sent as application/json.
@check("patch", supported="application/json" in client.execute("metadata", method="get").patchFormat)
def _():
    equal(client.patch("Patient", patient.id, gender="other").gender, "other")
    patient.refresh()
    patient.patch(active=True, gender=None)
    equal((patient.active, "gender" in patient), (True, False))
    searched = client.resources("Patient").search(identifier=f"{SYSTEM}|{RUN}").patch(gender="unknown")
    equal((searched.id, searched.gender), (patient.id, "unknown"))
    patient.refresh()


@check("history")
def _():
    history = patient.execute("_history", method="get")
    versions = [int(entry.resource.meta.versionId) for entry in history.entry]
    equal(versions, list(range(len(versions), 0, -1)))
    equal(len(versions) >= 4, True)


@check("$validate")
def _():
    equal(patient.is_valid(raise_exception=True), True)
    equal(client.resource("Patient", birthDate="1970-02-30").is_valid(), False)


@check("delete")
def _():
    other = client.resource("Patient", name=[{"family": f"Zoë-{RUN}"}]).save()
    other.delete()
    gone = fails(ResourceNotFound, lambda: client.get("Patient", other.id))
    equal(json.loads(str(gone))["issue"][0]["code"], "deleted")


@check("conditional delete")
def _():
    other = client.resource("Patient", identifier=[{"system": SYSTEM, "value": f"{RUN}-2"}]).save()
    _, status = client.resources("Patient").search(identifier=f"{SYSTEM}|{RUN}-2").delete()
    equal(status in (200, 204), True)
    fails(ResourceNotFound, lambda: client.get("Patient", other.id))


@check("errors are outcomes")
def _():
    missing = fails(ResourceNotFound, lambda: client.get("Patient", "no-such-patient-is-here"))
    equal(json.loads(str(missing))["issue"][0]["code"], "not-found")
    unknown = fails(OperationOutcome, client.resources("Patient").search(colour="red").fetch)
    equal(unknown.resource["issue"][0]["code"], "not-supported")
    invalid = fails(OperationOutcome, client.resource("Observation", status="final").save)
    equal(invalid.resource["issue"][0]["expression"][0].startswith("Observation"), True)


sys.exit(0 if check.passed else 1)
