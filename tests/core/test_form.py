"""The package runs as sources and as native code; a run must know which of them it tested."""

import os

from resolver.core import values


def test_the_form_that_was_asked_for_is_the_one_under_test() -> None:
    """A path that lets the sources through would test them twice and the wheel never."""
    asked = os.environ.get("RESOLVER_TEST_FORM", "sources")

    assert (values.__file__ or "").endswith(".so") == (asked == "compiled")
