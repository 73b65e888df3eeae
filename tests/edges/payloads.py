"""What the tests of Avro write: a profile, and traits of any shape."""

import json
from typing import Any

from hypothesis import strategies as st

PAYLOAD: dict[str, Any] = {
    "type": "identify",
    "messageId": "user:97@7",
    "timestamp": "2024-05-01T10:00:00Z",
    "userId": "97",
    "anonymousId": None,
    "traits": {"plan": "pro", "seats": 3, "score": 1.0, "tags": ["a", None, {"b": False}]},
    "context": {"ip": "203.0.113.9"},
    "integrations": {"Mixpanel": {}},
    "profile": {
        "id": "user:97",
        "version": 7,
        "firstSeenAt": "2024-04-01T10:00:00.5Z",
        "lastSeenAt": None,
        "anonymousIds": ["d1"],
        "emails": [],
        "merged": ["anon:d1"],
        "changed": ["plan"],
        "removed": None,
        "causedBy": "m1",
    },
}

names = st.text(max_size=8) | st.sampled_from(["value", "-type", "type", "", "Json"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-100, 100).map(float)
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
traits_of_any_shape = st.dictionaries(names, values, max_size=6)


def same(left: Any, right: Any) -> bool:
    """Equal with types: 1, 1.0 and True are three values, and so are 0.0 and -0.0."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
