"""The closed sets that a destination's specification chooses from."""

from enum import StrEnum


class Format(StrEnum):
    """How values are written on a topic."""

    JSON = "json"
    AVRO = "avro"


class Anonymous(StrEnum):
    """Whether a destination takes people nobody has identified."""

    SEND = "send"
    DROP = "drop"


class EmailUserId(StrEnum):
    """What becomes of a userId that is an e-mail address."""

    SEND = "send"
    DROP = "drop"
    AS_TRAIT = "as_trait"


class Case(StrEnum):
    """The case of trait names that have no field of their own."""

    AS_SENT = "as_sent"
    CAMEL = "camel"
    SNAKE = "snake"
    LOWER = "lower"
    COLUMN = "column"
    """Words of ASCII letters, and numbers, in lower case, joined by ``_``."""
    UPPER_COLUMN = "upper_column"


class Payload(StrEnum):
    """What a message carries: all traits, or those that changed since the last one."""

    FULL = "full"
    CHANGES = "changes"


class Form(StrEnum):
    """The form in which a value is sent; a value that has no such form is left out."""

    KEEP = "keep"
    TEXT = "text"
    PLAIN_TEXT = "plain_text"
    """Text or a number as text; where a reserved trait is text, this is what no form means."""
    TRIMMED = "trimmed"
    LOWER = "lower"
    """Trimmed, in lower case."""
    SQUEEZED = "squeezed"
    """In lower case, without any white space."""
    NUMBER = "number"
    DIGITS = "digits"
    E164 = "e164"
    COUNTRY_CODE = "country_code"
    GENDER_INITIAL = "gender_initial"
    GENDER_LETTER = "gender_letter"
    LIST = "list"
    """A list with the value alone in it."""
    ISO = "iso"
    ISO_MS = "iso_ms"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    MIDNIGHT_MS = "midnight_ms"
    DATE = "date"
    DATE_COMPACT = "date_compact"
    SPACED = "spaced"
    """``2019-08-24 14:15:22``"""
    SPACED_OFFSET = "spaced_offset"
    """``2019-08-24 14:15:22 +00:00``"""


class Scalar(StrEnum):
    """What becomes of a number or a boolean."""

    KEEP = "keep"
    TEXT = "text"
    DIGIT = "digit"
    """A boolean as "1" or "0", a number as text."""
    DROP = "drop"


class Lists(StrEnum):
    """What becomes of a list."""

    KEEP = "keep"
    TEXT = "text"
    JOIN = "join"
    DROP = "drop"


class Objects(StrEnum):
    """What becomes of an object."""

    KEEP = "keep"
    FLATTEN = "flatten"
    TEXT = "text"
    DROP = "drop"


class Beyond(StrEnum):
    """What becomes of what is longer than a limit."""

    CUT = "cut"
    DROP = "drop"


class Deeper(StrEnum):
    """What becomes of a value that nests deeper than a limit."""

    TEXT = "text"
    DROP = "drop"


class Unit(StrEnum):
    """What a length counts."""

    CHARACTERS = "characters"
    BYTES = "bytes"
    """Of UTF-8."""


class Removed(StrEnum):
    """How a trait that was removed is told."""

    OMIT = "omit"
    """It is no longer there; ``profile.removed`` names it."""
    AS_NULL = "as_null"
    """Its field is null in the message that says so."""
    AS_EMPTY = "as_empty"
    """Its field is "" in the message that says so."""
    UNSET = "unset"
    """Its field is named in the member ``unset`` of the message that says so."""


class Hash(StrEnum):
    """A hash, in hexadecimal."""

    SHA256 = "sha256"
    SHA1 = "sha1"
    MD5 = "md5"


class Emails(StrEnum):
    """What becomes of the addresses in ``profile.emails``."""

    SEND = "send"
    SHA256 = "sha256"
    DROP = "drop"


class OnMerge(StrEnum):
    """How a destination is told that profiles became one."""

    PROFILE = "profile"
    """The profile names whom it took in."""
    ALIAS = "alias"
    """So it does, and an alias event for each of them goes before a user's profile."""
    TOMBSTONE = "tombstone"
    """The profile does not say; the old keys get their tombstones, as they always do."""


class Derive(StrEnum):
    """How a trait is made from others where it is missing."""

    FIRST_OF_NAME = "first_of_name"
    """The name's first word."""
    REST_OF_NAME = "rest_of_name"
    """The name without its first word."""
    LAST_OF_NAME = "last_of_name"
    """The name's last word, if it has several."""
    FIRST_OR_LAST = "first_or_last"
    """firstName, or lastName where there is no other."""


class Reason(StrEnum):
    """Why something is not in a payload, or not whole: the closed set that is counted."""

    EXCLUDED = "excluded"
    NOT_TAKEN = "not_taken"
    RESERVED_NAME = "reserved_name"
    ILLEGAL_NAME = "illegal_name"
    NAME_TOO_LONG = "name_too_long"
    NAME_TAKEN = "name_taken"
    WRONG_TYPE = "wrong_type"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TOO_MANY = "too_many"
    NO_ROOM = "no_room"
    CUT = "cut"
    ANONYMOUS = "anonymous"
    EMAIL_USER_ID = "email_user_id"
    REQUIRED = "required"
    PAYLOAD_TOO_LARGE = "payload_too_large"


MEANINGS = {
    Reason.EXCLUDED: "the settings exclude the trait, or do not include it",
    Reason.NOT_TAKEN: "the destination has no place for it",
    Reason.RESERVED_NAME: "its name is one that the destination keeps for itself",
    Reason.ILLEGAL_NAME: "its name is none that the destination allows",
    Reason.NAME_TOO_LONG: "its name is longer than the destination takes",
    Reason.NAME_TAKEN: "another trait has the same name there",
    Reason.WRONG_TYPE: "the value has not the type or form that the destination needs",
    Reason.EMPTY: "the destination takes no empty values",
    Reason.TOO_LONG: "the value is longer than the destination takes",
    Reason.TOO_DEEP: "the value nests deeper than the destination takes",
    Reason.TOO_MANY: "the destination takes no more traits, entries or keys",
    Reason.NO_ROOM: "with it the whole payload is larger than the destination takes",
    Reason.CUT: "the value was longer than the destination takes, and was cut",
    Reason.ANONYMOUS: "the destination takes nobody before they are identified",
    Reason.EMAIL_USER_ID: "the destination takes no userId that is an e-mail address",
    Reason.REQUIRED: "something is missing without which the destination takes nobody",
    Reason.PAYLOAD_TOO_LARGE: "what must be sent is alone larger than the destination takes",
}
"""Each reason in words."""
