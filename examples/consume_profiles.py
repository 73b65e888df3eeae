"""Follow a destination's topic and keep the newest profile of everybody in memory.

    python examples/consume_profiles.py --brokers localhost:9092 --topic resolved.profiles
    python examples/consume_profiles.py --topic resolved.profiles --format avro --registry URL

JSON needs ``resolver.contracts`` alone; Avro also the codec, and a registry if the destination
uses one. Stop it with Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, KafkaException

from resolver.contracts import AliasEvent, ResolvedProfile, parse, read

Parse = Callable[[bytes | None], ResolvedProfile | AliasEvent | None]


def main() -> int:
    """Prints a line per change; 1 after an error of Kafka's."""
    args = _arguments()
    profiles: dict[str, ResolvedProfile] = {}
    try:
        for key, value in _records(args.brokers, args.topic, args.group):
            _apply(profiles, key, value, args.parse)
    except KeyboardInterrupt:
        print(f"{len(profiles)} profiles", file=sys.stderr)
    except KafkaException as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _apply(
    profiles: dict[str, ResolvedProfile], key: str, value: bytes | None, parse_value: Parse
) -> None:
    """Puts a record into the table. The last profile of a key is what is true of it."""
    try:
        profile = parse_value(value)
    except ValueError as error:
        print(f"{key}: not a resolved profile: {error}", file=sys.stderr)
        return
    if profile is None:
        profiles.pop(key, None)
        print(f"{key}: gone, or part of another profile now")
        return
    if isinstance(profile, AliasEvent):
        print(f"{key}: was {profile.previous_id}")
        return
    known = profiles.get(key)
    if known is not None and known.profile.version >= profile.profile.version:
        return
    profiles[key] = profile
    changed = profile.profile.changed
    what = "changed" if changed is None else ", ".join(changed) or "nothing but who it is"
    print(f"{key} v{profile.profile.version}: {what}")


def _records(brokers: str, topic: str, group: str) -> Iterator[tuple[str, bytes | None]]:
    """Keys and values from the beginning of the topic; only what was committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            yield (message.key() or b"").decode(), message.value()
    finally:
        consumer.close()


def _avro_parser(registry_url: str | None) -> Parse:
    from resolver.edges.avro_codec import Contract, RegistryCodec, SingleObjectCodec
    from resolver.edges.schema_files import RESOLVED_PROFILE, schema_text
    from resolver.errors import BadEvent

    contract = Contract(schema_text(RESOLVED_PROFILE))
    codec: RegistryCodec | SingleObjectCodec = SingleObjectCodec(contract)
    if registry_url is not None:
        from resolver.edges.registry import SchemaRegistry

        codec = RegistryCodec(contract, SchemaRegistry(registry_url), "")

    def parse_avro(value: bytes | None) -> ResolvedProfile | AliasEvent | None:
        try:
            return read(None if value is None else codec.decode(value))
        except BadEvent as error:
            raise ValueError(error.sentence) from error

    return parse_avro


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Follow a destination's topic.")
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--topic", default="resolved.profiles")
    parser.add_argument("--format", choices=["json", "avro"], default="json")
    parser.add_argument("--registry", help="URL of the schema registry, for avro")
    parser.add_argument("--group", default="consume-profiles-example")
    args = parser.parse_args()
    args.parse = parse if args.format == "json" else _avro_parser(args.registry)
    return args


if __name__ == "__main__":
    sys.exit(main())
