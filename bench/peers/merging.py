"""The merge that the peers in Python do: last write wins per trait, a device joined to its user.

States are plain dictionaries, because each peer stores them in its own way. Times of one form
compare as text.
"""

from typing import Any

State = dict[str, Any]


def device_step(device: State | None, event: State) -> tuple[State, State]:
    """A device's next state, and the statement that the event makes about a user or nobody.

    The state is what was said with the device alone, and whose it is.
    """
    at, user = event["timestamp"], event.get("userId")
    stated = {name: [value, at] for name, value in event["traits"].items()}
    device = device or {"user": None, "traits": {}}
    own = device["traits"]
    if user is None:
        merge(own, stated)
        user, stated = device["user"], dict(own)
    else:
        merge(stated, own)
        device["user"] = user
    statement = {
        "userId": user,
        "anonymousId": event["anonymousId"],
        "messageId": event["messageId"],
        "at": at,
        "traits": stated,
    }
    return device, statement


def user_step(user: State | None, statement: State) -> State:
    """A user's next state."""
    if user is None:
        user = {"traits": {}, "devices": [], "seen": ""}
    merge(user["traits"], statement["traits"])
    if statement["anonymousId"] not in user["devices"]:
        user["devices"].append(statement["anonymousId"])
    user["seen"] = max(user["seen"], statement["at"])
    return user


def merge(into: State, stated: State) -> None:
    """Last write wins per trait."""
    for name, one in stated.items():
        known = into.get(name)
        if known is None or known[1] <= one[1]:
            into[name] = one


def profile_of(user: State, statement: State) -> State:
    """What is emitted of a user."""
    return {
        "userId": statement["userId"],
        "anonymousIds": user["devices"],
        "traits": {name: one[0] for name, one in user["traits"].items()},
        "lastSeenAt": user["seen"],
        "causedBy": statement["messageId"],
    }


def anonymous_profile(statement: State) -> State:
    """What is emitted of a device that is nobody's yet."""
    return {
        "userId": None,
        "anonymousIds": [statement["anonymousId"]],
        "traits": {name: one[0] for name, one in statement["traits"].items()},
        "lastSeenAt": statement["at"],
        "causedBy": statement["messageId"],
    }
