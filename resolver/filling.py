"""Reading the changelog up to where it ended when a backfill began, and no further.

A backfill is a worker whose raw topic is the changelog: every stored record has its last record
there. It appends to the changelog itself, so its end is where that ended before it began.
"""

from collections.abc import Callable
from typing import Protocol

from resolver.batch import next_offsets
from resolver.ports import Message, Offsets
from resolver.worker import Source

Advanced = Callable[[int], None]


class Whole(Source, Protocol):
    """A source of all partitions of a topic. ``ends``: where it last found a partition to end."""

    ends: Offsets


class Filling:
    """A source that is exhausted at given offsets, and then tells so, once all is committed.

    ``goals`` are those offsets by partition, ``begins`` where reading began; ``advanced`` is told
    by how many offsets it has come on.
    """

    def __init__(
        self,
        source: Whole,
        *,
        begins: Offsets,
        goals: Offsets,
        advanced: Advanced,
        exhausted: Callable[[], None],
    ) -> None:
        self.source = source
        self.assigned: set[tuple[str, int]] = set()
        self.goals = goals
        self.reached = {place: begins.get(place, 0) for place in goals}
        self.told = self._height()
        self.advanced = advanced
        self.exhausted = exhausted
        self.done = False

    def subscribe(self, on_revoke: Callable[[list[tuple[str, int]]], None]) -> None:
        self.source.subscribe(on_revoke)
        self.assigned = self.source.assigned

    def poll(self, wait_s: float, messages_max: int) -> list[Message]:
        """The next batch. Whoever polls has committed or rewound everything from before.

        What lies beyond the goals is left out: two backfills side by side would otherwise follow
        each other's records for ever.
        """
        height = self._height()
        if height > self.told:
            self.advanced(height - self.told)
            self.told = height
        if height == sum(self.goals.values()):
            self.done = True
            self.exhausted()
            return []
        messages = self.source.poll(wait_s, messages_max)
        self.reached.update(next_offsets(messages))
        for place, end in self.source.ends.items():
            self.reached[place] = max(end, self.reached[place])
        self.source.ends.clear()
        goals = self.goals
        return [one for one in messages if one.offset < goals[one.topic, one.partition]]

    def heartbeat(self) -> None:
        self.source.heartbeat()

    def rewind(self, offsets: Offsets) -> None:
        for place, offset in offsets.items():
            self.source.ends.pop(place, None)
            self.reached[place] = offset
        self.source.rewind(offsets)

    def lag(self) -> int:
        return self.source.lag()

    def close(self) -> None:
        self.source.close()

    def _height(self) -> int:
        """The sum of what is reached, no partition beyond its goal."""
        return sum(min(self.reached[place], goal) for place, goal in self.goals.items())
