"""Parses every JSON body in a folder with the models of fhir.resources for R4."""

import json
import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

from fhir.resources import construct_fhir_element
from pydantic import ValidationError

# Where these models are wrong about R4: what they say of which text, and why that is wrong.
EXCEPTIONS = {
    "null stands in an array of primitives where an element has only extensions (json.html#primitive)": lambda said, text: (
        re.search(r"-> \d+\n  none is not an allowed value", said) and "null" in text
    ),
    "a dateTime may name a leap second, which Python's does not have (datatypes.html#dateTime)": lambda said, text: (
        "invalid datetime format" in said and re.search(r"T\d\d:\d\d:60", text)
    ),
    "a url may be relative, as a reference is (datatypes.html#Attachment)": lambda said, text: (
        set(re.findall(r"\(type=(\S+?)\)", said)) == {"value_error.url.scheme"}
    ),
}

SHOWN = 20


def problem(body):
    resource = json.loads(body, parse_float=Decimal)
    try:
        construct_fhir_element(resource["resourceType"], resource)
    except (ValidationError, LookupError, TypeError, ValueError) as error:
        return str(error)
    return None


def main(folder):
    bodies = sorted(Path(folder).glob("*.json"))
    failed, excepted = 0, Counter()
    for path in bodies:
        text = path.read_text()
        said = problem(text)
        if said is None:
            continue
        exception = next((reason for reason, applies in EXCEPTIONS.items() if applies(said, text)), None)
        if exception:
            excepted[exception] += 1
            continue
        failed += 1
        if failed <= SHOWN:
            print(f"FAIL  fhir.resources: {path.name} ({path.with_suffix('.asked').read_text()}): {said}")
    for reason, count in excepted.items():
        print(f"      fhir.resources: {count} excepted: {reason}")
    print(f"{'ok   ' if failed == 0 else 'FAIL '} fhir.resources: {len(bodies)} bodies, {failed} failed")
    return failed == 0 and len(bodies) > 0


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
