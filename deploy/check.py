"""What deploy/check does: each function below is a check, and the first line of its comment says of what.

There is no container engine: what compose would start is started as processes, with the users, groups, folders, variables and
commands that docker-compose.yml and the Dockerfile name."""

import glob
import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

COMPOSE = "docker-compose.yml"
TESSERA = 10001  # the image's user and group
PATIENCE = 120  # seconds that something may take to start


def compose():
    """docker-compose.yml as compose understands it, with all profiles."""
    command = [os.path.join(os.path.dirname(sys.executable), "docker-compose"), "-f", COMPOSE, "--profile", "*"]
    resolved = subprocess.run(command + ["config", "--format", "json"], capture_output=True, text=True)
    if resolved.returncode:
        sys.exit(resolved.stderr)
    # It writes a dollar of a command as two.
    return json.loads(resolved.stdout.replace("$$", "$"))


def dockerfile():
    """The Dockerfile's instructions, continued lines joined and comments left out."""
    text = "\n".join(line for line in open("Dockerfile") if not line.startswith("#"))
    return re.sub(r"\\\s*\n", " ", text)


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
            # Tests are not built there; they stand at the end.
            code = open(source).read().split("#[cfg(test)]")[0]
            for path in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', code):
                path = os.path.join(os.path.dirname(source), path)
                assert os.path.exists(path), f"{os.path.relpath(path, context)} does not reach the image's build"


