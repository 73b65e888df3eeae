"""Who an event is about: identifiers, legal and illegal.

An identifier is written ``kind:value``; kinds never share a namespace.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

ANON: Final = "anon:"
EMAIL: Final = "email:"
USER: Final = "user:"

BYTES_MAX: Final = 255
"""Longest identifier in UTF-8 bytes: the column width most destinations allow."""

EMAIL_FORM: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
"""Quadratic in the dots after the @: only for texts that are short enough to be an id."""
ZEROS_FORM: Final = re.compile(r"[0-]+")
TEMPLATE_FORM: Final = re.compile(r"\{\{.*\}\}|\$\{.*\}|%s|<.*>", re.DOTALL)
CONTROL_FORM: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

UUID_FORM: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""As libraries write it: any other spelling would not be read back the same."""
UUID_LENGTH: Final = 36
UUID_BYTES: Final = 16

ILLEGAL_LITERALS: Final = frozenset(
    [
        "anonymous",
        "anon",
        "guest",
        "visitor",
        "unknown",
        "undefined",
        "null",
        "nil",
        "none",
        "n/a",
        "na",
        "void",
        "true",
        "false",
        "id",
        "userid",
        "user_id",
        "anonymousid",
        "anonymous_id",
        "distinctid",
        "distinct_id",
        "email",
        "not_authenticated",
        "not_set",
        "lmy47d",
        "{}",
        "[]",
        "<nil>",
        "-1",
    ]
) | {"(not set)", "[object object]"}


class Kind(StrEnum):
    """The three namespaces of identifiers."""

    ANON = "anon"
    EMAIL = "email"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Illegal:
    """An identifier that must not be used, and why; the reason holds no raw value."""

    reason: str


@dataclass
class IllegalValues:
    """What never identifies anybody, beyond the built-in rules: the owner's own additions.

    ``literals`` and ``patterns`` (full match) are compared after trimming, stripping one pair of
    quotes and lower-casing, and apply to the kind they are listed under.
    """

    literals: dict[Kind, frozenset[str]] = field(default_factory=dict)
    patterns: dict[Kind, tuple[str, ...]] = field(default_factory=dict)
    compiled: dict[Kind, list[re.Pattern[str]]] = field(init=False, compare=False, repr=False)
    listed: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.listed = bool(self.literals or self.patterns)
        self.compiled = {
            kind: [re.compile(text, re.IGNORECASE) for text in texts]
            for kind, texts in self.patterns.items()
        }

    def forbids(self, kind: Kind, folded: str) -> bool:
        """Whether the owner of this deployment listed the folded value for this kind."""
        if folded in self.literals.get(kind, ()):
            return True
        return any(pattern.fullmatch(folded) for pattern in self.compiled.get(kind, ()))


LITERAL_LENGTH_MAX: Final = max(map(len, ILLEGAL_LITERALS))
PLAIN_FORM: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]{1,200}")
"""Most ids look like this; of the illegal values only literals and zeros do."""
PLAIN_ADDRESS_FORM: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.:+-]*@[A-Za-z0-9_:+-]+\.[A-Za-z0-9_.:+-]*[A-Za-z0-9_:+-]"
)
"""Most addresses look like this: plain ids, none of them a placeholder, that are one address."""


def read_identifier(raw: object, kind: Kind, illegal: IllegalValues) -> str | Illegal | None:
    """The cleaned value, why it is illegal, or None where the field means "no id"."""
    if type(raw) is not str:
        if raw is None:
            return None
        text = _text_of_number(raw)
        if text is None:
            return Illegal("it is neither a string nor a whole number")
        raw = text
    if not illegal.listed and PLAIN_FORM.fullmatch(raw) and _is_no_placeholder(raw):
        return raw
    value = raw.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if not value:
        return None
    reason = illegal_reason(value, kind, illegal)
    return value if reason is None else Illegal(reason)


def _is_no_placeholder(plain: str) -> bool:
    if len(plain) > LITERAL_LENGTH_MAX:
        return plain[0] != "0" or bool(plain.strip("0-"))
    return plain.lower() not in ILLEGAL_LITERALS and plain != "NaN" and bool(plain.strip("0-"))


def illegal_reason(value: str, kind: Kind, illegal: IllegalValues) -> str | None:
    """Why a trimmed value cannot be an identifier, or None if it can."""
    if len(value) > BYTES_MAX or len(value.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        return f"it is longer than {BYTES_MAX} bytes"
    if CONTROL_FORM.search(value):
        return "it holds a control character"
    bare = _without_quotes(value)
    folded = bare.lower()
    if folded in ILLEGAL_LITERALS or bare == "NaN" or not folded:
        return "it is a placeholder, not an id"
    if ZEROS_FORM.fullmatch(folded):
        return "it is all zeros"
    if TEMPLATE_FORM.search(folded):
        return "it is an unresolved template"
    if illegal.forbids(kind, folded):
        return "it is listed as illegal in the configuration"
    return None


def kind_of_user(raw: object) -> Kind:
    """The kind of a userId: an address where the whole of it is one."""
    if type(raw) is str and "@" in raw:
        value = raw.strip()
        if len(value) <= BYTES_MAX and EMAIL_FORM.fullmatch(value):
            return Kind.EMAIL
    return Kind.USER


def identifier_of_user(value: str) -> str:
    """``user:…``, or ``email:…`` (lower-cased) where the whole userId is one e-mail address."""
    if "@" in value and EMAIL_FORM.fullmatch(value):
        return EMAIL + value.lower()
    return USER + value


def identifier_of_address(raw: object, illegal: IllegalValues) -> str | None:
    """``email:…`` for a trait that is one legal e-mail address, else None."""
    if not isinstance(raw, str) or "@" not in raw:
        return None
    if not illegal.listed and len(raw) <= BYTES_MAX and PLAIN_ADDRESS_FORM.fullmatch(raw):
        return EMAIL + raw.lower()
    value = read_identifier(raw, Kind.EMAIL, illegal)
    if not isinstance(value, str) or not EMAIL_FORM.fullmatch(value):
        return None
    return EMAIL + value.lower()


def packed_uuid(text: str) -> bytes:
    """The bytes of the UUID that a text is; none where it is none."""
    if len(text) != UUID_LENGTH or text[8] != "-" or not UUID_FORM.fullmatch(text):
        return b""
    return bytes.fromhex(text.replace("-", ""))


def uuid_text(packed: bytes) -> str:
    """The text of a UUID's bytes."""
    text = packed.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _text_of_number(raw: object) -> str | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return str(raw)
    if isinstance(raw, float) and raw.is_integer():
        return str(int(raw))
    return None


def _without_quotes(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].strip()
    return value
