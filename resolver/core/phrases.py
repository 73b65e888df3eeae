"""Contexts written shorter: what most of them say takes one byte instead of its letters.

A context is JSON text, a third of a state where nothing is done, and made of the same names and
the same kinds of browser every time. Plain letters stand for themselves. A byte from ``CODE`` on
stands for one of ``PHRASES``; four numbers of an address follow ``ADDRESS``, and everything else
follows ``RUN`` and its length.
"""

import re
from typing import Final

PHRASES: Final = (
    *('{"ip":"', '","locale":"', '{"locale":"', '","userAgent":"', '{"userAgent":"Mozilla/5.0 ('),
    *('","userAgent":"Mozilla/5.0 (', 'en-US","userAgent":"Mozilla/5.0 (', "en-US"),
    *('en-GB","userAgent":"Mozilla/5.0 (', "en-GB", '","campaign":{"name":"'),
    *('","timezone":"', '{"timezone":"', '","channel":"', '{"channel":"', '","campaign":{"'),
    *('","page":{"path":"/', '"},"page":{"path":"/', '},"page":{', '","device":{"', '{"device":{"'),
    *(
        '"},"library":{"name":"analytics.js","version":"',
        '"},"os":{"name":"',
        '"},"app":{"name":"',
        '"},"library":{"name":"',
        '","library":{"name":"',
    ),
    *('{"library":{"name":"', '"campaign":{', 'campaign":{},"', '{"campaign":{"', '{"page":{"'),
    *('name":"', '","name":"', '","version":"', '","source":"', 'source":"', '","medium":"'),
    *('","term":"', '","content":"', '","id":"', 'id":"', '","type":"', '","token":"'),
    *('","model":"', '","manufacturer":"', '","advertisingId":"', '","adTrackingEnabled":'),
    *('","build":"', '","namespace":"', '","referrer":"', '","referrer":"","search":"'),
    *('","search":"?', '","search":"","title":"', '","title":"', '","url":"https://'),
    *('","url":"http://', '","url":"', '","path":"/', 'path":"/', '"}}', '"},"', '":{"', '","'),
    *('":"', '":["', "true", "false", "null", "https://www.", "https://", "http://", ".com/"),
    *(".html", "/index", "/product", "/blog", "/search?q=", "utm_source=", "&utm_medium="),
    *("&utm_campaign=", "&utm_term=", "&utm_content=", "&utm_id=", "&gclid=", "&fbclid=", "google"),
    *(
        "newsletter",
        "email",
        "facebook",
        "organic",
        "cpc",
        "social",
        "referral",
        "mobile",
        "server",
    ),
    *("Macintosh; Intel Mac OS X 10_15_7", "Windows NT 10.0; Win64; x64"),
    *(
        "X11; Linux x86_64",
        "X11; Linux x86_64) AppleWebKit/537.36 ",
        "iPhone; CPU iPhone OS ",
        " like Mac OS X",
    ),
    *(
        "Linux; Android 10; K",
        "Linux; Android ",
        ") AppleWebKit/537.36 ",
        ") AppleWebKit/605.1.15 ",
    ),
    *(
        ") AppleWebKit/",
        "(KHTML, like Gecko) ",
        "Chrome/",
        ".0.0.0 ",
        "Safari/537.36",
    ),
    *(
        " Edg/",
        "Version/",
        " Safari/605.1.15",
        " Mobile/15E148 Safari/604.1",
        " Mobile Safari/537.36",
    ),
    *("Gecko/20100101 Firefox/", "iOS", "Android", "Europe/", "America/", "Asia/", "analytics"),
    *('analytics.js","version":"', 'analytics-python","version":"', 'analytics-node","version":"'),
    *('@segment/analytics-node","version":"',),
)
"""What takes one byte: the names that contexts have, and what browsers and libraries say of
themselves. A phrase's place is its code: none is ever removed or moved within a schema of states.
"""
CODE: Final = 0x80
"""The code of the first phrase."""
RUN: Final = 0x01
"""What stands before the length and the bytes of what is neither a plain letter nor a phrase."""
RUN_MAX: Final = 255
ADDRESS: Final = 0x02
"""What stands before the four numbers of an IPv4 address, behind the first phrase."""
ADDRESS_BYTES: Final = 4

CODES: Final = {phrase.encode(): bytes([CODE + place]) for place, phrase in enumerate(PHRASES)}
TEXTS: Final = {CODE + place: phrase for place, phrase in enumerate(PHRASES)}
NUMBER: Final = b"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
FIRST: Final = re.escape(PHRASES[0].encode())
ADDRESS_FORM: Final = b'%s(?:%s[.]){3}%s(?=")' % (FIRST, NUMBER, NUMBER)
"""The first phrase and an address that is all of a text, as it is read back."""
ESCAPES: Final = re.compile(b"[%c%c]" % (RUN, ADDRESS))
PLAIN: Final = range(0x20, CODE)
NO_CODE: Final = re.compile(b"[\x00-\x1f%c-\xff]" % (CODE + len(PHRASES)))
"""What no text without a run is written with."""


def _alternatives() -> "re.Pattern[bytes]":
    """A run, or the longest phrase that begins here; grouped by their first letters, so that not
    every one is tried at every place.
    """
    heads: dict[bytes, list[bytes]] = {}
    for phrase in sorted(CODES, key=len, reverse=True):
        heads.setdefault(phrase[:3], []).append(phrase[3:])
    groups = [
        re.escape(head) + b"(?:" + b"|".join(map(re.escape, tails)) + b")"
        for head, tails in heads.items()
    ]
    run = b"[\x00-\x1f\x80-\xff]{1,%d}" % RUN_MAX
    return re.compile(b"|".join([run, ADDRESS_FORM, *groups]), re.DOTALL)


SHORTENED: Final = _alternatives()


def shorten(text: bytes) -> bytes:
    """A context in short: at every place the longest phrase that begins there."""
    return SHORTENED.sub(_code_of, text)


def _code_of(found: "re.Match[bytes]") -> bytes:
    phrase = found[0]
    code = CODES.get(phrase)
    if code is not None:
        return code
    if phrase[0] in PLAIN:
        address = phrase[len(PHRASES[0]) :]
        return bytes([CODE, ADDRESS, *map(int, address.split(b"."))])
    return bytes([RUN, len(phrase)]) + phrase


def lengthen(short: bytes) -> bytes:
    """The context of which this is the short form; ValueError or IndexError where it is none."""
    parts: list[bytes] = []
    at = 0
    while (escape := ESCAPES.search(short, at)) is not None:
        parts.append(_plain(short[at : escape.start()]))
        start = escape.end()
        if short[start - 1] == RUN:
            start += 1
            at = start + short[start - 1]
            parts.append(short[start:at])
        else:
            at = start + ADDRESS_BYTES
            parts.append(b".".join([b"%d" % number for number in short[start:at]]))
        if at > len(short):
            raise ValueError("a context that is cut off")
    parts.append(_plain(short[at:]))
    return b"".join(parts)


def _plain(short: bytes) -> bytes:
    if NO_CODE.search(short):
        raise ValueError("no short form of a context")
    return short.decode("latin-1").translate(TEXTS).encode()
