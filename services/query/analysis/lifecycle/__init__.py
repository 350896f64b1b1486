"""Lifecycle (docs/lifecycle.md)."""
