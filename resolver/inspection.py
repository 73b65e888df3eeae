"""Looking into the store: is it fit to keep profiles, what does it know of a person, and why?

For people who ask "where does this value come from?".
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisClusterException, RedisError

from resolver.config import Settings
from resolver.core.consent import EVERYTHING
from resolver.core.events import DEVICE, Reading
from resolver.core.identifiers import ANON, EMAIL, USER, identifier_of_user
from resolver.core.ownership import owned_statements
from resolver.core.policy import PATH_SEPARATOR
from resolver.core.profiles import project
from resolver.core.times import iso_utc
from resolver.core.values import Device, Person, Record, Statement, read_stamp
from resolver.edges.redis_store import RedisStore
from resolver.errors import ConfigError, Unavailable
from resolver.offline import as_line

Load = Callable[[str], Record | None]
HOPS_MAX = 3
"""From a device to a lead to its owner: nobody is further away."""
IDENTIFIED, ANONYMOUS = "identified", "anonymous"
EVICTION_HINT = "set maxmemory-policy noeviction, or redis.allow_eviction to take the risk"


def candidates_of(stated: str) -> list[str]:
    """The identifiers that somebody may mean: as written, else a userId, e-mail or anonymousId."""
    bare = stated.strip()
    if bare.startswith(USER):
        return [identifier_of_user(bare.removeprefix(USER))]
    if bare.startswith(EMAIL):
        return [bare.lower()]
    if bare.startswith(ANON):
        return [bare]
    return [identifier_of_user(bare), USER + bare, ANON + bare]


def explain(candidates: list[str], load: Load, reading: Reading) -> dict[str, Any]:
    """The person behind the first identifier that is stored; empty where none is.

    ``because`` lists for each trait who said it, and ``lost`` the statements that did not win.
    """
    for candidate in candidates:
        found = load(candidate)
        if found is not None:
            key, record = follow(candidate, found, load)
            return _explained(key, record, load, reading)
    return {}


def follow(key: str, record: Record, load: Load) -> tuple[str, Record]:
    """The profile that a device or a lead became part of, if it did."""
    for _ in range(HOPS_MAX):
        owner = owner_of(record, key)
        found = load(owner) if owner else None
        if found is None or owner is None:
            break
        key, record = owner, found
    return key, record


def owner_of(record: Record, key: str) -> str | None:
    """Who a record's writes show through: a lead's owner, a device's last identifier."""
    if isinstance(record, Person):
        return record.claim[1] if record.claim is not None and key.startswith(EMAIL) else None
    owners = owned_statements(record.statements, record.points, record.linked)
    if "" in owners or not record.points:
        return None
    return max((eff, name) for (_, name), eff in record.points.items())[1]


def _explained(key: str, record: Record, load: Load, reading: Reading) -> dict[str, Any]:
    profile = project(record, key, EVERYTHING, reading.policy)
    told: dict[str, Any] = (
        as_line(profile) if profile is not None else {"profileId": key, "traits": {}}
    )
    traits: dict[str, Any] = {}
    statements = _statements(record, key)
    for name in sorted({name for _, _, one in statements for name in one.traits}):
        said = [one for one in statements if name in one[2].traits]
        path = name.split(PATH_SEPARATOR)
        traits[".".join(path)] = _ranked(name, said, _at(told["traits"], path))
    return {**told, "identifiers": _identifiers(key, record), "because": traits}


def _at(value: Any, path: list[str]) -> Any:
    """What stands at a path of keys; None where nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _ranked(name: str, said: list[tuple[str, str, Statement]], shown: Any) -> dict[str, Any]:
    """The statement whose value shows, and those that lost to it."""
    said.sort(key=lambda one: (one[1] == IDENTIFIED, one[2].stamp), reverse=True)
    winner = next((one for one in said if one[2].traits[name] == shown), said[0])
    lost = [_said(name, *one) for one in said if one is not winner]
    return {"won": _said(name, *winner), "lost": lost}


def _said(name: str, source: str, tier: str, statement: Statement) -> dict[str, Any]:
    eff, _, offset, partition, topic = read_stamp(statement.stamp)
    return {
        "value": statement.traits[name],
        "from": source,
        "tier": tier,
        "at": iso_utc(eff),
        "position": f"{topic}[{partition}]@{offset}",
        "restriction": statement.restriction,
    }


def _statements(record: Record, key: str) -> list[tuple[str, str, Statement]]:
    """(source, tier, statement) of everything that the record holds or is shown."""
    if isinstance(record, Device):
        return [(key, ANONYMOUS, one) for one in record.statements]
    said = [(key, IDENTIFIED, one) for one in record.own.statements]
    for source, contribution in record.sources.items():
        said += [(source, IDENTIFIED, one) for one in contribution.identified.statements]
        said += [(source, ANONYMOUS, one) for one in contribution.anonymous.statements]
    return said


def _identifiers(key: str, record: Record) -> list[str]:
    """Every identifier of the person."""
    found = {key}
    if isinstance(record, Person):
        found |= record.sources.keys()
    for _, _, statement in _statements(record, key):
        found |= {mark[len(DEVICE) :] for mark in statement.marks if mark.startswith(DEVICE + ANON)}
    return sorted(found)


@contextmanager
def reaching_store(settings: Settings) -> Iterator[None]:
    """Says where Redis is not, and what to look at."""
    try:
        yield
    except (Unavailable, RedisError, RedisClusterException) as error:
        raise Unavailable(_no_store(settings, error)) from error
    except ConfigError as error:
        raise ConfigError(f"{error}: see {store_address(settings)}") from error


def _no_store(settings: Settings, error: Exception) -> str:
    reason = str(error).removeprefix("Redis: ").rstrip(".")
    return (
        f"Redis at {store_address(settings)} does not answer ({reason}):"
        " is it running, and is redis.url (or --redis) right?"
    )


def store_address(settings: Settings) -> str:
    """Where Redis is, without credentials."""
    sentinel = settings.redis.sentinel
    if sentinel is not None:
        return f"{sentinel.service}, as named by {', '.join(sentinel.hosts)}"
    scheme, _, rest = settings.redis.url.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def check_store(settings: Settings, store: RedisStore) -> None:
    """Refuses a Redis that lets nobody in, or may drop profiles when memory is short."""
    with reaching_store(settings):
        store.load([USER])
        policy = store.eviction_policy()
    if policy not in (None, "noeviction") and not settings.redis.allow_eviction:
        raise ConfigError(
            f"Redis at {store_address(settings)} evicts keys (maxmemory-policy {policy}):"
            f" {EVICTION_HINT}"
        )
