"""The merge that the peers in Python do: last write wins per trait, a device joined to its user.

States are plain dictionaries, because each peer stores them in its own way. Times of one form
compare as text. ``said`` is what events stated: traits with their times, the context of the latest
event, the first and the latest time.
"""

from typing import Any

State = dict[str, Any]


def device_step(device: State | None, event: State) -> tuple[State, State]:
    """A device's next state, and the statement that the event makes about a user or nobody.

    The state is what was said before anybody logged in, or else whose the device is. It is the same
    object where it did not change: then there is nothing to be stored.
    """
    device = device or {"user": None, "said": None}
    said, user = said_by(event), event.get("userId")
    if user is None and device["user"] is None:
        said = said if device["said"] is None else joined(device["said"], said)
        device = {"user": None, "said": said}
    elif user is None:
        user = device["user"]
    else:
        if device["said"] is not None:
            said = joined(device["said"], said)
        if device["user"] != user:
            device = {"user": user, "said": None}
    statement = {
        "userId": user,
        "anonymousId": event["anonymousId"],
        "messageId": event["messageId"],
        "said": said,
    }
    return device, statement


def user_step(user: State | None, statement: State) -> State:
    """A user's next state."""
    said, device = statement["said"], statement["anonymousId"]
    if user is None:
        return {"devices": [device], "said": said}
    devices = user["devices"]
    if device not in devices:
        devices = [*devices, device]
    return {"devices": devices, "said": joined(user["said"], said)}


def said_by(event: State) -> State:
    """What one event states."""
    at = event["timestamp"]
    return {
        "traits": {name: [value, at] for name, value in event["traits"].items()},
        "context": event.get("context"),
        "first": at,
        "last": at,
    }


def joined(known: State, stated: State) -> State:
    """Both, as a new state: last write wins per trait, and the latest event's context."""
    traits = dict(known["traits"])
    for name, one in stated["traits"].items():
        before = traits.get(name)
        if before is None or before[1] <= one[1]:
            traits[name] = one
    latest = stated if known["last"] <= stated["last"] else known
    return {
        "traits": traits,
        "context": latest["context"],
        "first": min(known["first"], stated["first"]),
        "last": latest["last"],
    }


def profile_of(user: State, statement: State) -> State:
    """What is emitted of a user."""
    return profile(statement, user["devices"], user["said"])


def anonymous_profile(statement: State) -> State:
    """What is emitted of a device that is nobody's yet."""
    return profile(statement, [statement["anonymousId"]], statement["said"])


def profile(statement: State, devices: list[str], said: State) -> State:
    """A profile as it goes out."""
    return {
        "userId": statement["userId"],
        "anonymousIds": devices,
        "traits": {name: one[0] for name, one in said["traits"].items()},
        "context": said["context"],
        "firstSeenAt": said["first"],
        "lastSeenAt": said["last"],
        "causedBy": statement["messageId"],
    }
