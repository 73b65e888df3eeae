"""Settings: one YAML file, then environment variables, then flags. Read once, frozen.

Every mistake is named with its place before anything connects.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from resolver.core.events import Reading
from resolver.core.identifiers import IllegalValues, Kind
from resolver.core.policy import Policy, Precedence
from resolver.core.traits import canonical_name
from resolver.destinations.catalogue import load_preset
from resolver.destinations.presets import expanded, own_preset
from resolver.destinations.spec import TOPIC_FORM, DestinationSpec, Format
from resolver.errors import ConfigError
from resolver.yaml_text import (
    Place,
    cause,
    line_of,
    model_at,
    nearest,
    parse_yaml,
    place_of,
    read_yaml,
    suggestion,
)

ENVIRONMENT = "RESOLVER_"
HOST_FORM = r"([A-Za-z]+://)?(\[[0-9a-fA-F:.]+\]|[^\s,:/@]+)(:[0-9]{1,5})?"
DECIDED = {
    "bootstrap.servers": "say kafka.brokers",
    "group.id": "say kafka.group_id",
    "group.protocol": "say kafka.group_protocol",
    "group.instance.id": "say member",
    "session.timeout.ms": "say limits.session_timeout_ms",
    "transaction.timeout.ms": "say limits.transaction_timeout_ms",
    "enable.idempotence": "correctness needs it on",
    "enable.auto.commit": "offsets travel in the transaction",
    "transactional.id": "it is made of kafka.group_id and member",
    "isolation.level": "correctness needs read_committed",
    "partitioner": "a key must lie where Java's clients look for it",
}
"""Settings of librdkafka that are the resolver's own to make, and what to do instead."""


def _topic(name: str) -> str:
    if not re.fullmatch(TOPIC_FORM, name) or name in (".", ".."):
        raise ValueError(f"{name!r} is no topic name: letters, digits, '.', '_' and '-', up to 249")
    return name


def _undecided(name: str) -> str:
    if name in DECIDED:
        raise ValueError(f"it is not for the file: {DECIDED[name]}")
    return name


def _option(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float):
        return value
    raise ValueError("it should be text, a number, true or false")


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


def _addresses(stated: str) -> str:
    for one in stated.split(","):
        if not re.fullmatch(HOST_FORM, one.strip()):
            raise ValueError(f"{one.strip()!r} is no address: write host:port")
    return stated


Topic = Annotated[str, AfterValidator(_topic)]
Options = dict[Annotated[str, AfterValidator(_undecided)], Annotated[Any, AfterValidator(_option)]]
Pattern = Annotated[str, AfterValidator(_regular)]
Addresses = Annotated[str, AfterValidator(_addresses)]


class Part(BaseModel):
    """A section of the settings; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(Part):
    """Where Kafka is, and any setting of librdkafka for both clients or for one."""

    brokers: Addresses = "localhost:9092"
    group_id: Annotated[str, Field(min_length=1)] = "identity-resolver"
    group_protocol: Literal["classic", "consumer"] = "classic"
    options: Options = {}
    consumer: Options = {}
    producer: Options = {}
    schema_registry: str | None = None


class SentinelSettings(Part):
    """Sentinels as ``host:port``, and the name under which they know the master."""

    hosts: Annotated[tuple[Addresses, ...], Field(min_length=1)]
    service: str = "mymaster"


class RedisSettings(Part):
    """Where Redis is: ``redis://``, or ``rediss://`` for TLS, with ``user:password@`` for ACL."""

    url: str = "redis://localhost:6379/0"
    cluster: bool = False
    sentinel: SentinelSettings | None = None
    prefix: str = "r:"
    allow_eviction: bool = False


class InputTopic(Part):
    """A raw topic and the format of its values."""

    topic: Topic
    format: Format = Format.JSON


class PolicySettings(Part):
    """Which statement wins, whose clock is believed, which ids are illegal."""

    precedence: Literal[Precedence.IDENTIFIED, Precedence.LATEST] = Precedence.IDENTIFIED
    traits: dict[str, Precedence] = {}
    merge: dict[str, Literal["deep"]] = {}
    clock_skew: Literal["correct", "trust"] = "correct"
    identify_by_email_trait: Literal["without_anonymous_id", "always"] = "without_anonymous_id"
    illegal_ids: dict[Kind, tuple[str, ...]] = {}
    illegal_id_patterns: dict[Kind, tuple[Pattern, ...]] = {}


class LimitSettings(Part):
    """Bounds of a batch, which is one transaction, and of waiting."""

    batch_events_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 30_000
    session_timeout_ms: Annotated[int, Field(ge=1_000)] = 45_000

    @model_validator(mode="after")
    def _transactions_end_first(self) -> "LimitSettings":
        if self.transaction_timeout_ms >= self.session_timeout_ms:
            raise ValueError(
                f"transaction_timeout_ms ({self.transaction_timeout_ms}) must be below"
                f" session_timeout_ms ({self.session_timeout_ms}): it ends before its partitions go"
            )
        return self


class HttpSettings(Part):
    """Where metrics and health are served; port 0 takes any free one, -1 serves nothing.

    With several workers the n-th serves at ``port`` + n, counted from nought.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=-1, le=65_535)] = 9464


class LogSettings(Part):
    """How much is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "console"


