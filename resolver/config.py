"""Settings: one YAML file, then environment variables, then flags. Read once, frozen.

Every mistake is named with its place before anything connects.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from resolver.core.events import Reading
from resolver.core.identifiers import IllegalValues, Kind
from resolver.core.policy import Policy, Precedence
from resolver.core.traits import canonical_name
from resolver.destinations.spec import TOPIC_FORM, DestinationSpec, Format
from resolver.errors import ConfigError

Topic = Annotated[str, Field(pattern=TOPIC_FORM)]
Options = dict[str, str | int | float | bool]


class Part(BaseModel):
    """A section of the settings; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(Part):
    """Where Kafka is, and any setting of librdkafka for both clients or for one."""

    brokers: str = "localhost:9092"
    group_id: str = "identity-resolver"
    group_protocol: Literal["classic", "consumer"] = "classic"
    options: Options = {}
    consumer: Options = {}
    producer: Options = {}
    schema_registry: str | None = None


class SentinelSettings(Part):
    """Sentinels as ``host:port``, and the name under which they know the master."""

    hosts: tuple[str, ...]
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
    illegal_id_patterns: dict[Kind, tuple[str, ...]] = {}


class LimitSettings(Part):
    """Bounds of a batch, which is one transaction, and of waiting."""

    batch_events_max: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 30_000
    session_timeout_ms: Annotated[int, Field(ge=1_000)] = 45_000


class HttpSettings(Part):
    """Where metrics and health are served; port 0 takes any free one, -1 serves nothing."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=-1, le=65_535)] = 9464


class LogSettings(Part):
    """How much is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "console"


class Settings(BaseSettings):
    """Everything the resolver can be told; ``RESOLVER_KAFKA__BROKERS`` overrides the file."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="RESOLVER_", env_nested_delimiter="__"
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    inputs: tuple[InputTopic, ...] = (InputTopic(topic="identify"),)
    destinations: tuple[DestinationSpec, ...] = (DestinationSpec(name="profiles"),)
    changelog: Topic = "resolver.changelog"
    dead_letters: Topic = "resolver.dead-letters"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
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
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats the file, which arrives as arguments."""
        return (env_settings, init_settings)

    @model_validator(mode="after")
    def _topics_are_distinct(self) -> "Settings":
        outputs = [one.topic for one in self.destinations]
        topics = [*outputs, self.changelog, self.dead_letters, *(one.topic for one in self.inputs)]
        twice = sorted({topic for topic in topics if topics.count(topic) > 1})
        if twice:
            raise ValueError(f"topic {twice[0]!r} is used twice: every role needs its own")
        names = [one.name for one in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have the same name")
        return self

    def reading(self) -> Reading:
        """How events are read."""
        chosen = self.policies
        policy = Policy(
            everywhere=chosen.precedence,
            named={canonical_name(name): rule for name, rule in chosen.traits.items()},
            deep=frozenset(map(canonical_name, chosen.merge)),
        )
        illegal = IllegalValues(
            literals={
                kind: frozenset(one.strip().lower() for one in values)
                for kind, values in chosen.illegal_ids.items()
            },
            patterns=dict(chosen.illegal_id_patterns),
        )
        return Reading(
            illegal=illegal,
            policy=policy,
            trust_clocks=chosen.clock_skew == "trust",
            identify_by_email_always=chosen.identify_by_email_trait == "always",
        )


def load_settings(path: Path | None = None, **flags: Any) -> Settings:
    """The settings of a file with the environment and flags on top; raises ConfigError.

    Flags are sections by name: ``load_settings(path, kafka={"brokers": "…"})``; None is no flag.
    """
    text = _read(path) if path is not None else ""
    stated = _parse(text, path)
    lines = _lines(text)
    try:
        settings = Settings(**stated)
    except ValidationError as error:
        raise ConfigError(_sentences(error, path, lines)) from error
    try:
        return _with_flags(settings, flags)
    except ValidationError as error:
        raise ConfigError(_sentences(error, None, {})) from error


def _with_flags(settings: Settings, flags: dict[str, Any]) -> Settings:
    changed: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None:
            continue
        section = getattr(settings, name)
        if isinstance(section, Part) and isinstance(value, dict):
            kept = {key: inner for key, inner in value.items() if inner is not None}
            value = type(section)(**{**section.model_dump(), **kept})
        changed[name] = value
    return settings.model_copy(update=changed)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        raise ConfigError(f"{path}: the file must hold keys and values, such as 'kafka:'")
    return stated


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key, by its path."""
    lines: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node | None, path: tuple[str, ...]) -> None:
        if node is None:
            return
        lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, str(key.value))
                lines[inner] = key.start_mark.line + 1
                walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for place, value in enumerate(node.value):
                walk(value, (*path, str(place)))

    walk(yaml.compose(text), ())
    return lines


def _sentences(error: ValidationError, path: Path | None, lines: dict[tuple[str, ...], int]) -> str:
    """One line per mistake: file, line, key, what is wrong, the nearest right key."""
    sentences = []
    for mistake in error.errors():
        place = tuple(map(str, mistake["loc"]))
        known = place
        while known and known not in lines:
            known = known[:-1]
        where = f"{path}:{lines[known]}" if path is not None and known in lines else "settings"
        cause = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            cause = "there is no such key" + _nearest(place)
        sentences.append(f"{where}: {'.'.join(place) or 'the file'}: {cause}")
    return "\n".join(sentences)


def _nearest(place: tuple[str, ...]) -> str:
    """``; did you mean …?`` for a misspelt key."""
    model: Any = Settings
    for part in place[:-1]:
        if part.isdigit():
            continue
        field = model.model_fields.get(part)
        arguments = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        model = next((one for one in arguments if hasattr(one, "model_fields")), None)
        if model is None:
            return ""
    near = get_close_matches(place[-1], model.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
