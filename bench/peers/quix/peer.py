"""The merge as a Quix Streams application: a stage per device, re-keyed, a stage per user."""

from typing import Any

from quixstreams import Application, State

from bench.peers.merging import anonymous_profile, device_step, profile_of, user_step
from bench.protocol import Progress, Setup, told

STATE = "state"


def main() -> None:
    """Runs until SIGTERM, which the library handles."""
    setup = told()
    progress = Progress(setup.events)
    app = Application(
        broker_address=setup.brokers,
        consumer_group=setup.name,
        auto_offset_reset="earliest",
        processing_guarantee=setup.delivery.replace("_", "-"),
        state_dir=setup.folder,
        producer_extra_config={"compression.type": "lz4", "linger.ms": 20},
        loglevel="WARNING",
        **setup.options,
    )
    build(app, setup, progress)
    app.run()


def build(app: Application, setup: Setup, progress: Progress) -> None:
    """Declares the dataflow: devices nobody owns go straight out, all others to their user."""
    raw = app.topic(setup.raw, key_deserializer="str")
    out = app.topic(setup.out, key_serializer="str")

    def of_device(event: dict[str, Any], state: State) -> dict[str, Any]:
        progress.begin()
        known = state.get(STATE)
        device, statement = device_step(known, event)
        if device is not known:
            state.set(STATE, device)
        return statement

    def of_user(statement: dict[str, Any], state: State) -> dict[str, Any]:
        user = user_step(state.get(STATE), statement)
        state.set(STATE, user)
        return profile_of(user, statement)

    stated = app.dataframe(raw).apply(of_device, stateful=True)
    nobodys = stated.filter(lambda one: one["userId"] is None)
    nobodys = nobodys.apply(anonymous_profile).to_topic(out)
    nobodys.update(lambda _: progress.count())
    owned = stated.filter(lambda one: one["userId"] is not None)
    owned = owned.group_by(
        lambda one: one["userId"], name="user", key_serializer="str", key_deserializer="str"
    )
    owned = owned.apply(of_user, stateful=True).to_topic(out)
    owned.update(lambda _: progress.count())


if __name__ == "__main__":
    main()
