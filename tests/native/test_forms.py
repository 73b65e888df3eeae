"""What a form's payloads are natively, beside the same in Python, for any specification."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.generate import generate
from resolver.core.profiles import Profile
from resolver.destinations.presets import preset_names
from resolver.destinations.spec import DestinationSpec
from resolver.destinations.vocabulary import Reason
from resolver.joining import Target
from resolver.ports import Formatter, Message, Revision
from resolver.targets import build_target
from tests.destinations.test_laws import NAMES, VALUES
from tests.engines import Build, native, reference
from tests.native.test_twins import PAYLOADS, lines
from tests.native.twins import Lived, live

FIELDS = st.sampled_from(["email", "Email", "a.b", "a.c", "a", "custom.x", "name", "x", "y", "z"])
FORMS = st.sampled_from(
    ["keep", "text", "plain_text", "trimmed", "lower", "number", "iso", "epoch_s", "date", "list"]
)
SOURCES = st.sampled_from(
    [
        *("user_id", "database_id", "email", "phone"),
        "anonymous_id",
        "first_seen",
        "last_seen",
        "context.ip",
    ]
)
HASHES = st.sampled_from(["sha256", "md5"])
TRAITS = st.sampled_from(["email", "name", "firstName", "lastName", "phone", "createdAt", "plan"])


def some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these members."""
    return st.fixed_dictionaries({}, optional=options)


BOUNDS = st.integers(1, 12) | st.fixed_dictionaries(
    {"max": st.integers(1, 12)},
    optional={
        "unit": st.sampled_from(["characters", "bytes"]),
        "beyond": st.sampled_from(["cut", "drop"]),
    },
)
RULES = (
    FIELDS
    | st.fixed_dictionaries(
        {"to": FIELDS | st.lists(FIELDS, min_size=1, max_size=2)},
        optional={"as": FORMS, "max": st.integers(1, 9)},
    )
    | st.sampled_from(
        [
            {"drop": True},
            {"as": "lower"},
            {"max": 4},
            {"parts": {"city": "city", "country": {"to": "land", "as": "lower"}}, "rest": True},
            {"parts": {"city": "a.city"}},
        ]
    )
)
IDENTITY = some(
    first_only=st.booleans(),
    rules=st.lists(
        st.fixed_dictionaries(
            {
                "to": st.sampled_from(["id", "user_id", "in.id", "in.other", "deep.er.id"]),
                "from": SOURCES,
            },
            optional={
                "as": FORMS,
                "hash": HASHES,
                "starts": st.just("us"),
                "prefix": st.just("p:"),
                "max": st.integers(4, 20),
                "beside": st.just({"in.kind": "k"}),
            },
        ),
        max_size=4,
    ),
)
VALUE_RULES = some(
    text=st.sampled_from(["keep", "trimmed", "lower"]),
    date_time=st.sampled_from(["keep", "epoch_s", "iso_ms"]),
    date=st.sampled_from(["keep", "epoch_s", "iso_ms"]),
    number=st.sampled_from(["keep", "text", "drop"]),
    boolean=st.sampled_from(["keep", "text", "digit", "drop"]),
    list=st.sampled_from(["keep", "text", "join", "drop"]),
    object=st.sampled_from(["keep", "flatten", "text", "drop"]),
    empty=st.booleans(),
)
SPECS = some(
    preset=st.sampled_from(preset_names()),
    anonymous=st.sampled_from(["send", "drop"]),
    email_user_id=st.sampled_from(["send", "drop", "as_trait"]),
    include=st.lists(TRAITS, max_size=5),
    exclude=st.lists(TRAITS, max_size=2),
    case=st.sampled_from(["as_sent", "camel", "snake", "column"]),
    payload=st.sampled_from(["full", "changes"]),
    identity=IDENTITY,
    requires=st.lists(
        st.sampled_from(
            ["identity.id", "traits.email|identity.in", "traits.plan|traits.a", "traits.a.b"]
        ),
        max_size=2,
    ),
    derive=st.dictionaries(
        st.sampled_from(["firstName", "lastName", "name"]),
        st.sampled_from(["first_of_name", "rest_of_name", "last_of_name", "first_or_last"]),
        max_size=2,
    ),
    traits=st.dictionaries(TRAITS | st.just("address"), RULES, max_size=3),
    also=st.dictionaries(
        FIELDS, st.fixed_dictionaries({"from": SOURCES}, optional={"as": FORMS}), max_size=2
    ),
    defaults=st.dictionaries(FIELDS, st.sampled_from(["n/a", 0, True, 1.5]), max_size=2),
    custom=some(
        into=st.sampled_from(["", "custom", "a"]), wrap=st.just("value"), drop=st.booleans()
    ),
    names=some(
        forbidden=st.just("[^a-zA-Z0-9]"),
        prefix=st.just("p_"),
        reserved=st.just(["plan"]),
        pattern=st.just("[a-z].*"),
    ),
    values=VALUE_RULES,
    limits=some(
        name=BOUNDS,
        text=BOUNDS,
        list=st.integers(1, 3),
        keys=st.integers(1, 3),
        depth=st.integers(1, 3),
        value_bytes=st.integers(8, 60),
        traits=st.integers(1, 6),
        payload_bytes=st.integers(60, 400),
    ),
    removed=st.sampled_from(["omit", "as_null", "as_empty", "unset"]),
    hash=st.dictionaries(TRAITS, HASHES, max_size=2),
    emails=st.sampled_from(["send", "drop", "sha256"]),
    context=st.sampled_from(["send", "drop"]),
    on_merge=st.sampled_from(["profile", "alias", "tombstone"]),
)
STATED = st.dictionaries(NAMES | TRAITS | st.just("address"), VALUES, max_size=8)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"traits": STATED},
        optional={
            "userId": st.sampled_from(["user-1", "user-1", "lead@x.io"]),
            "anonymousId": st.sampled_from(["anon-1", "anon-2"]),
            "context": st.just({"ip": "1.2.3.4"}),
            "integrations": st.just({"all": True}),
        },
    ),
    min_size=1,
    max_size=5,
)


