"""Backend services: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html

With the client of Cumulus, which bulk pipelines use (https://github.com/smart-on-fhir/cumulus-fhir-support), with Authlib's
OAuth session, and with fhirclient, which sends an assertion that somebody else has made. TESSERA_BIN and
TESSERA_DATABASE_URL are those of the server, whose data is that of the folder clinic.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cumulus_fhir_support import AuthFailed, FhirClient
from cumulus_fhir_support.http import FatalNetworkError
from fhirclient import client as smart
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from checks import Checks, equal, fails

BASE = sys.argv[1]
SCOPE = "system/Patient.rs system/Observation.rs"

configuration = requests.get(f"{BASE}/.well-known/smart-configuration", timeout=10).json()
TOKEN_URL = configuration["token_endpoint"]


def key(algorithm):
    told = {"alg": algorithm, "use": "sig", "kid": f"{algorithm}-{uuid.uuid4()}"}
    return ECKey.generate_key("P-384", told) if algorithm == "ES384" else RSAKey.generate_key(2048, told)


def public(*keys):
    return {"keys": [one.as_dict(private=False) for one in keys]}


def register(name, *given):
    """Registers a client, as an operator does."""
    command = [os.environ["TESSERA_BIN"], "client", "add", name, "--name", name, "--authentication", "private_key_jwt"]
    command += ["--scope", SCOPE, "--policy", "*", *given]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def register_inline(name, one):
    with tempfile.NamedTemporaryFile("w", suffix=".jwks") as file:
        json.dump(public(one), file)
        file.flush()
        register(name, "--jwks", file.name)


class Site:
    """A site with the public keys of a client."""

    def __init__(self, jwks):
        self.jwks, self.asked = jwks, 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked += 1
                body = json.dumps(site.jwks).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def assertion(name, one, **changes):
    claims = {"iss": name, "sub": name, "aud": TOKEN_URL, "exp": int(time.time()) + 240, "jti": str(uuid.uuid4()), **changes}
    algorithm = one.as_dict(private=False)["alg"]
    return jwt.encode({"alg": algorithm, "typ": "JWT", "kid": one.kid}, claims, one, algorithms=[algorithm])


def revoke(name, one, token):
    form = {
        "token": token,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(name, one),
    }
    requests.post(configuration["revocation_endpoint"], data=form, timeout=10).raise_for_status()


def ids(bundle):
    return sorted(entry["resource"]["id"] for entry in bundle.get("entry", []))


cumulus = Checks("cumulus-fhir-support")
oauth = Checks("authlib")
models = Checks("fhirclient, backend")


def by_cumulus(name, one, *, resources=("Patient", "Observation")):
    jwks = {"keys": [{**one.as_dict(private=True), "key_ops": ["sign"]}]}
    jwks["keys"][0].pop("use")
    return FhirClient(BASE, resources, smart_client_id=name, smart_jwks=jwks)


for algorithm in ("ES384", "RS384"):
    for where in ("inline", "at a URL"):

        @cumulus(f"reads and searches, {algorithm}, keys {where}")
        def _():
            one, name = key(algorithm), f"cumulus-{uuid.uuid4()}"
            if where == "inline":
                register_inline(name, one)
            else:
                site = Site(public(key("RS384"), one, key("ES384")))
                register(name, "--jwks-url", site.url)

            async def run():
                async with by_cumulus(name, one) as client:
                    equal((await client.request("GET", "Patient/ann")).json()["name"][0]["family"], "Chalmers")
                    found = await client.request("GET", "Observation?patient=ann")
                    equal(ids(found.json()), ["ann-glucose", "ann-pulse"])
                    # Not in the scopes that it has asked for.
                    try:
                        await client.request("GET", "Condition")
                    except FatalNetworkError as refused:
                        equal(refused.response.status_code, 403)
                    else:
                        raise AssertionError("conditions were not asked for")

            asyncio.run(run())
            if where != "inline":
                equal(site.asked, 1)


@cumulus("a token that is good no more is replaced by another")
def _():
    one, name = key("ES384"), f"cumulus-{uuid.uuid4()}"
    register_inline(name, one)

    async def run():
        async with by_cumulus(name, one) as client:
            await client.request("GET", "Patient/ann")
            first = client._auth.sign_headers()["Authorization"].removeprefix("Bearer ")
            revoke(name, one, first)
            equal((await client.request("GET", "Patient/ben")).json()["id"], "ben")
            if client._auth.sign_headers()["Authorization"].endswith(first):
                raise AssertionError("there is no other token")

    asyncio.run(run())


@cumulus("a key that is another's is refused")
def _():
    name = f"cumulus-{uuid.uuid4()}"
    register_inline(name, key("ES384"))

    async def run():
        async with by_cumulus(name, key("ES384")):
            pass

    refused = fails(AuthFailed, lambda: asyncio.run(run()))
    if "401" not in str(refused):
        raise AssertionError(str(refused))


class Signing(PrivateKeyJWT):
    """Authlib's own assertion is good for an hour, and SMART allows five minutes."""

    def sign(self, auth, token_endpoint):
        return assertion(auth.client_id, auth.client_secret)


