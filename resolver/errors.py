"""The error tree: the type says what the caller does next."""

from enum import StrEnum


class Fault(StrEnum):
    """The closed set of reasons for which an input is buried as a dead letter."""

    UNDECODABLE = "undecodable"
    NOT_AN_EVENT = "not_an_event"
    TOO_LARGE = "too_large"
    NO_IDENTIFIER = "no_identifier"


class ResolverError(Exception):
    """Everything the resolver raises on purpose."""


class BadEvent(ResolverError):
    """The input can never be resolved: bury it. The sentence holds no trait value."""

    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(f"{fault}: {sentence}")
        self.fault = fault
        self.sentence = sentence


class Unavailable(ResolverError):
    """A service is away: wait and try again; nothing is buried, nothing is dropped."""


class TransactionAborted(ResolverError):
    """The transaction was given up or its outcome is unknown: take the batch again."""


class Fenced(ResolverError):
    """Another worker took this one's place: end the process."""


class ConfigError(ResolverError):
    """The settings are wrong: say where and what to do, then exit."""
