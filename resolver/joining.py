"""One record's step: join what a batch says into it, and decide what follows.

Pure but for the encoder it is given: states in, a swap with its outputs and deliveries out.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

from resolver.core.consent import Audience
from resolver.core.identifiers import EMAIL, USER
from resolver.core.policy import Policy
from resolver.core.profiles import Profile, project
from resolver.core.records import (
    NOTHING,
    contributions,
    is_hidden,
    join_devices,
    join_people,
    keeps_owners,
    lead_contributions,
)
from resolver.core.values import NO_DEVICE, NO_PERSON, Contribution, Device, Layer, Person, Record
from resolver.ports import Digest, Formatter
from resolver.state import GONE, State

SILENT: Final = (NO_DEVICE, NO_PERSON)
"""What touches a record that the store does not have must not make one: the changelog may hold
the only copy, and its last record would become an empty one."""


Envelope = tuple[str, tuple[str, ...]]
AvroEnvelope = tuple[str, tuple[str, ...], Callable[[], bytes]]


@final
class Target:
    """A destination, compiled: who reads it, where it goes, how its payloads are made, whether it
    is told who became part of a profile, and whether it gets alias events of that. One that takes
    profiles just as they are has an ``envelope``: what its messages call it, and the keys of the
    options that are for it; in Avro it has ``avro`` instead, with what tells the bytes before each
    record. One that takes them in a form that can be said as data has that as a ``recipe``. The
    formatter of each does the same.
    """

    __slots__ = (
        "announces",
        "audience",
        "avro",
        "envelope",
        "formatter",
        "name",
        "recipe",
        "tells_merged",
        "topic",
    )

    def __init__(
        self,
        name: str,
        topic: str,
        audience: Audience,
        formatter: Formatter,
        *,
        announces: bool = False,
        tells_merged: bool = True,
        envelope: Envelope | None = None,
        avro: AvroEnvelope | None = None,
        recipe: object = None,
    ) -> None:
        self.name = name
        self.topic = topic
        self.audience = audience
        self.formatter = formatter
        self.announces = announces
        self.tells_merged = tells_merged
        self.envelope = envelope
        self.avro = avro
        self.recipe = recipe


@final
class Output:
    """What should now be under a key of one destination; ``stable`` None: nothing, a tombstone."""

    __slots__ = ("profile", "stable", "target")

    def __init__(self, target: "Target", stable: bytes | None, profile: Profile | None) -> None:
        self.target = target
        self.stable = stable
        self.profile = profile


@final
class Joined:
    """A record's next state with what its swap entails; ``raw`` is the state, encoded."""

    __slots__ = ("before", "deliveries", "key", "outputs", "raw", "settled", "state")

    def __init__(self, key: str, before: State | None, state: State, settled: bool) -> None:
        self.key = key
        self.before = before
        self.state = state
        self.settled = settled
        self.raw = b""
        self.outputs: list[Output] = []
        self.deliveries: list[tuple[str, Contribution]] = []


@final
class Tag:
    """The transaction in which outputs and deliveries travel."""

    __slots__ = ("incarnation", "sequence")

    def __init__(self, incarnation: str, sequence: int) -> None:
        self.incarnation = incarnation
        self.sequence = sequence


def join_records(left: Record | None, right: Record, policy: Policy) -> Record:
    """The join of two records of the same kind; None is the empty one."""
    if isinstance(right, Device):
        return join_devices(left if isinstance(left, Device) else NO_DEVICE, right, policy)
    return join_people(left if isinstance(left, Person) else NO_PERSON, right, policy)


def shares_of(record: Record | None, key: str, policy: Policy) -> dict[str, tuple[Layer, Layer]]:
    """What a record shows through others, by the identifier of each."""
    if isinstance(record, Device):
        return contributions(record, key, policy) if record.points else {}
    if isinstance(record, Person) and key.startswith(EMAIL):
        return lead_contributions(record, policy)
    return {}


