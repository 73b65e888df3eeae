"""Thin edges: one library per file; they translate errors and decide nothing."""
