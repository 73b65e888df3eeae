"""The protocol with one rule switched off each: what the simulation must be able to see."""

from collections.abc import Sequence

from resolver.batch import Batch
from resolver.core.profiles import Profile, shown
from resolver.core.values import Layer, Record
from resolver.edges.memory import MemoryStore
from resolver.emission import Emitted, Emitter, compare
from resolver.engine import ReferenceEngine
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Joined, Joiner, Output, Tag, Target, join_records
from resolver.pipeline import Pipeline
from resolver.ports import Message, Revision
from resolver.state import State
from resolver.worker import Worker
from tests.simulation.world import Rules


class TrustsDigests(ReferenceEngine):
    """Believes that what is stored was also emitted."""

    def _settled(self, state: State, commits: dict[str, int]) -> bool:
        return True


class FillsByDigests(ReferenceEngine):
    """A backfill that believes so, beside workers that do not."""

    def _settled(self, state: State, commits: dict[str, int]) -> bool:
        return self.fills or super()._settled(state, commits)


class NeverLooksAgain(Pipeline):
    """Commits without asking whether what was emitted has moved."""

    def _recheck(self) -> None:
        return


class LooksAgainOnce(Pipeline):
    """Emits again what has moved, and does not look whether it moved once more."""

    def _recheck(self) -> None:
        self._emit_moved()


class ForgetsTheDisturbance(MemoryStore):
    """Takes its last token for a sign that nobody swapped since the loads, which came before."""

    def _told(self, is_own: bool) -> None:
        trusted = self.undisturbed
        super()._told(is_own)
        self.undisturbed = trusted


class KeepsItsIncarnation(Worker):
    """Goes on under the old tag after an abort, as if nothing had been written under it."""

    def _give_up(self, trouble: TransactionAborted | Unavailable) -> None:
        kept = self.tag
        super()._give_up(trouble)
        self.tag = kept


class ForgetsTheOutbox(Joiner):
    """Delivers what changed now, and not what an uncommitted swap left to deliver."""

    def _outbox(
        self,
        key: str,
        old: State | None,
        shares: dict[str, tuple[Layer, Layer]],
        settled: bool,
    ) -> list[str]:
        return super()._outbox(key, old, shares, True)


class PassesOverUnchanged(Joiner):
    """Takes "the join changes nothing" for "there is nothing to do", in doubt or not."""

    def join(
        self, key: str, old: State | None, delta: Record, *, settled: bool, tag: Tag, now_ms: int
    ) -> Joined | None:
        if old is not None and join_records(old.record, delta, self.policy) is old.record:
            return None
        return super().join(key, old, delta, settled=settled, tag=tag, now_ms=now_ms)


class EmitsWhatItRead(Pipeline):
    """A backfill that sends what the changelog says, without a swap and without looking again."""

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        for message in messages:
            self.fill((message.key or b"").decode(), message.value or b"")
        self.sink.flush()
        return Batch()

    def fill(self, key: str, raw: bytes) -> None:
        """Produces what this state shows to the filled destination, if anything."""
        engine = self.engine
        assert isinstance(engine, ReferenceEngine)
        outputs = engine.joiner.project_all(key, engine.codec.decode(key, raw).record)
        for one in outputs:
            if one.target.name == engine.joiner.filled and one.profile and one.stable:
                engine.emitter._produce(one, key, Revision(0, one.profile.merged))


class EmitsWhatIsStored(EmitsWhatItRead):
    """A backfill that sends what the store has, and leaves no tag of its transaction there."""

    def run(self, messages: Sequence[Message], tag: Tag) -> Batch:
        keys = [(message.key or b"").decode() for message in messages]
        for key, stored in zip(keys, self.store.load(keys), strict=True):
            self.fill(key, stored.state)
        self.sink.flush()
        return Batch()


class ForgetsNobody(Joiner):
    """A backfill that leaves a record as it is where there is nothing to send."""

    def _forgets(self, joined: Joined) -> bool:
        return False


class SaysOnlyOnce(Emitter):
    """Believes in doubt, too, that aliases of merges that are stored were committed."""

    def _revise(self, joined: Joined, profile: Profile, target: Target, caused_by: str) -> Revision:
        revision = super()._revise(joined, profile, target, caused_by)
        if joined.before is not None and target.announces:
            old = shown(joined.before.record, joined.key, target.audience, self.policy)
            revision.merged = compare(old, profile).merged
        return revision


class RepeatsProfilesOnly(Emitter):
    """Emits a profile that has moved again without those who are part of it now."""

    again = False

    def emit_again(self, emitted: Emitted, version: int, raw: bytes, outputs: list[Output]) -> None:
        self.again = True
        super().emit_again(emitted, version, raw, outputs)
        self.again = False

    def _announce(self, target: Target, key: str, profile: Profile, revision: Revision) -> None:
        if not self.again:
            super()._announce(target, key, profile, revision)


class AnnouncesLast(Emitter):
    """Sends aliases behind the profile."""

    def _announce(self, target: Target, key: str, profile: Profile, revision: Revision) -> None:
        """Not yet."""

    def _produce(self, output: Output, key: str, revision: Revision) -> None:
        super()._produce(output, key, revision)
        if output.stable is not None and output.profile is not None:
            super()._announce(output.target, key, output.profile, revision)


class SeesNoMerge(Joiner):
    """Takes a profile that looks the same for one that took nobody in."""

    def _told(self, output: Output) -> bytes:
        return b""


SWITCHED_OFF = {
    "digests are trusted in doubt": Rules(engine=TrustsDigests),
    "an unchanged record in doubt is passed over": Rules(joiner=PassesOverUnchanged),
    "nothing is looked at again": Rules(pipeline=NeverLooksAgain),
    "what moved is looked at once": Rules(pipeline=LooksAgainOnce),
    "a disturbance is forgotten with the next swap": Rules(store=ForgetsTheDisturbance),
    "an incarnation survives an abort": Rules(worker=KeepsItsIncarnation),
    "an outbox is not carried along": Rules(joiner=ForgetsTheOutbox),
    "aliases follow the profile": Rules(emitter=AnnouncesLast),
    "aliases are not repeated in doubt": Rules(emitter=SaysOnlyOnce),
    "aliases are not repeated with what moved": Rules(emitter=RepeatsProfilesOnly),
    "a merge that shows in nothing else is no news": Rules(joiner=SeesNoMerge),
}

SWITCHED_OFF_IN_BACKFILLS = {
    "a backfill emits what it read": Rules(filler=EmitsWhatItRead),
    "a backfill emits what is stored, without a swap": Rules(filler=EmitsWhatIsStored),
    "a backfill does not look again": Rules(filler=NeverLooksAgain),
    "a backfill trusts digests in doubt": Rules(engine=FillsByDigests),
    "a backfill forgets no removed destination": Rules(joiner=ForgetsNobody),
}
