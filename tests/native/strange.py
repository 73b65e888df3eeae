"""Events as bytes: usual ones, strange ones, and what is none."""

import json

from hypothesis import strategies as st

from resolver.core.events import CONTEXT_FIELDS

Raw = st.SearchStrategy[str]

NUMBERS = (
    *("0", "-0", "-0.0", "0.0", "1.0", "-1", "1e5", "1E+5", "1e-5", "1e22", "1e23", "1e15", "1e16"),
    *("1e17", "5e-324", "1e-7", "2.2250738585072014e-308", "1.7976931348623157e308", "0.1"),
    *("123456789012345678", "-123456789012345678", "1234567890123456789", "9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "4294967296"),
    *("-9223372036854775809", "18446744073709551615", "18446744073709551616", "1" * 400),
    *("123456789012345680.0", "0.12345678901234567", "0.1234567890123456789", "1.5e18"),
    *("1e0000000000000000001", "1e400", "-1e400", "65535", "-32769", "2147483648"),
)
TEXTS = (
    *('""', '" "', '"null"', '"\\u0041"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', '"\\ud83d\\ude00"'),
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\x7f\x80"', '"\u2028"', '"é"', '"e\u0301"'),
    *('"\U0001f600"', '"\ufeff"', '"\\u001f\\u007f"', '" \\u001c"', '"\u00a0"', '"\\u0085"'),
    *(
        '"1234567890123456789"',
        '"123456789012345678"',
        '"' + "c" * 300 + '"',
        '"' + "d" * 70_000 + '"',
    ),
    *('"' + "[" * 40 + '"', '"' + "{" * 33 + '"', '"' + ":" * 1_100 + '"', '"' + ":" * 4_100 + '"'),
)
WORDS = ("true", "false", "null")
NO_JSON = (
    *("01", "1.", ".5", "+1", "1e", "0x1", "1_0", "NaN", "Infinity", "-Infinity", "nan", "-", ""),
    *('"\\u00zz"', '"\\u12"', '"\\x"', '"\\', '"a\\', '"a\tb"', '"a\x00b"', "'a'", "True", "nul"),
    *("undefined", "tru e", "/**/1", "{,}", "[1,]", '{"a"}', '{"a":1,}', "{a:1}", "\ufeff1"),
)
IDS = (
    *(
        "ab",
        "a",
        "",
        "user-1",
        "id_2",
        "A.b:c@d+e-f",
        "null",
        "NaN",
        "nan",
        "None",
        "-1",
        "--",
        "0-0",
    ),
    *(
        "00000000-0000-0000-0000-000000000000",
        "0" * 20,
        "0" * 20 + "1",
        "00000000000000-a",
        "x" * 200,
    ),
    *(
        "x" * 201,
        "x" * 202,
        "x" * 255,
        "x" * 256,
        "{{id}}",
        "${u}",
        "a b",
        " ab ",
        "é",
        "-ab",
        ".ab",
    ),
    *(
        "ab@x.io",
        "AB@X.io",
        "ab@x",
        "ab@.io",
        "ab@x.",
        "ab@x.io.",
        "a@b@c.io",
        "@x.io",
        "ab@",
        "a@-.-",
    ),
    *(
        "ab@x..io",
        "ab@x.i\u00f6",
        "a" * 250 + "@b.co",
        "a" * 251 + "@b.c",
        "userId",
        "[object Object]",
    ),
    *("true", "email", "\u212aelvin", "ab\u0130", "7", "77", "1e3", "_", "__", "ab\x1f", "'ab'"),
)
TIMES = (
    *("2026-01-01T10:00:00.000Z", "2026-01-01T10:00:00Z", "2025-12-31T23:59:59.999Z", "2026-01-01"),
    *("2026-01-01T10:00:00.123456Z", "2026-01-01T10:00:00.1Z", "2026-01-01 10:00:00.000Z", "soon"),
    *("2026-01-01T10:00:00.000z", "2026-01-01T10:00:00.000+02:00", "2026-01-01T10:00:00+0200", ""),
    *("2026-02-29T10:00:00.000Z", "2024-02-29T10:00:00.000Z", "2100-02-29T10:00:00Z", "2000-02-29"),
    *(
        "2000-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-00-01T10:00:00Z",
        "2026-04-31T10:00:00Z",
    ),
    *(
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T23:59:60.000Z",
        "20260101T100000Z",
    ),
    *(
        "1999-12-31T23:59:59.999Z",
        "2000-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00Z",
        "1767225600000",
    ),
    *(
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "-001-01-01T00:00:00Z",
        "2026-W01-1T10:00:00Z",
    ),
    *("2026-01-01T10:00:00.00\u0660Z", "\uff12026-01-01T10:00:00Z", "2026-01-01T10:00:00,000Z"),
    *("Thu, 01 Jan 2026 10:00:00 GMT", "2026-01-01T10:00", "2026-1-1T10:00:00.0000Z", "T" * 24),
)
INSTANTS = (
    *("1767225600000", "1767225600", "1767225600.5", "946684800", "946684799", "946684800000", "0"),
    *("99999999999", "100000000000", "253402300799", "253402300800000", "17672256000000000", "-1"),
    *("999999999999999999", "1e12", "1.7672256e12", "00", "true", "{}", "[]", "12345678901234567"),
)
CONSENTS = (
    *(
        "{}",
        "{ }",
        '{"All":false}',
        '{"all" : true}',
        '{"ALL":null}',
        '{"All":0}',
        "[]",
        '"no"',
        "0",
    ),
    *('{"Mix Panel":false,"mp":true}', '{"mixpanel":true,"MixPanel":false}', '{"Mix Panel":{}}'),
    *('{"Warehouse":true}', '{"Warehouse":{"id":[1,null,1.5]},"All":false}', '{"Warehouse":[]}'),
    *(
        '{"\\u0041ll":false}',
        '{"All":false,"All":true}',
        '{"":false}',
        '{"é":false}',
        '{"a;b=1":false}',
    ),
    *('{"mp":"false"}', '{"mp":1}', '{"crm":false}', '{"told":false,"profiles":false}', "false"),
    *('{"changes":{"a":{"b":"c"}}}', '{"Mix Panel":{"x":NaN}}', '{"profiles":{"k":1e400}}'),
)
TRAITS = (
    *(
        "plan",
        "p",
        "q",
        "s",
        "",
        "email",
        "Email",
        "E-mail",
        "e_mail",
        "EMAIL",
        "emaİl",
        "first_name",
    ),
    *(
        "firstName",
        "First Name",
        "FIRSTNAME",
        "lastName",
        "last_name",
        "name",
        "Name",
        "age",
        "Age",
    ),
    *("birthday", "createdAt", "created_at", "address", "Address", "company", "phone", "id", "ID"),
    *(
        "username",
        "title",
        "\u212a",
        "a.b",
        "$x",
        "é",
        "e\u0301",
        "x" * 40,
        "type",
        "-type",
        "aanon:x",
    ),
)
FIELDS = (
    *(
        "type",
        "messageId",
        "userId",
        "anonymousId",
        "traits",
        "context",
        "integrations",
        "timestamp",
    ),
    *("originalTimestamp", "receivedAt", "sentAt", "channel", "contextTraits", "active", "seen"),
    *("name", "properties", "writeKey", "userid", "message_id", "", "Type"),
)
CONTEXT = (*CONTEXT_FIELDS, "active", "traits", "foo", "screen", "")
SPACES = st.sampled_from(["", "", "", "", " ", "  ", "\n", "\t \r\n"])
USUAL = {
    "type": '"identify"',
    "messageId": '"m-1"',
    "anonymousId": '"dev-1"',
    "userId": '"user-1"',
    "traits": '{"plan" : "pro", "seats":3,"email":"a.b@x.io"}',
    "context": '{"ip":"1" ,"page" : {"n" : 1.50, "url":"\u0041"},"foo":[]}',
    "timestamp": '"2026-01-01T00:00:00.000Z"',
    "receivedAt": '"2026-01-01T00:00:01.000Z"',
}


def stated(text: str) -> Raw:
    """A text in JSON, with escapes or without."""
    return st.booleans().map(lambda escaped: json.dumps(text, ensure_ascii=escaped))


def of(*usual: Raw, rarely: Raw) -> Raw:
    """One of the usual kinds, now and then something else."""
    return st.integers(0, 11).flatmap(
        lambda n: rarely if n == 0 else usual[n % len(usual)],
    )


scalars = (
    st.sampled_from(NUMBERS)
    | st.sampled_from(TEXTS)
    | st.sampled_from(WORDS)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(2**65), 2**65).map(str)
    | st.integers(-300, 300).map(str)
    | st.text(max_size=6).flatmap(stated)
)


