"""Benchmarks: the same seeded events for every contender."""
