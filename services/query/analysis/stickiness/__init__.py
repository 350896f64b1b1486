"""Stickiness (docs/stickiness.md)."""