def objects(names: Raw, values: Raw, most: int = 4) -> Raw:
    """Objects with space around their tokens, whose members may come twice."""
    member = st.tuples(SPACES, names, SPACES, SPACES, values, SPACES).map(
        lambda part: f"{part[0]}{part[1]}{part[2]}:{part[3]}{part[4]}{part[5]}"
    )
    return st.lists(member, max_size=most).map(lambda members: "{" + ",".join(members) + "}")


values: Raw = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: "[" + ", ".join(found) + "]")
        | objects(st.sampled_from(["a", "b", "B", "city", "Name"]).flatmap(stated), inner, 3)
    ),
    max_leaves=6,
)
deep = st.sampled_from([29, 31, 33, 2_000]).map(lambda levels: "[" * levels + "]" * levels)
anything = of(values, values, values, deep, rarely=st.sampled_from(NO_JSON))
ids = of(st.sampled_from(IDS).flatmap(stated), rarely=anything)
times = of(st.sampled_from(TIMES).flatmap(stated), st.sampled_from(INSTANTS), rarely=anything)
addresses = st.sampled_from([one for one in IDS if "@" in one]).flatmap(stated)
trait_names = of(
    st.sampled_from(TRAITS).flatmap(stated), rarely=st.text(max_size=5).flatmap(stated)
)
many = st.sampled_from([99, 100, 101, 499, 500, 501, 1_001]).map(
    lambda count: "{" + ",".join(f'"k{number}":{number}' for number in range(count)) + "}"
)
traits = of(
    objects(trait_names, of(values, scalars, addresses, times, rarely=anything), 6),
    rarely=anything | many,
)
contexts = of(objects(st.sampled_from(CONTEXT).flatmap(stated), values | traits), rarely=anything)

