"""A stream-processing identity resolver: identify events in, resolved profiles out."""

__version__ = "0.1.0"
