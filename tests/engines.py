"""The engines that a test can run on: the native one where the form under test has it."""

import os
from collections.abc import Sequence
from typing import Protocol

from resolver.core.events import Reading
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.edges.native import NATIVE_ENGINE
from resolver.edges.state_codec import StateCodec
from resolver.engine import Engine, ReferenceEngine
from resolver.joining import Target
from resolver.ports import Sink


class Build(Protocol):
    """What makes an engine that reads JSON."""

    def __call__(
        self,
        sink: Sink,
        targets: Sequence[Target],
        changelog_topic: str | None = None,
        reading: Reading | None = None,
    ) -> Engine: ...


def reference(
    sink: Sink,
    targets: Sequence[Target],
    changelog_topic: str | None = None,
    reading: Reading | None = None,
) -> Engine:
    """The rules in Python."""
    return ReferenceEngine(
        decoder=JsonDecoder(),
        reading=reading or Reading(),
        codec=StateCodec(),
        digest=payload_digest,
        sink=sink,
        targets=targets,
        changelog_topic=changelog_topic,
    )


def native(
    sink: Sink,
    targets: Sequence[Target],
    changelog_topic: str | None = None,
    reading: Reading | None = None,
) -> Engine:
    """The rules in Rust; fails where they are not installed."""
    assert NATIVE_ENGINE is not None, "the form under test has no native engine"
    engine: Engine = NATIVE_ENGINE(
        decoder=JsonDecoder(),
        reading=reading or Reading(),
        sink=sink,
        targets=targets,
        changelog_topic=changelog_topic,
        general_topics=(),
    )
    return engine


ENGINES: dict[str, Build] = {"reference": reference}
"""By name. The compiled form must have both: without the native one its tests fail."""
if NATIVE_ENGINE is not None or os.environ.get("RESOLVER_TEST_FORM") == "compiled":
    ENGINES["native"] = native
