"""A seeded scheduler: tasks are threads of which exactly one runs, switched at named steps."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from resolver.errors import ResolverError

STEPS_MAX = 60_000
"""A history that takes longer does not end: a live lock, or a task that waits for nobody."""
SWITCH_RATE = 0.35
"""How often another task may go on at a step: often enough to meet in the middle of batches."""


class Crash(BaseException):
    """The task's process is killed; nothing may catch this."""


class Endless(AssertionError):
    """The history did not come to its end."""


@dataclass
class Task:
    """One worker's uninterrupted run."""

    name: str
    run: Callable[[], None]
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    wakes_at: int = 0
    ended: bool = False
    doomed: bool = False
    error: BaseException | None = None


class Scheduler:
    """Runs tasks until all have ended; the same seed gives the same interleaving."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps = 0
        self.tasks: list[Task] = []
        self.current: Task | None = None
        self.failure: BaseException | None = None
        self._over = threading.Semaphore(0)

    def spawn(self, name: str, run: Callable[[], None]) -> Task:
        """Adds a task; it gets its first turn at somebody's next step."""
        task = Task(name, run)
        self.tasks.append(task)
        threading.Thread(target=self._live, args=(task,), daemon=True).start()
        return task

    def run(self) -> None:
        """Lets the tasks go until none is left; raises what went wrong in one of them."""
        self._next().turn.release()
        self._over.acquire()
        if self.failure is not None:
            raise self.failure

    def step(self) -> None:
        """A point at which another task may go on, or this one's process may be killed."""
        self.steps += 1
        task = self.current
        assert task is not None
        if self.steps > STEPS_MAX and self.failure is None:
            self.failure = Endless(f"no end after {STEPS_MAX} steps")
        if self.failure is not None:
            raise Crash
        if task.wakes_at > self.steps or self.random.random() < SWITCH_RATE:
            following = self._next()
            if following is not task:
                following.turn.release()
                task.turn.acquire()
                self.current = task
        if task.doomed or self.failure is not None:
            raise Crash

    def _live(self, task: Task) -> None:
        task.turn.acquire()
        self.current = task
        try:
            if not task.doomed and self.failure is None:
                task.run()
        except Crash:
            pass
        except BaseException as error:
            task.error = error
            if not isinstance(error, ResolverError):
                self.failure = self.failure or error
        task.ended = True
        following = self._next()
        (following.turn if following is not task else self._over).release()

    def _next(self) -> Task:
        """Somebody who is awake; if all sleep, whoever wakes first. The last task ends itself."""
        alive = [task for task in self.tasks if not task.ended]
        if not alive:
            assert self.current is not None
            return self.current
        awake = [task for task in alive if task.wakes_at <= self.steps]
        if awake:
            return self.random.choice(awake)
        return min(alive, key=lambda task: task.wakes_at)
