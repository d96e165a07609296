"""The Python client that openapi-python-client makes: https://github.com/openapi-generators/openapi-python-client

Arguments: the origin, an access token.
"""

import sys
import uuid

from tessera_client import AuthenticatedClient
from tessera_client.api.patient import create_patient, read_patient, search_patient, update_patient
from tessera_client.models import HumanName, OperationOutcome, Patient
from tessera_client.models.administrative_gender import AdministrativeGender

from checks import Checks, equal

ORIGIN, TOKEN = sys.argv[1:3]
FAMILY = f"Openapi-{uuid.uuid4()}"

check = Checks("openapi-python-client")
client = AuthenticatedClient(base_url=ORIGIN, token=TOKEN, headers={"Accept": "application/fhir+json"})
patient = Patient(
    resource_type="Patient",
    name=[HumanName(family=FAMILY, given=["Ann"])],
    gender=AdministrativeGender.FEMALE,
    birth_date="1970-03",
)


@check("create")
def _():
    answer = create_patient.sync_detailed(client=client, body=patient)
    equal(answer.status_code, 201)
    equal(answer.parsed.name[0].family, FAMILY)
    patient.id = answer.parsed.id


@check("read")
def _():
    found = read_patient.sync(patient.id, client=client)
    equal(found.birth_date, "1970-03")
    equal(found.meta.version_id, "1")


@check("search")
def _():
    found = search_patient.sync(client=client, family=[FAMILY], birthdate=["ge1970", "lt1971"])
    equal([entry.resource.id for entry in found.entry], [patient.id])


@check("an update of a version that has changed is refused")
def _():
    answer = update_patient.sync_detailed(patient.id, client=client, body=patient, if_match='W/"7"')
    equal(answer.status_code, 412)
    equal(isinstance(answer.parsed, OperationOutcome), True)
    equal(answer.parsed.issue[0].code, "conflict")


sys.exit(0 if check.passed else 1)
