"""Workers that run in turn, each for a slice of time: as many cores as workers, only slower.

Where broker, store and workers share a few cores, two workers cannot be faster than one. In turn
none of them waits for a processor that another has, and the machine has time to spare; what two
cost each other beside processors remains: the group, records that both change, the store.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

SLICE_S = 0.02
"""Far longer than a switch between processes, far shorter than a batch."""
SLOTS = 3
"""Of equal length: one for each of two workers, and one in which broker and store catch up."""


class Slices:
    """Lets each process run in a slot of its own while the block lasts; then all run freely."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = pids
        self.ran_s = 0.0
        self.started = time.monotonic()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._turn, daemon=True)

    def __enter__(self) -> "Slices":
        for pid in self.pids:
            tell(pid, signal.SIGSTOP)
        self.started = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        for pid in self.pids:
            tell(pid, signal.SIGCONT)

    def share(self) -> float:
        """The share of the time that a process could run, in the mean."""
        return self.ran_s / len(self.pids) / (time.monotonic() - self.started)

    def _turn(self) -> None:
        while not self.ended.is_set():
            for pid in self.pids:
                began = time.monotonic()
                tell(pid, signal.SIGCONT)
                time.sleep(SLICE_S)
                tell(pid, signal.SIGSTOP)
                self.ran_s += time.monotonic() - began
            time.sleep(SLICE_S * (SLOTS - len(self.pids)))


@contextmanager
def paused(pids: Sequence[int]) -> Iterator[None]:
    """None of them runs while the block lasts."""
    for pid in pids:
        tell(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            tell(pid, signal.SIGCONT)


def tell(pid: int, what: signal.Signals) -> None:
    """Sends a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, what)
