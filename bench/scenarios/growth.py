"""What a growing store costs: a replay, memory, Redis bytes, many profiles against few."""

from bench.contenders import RESOLVER
from bench.findings import GIB, MIB, Findings, Table
from bench.generate import UNIFORM, Law
from bench.running import Bench, Figures, median
from bench.stack import StoreMeter
from tests.stack.services import StackError

FEW = 10_000
DEVICES = 2
"""anonymousIds of each profile in the store that is filled."""
PREFIX = "r:"
"""What keys begin with where nothing is set: these stores are servers of their own."""
COMPARED = 50_000
"""Profiles resolved with and without contexts."""


def replay(bench: Bench) -> Findings:
    """The same topic again, by a new group: nothing changes, nothing is emitted."""
    raw = bench.raw(UNIFORM)
    bench.say("first pass, then a replay")
    with bench.stack.store() as redis:
        first = bench.setup(RESOLVER, raw.topic, redis, events=raw.events)
        once = bench.finish(RESOLVER, first)
        second = bench.setup(
            RESOLVER, raw.topic, redis, events=raw.events, prefix=first.prefix, member="bench-1"
        )
        again = bench.finish(RESOLVER, second)
    found = Findings()
    rows = [row_of("first pass", once), row_of("replay", again)]
    columns = ["pass", "events/s", "CPU µs/event", "Redis CPU µs/event", "emitted"]
    found.tables.append(Table(f"A replay of {raw.events:,} events", columns, rows))
    emitted = sum(again.notes["emitted"].values())
    remark = f"{emitted} records emitted by the replay" if emitted else ""
    found.note("replay", again.events_per_s / once.events_per_s, remark)
    return found


def row_of(name: str, one: Figures) -> list[str]:
    """Rate, costs and outputs."""
    emitted = sum(one.notes["emitted"].values())
    costs = [f"{one.cpu_us:.1f}", f"{one.redis_cpu_us:.1f}"]
    return [name, f"{one.events_per_s:,.0f}", *costs, f"{emitted:,}"]


def store(bench: Bench) -> Findings:
    """Fills one store with few profiles and one with many, then resolves the same events in both.

    The events are later than those that filled the stores, and new in every round.
    """
    if bench.stack.redis is not None:
        raise StackError("store compares two servers of its own: unset RESOLVER_TEST_REDIS")
    many = bench.plan.profiles
    with bench.stack.store() as little, bench.stack.store() as large:
        few_prefix, _ = filled(bench, little, FEW)
        many_prefix, filling = filled(bench, large, many)
        keys = keys_of(large)
        cases = {
            f"{FEW:,} in Redis, events about all of them": (little, few_prefix, FEW),
            f"{many:,} in Redis, events about {FEW:,} of them": (large, many_prefix, FEW),
            f"{many:,} in Redis, events about all of them": (large, many_prefix, many),
        }
        runs: dict[str, list[Figures]] = {name: [] for name in cases}
        for number in range(bench.plan.rounds):
            later = many * DEVICES + number * bench.plan.events
            for name, (redis, prefix, users) in cases.items():
                raw = bench.raw(Law("known", users=users, first=later))
                setup = bench.setup(RESOLVER, raw.topic, redis, events=raw.events, prefix=prefix)
                runs[name].append(bench.finish(RESOLVER, setup))
    few, same, spread = (median(figures, "events_per_s") for figures in runs.values())
    rows = [row_of(name, middle_of(figures)) for name, figures in runs.items()]
    columns = ["profiles", "events/s", "CPU µs/event", "Redis CPU µs/event", "emitted"]
    found = Findings([Table("Many profiles in Redis against few", columns, rows)])
    remark = (
        f"the same events, {many:,} against {FEW:,} profiles; spread over all of the larger"
        f" store {spread / few:.2f}, as fewer meet in a batch"
    )
    found.note("store_size", same / few, remark)
    found.add(sizes(filling, many, keys, context_bytes(bench)))
    return found


def keys_of(redis: str) -> int:
    """How many keys a store has."""
    meter = StoreMeter(redis)
    keys = meter.keys()
    meter.close()
    return keys


def middle_of(figures: list[Figures]) -> Figures:
    """The round of the middle rate."""
    return sorted(figures, key=lambda one: one.events_per_s)[len(figures) // 2]


def filled(bench: Bench, redis: str, profiles: int, *, context: bool = True) -> tuple[str, Figures]:
    """Resolves so many users into a store; their prefix there, and what it took."""
    bench.say(f"a store of {profiles:,} profiles" + ("" if context else ", no contexts"))
    law = Law("in turn", users=profiles, turns=True, context=context)
    source = bench.stack.fill(profiles * DEVICES, law)
    setup = bench.setup(RESOLVER, source.topic, redis, events=source.events, prefix=PREFIX)
    filling = bench.finish(RESOLVER, setup)
    bench.stack.drop(source.topic)
    return setup.prefix, filling


def sizes(filling: Figures, profiles: int, keys: int, kept: float) -> Findings:
    """What a profile takes in Redis, keys and all; ``kept`` bytes of it are context."""
    each = filling.redis_memory / profiles
    row = [f"{profiles:,}", f"{keys / profiles:.1f}", f"{each:,.0f}"]
    row += [f"{kept:,.0f}", f"{each * 1_000_000 / GIB:.2f}", f"{filling.memory / MIB:,.0f}"]
    columns = ["profiles", "keys each", "Redis bytes each", "of it context", "GiB per million"]
    columns += ["worker MiB at most"]
    title = f"Redis: profiles with {DEVICES} anonymousIds each, one event on each"
    note = (
        "Bytes of used_memory, after less before: values, keys, tables and what the allocator"
        " rounds up. Context: what the same events take less without it, by"
        f" {min(profiles, COMPARED):,} profiles."
    )
    found = Findings([Table(title, columns, [row], [note])])
    remark = f"measured over {profiles:,} profiles; {kept / each:.0%} of it are contexts"
    found.note("redis", each * 1_000_000 / GIB, remark)
    return found


def context_bytes(bench: Bench) -> float:
    """Bytes of a profile in Redis that are context: what is missing where events have none."""
    profiles = min(bench.plan.profiles, COMPARED)
    each = []
    for context in (True, False):
        with bench.stack.store() as redis:
            _, filling = filled(bench, redis, profiles, context=context)
        each.append(filling.redis_memory / profiles)
    return each[0] - each[1]