VALUES: dict[str, Raw] = {
    "type": of(st.sampled_from(['"identify"', "null"]), rarely=anything | st.just('"track"')),
    "messageId": of(st.just('"m-1"'), scalars, rarely=anything),
    "userId": ids,
    "anonymousId": ids,
    "traits": traits,
    "context": contexts,
    "integrations": of(st.sampled_from(CONSENTS), rarely=anything),
    "timestamp": times,
    "originalTimestamp": times,
    "receivedAt": times,
    "sentAt": times,
    "channel": of(st.just('"server"'), scalars, rarely=anything),
}


@st.composite
def members(draw: st.DrawFn) -> str:
    """A member of an event; mostly of a known name, with a value that its field may have."""
    name = draw(st.sampled_from(FIELDS))
    value = draw(VALUES.get(name, anything))
    return f"{draw(SPACES)}{draw(stated(name))}{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}"


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A usual event but for a member or two; now and then broken somewhere."""
    absent = draw(st.sets(st.sampled_from(sorted(USUAL)), max_size=3))
    usual = [f'"{name}":{value}' for name, value in USUAL.items() if name not in absent]
    parts = [*usual, *draw(st.lists(members(), min_size=1, max_size=2))]
    if draw(st.booleans()):
        parts.reverse()
    raw = ("{" + ",".join(parts) + "}" + draw(SPACES)).encode("utf-8", "surrogatepass")
    return broken(draw, raw) if draw(st.integers(0, 11)) == 0 else raw


def broken(draw: st.DrawFn, raw: bytes) -> bytes:
    """The same cut off, or with some bytes put in or instead of others."""
    at = draw(st.integers(0, len(raw)))
    strange: st.SearchStrategy[bytes] = st.binary(max_size=3) | st.sampled_from(
        [b'"', b"\\", b"{", b"}", b",", b"\xff"]
    )
    match draw(st.integers(0, 2)):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + draw(strange) + raw[at:]
        case _:
            return raw[:at] + draw(strange) + raw[at + 1 :]