class Watched:
    """A destination's formatter that counts how often it is asked for a payload or a message."""

    def __init__(self, formatter: Formatter) -> None:
        self.formatter = formatter
        self.asked = 0

    def stable(self, profile: Profile) -> bytes | None:
        self.asked += 1
        return self.formatter.stable(profile)

    def finish(self, stable: bytes, profile: Profile, revision: Revision) -> bytes:
        self.asked += 1
        return self.formatter.finish(stable, profile, revision)

    def aliases(self, profile: Profile, revision: Revision) -> list[bytes]:
        return self.formatter.aliases(profile, revision)


def made(stated: dict[str, Any]) -> DestinationSpec:
    """A specification of this; what nobody may state is no example."""
    try:
        return DestinationSpec.model_validate({"name": "one", "topic": "out", **stated})
    except ValidationError:
        assume(False)
        raise


def lived_with(
    build: Build, specs: Sequence[DestinationSpec], messages: Sequence[Message]
) -> tuple[Lived, list[Counter[Reason]]]:
    """What an engine makes of messages one by one, and what each destination was not sent."""
    left_out: list[Counter[Reason]] = []
    compiled: list[Target] = [
        build_target(spec, watch=lambda _, counts: left_out.append(counts)) for spec in specs
    ]
    lived = live([build], [[one] for one in messages], compiled)
    return lived, left_out


def check(specs: Sequence[DestinationSpec], values: Sequence[bytes]) -> Lived:
    """Asserts that both engines send and leave out the same; returns how they lived."""
    expected, missing = lived_with(reference, specs, lines(values))
    found, theirs = lived_with(native, specs, lines(values))
    assert found.produced == expected.produced
    assert found == expected
    assert theirs == missing
    return expected


