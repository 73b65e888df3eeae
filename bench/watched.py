"""A contender's process under watch, measured from outside in the same way whatever it is."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.protocol import WORDS, Setup
from bench.stack import StoreMeter
from tests.stack.services import ROOT, die_with_parent

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
STOP_S_MAX = 20.0
TAIL = 3_000
"""Characters of a failed contender's complaints that are shown."""


class Sample(NamedTuple):
    """Where a process stood: clock, processor seconds of it and of Redis, bytes of memory."""

    at: float
    cpu_s: float
    redis_cpu_s: float
    rss: int
    rss_max: int
    events: int
    notes: dict[str, Any]


class ContenderError(Exception):
    """A contender ended or said nothing in time; the sentence holds its last complaints."""


class Watched:
    """One running contender."""

    def __init__(self, command: list[str], setup: Setup, log: Path) -> None:
        self.name = setup.name
        self.log = log
        self.store = StoreMeter(setup.redis)
        self.samples: dict[str, Sample] = {}
        self.lines: queue.Queue[tuple[str, Sample] | None] = queue.Queue()
        with log.open("wb") as complaints:
            self.process = subprocess.Popen(
                [*command, setup.told()],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=complaints,
                preexec_fn=die_with_parent,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            if word in WORDS:
                count, _, notes = rest.partition(" ")
                taken = self.sample(int(count or 0), json.loads(notes or "{}"))
                self.lines.put((word, taken))
        self.lines.put(None)

    def sample(self, count: int = 0, notes: dict[str, Any] | None = None) -> Sample:
        """Where it stands now."""
        at = time.monotonic()
        memory = memory_of(self.process.pid)
        return Sample(
            at,
            cpu_s_of(self.process.pid),
            self.store.cpu_s(),
            memory["VmRSS"],
            memory["VmHWM"],
            count,
            notes or {},
        )

    def wait_for(self, word: str, seconds: float) -> Sample:
        """The sample of a word, once it was said; raises ContenderError after the deadline."""
        deadline = time.monotonic() + seconds
        while not self.said(word, deadline - time.monotonic()):
            if time.monotonic() > deadline:
                raise self._failure(f"did not say {word} within {seconds:.0f} s")
        return self.samples[word]

    def said(self, word: str, seconds: float) -> bool:
        """Waits that long for the next line; whether the word was said by then."""
        if word in self.samples:
            return True
        try:
            line = self.lines.get(timeout=max(0.001, seconds))
        except queue.Empty:
            return False
        if line is None:
            raise self._failure(f"ended before it said {word}")
        self.samples[line[0]] = line[1]
        return word in self.samples

    def _failure(self, what: str) -> ContenderError:
        tail = self.log.read_text(errors="replace")[-TAIL:]
        return ContenderError(f"{self.name} {what}\n{tail}")

    def stop(self) -> None:
        """Ends it in an orderly way, or else at once."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.store.close()


def cpu_s_of(pid: int) -> float:
    """User and system seconds of a process with all of its threads; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_of(pid: int) -> dict[str, int]:
    """Bytes resident now (VmRSS) and at most so far (VmHWM)."""
    found = {"VmRSS": 0, "VmHWM": 0}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found


def own_command(kind: str) -> list[str]:
    """A contender of this package, run by this interpreter."""
    return [sys.executable, "-m", "bench.contender", kind]
