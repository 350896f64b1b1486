"""Funnels (docs/funnel.md)."""