class Joiner:
    """Joins deltas into records and says what must be swapped, emitted and delivered.

    A destination that is being ``filled`` is emitted whatever was sent before, but once per run
    and state; and then records are also swapped to forget the digests of destinations that are
    no more.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        policy: Policy,
        digest: Digest,
        filled: str | None = None,
    ) -> None:
        self.targets = targets
        self.policy = policy
        self.digest = digest
        self.filled = filled

    def join(
        self, key: str, old: State | None, delta: Record, *, settled: bool, tag: Tag, now_ms: int
    ) -> Joined | None:
        """The next state; None if nothing changes and all outputs are known committed."""
        before = old.record if old is not None else None
        record = join_records(before, delta, self.policy)
        if settled and record is before and self.filled is None:
            return None
        if old is None and self.filled is not None and delta in SILENT:
            return None
        version = now_ms if old is None else max(old.version + 1, now_ms)
        state = State(record, tag.incarnation, tag.sequence, [], {}, version)
        joined = Joined(key, old, state, settled)
        shares: dict[str, tuple[Layer, Layer]] = {}
        if not settled or not keeps_owners(before, record):
            shares = shares_of(record, key, self.policy)
            state.outbox = self._outbox(key, old, shares, settled)
        for receiver in state.outbox:
            identified, anonymous = shares.get(receiver, NOTHING)
            contribution = Contribution(version, identified, anonymous)
            joined.deliveries.append((receiver, contribution))
        self._show(joined, old)
        if settled and record is before and not joined.outputs and not self._forgets(joined):
            return None
        return joined

    def _forgets(self, joined: Joined) -> bool:
        """Whether the new state has no digest of a destination that the old one has one of."""
        return joined.before is not None and len(joined.state.shown) < len(joined.before.shown)

    def project_all(self, key: str, record: Record) -> list[Output]:
        """What every destination should have under the key; folds once per distinct view."""
        if len(self.targets) == 1:
            target = self.targets[0]
            profile = project(record, key, target.audience, self.policy)
            stable = None if profile is None else target.formatter.stable(profile)
            return [Output(target, stable, profile)]
        outputs: list[Output] = []
        views: dict[int, Profile | None] = {}
        restrictions = restrictions_of(record)
        for target in self.targets:
            view = view_of(target.audience, restrictions)
            if view in views:
                profile = views[view]
            else:
                profile = views[view] = project(record, key, target.audience, self.policy)
            stable = None if profile is None else target.formatter.stable(profile)
            outputs.append(Output(target, stable, profile))
        return outputs

    def _outbox(
        self,
        key: str,
        old: State | None,
        shares: dict[str, tuple[Layer, Layer]],
        settled: bool,
    ) -> list[str]:
        """Whose contribution changed, with what is still under way from before."""
        if not shares and (old is None or key[0] == USER[0]):
            return []
        shared = shares_of(old.record, key, self.policy) if old is not None else {}
        changed = {one for one in shares if shares[one] != shared.get(one)}
        changed |= shared.keys() - shares.keys()
        if old is not None and not settled:
            changed.update(old.outbox)
        return sorted(changed)

    def _show(self, joined: Joined, old: State | None) -> None:
        """Sets what must be emitted, and the digest of what each destination is shown."""
        before = old.shown if old is not None else {}
        record, key = joined.state.record, joined.key
        shown = joined.state.shown
        outputs: list[Output] = []
        if not is_hidden(record, key):
            outputs = self.project_all(key, record)
        elif before:
            outputs = [Output(target, None, None) for target in self.targets]
        for output in outputs:
            name = output.target.name
            known = before.get(name)
            if output.stable is not None:
                digest = self.digest(output.stable + self._told(output))
            elif known is not None:
                digest = GONE
            else:
                continue
            shown[name] = digest
            due = not joined.settled or digest != known
            if due or (name == self.filled and not is_own(joined)):
                joined.outputs.append(output)

    def _told(self, output: Output) -> bytes:
        """Who is part of a profile: news to whoever is told of it, also where nothing else shows
        it.
        """
        profile = output.profile
        if profile is None or not profile.merged or not output.target.tells_merged:
            return b""
        return "\0".join(profile.merged).encode()


def is_own(joined: Joined) -> bool:
    """Whether the state before is of the same run: a backfill sent it then."""
    return joined.before is not None and joined.before.incarnation == joined.state.incarnation


def view_of(audience: Audience, restrictions: tuple[str, ...]) -> int:
    """Which of the restrictions an audience may see: a bit for each."""
    view = 1
    for restriction in restrictions:
        view = 2 * view + audience.may_see(restriction)
    return view


def restrictions_of(record: Record) -> tuple[str, ...]:
    """Every restriction that some write of the record came with."""
    if isinstance(record, Device):
        return tuple({one.restriction for one in record.statements})
    found = {one.restriction for one in record.own.statements} | record.own.first.keys()
    for contribution in record.sources.values():
        for layer in (contribution.identified, contribution.anonymous):
            found |= {one.restriction for one in layer.statements} | layer.first.keys()
    return tuple(found)
