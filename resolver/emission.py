"""Turns what a swap entails into messages of the destinations and of the changelog."""

from collections import Counter
from typing import Any, Final, final

from resolver.core.policy import Policy
from resolver.core.profiles import Profile, Shown, shown
from resolver.core.values import Record
from resolver.joining import Joined, Output, Target, restrictions_of, view_of
from resolver.ports import Revision, Sink

VERSION_HEADER: Final = "resolver.version"
"""On tombstones, which have no payload to say it: which state took the profile back."""

NOBODY: Final[tuple[str, ...]] = ()


@final
class Emitted:
    """Which version of a record was emitted last, and the destinations it went to."""

    __slots__ = ("key", "names", "version")

    def __init__(self, key: str, version: int, names: tuple[str, ...]) -> None:
        self.key = key
        self.version = version
        self.names = names


@final
class Compared:
    """What is news of a profile to who saw what was before: who is part of it, and which traits."""

    __slots__ = ("changed", "merged", "profile", "removed")

    def __init__(
        self, profile: Profile, merged: list[str], changed: list[str], removed: list[str]
    ) -> None:
        self.profile = profile
        self.merged = merged
        self.changed = changed
        self.removed = removed


class Emitter:
    """Produces outputs; remembers what was emitted since it was last cleared."""

    def __init__(
        self, sink: Sink, policy: Policy, changelog_topic: str | None, filled: str | None = None
    ) -> None:
        self.sink = sink
        self.policy = policy
        self.changelog_topic = changelog_topic
        self.filled = filled
        self.emitted: list[Emitted] = []
        self.waiting: list[tuple[Output, str, int]] = []
        self.sent: dict[str, int] = {}
        self.suppressed: Counter[str] = Counter()
        self.compared: dict[int, Compared] = {}
        self.restrictions: tuple[str, ...] = ()

    def begin(self) -> None:
        """Forgets the last batch."""
        self.emitted.clear()
        self.waiting.clear()
        self.sent = {}
        self.suppressed = Counter()

    def emit(self, joined: Joined, caused_by: str) -> None:
        """Produces a swapped record's outputs and its changelog entry; tombstones wait."""
        key, version = joined.key, joined.state.version
        names = NOBODY
        if len(joined.outputs) > 1 and joined.before is not None:
            self.compared.clear()
            self.restrictions = restrictions_of(joined.before.record)
        for output in joined.outputs:
            names += (output.target.name,)
            if output.profile is None or output.stable is None:
                self.waiting.append((output, key, version))
            else:
                revision = self._revise(joined, output.profile, output.target, caused_by)
                self._produce(output, key, revision)
        self._log(key, joined.raw)
        if len(names) < len(joined.state.shown):
            self.suppressed.update(joined.state.shown.keys() - names)
        self.emitted.append(Emitted(key, version, names))

    def take_back(self) -> None:
        """Produces the tombstones: after the profiles that those people became part of."""
        for output, key, version in self.waiting:
            self._produce(output, key, Revision(version, []))
        self.waiting.clear()

    def emit_again(self, emitted: Emitted, version: int, raw: bytes, outputs: list[Output]) -> None:
        """Produces the newest state of a record that was emitted and has moved since.

        All who are part of it are named: who moved it may never commit what it said of them.
        """
        for output in outputs:
            if output.target.name in emitted.names:
                merged = output.profile.merged if output.profile is not None else []
                self._produce(output, emitted.key, Revision(version, merged))
        self._log(emitted.key, raw)
        emitted.version = version

    def _produce(self, output: Output, key: str, revision: Revision) -> None:
        name = output.target.name
        self.sent[name] = self.sent.get(name, 0) + 1
        if output.stable is None or output.profile is None:
            version = [(VERSION_HEADER, str(revision.version).encode())]
            self.sink.produce(output.target.topic, key, None, version)
            return
        if revision.merged and output.target.announces:
            self._announce(output.target, key, output.profile, revision)
        value = output.target.formatter.finish(output.stable, output.profile, revision)
        self.sink.produce(output.target.topic, key, value)

    def _announce(self, target: Target, key: str, profile: Profile, revision: Revision) -> None:
        """Says who became part of a user. The profile follows under the same key: so a reader in
        order hears of them first, and what a compacted topic keeps is the profile.
        """
        for event in target.formatter.aliases(profile, revision):
            self.sent[target.name] += 1
            self.sink.produce(target.topic, key, event)

    def _log(self, key: str, raw: bytes) -> None:
        if self.changelog_topic is not None:
            self.sink.produce(self.changelog_topic, key, raw)

    def _revise(self, joined: Joined, profile: Profile, target: Target, caused_by: str) -> Revision:
        """What changed for this destination: everything where it had nothing before, unknown where
        the last state was in doubt or it is being filled.
        """
        version = joined.state.version
        if not joined.settled or target.name == self.filled:
            return Revision(version, profile.merged, None, None, caused_by)
        if joined.before is None or not joined.before.shown.get(target.name):
            return Revision(version, profile.merged, list(profile.traits), [], caused_by)
        news = self._compare(joined, joined.before.record, profile, target)
        return Revision(version, news.merged, news.changed, news.removed, caused_by)

    def _compare(
        self, joined: Joined, before: Record, profile: Profile, target: Target
    ) -> Compared:
        """With what was shown before: once for all who see the same now and saw the same then."""
        if len(joined.outputs) == 1:
            return compare(shown(before, joined.key, target.audience, self.policy), profile)
        view = view_of(target.audience, self.restrictions)
        known = self.compared.get(view)
        if known is None or known.profile is not profile:
            old = shown(before, joined.key, target.audience, self.policy)
            known = self.compared[view] = compare(old, profile)
        return known


def compare(old: Shown | None, new: Profile) -> Compared:
    """A profile against what was shown before."""
    if old is None:
        return Compared(new, new.merged, list(new.traits), [])
    before, merged_before = old
    traits = new.traits
    changed = [name for name, value in traits.items() if is_news(before.get(name), value)]
    removed = [name for name, was in before.items() if was is not None and name not in traits]
    merged = new.merged
    if merged and merged_before:
        merged = [source for source in merged if source not in merged_before]
    return Compared(new, merged, changed, sorted(removed) if removed else removed)


def is_news(was: Any, value: Any) -> bool:
    """Whether a trait's value would be written otherwise than it was: 1, 1.0 and true are three."""
    if was is value:
        return False
    return bool(was != value) or (type(value) is not str and repr(was) != repr(value))
