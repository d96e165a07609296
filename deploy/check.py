"""What deploy/check does: each function below is a check, and the first line of its comment says of what."""

import base64
import glob
import http.cookiejar
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

from by_hand import COMPOSE, PATIENCE, by_hand, compose, eventually, free_port, start_postgres, start_secrets, start_standby, start_tessera


def check_compose():
    """The schema of compose; what each service must have."""
    config = compose()
    for name, service in config["services"].items():
        image = service["image"]
        assert image == "tessera" or re.search(r":[\w.-]*\d+\.\d+[\w.-]*$", image), f"{name}: {image} is not pinned"
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= limits.keys(), f"{name}: limits"
        assert service["cap_drop"] == ["ALL"] and service["read_only"], f"{name}: hardening"
        assert "no-new-privileges:true" in service["security_opt"], f"{name}: hardening"
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", f"{name}: a port is open to others (AUTH-40)"
        for word, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in word or word.endswith(("_FILE", "__FILE")), f"{name}: {word} is not in a file"
    assert "--insecure" not in open(COMPOSE).read()


def check_build_context():
    """Everything that the image's build reads reaches it through .dockerignore."""
    wanted = [line[1:].strip() for line in open(".dockerignore") if line.startswith("!")]
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    with tempfile.TemporaryDirectory() as context:
        for path in tracked:
            if any(path == name or path.startswith(name + "/") for name in wanted) and os.path.isfile(path):
                os.makedirs(os.path.dirname(os.path.join(context, path)) or context, exist_ok=True)
                shutil.copy(path, os.path.join(context, path))
        shutil.rmtree(os.path.join(context, "crates/typed"))
        command = ["cargo", "metadata", "--locked", "--offline", "--format-version=1", "--no-deps"]
        subprocess.run(command, cwd=context, check=True, stdout=subprocess.DEVNULL)
        for source in glob.glob(f"{context}/crates/*/src/**/*.rs", recursive=True):
            # Tests are not built there; they stand at the end, or in a file of their own.
            if source.endswith("/tests.rs") or "/src/tests/" in source:
                continue
            code = open(source).read().split("#[cfg(test)]")[0]
            for path in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', code):
                path = os.path.join(os.path.dirname(source), path)
                assert os.path.exists(path), f"{os.path.relpath(path, context)} does not reach the image's build"


def check_kubernetes():
    """The schemas of Kubernetes, without members that they do not have."""
    command = [os.path.join(os.path.dirname(sys.executable), "kubernetes-validate"), "--strict", "--quiet"]
    subprocess.run(command + glob.glob("deploy/kubernetes/*.yaml"), check=True)


def log_in(base, name, password):
    """The status of a login, as a browser does it."""
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    # Cookies for https only: of this machine, all the same.
    jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https")))
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), Stay)
    page = browser.open(f"{base}/auth/manage").read().decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    form = urllib.parse.urlencode({**hidden, "name": name, "password": password}).encode()
    try:
        return browser.open(f"{base}/auth/login", form).status
    except urllib.error.HTTPError as error:
        return error.code


def check_first_start():
    """`docker compose up` from nothing, and once more: secrets are made once, private, and the first administrator logs in."""
    with by_hand("compose", "postgres", "tessera") as hand:
        secrets, administrator = [], []
        for _ in range(2):
            secrets.append(start_secrets(hand))
            database_port, port = free_port(), free_port()
            start_postgres(hand, database_port)
            start_tessera(hand, database_port, port)
            file = os.path.join(hand.volumes["tessera"], "administrator")
            assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
            name, password = (line.split(": ")[1] for line in open(file).read().splitlines())
            administrator.append(password)
            base = f"http://127.0.0.1:{port}"
            assert log_in(base, name, password) == 303 and log_in(base, name, "wrong") == 403
            try:
                raise AssertionError(urllib.request.urlopen(f"{base}/fhir/Patient").status)
            except urllib.error.HTTPError as error:
                assert error.code == 401, error.code
            hand.stop()
        assert secrets[0] == secrets[1] and administrator[0] == administrator[1]
        said = open(os.path.join(hand.scratch, "tessera.log")).read()
        assert not any(secret in said for secret in secrets[0] + administrator[:1]), "a secret is in the log"