class ByHand:
    """Runs what compose would run, in a scratch folder."""

    def __init__(self, config, scratch):
        self.config, self.scratch, self.running = config, scratch, []
        self.root = os.geteuid() == 0
        os.chmod(scratch, 0o755)
        self.volumes = {name: os.path.join(scratch, name) for name in config["volumes"]}
        for folder in self.volumes.values():
            os.mkdir(folder)
        self.bin = os.path.join(scratch, "bin")
        os.mkdir(self.bin)
        shutil.copy(os.environ.get("TESSERA_BIN", "target/debug/tessera"), os.path.join(self.bin, "tessera"))

    def prepare_volumes(self, service):
        """A new volume belongs to whom the image's folder belongs that it is mounted over, and has its mode."""
        made = {}
        for mode, paths in re.findall(r"install --directory --owner tessera --group tessera --mode (\d+) ([^&\n]+)", dockerfile()):
            made.update({path: int(mode, 8) for path in paths.split()})
        for volume in self.config["services"][service]["volumes"]:
            folder = self.volumes[volume["source"]]
            os.chmod(folder, made[volume["target"]])
            if self.root:
                os.chown(folder, TESSERA, TESSERA)

    def here(self, service, text):
        """A text in which the paths of a service's volumes are those of the scratch folder."""
        for volume in self.config["services"][service].get("volumes", []):
            if volume["type"] == "volume":
                text = re.sub(rf"(?<![\w/]){volume['target']}(?![\w-])", self.volumes[volume["source"]], text)
        return text

    def command(self, user, groups, argv):
        if not self.root:
            return argv
        groups = [f"--groups={','.join(groups)}"] if groups else ["--clear-groups"]
        return ["setpriv", f"--reuid={user}", f"--regid={user}", *groups, "--no-new-privs", *argv]

    def start(self, argv, environment, **more):
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": self.scratch, **environment}
        process = subprocess.Popen(argv, env=environment, cwd=more.pop("cwd", self.scratch), **more)
        self.running.append(process)
        return process

    def run(self, argv, environment, **more):
        process = self.start(argv, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
        said = process.communicate(timeout=PATIENCE)[0]
        return process.returncode, said

    def stop(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
        self.running = []


def eventually(what, server, probe):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        if probe():
            return
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {PATIENCE} s, or it has ended: {server.poll()}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def postgres_programs():
    folders = os.environ["PATH"].split(":") + sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    wanted = ("initdb", "postgres", "pg_isready", "createdb", "psql")
    return next(folder for folder in folders if all(os.path.exists(os.path.join(folder, name)) for name in wanted))


def start_secrets(hand):
    service = hand.config["services"]["secrets"]
    hand.prepare_volumes("secrets")
    argv = [hand.here("secrets", word) for word in service["entrypoint"] + service["command"]]
    status, said = hand.run(hand.command(*service["user"].split(":")[:1], [], argv), {})
    assert status == 0, said
    files = [os.path.join(hand.volumes[volume], "password") for volume in ("database-secret", "grafana-secret")]
    for file in files:
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o440
        assert re.fullmatch("[0-9a-f]{64}", open(file).read())
        assert os.listdir(os.path.dirname(file)) == ["password"]
    return [open(file).read() for file in files]


def start_postgres(hand, port):
    """As the image's entry point does: it makes the cluster and the database, and serves."""
    service = hand.config["services"]["postgres"]
    environment, programs = service["environment"], postgres_programs()
    data = hand.volumes["postgres"]
    user = "postgres" if hand.root else None
    if hand.root:
        shutil.chown(data, user)
    as_user = lambda argv: hand.command(user, service["group_add"], [os.path.join(programs, argv[0]), *argv[1:]])
    password = hand.here("postgres", environment["POSTGRES_PASSWORD_FILE"])
    if not os.listdir(data):
        argv = ["initdb", "-D", data, f"--username={environment['POSTGRES_USER']}", f"--pwfile={password}"]
        status, said = hand.run(as_user(argv + environment["POSTGRES_INITDB_ARGS"].split()), {})
        assert status == 0, said
    serving = as_user(["postgres", "-D", data, "-p", str(port), "-k", data, "-c", "listen_addresses=127.0.0.1"])
    log = open(os.path.join(hand.scratch, "postgres.log"), "a")
    server = hand.start(serving, {}, stdout=log, stderr=log)
    healthy = as_user(service["healthcheck"]["test"][1:])
    eventually("postgres is healthy", server, lambda: hand.run(healthy, {"PGPORT": str(port)})[0] == 0)
    name = environment["POSTGRES_DB"]
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": environment["POSTGRES_USER"]}
    given = {**login, "PGPASSWORD": open(password).read()}
    # The image makes the database at its first start, before it is healthy.
    hand.run(as_user(["createdb", name]), given)
    assert hand.run(as_user(["psql", name, "-c", "SELECT 1"]), given)[0] == 0
    assert hand.run(as_user(["psql", name, "-c", "SELECT 1"]), {**login, "PGPASSWORD": "wrong"})[0] != 0


def start_tessera(hand, database_port, port):
    service = hand.config["services"]["tessera"]
    environment = {}
    for words in re.findall(r"^ENV (.*(?:TESSERA_).*)$", dockerfile(), re.M):
        environment.update(word.split("=", 1) for word in words.split())
    environment.update({name: value or "" for name, value in service["environment"].items()})
    environment = {name: hand.here("tessera", value) for name, value in environment.items()}
    environment["TESSERA_LISTEN"] = environment["TESSERA_LISTEN"].replace(":8080", f":{port}")
    environment["TESSERA_BASE_URL"] = environment["TESSERA_BASE_URL"].replace(":8080", f":{port}")
    environment["TESSERA_DATABASE_URL"] = environment["TESSERA_DATABASE_URL"].replace("@postgres/", f"@127.0.0.1:{database_port}/")
    # HTTP-12: no secret on the command line or in the environment, which `docker inspect` shows.
    assert open(os.path.join(hand.volumes["database-secret"], "password")).read() not in json.dumps(environment)
    argv = json.loads(re.search(r"^ENTRYPOINT (.*)$", dockerfile(), re.M)[1]) + json.loads(re.search(r"^CMD (\[.*\])$", dockerfile(), re.M)[1])
    log = open(os.path.join(hand.scratch, "tessera.log"), "a")
    folder = hand.volumes["tessera"]
    hand.prepare_volumes("tessera")
    server = hand.start(hand.command(TESSERA, [], argv), environment, stdout=log, stderr=log, cwd=folder)
    probe = json.loads(re.search(r"HEALTHCHECK .*CMD (\[.*\])", dockerfile())[1])
    eventually("tessera is healthy", server, lambda: hand.run(hand.command(TESSERA, [], probe), environment, cwd=folder)[0] == 0)
    return environment


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
    scratch = tempfile.mkdtemp(prefix="tessera-compose-")
    hand = ByHand(compose(), scratch)
    try:
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
        said = open(os.path.join(scratch, "tessera.log")).read()
        assert not any(secret in said for secret in secrets[0] + administrator[:1]), "a secret is in the log"
    except BaseException:
        for name in ("postgres", "tessera"):
            log = os.path.join(scratch, f"{name}.log")
            print(f"--- {name}\n{open(log).read()[-4000:]}" if os.path.exists(log) else f"--- {name}: no log", file=sys.stderr)
        raise
    finally:
        hand.stop()
        shutil.rmtree(scratch)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for check in [value for name, value in list(globals().items()) if name.startswith("check_")]:
        if not wanted or any(word in check.__name__ for word in wanted):
            check()
            print(f"ok  {check.__doc__}", flush=True)