@settings(
    max_examples=1_500,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(stated=SPECS, events=EVENTS)
def test_any_form_of_any_profile_is_the_same(
    stated: dict[str, Any], events: list[dict[str, Any]]
) -> None:
    """An operator may go from one engine to the other, and nobody's digest may change by it."""
    check([made(stated)], [json.dumps(event).encode() for event in events])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(events=EVENTS)
def test_any_profile_is_the_same_to_every_vendor(events: list[dict[str, Any]]) -> None:
    """Presets are what most destinations are."""
    specs = [
        DestinationSpec(name=name, preset=name, topic=name, opt_in=False) for name in preset_names()
    ]

    check(specs, [json.dumps(event).encode() for event in events])


@settings(max_examples=500, derandomize=True, deadline=None)
@given(events=EVENTS, context=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_profile_in_avro_is_the_same(
    events: list[dict[str, Any]], context: dict[str, Any]
) -> None:
    """Whoever takes profiles just as they are may take them in Avro."""
    options = {"one": context, "All": False}
    more = {"context": {"page": context, "app": context}, "integrations": options}

    check([made({"format": "avro"})], [json.dumps(event | more).encode() for event in events])


@pytest.mark.parametrize(
    "context",
    [
        '{"b":1,"a":{"d":[],"c":{}},"":null}',
        '{"a":1,"a":2,"b":{"x":1,"x":2}}',
        '{"\\u0061":1,"b":2}',
        '{"a":"\\ud83d\\ude00","b":"\\n"}',
        '{"a":-0,"b":-0.0,"c":1e400,"d":1e-400,"e":0.1}',
        '{"a":9223372036854775807,"b":9223372036854775808,"c":-9223372036854775809,"d":1e3}',
        '{"a":12345678901234567890123,"b":[[[[1]]]]}',
        '{"a":"\\ud800","b":1}',
        ' { "a" : [ 1 , 2.5 , true , null , "x" ] } ',
    ],
)
def test_odd_contexts_are_the_same_in_avro(context: str) -> None:
    """Traits and contexts are read in different ways: both come to the same bytes."""
    event = f'{{"userId":"user-1","traits":{context},"context":{{"page":{context},"app":[1]}}}}'

    lived = check([made({"format": "avro"})], [event.encode(), event.replace("1", "3").encode()])

    assert any(one != "flushed" and one[0] == "out" and b"page" in one[2] for one in lived.produced)


@pytest.mark.parametrize("date_time", ["keep", "epoch_s"])
@pytest.mark.parametrize("date", ["keep", "epoch_ms"])
def test_text_that_may_be_a_date_is_looked_at(date_time: str, date: str) -> None:
    """A date that went as text to who asked for a number would be another type there."""
    spec = made({"values": {"date_time": date_time, "date": date}, "case": "snake"})
    texts = ["2019-08-24T14:15:22Z", "2019-08-24", "2019-08-24 or so", "1234-", "äöü4-12345"]
    traits = {f"n{number}": text for number, text in enumerate(texts)}

    lived = check([spec], [json.dumps({"userId": "user-1", "traits": traits}).encode()])

    sent = json.loads(next(one[2] for one in lived.produced if one[0] == "out"))["traits"]
    assert isinstance(sent["n0"], str) == (date_time == "keep")
    assert isinstance(sent["n1"], str) == (date == "keep")
    assert [sent[f"n{number}"] for number in (2, 3, 4)] == texts[2:]


def test_objects_within_the_traits_come_in_one_order() -> None:
    """A digest is of bytes: another order would send every profile anew."""
    spec = made(
        {
            "also": {"seen.at": {"from": "last_seen"}, "ids.inner.user": {"from": "user_id"}},
            "defaults": {"more.kind": "person", "ids.kind": "k"},
            "custom": {"into": "own"},
            "traits": {"email": "contact.email"},
        }
    )
    event = {"userId": "user-1", "traits": {"email": "a@x.io", "plan": "pro"}}

    lived = check([spec], [json.dumps(event).encode()])

    sent = json.loads(next(one[2] for one in lived.produced if one[0] == "out"))["traits"]
    assert sent.keys() == {"contact", "own", "seen", "ids", "more"}


def test_objects_of_what_may_not_be_sent_keep_their_place() -> None:
    """What is excluded would otherwise put all that is sent in another order."""
    spec = made(
        {
            "exclude": ["phone"],
            "also": {"a.x": {"from": "phone"}},
            "defaults": {"c.d": 1, "a.e": 2},
        }
    )

    lived = check([spec], [json.dumps({"userId": "user-1", "traits": {"n": 1}}).encode()])

    sent = next(one[2] for one in lived.produced if one[0] == "out")
    assert b'"traits":{"n":1,"c":{"d":1},"a":{"e":2}}' in sent


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_what_is_blank_has_no_hash_and_is_no_id(blank: str) -> None:
    """Everybody with a blank phone would be one person there."""
    rules = [{"to": "id", "from": "phone"}, {"to": "id", "from": "user_id"}]
    spec = made(
        {
            "hash": {"phone": "sha256"},
            "identity": {"first_only": True, "rules": rules},
            "also": {"ph": {"from": "phone", "as": "list"}},
        }
    )

    lived = check([spec], [json.dumps({"userId": "user-1", "traits": {"phone": blank}}).encode()])

    sent = json.loads(next(one[2] for one in lived.produced if one[0] == "out"))
    assert (sent["identity"], sent["traits"]) == ({"id": "user-1"}, {})


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_what_is_left_out_of_real_payloads_is_counted_the_same(path: Any) -> None:
    """What cannot be sent is found by these counts."""
    specs = [DestinationSpec(name=name, preset=name, topic=name) for name in preset_names()]
    specs.append(made({"format": "avro"}))

    check(specs, path.read_bytes().splitlines())


@pytest.mark.parametrize(
    "stated",
    [{"format": "avro"}, *({"preset": name, "opt_in": False} for name in preset_names())],
    ids=lambda stated: stated.get("preset", "avro"),
)
def test_usual_profiles_need_no_formatter(stated: dict[str, Any]) -> None:
    """A form that always took the long way would be right, and four times as slow."""
    target = build_target(made(stated))
    target.formatter = watched = Watched(target.formatter)
    messages = lines([value for _, value in generate(600, skewed=True)])

    lived = live([native], [messages[:300], messages[300:]], [target])

    assert watched.asked == 0
    assert sum(one != "flushed" and one[0] == "out" for one in lived.produced) > 100