class Settings(BaseSettings):
    """Everything the resolver can be told; ``RESOLVER_KAFKA__BROKERS`` overrides the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENVIRONMENT, env_nested_delimiter="__"
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    inputs: tuple[InputTopic, ...] = (InputTopic(topic="identify"),)
    destinations: tuple[DestinationSpec, ...] = (DestinationSpec(name="profiles"),)
    presets: Path | None = None
    changelog: Topic = "resolver.changelog"
    dead_letters: Topic = "resolver.dead-letters"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    engine: Literal["auto", "native", "reference"] = "auto"
    member: str | None = None
    policies: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats the file, which arrives as arguments."""
        return (env_settings, init_settings)

    @model_validator(mode="before")
    @classmethod
    def _start_from_own_presets(cls, stated: Any) -> Any:
        """Merges presets of the owner's folder; those that come along merge themselves."""
        folder, listed = stated.get("presets"), stated.get("destinations")
        if not folder or not isinstance(listed, list | tuple):
            return stated
        return {**stated, "destinations": [_expanded(one, Path(str(folder))) for one in listed]}

    @model_validator(mode="after")
    def _topics_are_distinct(self) -> "Settings":
        if not self.inputs:
            raise ValueError("inputs: name at least one topic")
        outputs = [one.topic for one in self.destinations]
        topics = [*outputs, self.changelog, self.dead_letters, *(one.topic for one in self.inputs)]
        twice = sorted({topic for topic in topics if topics.count(topic) > 1})
        if twice:
            raise ValueError(f"topic {twice[0]!r} is used twice: every role needs its own")
        names = [one.keys[0] for one in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError(f"destinations {', '.join(names)}: every one needs its own name")
        return self

    def reading(self) -> Reading:
        """How events are read."""
        chosen = self.policies
        literals = {
            kind: frozenset(one.strip().lower() for one in values)
            for kind, values in chosen.illegal_ids.items()
        }
        return Reading(
            illegal=IllegalValues(literals=literals, patterns=dict(chosen.illegal_id_patterns)),
            policy=Policy(
                everywhere=chosen.precedence,
                named={canonical_name(name): rule for name, rule in chosen.traits.items()},
                deep=frozenset(map(canonical_name, chosen.merge)),
            ),
            trust_clocks=chosen.clock_skew == "trust",
            identify_by_email_always=chosen.identify_by_email_trait == "always",
        )


def _expanded(stated: Any, folder: Path) -> Any:
    """A destination with the preset it starts from, which is checked by itself first."""
    name = stated.get("preset") if isinstance(stated, dict) else None
    if not isinstance(name, str) or own_preset(name, folder) is None:
        return stated
    load_preset(name, folder)
    return expanded(stated, folder)


def load_settings(path: Path | None = None, **flags: Any) -> Settings:
    """The settings of a file with the environment and flags on top; raises ConfigError.

    Flags are sections by name: ``load_settings(path, kafka={"brokers": "…"})``; None is no flag.
    """
    stated, lines = read_yaml(path) if path is not None else parse_yaml("", None)
    _check_environment()
    if path is not None and isinstance(stated.get("presets"), str):
        stated["presets"] = str(path.parent / stated["presets"])
    try:
        settings = Settings(**stated)
    except ValidationError as error:
        raise ConfigError(_sentences(error, path, lines)) from error
    except SettingsError as error:
        start = ENVIRONMENT + str(error).split('"')[1].upper()
        named = ", ".join(one for one in sorted(os.environ) if one.upper().startswith(start))
        raise ConfigError(f"environment variable {named}: its value is not JSON") from error
    return _with_flags(settings, flags)


def _with_flags(settings: Settings, flags: dict[str, Any]) -> Settings:
    changed: dict[str, Any] = {}
    for name, stated in flags.items():
        section: Part = getattr(settings, name)
        kept = {key: value for key, value in stated.items() if value is not None}
        try:
            changed[name] = type(section)(**{**section.model_dump(), **kept})
        except ValidationError as error:
            mistake = error.errors()[0]
            raise ConfigError(
                f"the flag for {name}.{mistake['loc'][0]}: {cause(mistake)}"
            ) from error
    return settings.model_copy(update=changed)


def _check_environment() -> None:
    """Names a variable that looks like a setting and is none; others may share the prefix."""
    for variable in (one for one in sorted(os.environ) if one.upper().startswith(ENVIRONMENT)):
        place = tuple(variable[len(ENVIRONMENT) :].lower().split("__"))
        model = model_at(place[:-1], Settings)
        if model is None:
            place, model = place[:1], Settings
        near = nearest(place, Settings)
        if place[-1] not in model.model_fields and (near or len(place) > 1):
            raise ConfigError(f"environment variable {variable}: there is no such setting{near}")


def _variable_of(place: tuple[str, ...]) -> str | None:
    """The environment variable that stated a place or a section around it, if one did."""
    known = {name.upper(): name for name in os.environ}
    for length in range(len(place), 0, -1):
        name = ENVIRONMENT + "__".join(place[:length]).upper()
        if name in known:
            return known[name]
    return None


def _sentences(error: ValidationError, path: Path | None, lines: dict[Place, int]) -> str:
    """One line per mistake: file and line or variable, key, what is wrong, the nearest key."""
    found: dict[str, int] = {}
    for mistake in error.errors():
        place = place_of(mistake)
        line, variable = line_of(place, lines), _variable_of(place)
        where = f"{path}:{line}" if path is not None and line else "the settings"
        where = f"environment variable {variable}" if variable else where
        about = f"{where}: {'.'.join(place)}" if place else where
        found[f"{about}: {cause(mistake)}{suggestion(mistake, Settings)}"] = line
    return "\n".join(sorted(found, key=lambda sentence: found[sentence]))
