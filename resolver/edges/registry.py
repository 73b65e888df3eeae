"""The schema registry (Confluent's protocol): schemas by id, registered and looked up once."""

import time
import warnings
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from resolver.errors import ConfigError, Unavailable

# One warning of the client's own client is about a choice that nobody here can make. It comes
# with a filter that shows it whatever was filtered before, so warnings are caught and sorted.
with warnings.catch_warnings(record=True) as _caught:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

    # ``httpx`` comes from the client: it lets its transport's errors through, and only it knows
    # which transport it has found.
    from confluent_kafka.schema_registry.common._httpx_compat import httpx
    from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

for _warning in _caught:
    if "httpx module is deprecated" not in str(_warning.message):
        warnings.warn_explicit(
            _warning.message, _warning.category, _warning.filename, _warning.lineno
        )

TIMEOUT_S = 5
RETRIES_MAX = 1
"""The worker itself waits and retries; the client only rides over a lost connection."""
UNKNOWN_TTL_S = 30.0
"""How long an id stays unknown without another question: a topic of junk must not flood it."""
UNKNOWN_MAX = 1_000
PASSING_STATUSES = frozenset((401, 403, 408, 429))
NOT_FOUND = 404


class SchemaRegistry:
    """Schemas by id and subject, cached for good: what an id means never changes."""

    def __init__(
        self,
        url: str,
        *,
        settings: Mapping[str, str | int] | None = None,
        register: bool = True,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``settings`` go to the client as they are; without ``register`` schemas are looked up.

        ConfigError where url or settings make no sense. Connects to nothing.
        """
        conf = {"timeout": TIMEOUT_S, "max.retries": RETRIES_MAX, **(settings or {}), "url": url}
        try:
            self._client = SchemaRegistryClient(conf)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"the schema registry's settings: {error}") from error
        self._url = _without_credentials(url)
        self._register = register
        self._clock_s = clock_s
        self._ids: dict[tuple[str, str], int] = {}
        self._unknown: dict[int, float] = {}

    def schema_id(self, subject: str, text: str) -> int:
        """The id of an Avro schema under ``subject``; registers it first where allowed.

        Unavailable while the registry is away; ConfigError where it refuses the schema.
        """
        known = self._ids.get((subject, text))
        if known is not None:
            return known
        schema = Schema(text, "AVRO")
        try:
            schema_id = self._ask_id(subject, schema)
        except SchemaRegistryError as error:
            self._raise_if_passing(error)
            raise ConfigError(
                f"the schema registry at {self._url} refuses subject {subject}: "
                f"{error.error_message}; register a compatible schema, or allow registering"
            ) from error
        except (httpx.HTTPError, OAuthTokenError) as error:
            raise self._away(error) from error
        self._ids[subject, text] = schema_id
        return schema_id

    def schema_text(self, schema_id: int) -> str | None:
        """The Avro schema with that id; None where there is none, or it is not Avro.

        Unavailable while the registry is away. Known ids cost no request.
        """
        asked_s = self._unknown.get(schema_id)
        if asked_s is not None and self._clock_s() - asked_s < UNKNOWN_TTL_S:
            return None
        try:
            schema = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            self._raise_if_passing(error)
            self._note_unknown(schema_id)
            return None
        except (httpx.HTTPError, OAuthTokenError) as error:
            raise self._away(error) from error
        if schema.schema_type not in ("AVRO", None) or schema.references:
            self._note_unknown(schema_id)
            return None
        return schema.schema_str

    def check(self) -> None:
        """Raises Unavailable or ConfigError unless the registry answers."""
        try:
            self._client.get_subjects()
        except SchemaRegistryError as error:
            self._raise_if_passing(error)
            raise ConfigError(
                f"{self._url} does not answer like a schema registry: {error.error_message}"
            ) from error
        except (httpx.HTTPError, OAuthTokenError) as error:
            raise self._away(error) from error

    def _ask_id(self, subject: str, schema: Schema) -> int:
        if self._register:
            return self._client.register_schema(subject, schema)
        schema_id = self._client.lookup_schema(subject, schema).schema_id
        if schema_id is None:
            raise ConfigError(f"the schema registry names no id for subject {subject}")
        return schema_id

    def _note_unknown(self, schema_id: int) -> None:
        if len(self._unknown) >= UNKNOWN_MAX:
            self._unknown.clear()
        self._unknown[schema_id] = self._clock_s()

    def _raise_if_passing(self, error: SchemaRegistryError) -> None:
        """Server faults, throttling and refused credentials say nothing about a schema."""
        status = error.http_status_code
        if status >= 500 or status in PASSING_STATUSES:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"the schema registry at {self._url} is away: {str(error) or type(error).__name__};"
            " start it, or correct kafka.schema_registry (address, user, password)"
        )


def _without_credentials(url: str) -> str:
    """The address as it may be shown: without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
