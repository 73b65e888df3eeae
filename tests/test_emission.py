"""What destinations are told of a change: each by what it saw before."""

import json

from resolver.assembly import SystemClock, json_target
from resolver.core.events import Reading
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.memory import MemoryKafka, MemorySink, MemorySource, MemoryStore
from resolver.edges.state_codec import StateCodec
from resolver.joining import Tag
from resolver.pipeline import Pipeline
from tests.core.people import START_MS, messages

NAMES = ("profiles", "crm", "mixpanel")


def at(minute: int, **event: object) -> dict[str, object]:
    """A user's event of a minute."""
    instant = START_MS + minute * 60_000
    return {"userId": "u", "timestamp": instant, "receivedAt": instant, **event}


def told(*history: dict[str, object]) -> dict[str, list[str]]:
    """The traits that each destination is told to have changed by the last event."""
    kafka = MemoryKafka()
    sink = MemorySink(MemorySource(kafka, "w"), "dead", None)
    specs = [DestinationSpec(name=name) for name in NAMES]
    pipeline = Pipeline(
        decoder=JsonDecoder(),
        reading=Reading(),
        codec=StateCodec(),
        digest=payload_digest,
        store=MemoryStore(),
        sink=sink,
        clock=SystemClock(),
        targets=[
            json_target(one.name, one.name, one.audience(), Shape(one).shape) for one in specs
        ],
        changelog_topic=None,
    )
    for number, message in enumerate(messages(list(history))):
        tag = Tag("w", number)
        pipeline.run([message], tag)
        pipeline.note_committed(tag)
    last = {name: json.loads(kafka.last(name)["user:u"] or b"") for name in NAMES}
    return {name: payload["profile"]["changed"] for name, payload in last.items()}


def test_destinations_that_saw_the_same_are_told_the_same() -> None:
    """Nobody is told less because somebody else was told first."""
    changed = told(at(1, traits={"plan": "free", "x": 1}), at(2, traits={"plan": "pro"}))

    assert changed == {name: ["plan"] for name in NAMES}


def test_who_had_been_kept_from_a_trait_is_told_of_it_when_it_is_shown() -> None:
    """The same profile now is not the same news for somebody who saw less before."""
    changed = told(
        at(1, traits={"x": 1}),
        at(2, traits={"plan": "pro"}, integrations={"Mixpanel": False}),
        at(3, traits={"plan": "pro", "x": 2}),
    )

    assert changed == {"profiles": ["x"], "crm": ["x"], "mixpanel": ["plan", "x"]}