def check_replica():
    """The profile `replica`: the standby makes itself a copy once, both servers use it, and the proxy does without a server."""
    with by_hand("replica", "postgres", "standby", "tessera", "proxy") as hand:
        secrets = start_secrets(hand)
        database_port, standby_port, proxy_port, ports = free_port(), free_port(), free_port(), [free_port(), free_port()]
        start_postgres(hand, database_port)
        standby = start_standby(hand, database_port, standby_port)
        settings = dict(line.split("=", 1) for line in open("deploy/replica.env").read().splitlines() if not line.startswith("#"))
        settings = {
            "TESSERA_BASE_URL": settings["TESSERA_BASE_URL"].replace(":8090", f":{proxy_port}"),
            "TESSERA_DATABASE_REPLICA_URL": settings["TESSERA_DATABASE_REPLICA_URL"].replace("@postgres-replica/", f"@127.0.0.1:{standby_port}/"),
        }
        started = [start_tessera(hand, database_port, port, name, settings) for port, name in zip(ports, ("tessera", "tessera-2"))]

        def metrics(environment):
            page = urllib.request.urlopen(f"http://{environment['TESSERA_METRICS_LISTEN']}/metrics").read().decode()
            return dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))

        def uses_standby():
            return all(metrics(environment)['tessera_replica_state{state="used"}'] == "1" for environment, _ in started)

        eventually("both servers use the standby", standby, uses_standby)
        config = open("deploy/haproxy.cfg").read()
        for there, here in (("tessera:8080", f"127.0.0.1:{ports[0]}"), ("tessera-2:8080", f"127.0.0.1:{ports[1]}"), ("bind :8090", f"bind 127.0.0.1:{proxy_port}")):
            assert there in config, there
            config = config.replace(there, here)
        file = os.path.join(hand.scratch, "haproxy.cfg")
        open(file, "w").write(config)
        libraries = {"LD_LIBRARY_PATH": os.path.abspath("target/deploy-tools/usr/lib/x86_64-linux-gnu")}
        status, said = hand.run(["haproxy", "-c", "-f", file], libraries)
        assert status == 0 and "WARNING" not in said, said
        log = open(os.path.join(hand.scratch, "proxy.log"), "a")
        proxy = hand.start(["haproxy", "-W", "-db", "-f", file], libraries, stdout=log, stderr=log)
        base = f"http://127.0.0.1:{proxy_port}"

        def answers():
            try:
                return urllib.request.urlopen(f"{base}/fhir/metadata").status == 200
            except (urllib.error.URLError, ConnectionError):
                return False

        eventually("the proxy answers", proxy, answers)
        # A form of one server is taken by the other.
        name, password = (line.split(": ")[1] for line in open(os.path.join(hand.volumes["tessera"], "administrator")).read().splitlines())
        assert [log_in(base, name, password) for _ in range(4)] == [303] * 4
        assert not os.path.exists(os.path.join(hand.volumes["tessera-2"], "secret.key"))
        # The second start makes no copy.
        manifest = os.path.join(hand.volumes["postgres-replica"], "backup_manifest")
        copied = os.stat(manifest).st_mtime_ns
        standby.send_signal(standby.stop_signal)
        standby.wait(PATIENCE)
        assert answers()
        standby = start_standby(hand, database_port, standby_port)
        eventually("it is used again", standby, uses_standby)
        assert os.stat(manifest).st_mtime_ns == copied
        # A server that is gone is not noticed.
        started[0][1].kill()
        started[0][1].wait(PATIENCE)
        assert all(answers() for _ in range(6))
        for file in ("tessera.log", "standby.log", "proxy.log"):
            said = open(os.path.join(hand.scratch, file)).read()
            assert not any(secret in said for secret in secrets), f"a secret is in {file}"


