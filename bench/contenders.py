"""Who runs: the passthrough, the resolver, and the peers, each in an environment of its own."""

import os
import shutil
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.watched import own_command
from resolver.edges.kafka import FETCH_BACKOFF_MS
from tests.stack.services import ROOT, StackError, java, run

PEERS = Path(__file__).parent / "peers"
JVM = ("-XX:+UseParallelGC", "-Xms512m", "-Xmx2g")
"""Room enough that no peer on the JVM is bound by its collector, and the one that costs least."""


@dataclass(frozen=True)
class Contender:
    """One way to do the job, or a part of it; ``lacks`` is printed beside its figures."""

    name: str
    command: Callable[[], list[str]]
    delivery: str = "exactly_once"
    whole: bool = True
    lacks: str = ""
    uses_redis: bool = False
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    """What its library is told where it is to be fast."""
    latency_options: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> str:
        """Its name, marked with an asterisk where it does a part of the job."""
        return self.name if self.whole else f"{self.name} *"


def environments() -> Path:
    """The folder of the peers' environments and of everything a run leaves; not in git."""
    folder = Path(os.environ.get("RESOLVER_BENCH_DIR", ROOT / ".bench")).resolve()
    folder.mkdir(exist_ok=True)
    return folder


def python_peer(name: str) -> Callable[[], list[str]]:
    """The command of a peer in Python; its virtual environment is made on first use."""

    def command() -> list[str]:
        home = environments() / name
        python, asked = home / "bin" / "python", PEERS / name / "requirements.txt"
        done = home / "installed.txt"
        if not done.exists() or done.read_text() != asked.read_text():
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            run([str(python), "-m", "pip", "install", "--quiet", "-r", str(asked)])
            done.write_text(asked.read_text())
        return [str(python), "-m", f"bench.peers.{name}.peer"]

    return command


def java_peer(name: str, main: str) -> Callable[[], list[str]]:
    """The command of a peer in Java; Maven compiles it whenever its sources are newer."""

    def command() -> list[str]:
        home, project = environments() / name, PEERS / name
        sources = [project / "pom.xml", *project.rglob("*.java")]
        done = home / "built"
        if not done.exists() or done.stat().st_mtime < max(one.stat().st_mtime for one in sources):
            if shutil.which("mvn") is None:
                raise StackError("mvn is not on the PATH: install Maven")
            goals = ["compile", "dependency:copy-dependencies"]
            options = [f"-Dbench.build={home}", "-DincludeScope=runtime"]
            target = f"-DoutputDirectory={home / 'libs'}"
            run(["mvn", "-q", "-B", "-f", str(project / "pom.xml"), *goals, *options, target])
            done.touch()
        places = os.pathsep.join((str(home / "classes"), f"{home / 'libs'}/*"))
        return [java(), *JVM, "-cp", places, main]

    return command


PASSTHROUGH = Contender(
    "passthrough",
    lambda: own_command("passthrough"),
    whole=False,
    lacks="resolves nothing: it copies bytes, the ceiling of this client",
)
PASSTHROUGH_ALO = Contender(
    "passthrough, at least once",
    lambda: own_command("passthrough"),
    delivery="at_least_once",
    whole=False,
    lacks=PASSTHROUGH.lacks,
)
PASSTHROUGH_SOON = replace(
    PASSTHROUGH,
    name="passthrough, fetching soon",
    lacks="as passthrough, told to fetch again as soon as the resolver tells its own client",
    options={"fetch.queue.backoff.ms": FETCH_BACKOFF_MS},
)
"""By default librdkafka pauses a partition of which enough is ready for a second: whoever is faster
than that stands still now and then, the plain passthrough too."""
COPIES = (PASSTHROUGH, PASSTHROUGH_ALO, PASSTHROUGH_SOON)
RESOLVER = Contender("resolver", lambda: own_command("resolver"), uses_redis=True)
RESOLVER_ALO = Contender(
    "resolver, at least once",
    lambda: own_command("resolver"),
    delivery="at_least_once",
    uses_redis=True,
)
KAFKA_STREAMS = Contender(
    "Kafka Streams",
    java_peer("kafka_streams", "peer.Peer"),
    lacks="no consent, destinations, leads, or order between devices; state in RocksDB, not shared",
)
KAFKA_STREAMS_1S = replace(
    KAFKA_STREAMS,
    name="Kafka Streams, 1 s commits",
    lacks="as Kafka Streams; ten times its recommended time between commits",
    options={"commit.interval.ms": 1_000},
    latency_options={"commit.interval.ms": 1_000},
)
QUIX = Contender(
    "Quix Streams",
    python_peer("quix"),
    lacks="as Kafka Streams",
    latency_options={"commit_interval": 0.1},
)
BYTEWAX = Contender(
    "Bytewax",
    python_peer("bytewax"),
    delivery="at_least_once",
    lacks="at least once only; state in memory with snapshots on this machine's disk",
)
AFTERNOON = Contender(
    "afternoon loop",
    python_peer("afternoon"),
    delivery="at_least_once",
    lacks="two workers overwrite each other's state; a crash repeats or loses a merge",
    uses_redis=True,
)
OWN = (PASSTHROUGH, RESOLVER, PASSTHROUGH_ALO, RESOLVER_ALO)
QUICK = (*OWN, KAFKA_STREAMS, QUIX, BYTEWAX, AFTERNOON)
ALL = (*OWN, PASSTHROUGH_SOON, KAFKA_STREAMS, KAFKA_STREAMS_1S, QUIX, BYTEWAX, AFTERNOON)


def chosen(names: str | None, *, quick: bool) -> tuple[Contender, ...]:
    """Contenders whose names contain one of a comma-separated list; the usual without one."""
    if not names:
        return QUICK if quick else ALL
    wanted = [one.strip().lower() for one in names.split(",")]
    found = tuple(one for one in ALL if any(part in one.name.lower() for part in wanted))
    if not found:
        sys.exit(f"no contender is called {names!r}: {', '.join(one.name for one in ALL)}")
    return found
