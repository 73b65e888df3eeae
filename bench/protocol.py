"""What a contender is told and what it says; the standard library only, for peers use it too.

A contender takes its ``Setup`` as JSON in its last argument and prints lines on stdout:

``begin``       the first event is there
``done N {…}``  all of them have; N counts them, the object holds what else there is to say

It then goes on until SIGTERM. The harness takes time, processor time and memory as a line arrives.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

WORDS = {"begin", "done"}


@dataclass(frozen=True)
class Setup:
    """What a contender is told; every name it creates begins with ``name``."""

    brokers: str
    redis: str
    raw: str
    name: str
    events: int = 0
    delivery: str = "exactly_once"
    destinations: Sequence[dict[str, Any]] = ({"name": "profiles"},)
    prefix: str = ""
    member: str = "bench-0"
    folder: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def out(self) -> str:
        """The topic of the first destination."""
        return f"{self.name}.out"

    @property
    def outs(self) -> list[str]:
        """The topic of each destination."""
        return [self.out, *(f"{self.out}{one}" for one in range(1, len(self.destinations)))]

    @property
    def changelog(self) -> str:
        """The resolver's compacted state."""
        return f"{self.name}.changelog"

    @property
    def dead_letters(self) -> str:
        """Where the resolver buries."""
        return f"{self.name}.dead"

    def topics(self) -> dict[str, bool]:
        """What must be there before the start, beside the changelog; the value says which are
        compacted.
        """
        return {**dict.fromkeys(self.outs, True), self.dead_letters: False}

    def told(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def told() -> Setup:
    """The setup in the last argument."""
    return Setup(**json.loads(sys.argv[-1]))


class Progress:
    """Says how far a contender is."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.seen = 0
        self.notes: dict[str, Any] = {}
        self._said: set[str] = set()

    def begin(self) -> None:
        """The first event is there."""
        self._say("begin")

    def count(self, events: int = 1) -> None:
        """So many more have gone all the way."""
        self.seen += events
        if self.events and self.seen >= self.events:
            self._say("done", self.seen, json.dumps(self.notes))

    def _say(self, word: str, *rest: object) -> None:
        if word not in self._said:
            self._said.add(word)
            print(word, *rest, flush=True)
