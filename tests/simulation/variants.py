"""The protocol with one rule switched off each: what the simulation must be able to see."""

from resolver.core.values import Layer, Record
from resolver.errors import TransactionAborted, Unavailable
from resolver.joining import Joined, Joiner, Tag, join_records
from resolver.pipeline import Pipeline
from resolver.state import State
from resolver.worker import Worker
from tests.simulation.world import Rules


class TrustsDigests(Pipeline):
    """Believes that what is stored was also emitted."""

    def _settled(self, state: State) -> bool:
        return True


class NeverLooksAgain(Pipeline):
    """Commits without asking whether what was emitted has moved."""

    def _recheck(self) -> None:
        return


class LooksAgainOnce(Pipeline):
    """Emits again what has moved, and does not look whether it moved once more."""

    def _recheck(self) -> None:
        watched = self.emitter.emitted
        versions = self.store.versions([one.key for one in watched]) if watched else []
        moved = [one for one, seen in zip(watched, versions, strict=True) if seen != one.version]
        if moved:
            self._emit_moved(moved)
            self.sink.flush()


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


SWITCHED_OFF = {
    "digests are trusted in doubt": Rules(pipeline=TrustsDigests),
    "an unchanged record in doubt is passed over": Rules(joiner=PassesOverUnchanged),
    "nothing is looked at again": Rules(pipeline=NeverLooksAgain),
    "what moved is looked at once": Rules(pipeline=LooksAgainOnce),
    "an incarnation survives an abort": Rules(worker=KeepsItsIncarnation),
    "an outbox is not carried along": Rules(joiner=ForgetsTheOutbox),
}
