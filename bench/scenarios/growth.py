"""What a growing store costs: a replay, memory, Redis bytes, many profiles against few."""

from bench.contenders import RESOLVER
from bench.findings import GIB, MIB, Findings, Table
from bench.generate import UNIFORM, Law
from bench.running import Bench, Figures

FEW = 10_000
MB = 1_000_000
DEVICES = 2
"""anonymousIds of each profile in the store that is filled."""


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
    """Fills stores with few and with many profiles, then resolves the same events in both."""
    many = bench.plan.profiles
    found = Findings()
    bench.say(f"a store of {FEW:,} profiles")
    small, _ = filled(bench, FEW, [FEW])
    bench.say(f"a store of {many:,} profiles")
    (same, spread), filling = filled(bench, many, [FEW, many])
    rows = [
        row_of(f"{FEW:,} in Redis, events about all of them", small[0]),
        row_of(f"{many:,} in Redis, events about {FEW:,} of them", same),
        row_of(f"{many:,} in Redis, events about all of them", spread),
    ]
    columns = ["profiles", "events/s", "CPU µs/event", "Redis CPU µs/event", "emitted"]
    found.tables.append(Table("Many profiles in Redis against few", columns, rows))
    alike, wide = same.events_per_s / small[0].events_per_s, spread.events_per_s
    remark = (
        f"the same events, {many:,} against {FEW:,} profiles; spread over all of the larger"
        f" store {wide / small[0].events_per_s:.2f}, as fewer meet in a batch or in the cache"
    )
    found.note("store_size", alike, remark)
    note_sizes(found, filling, many)
    return found


def filled(bench: Bench, profiles: int, populations: list[int]) -> tuple[list[Figures], Figures]:
    """Figures of uniform events about so many known users, and those of filling the store."""
    law = Law("in turn", users=profiles, turns=True)
    with bench.stack.store() as redis:
        source = bench.stack.fill(profiles * DEVICES, law)
        first = bench.setup(RESOLVER, source.topic, redis, events=source.events)
        filling = bench.finish(RESOLVER, first)
        bench.stack.drop(source.topic)
        found = []
        for users in populations:
            raw = bench.raw(Law("known", users=users))
            setup = bench.setup(RESOLVER, raw.topic, redis, events=raw.events, prefix=first.prefix)
            found.append(bench.finish(RESOLVER, setup))
    return found, filling


def note_sizes(found: Findings, filling: Figures, profiles: int) -> None:
    """What a profile takes in Redis, and what the worker took while all of them passed."""
    each = filling.redis_memory / profiles
    found.note("redis", each * 1_000_000 / GIB, f"measured over {profiles:,} profiles")
    resident = filling.resident or (filling.memory,)
    half, last = resident[len(resident) // 2], resident[-1]
    grown = (last - half) / MB
    remark = f"{profiles:,} seen; {grown:+.0f} MB over the second half of them"
    found.note("memory", filling.memory / MB, remark)
    row = [f"{profiles:,}", f"{each:,.0f}", f"{filling.memory / MIB:,.0f}", f"{grown:+.1f}"]
    columns = ["profiles", "Redis bytes each", "worker MiB at most", "MB grown in 2nd half"]
    title = f"Memory: profiles with {DEVICES} anonymousIds each, two events each"
    found.tables.append(Table(title, columns, [row]))