for algorithm in ("ES384", "RS384"):

    @oauth(f"a session gets a token when its last one has expired, {algorithm}")
    def _():
        one, name = key(algorithm), f"authlib-{uuid.uuid4()}"
        site = Site(public(one))
        register(name, "--jwks-url", site.url)
        told = {"token_endpoint": TOKEN_URL, "grant_type": "client_credentials", "scope": SCOPE}
        session = OAuth2Session(name, one, token_endpoint_auth_method="private_key_jwt", **told)
        session.register_client_auth_method(Signing(TOKEN_URL))
        first = dict(session.fetch_token(TOKEN_URL, grant_type="client_credentials"))
        equal((first["token_type"], first["expires_in"], first["scope"]), ("Bearer", 300, SCOPE))
        equal(session.get(f"{BASE}/Patient/carl").json()["id"], "carl")
        equal(session.token["access_token"], first["access_token"])
        session.token["expires_at"] = int(time.time()) - 1
        equal(ids(session.get(f"{BASE}/Patient?family=chalmers").json()), ["ann", "ben"])
        if session.token["access_token"] == first["access_token"]:
            raise AssertionError("there is no other token")


@oauth("an assertion is good once, for this server, and not for ever")
def _():
    one, name = key("ES384"), f"authlib-{uuid.uuid4()}"
    register_inline(name, one)

    def ask(made):
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": made,
        }
        answer = requests.post(TOKEN_URL, data=form, timeout=10)
        return answer.status_code, answer.json().get("error")

    made = assertion(name, one)
    equal(ask(made), (200, None))
    equal(ask(made), (401, "invalid_client"))
    equal(ask(assertion(name, one, aud="https://elsewhere.example/token")), (401, "invalid_client"))
    equal(ask(assertion(name, one, exp=int(time.time()) + 3600)), (401, "invalid_client"))
    equal(ask(assertion(name, one, exp=int(time.time()) - 60)), (401, "invalid_client"))


@models("reads and searches with an assertion")
def _():
    one, name = key("RS384"), f"fhirclient-{uuid.uuid4()}"
    register_inline(name, one)
    settings = {"app_id": name, "api_base": BASE, "scope": SCOPE, "jwt_token": assertion(name, one)}
    client = smart.FHIRClient(settings=settings)
    client.prepare()
    client.authorize()
    equal(Patient.read("ann", client.server).birthDate.isostring, "1974-12-25")
    found = Observation.where({"patient": "ann"}).perform_resources_iter(client.server)
    equal(sorted(resource.id for resource in found), ["ann-glucose", "ann-pulse"])


sys.exit(0 if cumulus.passed and oauth.passed and models.passed else 1)
