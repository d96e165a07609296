"""Runs checks by name, one line each."""

import traceback


class Checks:
    def __init__(self, client):
        self.client = client
        self.passed = True

    def __call__(self, name, supported=True):
        """Decorates a check, which runs at once; or is skipped aloud if the server does not say that it supports this."""

        def run(body):
            if not supported:
                print(f"skip  {self.client}: {name}: not supported by this server", flush=True)
                return body
            try:
                body()
                print(f"ok    {self.client}: {name}", flush=True)
            except Exception as failure:
                self.passed = False
                line = traceback.extract_tb(failure.__traceback__)[1].lineno
                print(f"FAIL  {self.client}: {name}: line {line}: {type(failure).__name__}: {failure}", flush=True)
            return body

        return run


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def fails(kind, body):
    """What the body fails with; to be of this class."""
    try:
        body()
    except kind as failure:
        return failure
    raise AssertionError(f"expected {kind.__name__}, but nothing failed")
