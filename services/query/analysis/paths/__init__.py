"""Paths: what actors do one after the other within a session (docs/paths.md)."""
