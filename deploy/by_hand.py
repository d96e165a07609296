"""What docker-compose.yml and the Dockerfile say, done without a container engine: services are processes, with the users, groups,
folders, variables and commands that these files name."""

import contextlib
import glob
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
            if volume["target"] not in made:
                continue
            folder = self.volumes[volume["source"]]
            os.chmod(folder, made[volume["target"]])
            if self.root:
                os.chown(folder, TESSERA, TESSERA)

    def here(self, service, text):
        """A text in which the paths of a service's volumes and files are those of the scratch folder."""
        for volume in self.config["services"][service].get("volumes", []):
            if volume["type"] == "volume":
                there = self.volumes[volume["source"]]
            else:
                # Copied, since whoever runs it may not look into this folder.
                there = os.path.join(self.bin, os.path.basename(volume["source"]))
                shutil.copy(volume["source"], there)
            text = re.sub(rf"(?<![\w/]){volume['target']}(?![\w-])", there, text)
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
                process.send_signal(getattr(process, "stop_signal", signal.SIGTERM))
                process.wait(PATIENCE)
        self.running = []


@contextlib.contextmanager
def by_hand(name, *logs):
    """What runs by hand, in a scratch folder: both are gone at the end. Where it fails, the ends of these logs are shown."""
    scratch = tempfile.mkdtemp(prefix=f"tessera-{name}-")
    hand = ByHand(compose(), scratch)
    try:
        yield hand
    except BaseException:
        for log in logs:
            path = os.path.join(scratch, f"{log}.log")
            print(f"--- {log}\n{open(path).read()[-4000:]}" if os.path.exists(path) else f"--- {log}: no log", file=sys.stderr)
        raise
    finally:
        hand.stop()
        shutil.rmtree(scratch)


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
    wanted = ("initdb", "postgres", "pg_isready", "createdb", "psql", "pg_basebackup")
    return next(folder for folder in folders if all(os.path.exists(os.path.join(folder, name)) for name in wanted))


def start_secrets(hand):
    service = hand.config["services"]["secrets"]
    hand.prepare_volumes("secrets")
    argv = [hand.here("secrets", word) for word in service["entrypoint"] + service["command"]]
    status, said = hand.run(hand.command(*service["user"].split(":")[:1], [], argv), {})
    assert status == 0, said
    files = [os.path.join(hand.volumes[volume], "password") for volume in ("database-secret", "grafana-secret", "replication-secret")]
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
    command = [hand.here("postgres", word) for word in service["command"]]
    serving = as_user([*command, "-D", data, "-p", str(port), "-k", data, "-c", "listen_addresses=127.0.0.1"])
    log = open(os.path.join(hand.scratch, "postgres.log"), "a")
    server = hand.start(serving, {}, stdout=log, stderr=log)
    server.stop_signal = signal.SIGINT  # as the image says
    healthy = as_user(service["healthcheck"]["test"][1:])
    eventually("postgres is healthy", server, lambda: hand.run(healthy, {"PGPORT": str(port)})[0] == 0)
    name = environment["POSTGRES_DB"]
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": environment["POSTGRES_USER"]}
    given = {**login, "PGPASSWORD": open(password).read()}
    # The image makes the database at its first start, before it is healthy.
    hand.run(as_user(["createdb", name]), given)
    assert hand.run(as_user(["psql", name, "-c", "SELECT 1"]), given)[0] == 0
    assert hand.run(as_user(["psql", name, "-c", "SELECT 1"]), {**login, "PGPASSWORD": "wrong"})[0] != 0


def start_standby(hand, primary_port, port):
    """What the service's entry point does, at the first start and later."""
    service, programs = hand.config["services"]["postgres-replica"], postgres_programs()
    environment = {name: hand.here("postgres-replica", value) for name, value in service["environment"].items()}
    data, user = environment["PGDATA"], "postgres" if hand.root else None
    if not os.listdir(data):
        # As the image leaves it.
        os.chmod(data, 0o1777)
        if hand.root:
            shutil.chown(data, user)
    temporary = tempfile.mkdtemp(dir=hand.scratch)
    os.chmod(temporary, 0o1777)
    environment |= {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(primary_port), "TMPDIR": temporary}
    environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    argv = [hand.here("postgres-replica", word) for word in service["entrypoint"] + service["command"]]
    argv += ["-c", f"port={port}", "-c", f"unix_socket_directories={data}", "-c", "listen_addresses=127.0.0.1"]
    log = open(os.path.join(hand.scratch, "standby.log"), "a")
    server = hand.start(hand.command(user, service["group_add"], argv), environment, stdout=log, stderr=log)
    server.stop_signal = signal.SIGINT
    probe = service["healthcheck"]["test"][1:]
    healthy = [os.path.join(programs, probe[0]), *probe[1:]]
    eventually("the standby is healthy", server, lambda: hand.run(healthy, {"PGPORT": str(port)})[0] == 0)
    return server


def start_tessera(hand, database_port, port, name="tessera", more=None):
    service = hand.config["services"][name]
    environment = {}
    for words in re.findall(r"^ENV (.*(?:TESSERA_).*)$", dockerfile(), re.M):
        environment.update(word.split("=", 1) for word in words.split())
    environment.update({name: value or "" for name, value in service["environment"].items()})
    environment = {variable: hand.here(name, value) for variable, value in environment.items()}
    environment["TESSERA_LISTEN"] = environment["TESSERA_LISTEN"].replace(":8080", f":{port}")
    environment["TESSERA_BASE_URL"] = environment["TESSERA_BASE_URL"].replace(":8080", f":{port}")
    environment["TESSERA_METRICS_LISTEN"] = f"127.0.0.1:{free_port()}"
    environment["TESSERA_DATABASE_URL"] = environment["TESSERA_DATABASE_URL"].replace("@postgres/", f"@127.0.0.1:{database_port}/")
    environment |= more or {}
    # HTTP-12: no secret on the command line or in the environment, which `docker inspect` shows.
    assert open(os.path.join(hand.volumes["database-secret"], "password")).read() not in json.dumps(environment)
    argv = json.loads(re.search(r"^ENTRYPOINT (.*)$", dockerfile(), re.M)[1]) + json.loads(re.search(r"^CMD (\[.*\])$", dockerfile(), re.M)[1])
    log = open(os.path.join(hand.scratch, "tessera.log"), "a")
    folder = hand.volumes[name]
    hand.prepare_volumes(name)
    server = hand.start(hand.command(TESSERA, [], argv), environment, stdout=log, stderr=log, cwd=folder)
    probe = json.loads(re.search(r"HEALTHCHECK .*CMD (\[.*\])", dockerfile())[1])
    eventually(f"{name} is healthy", server, lambda: hand.run(hand.command(TESSERA, [], probe), environment, cwd=folder)[0] == 0)
    return environment, server
