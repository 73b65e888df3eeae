"""The merge as a Bytewax dataflow: keyed by device, then by user; snapshots every ten seconds."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.peers.merging import anonymous_profile, device_step, profile_of, user_step
from bench.protocol import Progress, Setup, told

SNAPSHOT_S = 10


def main() -> None:
    """Runs until SIGTERM."""
    setup = told()
    folder = Path(setup.folder)
    folder.mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, 1)
    cli_main(
        build(setup, Progress(setup.events)),
        epoch_interval=timedelta(seconds=setup.options.get("snapshot_s", SNAPSHOT_S)),
        recovery_config=RecoveryConfig(str(folder), timedelta(0)),
    )


def build(setup: Setup, progress: Progress) -> Dataflow:
    """Declares the dataflow."""
    flow = Dataflow("peer")

    def read(message: Any) -> tuple[str, dict[str, Any]]:
        progress.begin()
        event = orjson.loads(message.value)
        return event["anonymousId"], event

    def emit(keyed: tuple[str, dict[str, Any]]) -> KafkaSinkMessage[bytes, bytes]:
        return KafkaSinkMessage(keyed[0].encode(), orjson.dumps(keyed[1]))

    def count(emitted: KafkaSinkMessage[bytes, bytes]) -> KafkaSinkMessage[bytes, bytes]:
        progress.count()
        return emitted

    add: dict[str, Any] = {"compression.type": "lz4"}
    brokers = [setup.brokers]
    source = kop.input("raw", flow, brokers=brokers, topics=[setup.raw])
    events = op.map("read", source.oks, read)
    stated = op.stateful_map("devices", events, device_step)
    by_owner = op.branch("owner", stated, lambda keyed: keyed[1]["userId"] is None)
    nobodys = op.map_value("anonymous", by_owner.trues, anonymous_profile)
    owned = op.map("rekey", by_owner.falses, lambda keyed: (keyed[1]["userId"], keyed[1]))
    profiles = op.stateful_map("users", owned, of_user)
    messages = op.map("emit", op.merge("both", nobodys, profiles), emit)
    counted = op.map("count", messages, count)
    kop.output("out", counted, brokers=brokers, topic=setup.out, add_config=add)
    return flow


def of_user(
    user: dict[str, Any] | None, statement: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The next state and what is emitted of it."""
    user = user_step(user, statement)
    return user, profile_of(user, statement)


if __name__ == "__main__":
    main()
