"""A worker as a process of its own: ``python -m tests.system.worker_process '{"…": …}'``.

It can be told to die by ``kill -9`` at a step, as a power cut would have it.
"""

import json
import os
import signal
import sys
from typing import Any

import structlog

from resolver.assembly import Parts, assemble, json_target
from resolver.core.consent import Audience
from resolver.core.profiles import Profile
from resolver.core.times import iso_utc
from resolver.destinations.aliases import Aliases
from resolver.destinations.spec import DestinationSpec
from resolver.edges.json_format import JsonFormatter
from resolver.edges.native import NATIVE_PACKING
from resolver.edges.redis_client import connect
from resolver.edges.redis_packing import Packer
from resolver.edges.redis_store import RedisStore
from resolver.edges.telemetry import Telemetry
from resolver.joining import Target
from resolver.worker import Limits, Worker


def shape(profile: Profile) -> dict[str, Any]:
    """The canonical profile."""
    return {
        "userId": profile.user_id,
        "traits": profile.traits,
        "profile": {
            "id": profile.id,
            "anonymousIds": profile.anonymous_ids,
            "emails": profile.emails,
            "firstSeenAt": _iso(profile.first_seen_us),
            "lastSeenAt": _iso(profile.last_seen_us),
        },
    }


def _iso(instant_us: int | None) -> str | None:
    return None if instant_us is None else iso_utc(instant_us)


def announced(name: str, topic: str) -> Target:
    """A destination that gets alias events."""
    announce = Aliases(DestinationSpec(name=name)).of
    return Target(
        name, topic, Audience((name,)), JsonFormatter(shape, announce=announce), announces=True
    )


def build(setup: dict[str, Any]) -> Worker:
    """The worker that the setup describes."""
    name = setup["name"]
    exactly_once = setup.get("exactly_once", True)
    broker = {"bootstrap.servers": setup["bootstrap"]}
    session_ms = setup.get("session_ms", 6000)
    parts = Parts(
        consumer={**broker, "group.id": setup.get("group", name), "session.timeout.ms": session_ms},
        producer={**broker, "transaction.timeout.ms": session_ms},
        topics=[f"{name}.raw"],
        dead_letter_topic=f"{name}.dead",
        changelog_topic=f"{name}.changelog",
        transactional_id=f"{name}-{setup['member']}" if exactly_once else None,
        store=RedisStore(connect(setup["redis"]), f"{name}:", NATIVE_PACKING or Packer),
        targets=[
            json_target("profiles", f"{name}.profiles", Audience(("profiles",)), shape),
            announced("mixpanel", f"{name}.mixpanel"),
        ],
        observer=Telemetry(structlog.get_logger()),
        limits=Limits(setup.get("messages_max", 200)),
    )
    return assemble(parts)


class Doomed:
    """An edge with a verb whose first call has the process die."""

    def __init__(self, edge: Any, verb: str) -> None:
        self.edge = edge
        self.verb = verb

    def __getattr__(self, name: str) -> Any:
        return die if name == self.verb else getattr(self.edge, name)


def die(*_: Any, **__: Any) -> None:
    """As a power cut would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(worker: Worker, step: str) -> None:
    """Has the process die at a step: ``sink.flush``, ``store.note_commit`` …"""
    edge, verb = step.split(".")
    pipeline: Any = worker.pipeline
    if edge == "store":
        pipeline.store = Doomed(pipeline.store, verb)
    else:
        pipeline.sink = worker.transactions = Doomed(pipeline.sink, verb)


def main() -> None:
    setup = json.loads(sys.argv[1])
    worker = build(setup)
    if setup.get("crash_at"):
        crash_at(worker, setup["crash_at"])
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
