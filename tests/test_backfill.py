"""What a backfill does to one record, and when it is at its end."""

from collections.abc import Callable

from resolver.assembly import json_target
from resolver.batch import fold_batch, touch_batch
from resolver.core.events import Reading
from resolver.core.policy import Policy
from resolver.core.values import Record
from resolver.destinations.shape import Shape
from resolver.destinations.spec import DestinationSpec
from resolver.edges.digests import payload_digest
from resolver.edges.json_codec import JsonDecoder
from resolver.filling import Filling
from resolver.joining import Joined, Joiner, Tag, Target, join_records
from resolver.ports import Message, Offsets
from resolver.state import State
from tests.core.people import messages

KEY = "user:u"
TAG, LATER = Tag("run", 0), Tag("run", 1)
PLACE = ("changelog", 0)
POLICY = Policy()


def target(name: str, *excluded: str) -> Target:
    spec = DestinationSpec(name=name, exclude=excluded)
    return json_target(name, f"out.{name}", spec.audience(), Shape(spec).shape)


def touched(key: str = KEY) -> Record:
    """What a changelog record says of its own key."""
    batch = touch_batch([Message("changelog", 0, 0, 0, key.encode(), b"")])
    deltas = [*batch.devices.values(), *batch.leads.values(), *batch.users.values()]
    return deltas[0].record(POLICY)


def stored(*names: str) -> State:
    """A record that was sent to these destinations, and committed."""
    batch = fold_batch(messages([{"userId": "u", "traits": {"n": 1}}]), JsonDecoder(), Reading())
    said = batch.users[KEY].record(POLICY)
    joiner = Joiner([target(name) for name in names], POLICY, payload_digest)
    joined = joiner.join(KEY, None, said, settled=True, tag=Tag("worker", 0), now_ms=1)
    assert joined is not None
    return joined.state


def fill(name: str, old: State | None, *there: Target, tag: Tag = TAG) -> Joined | None:
    """A backfill's step for the record."""
    joiner = Joiner(there, POLICY, payload_digest, name)
    return joiner.join(KEY, old, touched(), settled=True, tag=tag, now_ms=2)


def emitted(joined: Joined | None) -> list[str]:
    assert joined is not None
    return [one.target.name for one in joined.outputs]


def test_a_filled_destination_is_sent_what_it_already_has_and_the_others_are_not() -> None:
    """A second backfill repairs a topic that somebody emptied; nobody else should notice."""
    there = (target("profiles"), target("late"))

    joined = fill("late", stored("profiles", "late"), *there)

    assert emitted(joined) == ["late"]


def test_a_record_that_has_nothing_to_send_and_nothing_to_forget_is_not_swapped() -> None:
    """Each swap costs a write and makes somebody else's swap lose."""
    assert fill("gone", stored("profiles"), target("profiles")) is None


def test_a_record_that_remembers_a_removed_destination_is_swapped_to_forget_it() -> None:
    """Removed means removed: a digest would also keep it from being sent anything when it is
    added again.
    """
    joined = fill("gone", stored("profiles", "gone"), target("profiles"))

    assert emitted(joined) == []
    assert joined is not None
    assert joined.state.shown.keys() == {"profiles"}


def test_a_record_that_lies_twice_in_the_changelog_is_sent_once() -> None:
    """Compaction takes its time; a person may have a thousand records there meanwhile."""
    first = fill("late", stored("profiles"), target("profiles"), target("late"))
    assert first is not None

    again = fill("late", first.state, target("profiles"), target("late"), tag=LATER)

    assert again is None


def test_a_changed_mapping_is_sent_by_the_way() -> None:
    """Whoever fills one destination touches all records: another one's new form goes along."""
    there = (target("profiles", "n"), target("late"))

    joined = fill("late", stored("profiles"), *there)

    assert emitted(joined) == ["profiles", "late"]


def test_a_record_that_the_store_lost_is_not_made_anew() -> None:
    """The changelog may hold the only copy of it: an empty state must not become its last."""
    assert fill("late", None, target("late")) is None


def test_a_delivery_to_a_record_that_is_not_there_makes_it() -> None:
    """A backfill that finds an outbox in doubt delivers it, like any worker."""
    said = stored("profiles").record

    joined = Joiner([target("late")], POLICY, payload_digest, "late").join(
        KEY, None, said, settled=True, tag=TAG, now_ms=2
    )

    assert emitted(joined) == ["late"]


def test_touching_changes_no_record() -> None:
    """A touch that looked like a change would be delivered and told as one."""
    record = stored("profiles").record

    assert join_records(record, touched(), POLICY) is record


class Script:
    """A source that returns batches as written down, with the ends it found meanwhile."""

    def __init__(self, *script: tuple[list[int], int | None]) -> None:
        self.script = list(script)
        self.assigned: set[tuple[str, int]] = set()
        self.ends: Offsets = {}
        self.rewound: Offsets = {}

    def subscribe(self, on_revoke: Callable[[list[tuple[str, int]]], None]) -> None:
        self.assigned = {PLACE}

    def poll(self, wait_s: float, messages_max: int) -> list[Message]:
        offsets, end = self.script.pop(0)
        if end is not None:
            self.ends[PLACE] = end
        return [Message(*PLACE, offset, 0, b"user:u", b"") for offset in offsets]

    def heartbeat(self) -> None: ...

    def rewind(self, offsets: Offsets) -> None:
        self.rewound = offsets

    def lag(self) -> int:
        return 0

    def close(self) -> None: ...


def filling(source: Script, begin: int, goal: int) -> tuple[Filling, list[int]]:
    advanced: list[int] = []
    made = Filling(
        source,
        begins={PLACE: begin},
        goals={PLACE: goal},
        advanced=advanced.append,
        exhausted=lambda: None,
    )
    made.subscribe(lambda _: None)
    return made, advanced


def test_an_empty_changelog_is_done_at_once() -> None:
    """Nobody to send is no reason to wait for somebody."""
    source, _ = filling(Script(), 0, 0)

    assert source.poll(0, 10) == []
    assert source.done


def test_the_marker_behind_the_last_record_counts_as_read() -> None:
    """No message has the offset of a transaction's marker: waiting for one would never end."""
    source, advanced = filling(Script(([0, 1], None), ([], 3)), 0, 3)

    source.poll(0, 10)
    source.poll(0, 10)
    assert not source.done
    source.poll(0, 10)

    assert source.done
    assert advanced == [2, 1]


def test_a_batch_that_was_read_is_not_done_before_the_next_poll() -> None:
    """Only whoever polls again has committed: a backfill that was stopped before must go on."""
    source, _ = filling(Script(([0, 1], 2)), 0, 2)

    source.poll(0, 10)

    assert not source.done


def test_what_was_rewound_is_to_be_read_again() -> None:
    """A batch that could not be committed must not count as done."""
    script = Script(([0, 1], 2), ([0, 1], 2))
    source, _ = filling(script, 0, 2)

    source.poll(0, 10)
    source.rewind({PLACE: 0})
    assert len(source.poll(0, 10)) == 2
    source.poll(0, 10)

    assert script.rewound == {PLACE: 0}
    assert source.done


def test_records_behind_the_goal_count_as_no_progress() -> None:
    """A backfill appends to what it reads: a bar that ran on would never be full."""
    source, advanced = filling(Script(([4, 5, 6, 7], None)), 4, 6)

    source.poll(0, 10)
    source.poll(0, 10)

    assert source.done
    assert advanced == [2]
