"""A peer; see the README beside it."""
