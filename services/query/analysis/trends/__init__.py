"""Trends: numbers over time (docs/trends.md)."""
