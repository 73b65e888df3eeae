"""The schema registry and its wire format: asked once, waited for, never flooded."""

from typing import Any, Protocol
from uuid import uuid4

import httpx
import pytest

from resolver.destinations.spec import DestinationSpec
from resolver.edges.avro_codec import Contract, RegistryCodec
from resolver.edges.registry import UNKNOWN_TTL_S, SchemaRegistry
from resolver.edges.schema_files import IDENTIFY, RESOLVED_PROFILE, schema_text
from resolver.errors import BadEvent, ConfigError, Unavailable
from resolver.targets import payload_contract
from tests.edges.strangers import message

EVENT = Contract(schema_text(IDENTIFY))
PROFILE = Contract(schema_text(RESOLVED_PROFILE))
PAYLOAD: dict[str, Any] = {
    "type": "identify",
    "messageId": "user:97@7",
    "timestamp": "2024-05-01T10:00:00Z",
    "userId": "97",
    "anonymousId": None,
    "traits": {"plan": "pro", "tags": ["a", None, {"b": 1.5}]},
    "context": {},
    "integrations": {"Mixpanel": {}},
    "profile": {
        "id": "user:97",
        "version": 7,
        "firstSeenAt": None,
        "lastSeenAt": None,
        "anonymousIds": ["d1"],
        "emails": [],
        "merged": [],
        "changed": None,
        "removed": None,
        "causedBy": "m1",
    },
}


class RegistryService(Protocol):
    url: str


class MemoryRegistry:
    """Enough of a registry for the wire format: ids in the order of arrival."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def schema_id(self, subject: str, text: str) -> int:
        self.texts.append(text)
        return len(self.texts)

    def schema_text(self, schema_id: int) -> str | None:
        return self.texts[schema_id - 1] if 0 < schema_id <= len(self.texts) else None


def test_the_registry_is_asked_once_for_many_messages() -> None:
    """A call per message would be the slowest part of the worker."""
    registry = MemoryRegistry()
    codec = RegistryCodec(EVENT, registry, "raw-value")

    messages = [message(codec, EVENT, {"userId": str(number)}) for number in range(3)]

    assert [codec.decode(raw)["userId"] for raw in messages] == ["0", "1", "2"]
    assert messages[0][:5] == b"\x00\x00\x00\x00\x01"
    assert len(registry.texts) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\x00", b"\x01\x00\x00\x00\x01", b"\x00\x00\x00\x00\x09\x00", b"{}"]
)
def test_a_foreign_wire_format_is_a_bad_event(raw: bytes) -> None:
    """Wrong magic byte, unknown id, or not enough bytes for either."""
    with pytest.raises(BadEvent, match="undecodable"):
        RegistryCodec(EVENT, MemoryRegistry(), "raw-value").decode(raw)


def test_a_writer_of_something_else_is_a_bad_event() -> None:
    """A schema that the contract cannot be read from is the wrong topic's."""
    registry = MemoryRegistry()
    text = '{"type":"record","name":"Order","fields":[{"name":"traits","type":"long"}]}'
    order = Contract(text)
    raw = message(RegistryCodec(order, registry, "orders-value"), order, {"traits": 7})

    with pytest.raises(BadEvent, match="undecodable"):
        RegistryCodec(EVENT, registry, "raw-value").decode(raw)


@pytest.fixture
def real(registry: RegistryService) -> SchemaRegistry:
    return SchemaRegistry(registry.url)


def test_a_real_registry_round_trip(real: SchemaRegistry, registry: RegistryService) -> None:
    """One client registers, a stranger reads by the id alone."""
    subject = f"resolved-{uuid4()}-value"
    raw = message(RegistryCodec(PROFILE, real, subject), PROFILE, PAYLOAD)

    stranger = RegistryCodec(PROFILE, SchemaRegistry(registry.url), "other-value")

    assert stranger.decode(raw) == PAYLOAD
    assert SchemaRegistry(registry.url, register=False).schema_id(subject, PROFILE.text) == (
        int.from_bytes(raw[1:5], "big")
    )


def test_an_id_that_a_real_registry_lacks_is_asked_for_once(registry: RegistryService) -> None:
    """Junk on a topic becomes dead letters, not a flood of requests."""
    now = [0.0]
    real = SchemaRegistry(registry.url, clock_s=lambda: now[0])

    with pytest.raises(BadEvent, match="undecodable"):
        RegistryCodec(EVENT, real, "raw-value").decode(b"\x00\x7f\xff\xff\xff\x00")
    noted = dict(real._unknown)
    real.schema_text(0x7FFFFFFF)
    assert real._unknown == noted
    now[0] = UNKNOWN_TTL_S
    real.schema_text(0x7FFFFFFF)
    assert real._unknown != noted


def test_an_unregistered_schema_is_a_mistake_of_the_settings(registry: RegistryService) -> None:
    """Where registering is not allowed, the sentence says what to do."""
    real = SchemaRegistry(registry.url, register=False)

    with pytest.raises(ConfigError, match="register"):
        real.schema_id(f"absent-{uuid4()}-value", EVENT.text)


def test_a_registry_that_is_away_is_waited_for() -> None:
    """Infrastructure trouble is never a dead letter."""
    away = SchemaRegistry("http://127.0.0.1:9", settings={"max.retries": 0})

    with pytest.raises(Unavailable):
        away.schema_text(1)
    with pytest.raises(Unavailable):
        away.schema_id("raw-value", EVENT.text)
    with pytest.raises(Unavailable):
        away.check()


EVOLUTION: list[dict[str, Any]] = [
    {"name": "crm"},
    {"name": "crm", "traits": {"email": "mail"}},
    {"name": "crm", "traits": {"email": "mail", "createdAt": {"to": "since", "as": "epoch_s"}}},
    {"preset": "segment", "name": "crm", "on_merge": "alias"},
    {"preset": "mixpanel", "name": "crm"},
]


def test_a_real_registry_takes_a_destinations_contract_as_it_grows(
    registry: RegistryService,
) -> None:
    """In the strictest mode, in which every reader must read what any writer wrote."""
    subject = f"dest-{uuid4().hex}-value"
    texts = [payload_contract(DestinationSpec.model_validate(stated)).text for stated in EVOLUTION]

    ids = [SchemaRegistry(registry.url).schema_id(subject, texts[0])]
    mode = httpx.put(f"{registry.url}/config/{subject}", json={"compatibility": "FULL_TRANSITIVE"})
    ids += [SchemaRegistry(registry.url).schema_id(subject, text) for text in texts[1:]]

    assert mode.status_code == 200
    assert len(set(ids)) == len(texts)
    other = {"name": "crm", "traits": {"createdAt": {"to": "since", "as": "date"}}}
    with pytest.raises(ConfigError, match="refuses subject"):
        SchemaRegistry(registry.url).schema_id(
            subject, payload_contract(DestinationSpec.model_validate(other)).text
        )