class Watched:
    """A server without authentication on a database, with metrics and traces, and something to tell."""

    def __init__(self, hand, name, database_url, collector, replica_url=""):
        self.port, self.metrics = free_port(), free_port()
        folder = os.path.join(hand.scratch, name)
        os.mkdir(folder)
        listening = {"TESSERA_LISTEN": f"127.0.0.1:{self.port}", "TESSERA_METRICS_LISTEN": f"127.0.0.1:{self.metrics}"}
        environment = {**listening, "TESSERA_DATABASE_URL": database_url, "TESSERA_TRACES_ENDPOINT": collector}
        environment["TESSERA_DATABASE_REPLICA_URL"] = replica_url
        log = open(os.path.join(hand.scratch, "tessera.log"), "a")
        server = hand.start(["tessera", "serve", "--insecure-no-auth"], environment, stdout=log, stderr=log, cwd=folder)
        eventually(name, server, lambda: hand.run(["tessera", "health"], listening)[0] == 0)

    def work(self):
        base = f"http://127.0.0.1:{self.port}/fhir"
        body = json.dumps({"resourceType": "Patient", "name": [{"family": "Canary"}]}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{base}/Patient", body, {"Content-Type": "application/fhir+json"})).read()
        urllib.request.urlopen(f"{base}/Patient?family=Canary").read()
        urllib.request.urlopen(f"{base}/metadata").read()


class Collector(http.server.BaseHTTPRequestHandler):
    """Stands in for an OpenTelemetry collector."""

    bodies = []

    def do_POST(self):
        assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def read_traces(bodies):
    """The spans, as OpenTelemetry's own types read them, which refuse what they do not have."""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans = []
    for body in bodies:
        request = json.loads(body)
        for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            # OTLP writes ids as digits where JSON of protobuf has base64.
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in span:
                    span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        message = json_format.ParseDict(request, ExportTraceServiceRequest())
        spans += message.resource_spans[0].scope_spans[0].spans
    return spans


def check_alerts():
    """Prometheus' own check of the alerts, and when each speaks up."""
    for command in (["check", "rules", "deploy/alerts.yml"], ["test", "rules", "deploy/alerts.test.yml"]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def check_dashboard():
    """Prometheus scrapes two servers, one on each database, one with a replica, and has an answer to every query of the dashboard; traces are OTLP."""
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    with by_hand("dashboard", "postgres", "standby", "tessera", "prometheus") as hand:
        start_secrets(hand)
        database_port = free_port()
        start_postgres(hand, database_port)
        password = open(os.path.join(hand.volumes["database-secret"], "password")).read()
        postgres = f"postgres://tessera:{password}@127.0.0.1:{database_port}/tessera"
        traces = f"http://127.0.0.1:{collector.server_port}"
        standby_port = free_port()
        start_standby(hand, database_port, standby_port)
        standby = postgres.replace(f":{database_port}/", f":{standby_port}/")
        servers = [Watched(hand, "on-postgres", postgres, traces, standby), Watched(hand, "on-sqlite", f"sqlite:{hand.scratch}/tessera.db", traces)]
        config = open("deploy/prometheus.yml").read()
        targets = ", ".join(f'"127.0.0.1:{server.metrics}"' for server in servers)
        assert '"tessera:9464"' in config and "TESSERA_METRICS_LISTEN: 0.0.0.0:9464" in open(COMPOSE).read()
        config = config.replace('"tessera:9464"', targets).replace("scrape_interval: 15s", "scrape_interval: 1s")
        file = os.path.join(hand.scratch, "prometheus.yml")
        open(file, "w").write(config)
        shutil.copy("deploy/alerts.yml", hand.scratch)
        status, said = hand.run(["promtool", "check", "config", file], {})
        assert status == 0, said
        for server in servers:
            server.work()
            page = urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics").read().decode()
            linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
            assert linted.returncode == 0, linted.stdout + linted.stderr
        port = free_port()
        log = open(os.path.join(hand.scratch, "prometheus.log"), "a")
        argv = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={hand.scratch}/prometheus-data", f"--web.listen-address=127.0.0.1:{port}"]
        prometheus = hand.start(argv, {}, stdout=log, stderr=log)

        def query(text):
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(text)}"
            try:
                return json.load(urllib.request.urlopen(url))["data"]["result"]
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{text}: {error.read().decode()}")

        def is_ready():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready").status == 200
            except urllib.error.URLError:
                return False

        eventually("Prometheus is ready", prometheus, is_ready)
        def is_counted():
            for server in servers:
                server.work()
            # A rate wants two scrapes, and something that has happened in between.
            kinds = "count(rate(tessera_request_duration_seconds_count[1m]) > 0)"
            writes = "count(rate(tessera_group_commit_writes_count[1m]) > 0)"
            return [result["value"][1] for text in (kinds, writes) for result in query(text)] == ["6", "1"]

        eventually("the work is scraped", prometheus, is_counted)
        dashboard = json.load(open("deploy/grafana/dashboards/tessera.json"))
        count = 0
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".+")
                found = query(text)
                # Of a quotient, not a number says that nothing has happened.
                assert found and not all(result["value"][1] == "NaN" for result in found), f"{panel['title']}: {text}: {found}"
                count += 1
        assert count >= 15, count
        # What an alert asks for is there to be asked for.
        alerts = set(re.findall(r"tessera_\w+", open("deploy/alerts.yml").read()))
        assert len(alerts) > 5 and all(query(name) for name in alerts), alerts
        rules = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules"))["data"]["groups"][0]["rules"]
        assert rules and not any(rule["health"] == "err" or rule["alerts"] for rule in rules), rules
        hand.stop()
        spans = read_traces(Collector.bodies)
        names = {span.name for span in spans}
        assert {"create Patient", "search-type Patient", "capabilities", "sql"} <= names, names
        assert b"Canary" not in b"".join(Collector.bodies)
    collector.shutdown()


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for check in [value for name, value in list(globals().items()) if name.startswith("check_")]:
        if not wanted or any(word in check.__name__ for word in wanted):
            check()
            print(f"ok  {check.__doc__}", flush=True)
